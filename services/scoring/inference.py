"""The Open Inference Protocol over gRPC: the models that serve, for clients made for other model servers.

The model `exit-risk` takes `features` (FP64 or FP32, rows by the columns of its card) and gives `probability` (FP64)
and `terms` (FP32, the baseline and one term per column, in logits). Its versions are those that are live, canary or
shadow of anybody.

A name may carry a tenant, as ids do (`records.tenants`), since the protocol has no other place for it. Its versions are
then only those that are live, canary or shadow of that tenant; if it has none of its own, there is no such model.
Answers have the plain name.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from inference import inference_pb2 as wire
from inference.inference_pb2_grpc import GRPCInferenceServiceServicer

from mesh.errors import InvalidArgument, NotFound, Unavailable
from mesh.rpc.context import ServerContext
from records.tenants import DEFAULT, plain, tenant_of
from services.scoring.domain.schema import FEATURE_COUNT
from services.scoring.domain.stages import EVERYBODY
from services.scoring.ports import Matrix, Model, Models

NAME: Final = "exit-risk"
MOST_ROWS: Final = 10_000
GREATEST_VALUE: Final = 1e12
_PLATFORM: Final = "onnxruntime_onnx"
_INPUT: Final = "features"
_TYPES: Final = {"FP64": "<f8", "FP32": "<f4"}
_SIZES: Final = {"<f8": 8, "<f4": 4}
_OUTPUTS: Final = {"probability": "FP64", "terms": "FP32"}


class InferenceServicer(GRPCInferenceServiceServicer):
    """Serves `GRPCInferenceService`."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def ServerLive(self, _request: wire.ServerLiveRequest, _context: ServerContext) -> wire.ServerLiveResponse:
        """Says that the process lives."""
        return wire.ServerLiveResponse(live=True)

    async def ServerReady(self, _request: wire.ServerReadyRequest, _context: ServerContext) -> wire.ServerReadyResponse:
        """Says whether there is a model to serve."""
        try:
            return wire.ServerReadyResponse(ready=bool(self._versions(EVERYBODY)))
        except Unavailable:
            return wire.ServerReadyResponse(ready=False)

    async def ModelReady(self, request: wire.ModelReadyRequest, _context: ServerContext) -> wire.ModelReadyResponse:
        """Says whether a version serves."""
        try:
            return wire.ModelReadyResponse(ready=self._model(request.name, request.version) is not None)
        except (NotFound, Unavailable):
            return wire.ModelReadyResponse(ready=False)

    async def ServerMetadata(
        self, _request: wire.ServerMetadataRequest, _context: ServerContext
    ) -> wire.ServerMetadataResponse:
        """Says what the server is."""
        return wire.ServerMetadataResponse(name="journeymesh-scoring", version="2")

    async def ModelMetadata(
        self, request: wire.ModelMetadataRequest, _context: ServerContext
    ) -> wire.ModelMetadataResponse:
        """Says what a model takes and gives."""
        width = len(self._model(request.name, request.version).card.features)
        tensor = wire.ModelMetadataResponse.TensorMetadata
        return wire.ModelMetadataResponse(
            name=NAME,
            versions=sorted(self._versions(tenant_of(request.name))),
            platform=_PLATFORM,
            inputs=[tensor(name=_INPUT, datatype="FP64", shape=[-1, width])],
            outputs=[
                tensor(name=name, datatype=kind, shape=_shape(name, -1, width)) for name, kind in _OUTPUTS.items()
            ],
        )

    async def ModelInfer(self, request: wire.ModelInferRequest, _context: ServerContext) -> wire.ModelInferResponse:
        """Runs a model."""
        model = self._model(request.model_name, request.model_version)
        width = len(model.card.features)
        rows = _rows(request, width)
        wanted = [each.name for each in request.outputs] or [*_OUTPUTS]
        if not _OUTPUTS.keys() >= set(wanted):
            raise InvalidArgument("INVALID_TYPE", f"The outputs are {', '.join(_OUTPUTS)}.")
        prediction = model.predict(rows)
        raw = {
            "probability": np.array(prediction.probabilities, _TYPES["FP64"]).tobytes(),
            "terms": prediction.packed_terms,
        }
        tensor = wire.ModelInferResponse.InferOutputTensor
        return wire.ModelInferResponse(
            model_name=NAME,
            model_version=model.card.version,
            id=request.id,
            outputs=[
                tensor(name=name, datatype=_OUTPUTS[name], shape=_shape(name, len(rows), width)) for name in wanted
            ],
            raw_output_contents=[raw[name] for name in wanted],
        )

    def _versions(self, tenant: str) -> Mapping[str, Model]:
        """The models that serve a tenant of its own, by version; for the default one, those that serve anybody."""
        every = self._models.served().tenants
        served = every.values() if tenant == DEFAULT else [every[tenant]] if tenant in every else []
        models = [model for each in served for model in (each.live, each.canary, each.shadow) if model is not None]
        return {model.card.version: model for model in models}

    def _model(self, name: str, version: str) -> Model:
        """The version of a name, the live one of the tenant if it is empty.

        Raises:
            NotFound: `MODEL_NOT_FOUND`.
            Unavailable: there is no model that can be loaded.
        """
        tenant = tenant_of(name)
        wanted = version or self._models.served().of(tenant).live.card.version
        model = self._versions(tenant).get(wanted)
        if plain(name) != NAME or model is None:
            raise NotFound("MODEL_NOT_FOUND", f"{NAME!r} is the only model, in the versions that serve.")
        return model


def _shape(output: str, row_count: int, width: int) -> list[int]:
    return [row_count, width + 1] if output == "terms" else [row_count]


def _rows(request: wire.ModelInferRequest, width: int) -> Matrix:
    """The rows of a request for a model of `width` columns, of which the features come first.

    Raises:
        InvalidArgument: `INVALID_TYPE`, they are no rows of these columns; `VALUE_OUT_OF_RANGE`.
    """
    kind = _TYPES.get(request.inputs[0].datatype) if len(request.inputs) == 1 else None
    if kind is None or request.inputs[0].name != _INPUT:
        raise InvalidArgument("INVALID_TYPE", f"The only input is {_INPUT!r}, as FP64 or FP32.")
    given = request.inputs[0]
    if list(given.shape[1:]) != [width] or not 0 <= given.shape[0] <= MOST_ROWS:
        raise InvalidArgument("INVALID_TYPE", f"{_INPUT!r} has up to {MOST_ROWS} rows of {width} values.")
    if request.raw_input_contents:
        raw = request.raw_input_contents[0]
        values = np.frombuffer(raw[: len(raw) - len(raw) % _SIZES[kind]], kind).astype(np.float64)
    else:
        values = np.array(given.contents.fp64_contents or given.contents.fp32_contents, np.float64)
    if values.size != given.shape[0] * width:
        raise InvalidArgument("INVALID_TYPE", f"{_INPUT!r} holds another number of values than its shape says.")
    rows: Matrix = values.reshape(-1, width)
    if not (np.abs(rows) <= GREATEST_VALUE).all() or (rows[:, :FEATURE_COUNT] < 0.0).any():
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"Every feature lies between 0 and {GREATEST_VALUE:g}.")
    return rows
