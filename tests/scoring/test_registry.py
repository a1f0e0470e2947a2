"""The registry over gRPC, on files."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from journeymesh.scoring.v1 import models_pb2 as wire
from journeymesh.scoring.v1.models_pb2_grpc import ModelsServiceStub, add_ModelsServiceServicer_to_server

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.servicer import ModelsServicer
from services.scoring.usecases import Promotion
from tests.builders import NOW_US
from tests.scoring.builders import MODELS
from tests.scoring.test_models import LIVE, copy
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.scoring.v1.models_pb2_grpc import ModelsServiceAsyncStub


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A registry with the committed model, `next`, and one that is damaged."""
    directory = Path(shutil.copytree(MODELS, tmp_path / "models"))
    copy(directory, "next")
    copy(directory, "damaged", sha256="0" * 64)
    return directory


@pytest.fixture
async def stub(directory: Path) -> "AsyncIterator[ModelsServiceAsyncStub]":
    """A stub of the registry."""
    servicer = ModelsServicer(Promotion(ModelDirectory(directory, directory), lambda: NOW_US))
    async with serving(lambda server: add_ModelsServiceServicer_to_server(servicer, server)) as channel:
        yield _stub(channel)


def _stub(channel: grpc.aio.Channel) -> "ModelsServiceAsyncStub":
    return ModelsServiceStub(channel)


def ask(version: str, stage: wire.ModelStage.ValueType, **members: Any) -> wire.SetModelStageRequest:
    return wire.SetModelStageRequest(model_version=version, stage=stage, actor="ops", **members)


async def test_a_model_becomes_canary_then_live_and_goes_back(stub: "ModelsServiceAsyncStub") -> None:
    answer = await stub.SetModelStage(ask("next", wire.MODEL_STAGE_CANARY, canary_percent=5, why="try it"))
    assert answer.stages == wire.ModelStages(live=LIVE, canary="next", canary_percent=5)
    answer = await stub.SetModelStage(ask("next", wire.MODEL_STAGE_LIVE))
    assert answer.stages == wire.ModelStages(live="next", earlier=[LIVE])
    back = await stub.RollBackModel(wire.RollBackModelRequest(actor="ops", why="worse"))
    assert back.stages == wire.ModelStages(live=LIVE)
    listed = await stub.ListModels(wire.ListModelsRequest())
    assert [each.model_version for each in listed.models] == ["damaged", "next", LIVE]
    assert [*listed.stages] == [wire.ModelStages(live=LIVE)]
    assert [(each.revision, each.model_version, each.why) for each in listed.changes] == [
        (3, LIVE, "worse"),
        (2, "next", ""),
        (1, "next", "try it"),
    ]


async def test_a_tenant_has_stages_of_its_own_until_there_is_nothing_left_of_them(
    stub: "ModelsServiceAsyncStub",
) -> None:
    await stub.SetModelStage(ask("next", wire.MODEL_STAGE_SHADOW, tenant="acme"))
    await stub.SetModelStage(ask("next", wire.MODEL_STAGE_LIVE, tenant="acme"))
    listed = await stub.ListModels(wire.ListModelsRequest())
    assert [(each.tenant, each.live) for each in listed.stages] == [("", LIVE), ("acme", "next")]
    await stub.RollBackModel(wire.RollBackModelRequest(tenant="acme"))
    back = await stub.RollBackModel(wire.RollBackModelRequest(tenant="acme"))
    assert back.stages == wire.ModelStages(live=LIVE)


@pytest.mark.parametrize(
    ("request_", "error", "reason"),
    [
        (ask("damaged", wire.MODEL_STAGE_LIVE), FailedPrecondition, "MODEL_UNUSABLE"),
        (ask("missing", wire.MODEL_STAGE_LIVE), NotFound, "MODEL_NOT_FOUND"),
        (ask("../x", wire.MODEL_STAGE_SHADOW), NotFound, "MODEL_NOT_FOUND"),
        (ask("next", wire.MODEL_STAGE_UNSPECIFIED), InvalidArgument, "VALUE_OUT_OF_RANGE"),
        (ask("next", wire.MODEL_STAGE_LIVE, tenant="No Name"), InvalidArgument, "VALUE_OUT_OF_RANGE"),
        (ask("next", wire.MODEL_STAGE_CANARY), FailedPrecondition, "STAGE_INVALID"),
        (ask("next", wire.MODEL_STAGE_CANARY, canary_percent=float("nan")), FailedPrecondition, "STAGE_INVALID"),
        (ask(LIVE, wire.MODEL_STAGE_CANDIDATE), FailedPrecondition, "STAGE_INVALID"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    stub: "ModelsServiceAsyncStub", request_: wire.SetModelStageRequest, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error) as caught:
        await stub.SetModelStage(request_)
    assert getattr(caught.value, "reason", "") == reason
    assert not (await stub.ListModels(wire.ListModelsRequest())).changes


async def test_there_may_be_nothing_to_go_back_to(stub: "ModelsServiceAsyncStub") -> None:
    with pytest.raises(FailedPrecondition):
        await stub.RollBackModel(wire.RollBackModelRequest())
