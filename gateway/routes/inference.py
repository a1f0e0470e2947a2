"""The routes of the Open Inference Protocol, version 2: the models that serve, for clients made for other servers."""

from typing import Final

from inference import inference_pb2 as wire

from gateway.contract.route import Route
from gateway.core import Core
from gateway.formats import inference
from gateway.http.asgi import JSON, Answer, Request, json
from gateway.routes.questions import CALLS_REASONS
from mesh.errors import NotFound, Unavailable
from records import tenants

_OCTETS: Final = "application/octet-stream"
_JSON_SIZE: Final = b"inference-header-content-length"
_OF_MODEL: Final = ("MODEL_NOT_FOUND", *CALLS_REASONS)
_OF_BODY: Final = (
    "MALFORMED_JSON",
    "INVALID_TYPE",
    "UNSUPPORTED_CONTENT_TYPE",
    "REQUEST_TOO_LARGE",
    "VALUE_OUT_OF_RANGE",
)


async def inference_live(core: Core, _request: Request) -> Answer:
    """Says that scoring lives."""
    return json(inference.Live((await core.peers.inference.ServerLive(wire.ServerLiveRequest())).live))


async def inference_ready(core: Core, _request: Request) -> Answer:
    """Says that there is a model to serve.

    Raises:
        Unavailable: `DEPENDENCY_UNAVAILABLE`, there is none.
    """
    if not (await core.peers.inference.ServerReady(wire.ServerReadyRequest())).ready:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "There is no model that can be loaded.")
    return json(inference.Ready(ready=True))


async def inference_server(core: Core, _request: Request) -> Answer:
    """What serves the models."""
    found = await core.peers.inference.ServerMetadata(wire.ServerMetadataRequest())
    return json(inference.InferenceServer(found.name, found.version, [*found.extensions, inference.EXTENSION]))


async def inference_model(core: Core, request: Request) -> Answer:
    """What a model takes and gives."""
    model, version = _named(request)
    asked = wire.ModelMetadataRequest(name=model, version=version)
    return json(inference.described(await core.peers.inference.ModelMetadata(asked)))


async def inference_version(core: Core, request: Request) -> Answer:
    """What a version of a model takes and gives."""
    return await inference_model(core, request)


async def inference_model_ready(core: Core, request: Request) -> Answer:
    """Says that a model serves.

    Raises:
        NotFound: `MODEL_NOT_FOUND`, it does not.
    """
    model, version = _named(request)
    if not (await core.peers.inference.ModelReady(wire.ModelReadyRequest(name=model, version=version))).ready:
        raise NotFound("MODEL_NOT_FOUND", "No model of this name and version serves.")
    return json(inference.ModelReady(tenants.plain(model), ready=True))


async def inference_version_ready(core: Core, request: Request) -> Answer:
    """Says that a version of a model serves."""
    return await inference_model_ready(core, request)


async def infer(core: Core, request: Request) -> Answer:
    """Runs a model."""
    if request.header(b"content-type"):
        request.require_media_type(JSON, _OCTETS)
    body = await request.decompressed_body()
    asked = inference.asked(body, request.header(_JSON_SIZE), *_named(request))
    told, json_size = inference.answered(await core.peers.inference.ModelInfer(asked.message), asked)
    if json_size is None:
        return Answer(200, told)
    return Answer(200, told, _OCTETS, ((_JSON_SIZE, b"%d" % json_size),))


async def infer_version(core: Core, request: Request) -> Answer:
    """Runs a version of a model."""
    return await infer(core, request)


def _named(request: Request) -> tuple[str, str]:
    """The model of a path, as the caller's tenant has it, and the version; empty for the live one."""
    model = tenants.qualified(request.caller.tenant, request.parameters["model"])
    return model, request.parameters.get("version", "")


_MODEL: Final = "/v2/models/{model}"
_VERSION: Final = "/v2/models/{model}/versions/{version}"

INFERENCE_ROUTES: Final = (
    Route(
        "GET",
        "/v2/health/live",
        "Whether scoring lives, by the Open Inference Protocol, version 2.",
        inference_live,
        inference.Live,
        reasons=CALLS_REASONS,
    ),
    Route(
        "GET",
        "/v2/health/ready",
        "Whether there is a model to serve; 503 if there is none.",
        inference_ready,
        inference.Ready,
        reasons=CALLS_REASONS,
    ),
    Route(
        "GET",
        "/v2",
        "What serves the models, and the extensions it speaks.",
        inference_server,
        inference.InferenceServer,
        reasons=CALLS_REASONS,
    ),
    *(
        Route(
            "GET",
            path,
            f"What {name} takes and gives.",
            serve,
            inference.InferenceModel,
            reasons=_OF_MODEL,
        )
        for path, name, serve in (
            (_MODEL, "a model", inference_model),
            (_VERSION, "a version of a model", inference_version),
        )
    ),
    *(
        Route(
            "GET",
            f"{path}/ready",
            f"Whether {name} serves; 404 if it does not.",
            serve,
            inference.ModelReady,
            reasons=_OF_MODEL,
        )
        for path, name, serve in (
            (_MODEL, "a model", inference_model_ready),
            (_VERSION, "a version of a model", inference_version_ready),
        )
    ),
    *(
        Route(
            "POST",
            f"{path}/infer",
            f"Runs {name} on up to 10,000 rows; tensors as JSON, or in binary after it. Nothing is recorded.",
            serve,
            inference.InferenceAnswer,
            reasons=(*_OF_MODEL, *_OF_BODY),
            body=inference.InferenceRequest,
            example=inference.EXAMPLE,
            other_bodies={_OCTETS: _OCTETS},
            other_answers=(_OCTETS,),
        )
        for path, name, serve in (
            (_MODEL, "the live version of a model", infer),
            (_VERSION, "a version of a model that serves", infer_version),
        )
    ),
)
