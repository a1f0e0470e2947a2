"""The three RPCs over a real server with real interceptors and stub."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from journeymesh.common.v1 import position_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.scoring.v1 import scoring_pb2 as wire
from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceStub, add_ScoringServiceServicer_to_server

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from mesh.metrics import Metrics
from mesh.state import StateStore
from mesh.states.memory import MemoryState
from mesh.states.redis import RedisState
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.domain.history import SIGNAL_LIFETIME_US
from services.scoring.domain.rules import RULES_VERSION
from services.scoring.domain.schema import SCHEMA_VERSION
from services.scoring.servicer import ScoringServicer
from services.scoring.usecases import Scoring
from tests.builders import NOW_US, SECOND_US
from tests.scoring.builders import values
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceAsyncStub


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> StateStore:
    """State in memory, and in a real server."""
    if request.param == "memory":
        return MemoryState()
    return RedisState(request.getfixturevalue("valkey"), "scoring", 3600)


@pytest.fixture
async def stub(models: ModelDirectory, store: StateStore) -> "AsyncIterator[ScoringServiceAsyncStub]":
    """A stub of a service with the committed model."""
    servicer = ScoringServicer(Scoring(models, store), Metrics())
    async with serving(lambda server: add_ScoringServiceServicer_to_server(servicer, server)) as channel:
        yield _stub(channel)


def _stub(channel: grpc.aio.Channel) -> "ScoringServiceAsyncStub":
    return ScoringServiceStub(channel)


def request(sequence: int = 1, **members: Any) -> wire.AssessUsersRequest:
    """Two events of ada and one of bob; the second of ada's brings a signal."""
    given: dict[str, Any] = {
        "position": position_pb2.BatchPosition(stream="events", shard="0", sequences=[str(sequence)]),
        "user_ids": ["ada", "bob", "ada"],
        "event_times_us": [NOW_US, NOW_US + SECOND_US, NOW_US + 2 * SECOND_US],
        "values": [*values(), *values(), *values(success_rate=0.0)],
        "feature_schema_version": SCHEMA_VERSION,
        "signals": [features_pb2.SignalRow(row=2, signal=failures())],
    }
    return wire.AssessUsersRequest(**(given | members))


def failures() -> features_pb2.Signal:
    return features_pb2.Signal(
        type=features_pb2.SIGNAL_TYPE_REPEATED_FAILURES,
        strength=78.4,
        reason="3 failed attempts on /calculator",
        evidence_event_ids=["e-1", "e-2"],
        detector_version="struggle-1",
        signal_time_us=NOW_US + 2 * SECOND_US,
        target="/calculator",
    )


async def test_every_row_is_assessed(stub: "ScoringServiceAsyncStub") -> None:
    answer = await stub.AssessUsers(request())
    assert [each.level for each in answer.assessments] == [
        wire.RISK_LEVEL_LOW,
        wire.RISK_LEVEL_LOW,
        wire.RISK_LEVEL_HIGH,
    ]
    troubled = answer.assessments[2]
    assert 75 <= troubled.score < 90
    assert troubled.rule_score == pytest.approx(78.4 * 0.96)
    assert troubled.score == pytest.approx(
        100 * (1 - (1 - troubled.rule_score / 100) * (1 - troubled.model_score / 100))
    )
    assert troubled.strong_signal_count == 1
    assert troubled.indicators[0].name == "repeated_failures"
    assert troubled.indicators[0].reason == "3 failed attempts on /calculator"
    assert answer.rules_version == RULES_VERSION
    assert answer.model_version == (await stub.GetModel(wire.GetModelRequest())).model_version


async def test_a_risk_is_read_with_its_explanation_signals_and_history(stub: "ScoringServiceAsyncStub") -> None:
    answered = (await stub.AssessUsers(request())).assessments[2]
    read = await stub.GetRisk(wire.GetRiskRequest(user_id="ada"))
    assert read.assessment == answered
    assert sum(each.contribution for each in read.contributions) == pytest.approx(answered.score, abs=1e-9)
    assert read.event_time.ToMicroseconds() == NOW_US + 2 * SECOND_US
    (active,) = read.signals
    assert active.signal == failures()
    assert active.expire_time.ToMicroseconds() - active.signal_time.ToMicroseconds() == SIGNAL_LIFETIME_US
    assert [point.level for point in read.history] == [wire.RISK_LEVEL_HIGH, wire.RISK_LEVEL_LOW]
    assert read.feature_schema_version == SCHEMA_VERSION


async def test_a_repeated_batch_is_answered_as_the_first_time(stub: "ScoringServiceAsyncStub") -> None:
    first = await stub.AssessUsers(request())
    read = await stub.GetRisk(wire.GetRiskRequest(user_id="ada"))
    assert await stub.AssessUsers(request()) == first
    assert await stub.GetRisk(wire.GetRiskRequest(user_id="ada")) == read


async def test_a_stale_batch_is_refused(stub: "ScoringServiceAsyncStub") -> None:
    for sequence in (1, 2, 3):
        await stub.AssessUsers(request(sequence))
    with pytest.raises(FailedPrecondition):
        await stub.AssessUsers(request(1))


@pytest.mark.parametrize(
    "members",
    [
        {"feature_schema_version": "features-0"},
        {"values": values()},
        {"event_times_us": [NOW_US]},
        {"values": [*values(), *values(), *values(success_rate=float("nan"))]},
        {"signals": [features_pb2.SignalRow(row=3, signal=failures())]},
    ],
)
async def test_what_does_not_fit_is_refused(stub: "ScoringServiceAsyncStub", members: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await stub.AssessUsers(request(**members))


async def test_nothing_is_known_of_a_stranger(stub: "ScoringServiceAsyncStub") -> None:
    with pytest.raises(NotFound) as refused:
        await stub.GetRisk(wire.GetRiskRequest(user_id="nobody"))
    assert refused.value.reason == "USER_NOT_FOUND"


async def test_the_live_model_has_a_card(stub: "ScoringServiceAsyncStub") -> None:
    model = await stub.GetModel(wire.GetModelRequest())
    assert model.training_source == "oulad"
    assert model.feature_schema_version == SCHEMA_VERSION
    assert model.training_time.seconds > 1_700_000_000
    assert model.card.startswith(f"# Exit risk, model `{model.model_version}`")
