"""Models are promoted, tried and taken back while calls go on: none fails, and each row has one answer."""

import asyncio
import itertools
import shutil
from collections import Counter
from pathlib import Path
from typing import Final

import grpc
from journeymesh.common.v1 import position_pb2
from journeymesh.scoring.v1 import models_pb2
from journeymesh.scoring.v1 import scoring_pb2 as wire
from journeymesh.scoring.v1.models_pb2_grpc import ModelsServiceStub, add_ModelsServiceServicer_to_server
from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceStub, add_ScoringServiceServicer_to_server

from mesh.observability.metrics import Metrics
from mesh.process.lifecycle import in_background
from mesh.state.memory import MemoryState
from services.scoring.adapters.measured import MeasuredModels
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.domain.schema import SCHEMA_VERSION
from services.scoring.servicer import ModelsServicer, ScoringServicer
from services.scoring.usecases import Promotion, Scoring
from tests.builders import NOW_US
from tests.scoring.builders import MODELS, values
from tests.scoring.test_models import LIVE, copy
from tests.serving import serving

CLIENTS: Final = 4
ROUNDS: Final = 12
USERS: Final = range(24)


def request(shard: int, sequence: int) -> wire.AssessUsersRequest:
    return wire.AssessUsersRequest(
        position=position_pb2.BatchPosition(stream="events", shard=str(shard), sequences=[str(sequence)]),
        user_ids=[f"user-{shard}-{number}" for number in USERS],
        event_times_us=[NOW_US + sequence] * len(USERS),
        values=values() * len(USERS),
        feature_schema_version=SCHEMA_VERSION,
    )


async def call(channel: grpc.aio.Channel, shard: int, seen: Counter[str], is_over: asyncio.Event) -> None:
    """Calls until it is over; a call that fails ends the test."""
    stub = ScoringServiceStub(channel)
    for sequence in itertools.count(1):
        if is_over.is_set():
            return
        answer = await stub.AssessUsers(request(shard, sequence))
        assert len(answer.assessments) == len(USERS)
        others = {row: each.model_version for each in answer.other_models for row in each.rows}
        seen.update(others.get(row, answer.model_version) for row in range(len(USERS)))
        seen["calls"] += 1


async def change(channel: grpc.aio.Channel) -> None:
    """Tries, promotes and takes back the model `next`, again and again."""
    stub, stage = ModelsServiceStub(channel), models_pb2.ModelStage
    for _ in range(ROUNDS):
        for percent in (10, 50):
            wanted = models_pb2.SetModelStageRequest(model_version="next", stage=stage.MODEL_STAGE_CANARY)
            wanted.canary_percent = percent
            await stub.SetModelStage(wanted)
            await asyncio.sleep(0.02)
        promoted = models_pb2.SetModelStageRequest(model_version="next", stage=stage.MODEL_STAGE_LIVE)
        await stub.SetModelStage(promoted)
        await asyncio.sleep(0.02)
        back = await stub.RollBackModel(models_pb2.RollBackModelRequest())
        assert back.stages.live == LIVE


async def test_no_call_fails_while_models_change(tmp_path: Path) -> None:
    directory = Path(shutil.copytree(MODELS, tmp_path / "models"))
    copy(directory, "next")
    registry, metrics = ModelDirectory(directory, directory), Metrics()
    models, promotion = MeasuredModels(registry, metrics), Promotion(registry, lambda: NOW_US)
    servicer, of_models = ScoringServicer(Scoring(models, MemoryState()), metrics), ModelsServicer(promotion)

    def register(server: grpc.aio.Server) -> None:
        add_ScoringServiceServicer_to_server(servicer, server)
        add_ModelsServiceServicer_to_server(of_models, server)

    seen, is_over = Counter[str](), asyncio.Event()
    async with (
        serving(register) as channel,
        in_background(registry.follow(), promotion.guard(models)),
        asyncio.timeout(60),
        asyncio.TaskGroup() as group,
    ):
        for shard in range(CLIENTS):
            group.create_task(call(channel, shard, seen, is_over))
        await change(channel)
        is_over.set()
    assert seen.keys() == {LIVE, "next", "calls"}
    assert seen["calls"] > CLIENTS * ROUNDS
    assert registry.stages().revision == 4 * ROUNDS
