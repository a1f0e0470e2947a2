"""The routes of the exit-risk models: which there are, what each is used for, and changes of that."""

from typing import Annotated, Final

import msgspec
from journeymesh.scoring.v1 import models_pb2, scoring_pb2

from gateway.contract.route import Route
from gateway.core import Core
from gateway.formats.json.refusal import decoded
from gateway.formats.rendering import render
from gateway.formats.schema import enum_numbers
from gateway.http.asgi import Answer, Request, json
from gateway.routes.questions import BODY_REASONS, CALLS_REASONS
from mesh.errors import InvalidArgument
from records.tenants import NAME, qualified

# A model is loaded and tried before it gets a stage.
_LOAD_SECONDS: Final = 20.0
_STAGES: Final = enum_numbers(models_pb2.ModelStage.DESCRIPTOR)
_MOVE_EXAMPLE: Final = '{"stage":"canary","percent":5,"why":"trained on this year"}'
_BACK_EXAMPLE: Final = '{"why":"too many false alarms"}'
_REASONS: Final = ("STAGE_INVALID", "MODELS_READ_ONLY", "VALUE_OUT_OF_RANGE", *BODY_REASONS, *CALLS_REASONS)


_Tenant = Annotated[str, msgspec.Meta(pattern=rf"^({NAME})?$(?!\n)")]


class StageOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The stage that a model is to have. `percent` is the share of a canary; `tenant` is empty for everybody."""

    stage: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(_STAGES)})]
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    tenant: _Tenant = ""
    why: str = ""


class RollbackOrder(msgspec.Struct, forbid_unknown_fields=True):
    """For whom to go back, and why. `tenant` is empty for everybody."""

    tenant: _Tenant = ""
    why: str = ""


async def models(core: Core, _request: Request) -> Answer:
    """All models, what they are used for, and what was changed."""
    return json(render(await core.peers.models.ListModels(models_pb2.ListModelsRequest())))


async def move(core: Core, request: Request) -> Answer:
    """Gives a model another stage."""
    order = decoded(await request.json_body(), StageOrder, _MOVE_EXAMPLE)
    if order.stage not in _STAGES:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`stage` must be one of {', '.join(_STAGES)}.")
    asked = models_pb2.SetModelStageRequest(
        model_version=request.parameters["version"],
        stage=models_pb2.ModelStage.ValueType(_STAGES[order.stage]),
        canary_percent=order.percent,
        tenant=order.tenant.strip(),
        actor=_actor(request),
        why=order.why,
    )
    return json(render((await core.peers.models.SetModelStage(asked, timeout=_LOAD_SECONDS)).stages))


async def roll_back(core: Core, request: Request) -> Answer:
    """Ends the canary; without one, makes the model live that was so before."""
    order = decoded(await request.json_body(), RollbackOrder, _BACK_EXAMPLE)
    asked = models_pb2.RollBackModelRequest(tenant=order.tenant.strip(), actor=_actor(request), why=order.why)
    return json(render((await core.peers.models.RollBackModel(asked, timeout=_LOAD_SECONDS)).stages))


def _actor(request: Request) -> str:
    return qualified(request.caller.tenant, request.caller.key_id or "nobody")


async def model_card(core: Core, _: Request) -> Answer:
    """The live model and its card."""
    return json(render(await core.peers.scoring.GetModel(scoring_pb2.GetModelRequest())))


MODEL_ROUTES: Final = (
    Route(
        "GET",
        "/api/models/live/card",
        "The live exit-risk model and its card: its training, how good it is, its shape functions and limits.",
        model_card,
        scoring_pb2.GetModelResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    Route(
        "GET",
        "/api/models",
        "The exit-risk models, what each is used for, and the last changes of that.",
        models,
        models_pb2.ListModelsResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    Route(
        "POST",
        "/api/models/{version}/stage",
        "Makes a model live, a canary for a share of users, a shadow, or a mere candidate; in force within seconds.",
        move,
        models_pb2.ModelStages.DESCRIPTOR,
        reasons=("MODEL_NOT_FOUND", "MODEL_UNUSABLE", *_REASONS),
        body=StageOrder,
        example=_MOVE_EXAMPLE,
    ),
    Route(
        "POST",
        "/api/models:rollback",
        "Ends the canary; without one, makes the model live that was so before.",
        roll_back,
        models_pb2.ModelStages.DESCRIPTOR,
        reasons=_REASONS,
        body=RollbackOrder,
        example=_BACK_EXAMPLE,
    ),
)
