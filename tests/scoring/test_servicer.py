"""The three RPCs over a real server with real interceptors and stub."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from journeymesh.common.v1 import position_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.scoring.v1 import models_pb2
from journeymesh.scoring.v1 import scoring_pb2 as wire
from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceStub, add_ScoringServiceServicer_to_server

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from mesh.observability.metrics import Metrics
from mesh.state.memory import MemoryState
from mesh.state.port import StateStore
from mesh.state.redis import RedisState
from mesh.store import redis
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.domain.history import SIGNAL_LIFETIME_US
from services.scoring.domain.rules import RULES_VERSION
from services.scoring.domain.schema import FEATURE_COUNT, FEATURES, SCHEMA_VERSION
from services.scoring.servicer import ScoringServicer
from services.scoring.usecases import Scoring
from tests.builders import NOW_US, SECOND_US
from tests.scoring.builders import values
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceAsyncStub


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest, valkey: redis.Client) -> StateStore:
    """State in memory, and in a real server and cluster."""
    if request.param == "memory":
        return MemoryState()
    return RedisState(valkey, "scoring", 3600)


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
        detector_version="struggle-2",
        signal_time_us=NOW_US + 2 * SECOND_US,
        target="/calculator",
    )


def odd_signal(**members: Any) -> features_pb2.Signal:
    given: dict[str, Any] = {
        "type": failures().type,
        "strength": 78.4,
        "reason": "why",
        "signal_time_us": NOW_US,
        "target": "/calculator",
    }
    return features_pb2.Signal(**(given | members))


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


async def test_struggle_and_exit_risk_are_told_apart(stub: "ScoringServiceAsyncStub") -> None:
    await stub.AssessUsers(request())
    read = await stub.GetRisk(wire.GetRiskRequest(user_id="ada"))
    assert read.struggle.score == read.assessment.rule_score
    assert [each.name for each in read.struggle.evidence] == ["repeated_failures"]
    assert read.struggle.evidence[0].contribution == pytest.approx(read.struggle.score)
    assert read.exit_risk.outcome == "no event in the next 14 days"


async def test_the_shipped_model_tells_no_probability(stub: "ScoringServiceAsyncStub") -> None:
    await stub.AssessUsers(request())
    risk = (await stub.GetRisk(wire.GetRiskRequest(user_id="ada"))).exit_risk
    assert not risk.HasField("probability")
    assert (risk.learning_state, risk.own_user_count) == (models_pb2.LEARNING_STATE_COLD_START, 0)
    model = await stub.GetModel(wire.GetModelRequest())
    assert (model.learning_state, model.outcome) == (risk.learning_state, risk.outcome)


async def test_a_user_is_read_with_the_features_that_the_score_rests_on(stub: "ScoringServiceAsyncStub") -> None:
    asked = request()
    answered = (await stub.AssessUsers(asked)).assessments[2]
    read = await stub.GetUser(wire.GetUserRequest(user_id="ada"))
    assert read.assessment == answered
    assert [each.name for each in read.features] == [*FEATURES]
    assert [each.value for each in read.features] == asked.values[2 * FEATURE_COUNT : 3 * FEATURE_COUNT]
    assert read.event_time.ToMicroseconds() == NOW_US + 2 * SECOND_US
    assert (read.feature_schema_version, read.rules_version) == (SCHEMA_VERSION, RULES_VERSION)
    assert read.model_version == (await stub.GetModel(wire.GetModelRequest())).model_version


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
        {"values": values()},
        {"event_times_us": [NOW_US]},
        {"values": [*values(), *values(), *values(success_rate=float("nan"))]},
        {"signals": [features_pb2.SignalRow(row=3, signal=failures())]},
        {"settled": [features_pb2.SettledRow(row=3)]},
        {"values": [*values(), *values(), *values(session_duration=float("inf"))]},
        {"values": [*values(), *values(), *values(error_count=-1.0)]},
        {"values": [*values(), *values(), *values(session_duration=1e300)]},
        {"event_times_us": [NOW_US, NOW_US, -1]},
        {"event_times_us": [NOW_US, 2**63 - 1, NOW_US]},
        {"user_ids": ["ada", "", "ada"]},
        {"user_ids": ["ada", "u" * 129, "ada"]},
        {"signals": [features_pb2.SignalRow(row=2, signal=features_pb2.Signal(signal_time_us=NOW_US))]},
        {"signals": [features_pb2.SignalRow(row=2, signal=odd_signal(type=-1))]},
        {"signals": [features_pb2.SignalRow(row=2, signal=odd_signal(strength=float("nan")))]},
        {"signals": [features_pb2.SignalRow(row=2, signal=odd_signal(signal_time_us=2**63 - 1))]},
        {"signals": [features_pb2.SignalRow(row=2, signal=odd_signal(run_start_time_us=-1))]},
    ],
)
async def test_an_inconsistent_request_is_refused_and_changes_nothing(
    stub: "ScoringServiceAsyncStub", members: dict[str, Any]
) -> None:
    await stub.AssessUsers(request())
    before = await stub.GetRisk(wire.GetRiskRequest(user_id="ada"))
    with pytest.raises(InvalidArgument) as refused:
        await stub.AssessUsers(request(2, **members))
    assert refused.value.reason in {
        "MISSING_FIELD",
        "VALUE_OUT_OF_RANGE",
        "INVALID_IDENTIFIER",
    }
    assert await stub.GetRisk(wire.GetRiskRequest(user_id="ada")) == before


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"feature_schema_version": "features-0"}, "FEATURE_SCHEMA_MISMATCH"),
        ({"feature_schema_version": ""}, "FEATURE_SCHEMA_MISMATCH"),
        ({"feature_schema_version": "features-2", "values": [*values(), 0.5] * 3}, "FEATURE_SCHEMA_MISMATCH"),
        ({"event_times_us": []}, "VERSION_MISMATCH"),
    ],
)
async def test_features_of_another_version_wait_and_change_nothing(
    stub: "ScoringServiceAsyncStub", members: dict[str, Any], reason: str
) -> None:
    await stub.AssessUsers(request())
    before = await stub.GetRisk(wire.GetRiskRequest(user_id="ada"))
    with pytest.raises(Unavailable) as refused:
        await stub.AssessUsers(request(2, **members))
    assert refused.value.reason == reason
    assert await stub.GetRisk(wire.GetRiskRequest(user_id="ada")) == before


@pytest.mark.parametrize("number", [14, 99, 2**31 - 1])
async def test_signals_that_a_newer_features_finds_are_left_out(stub: "ScoringServiceAsyncStub", number: int) -> None:
    newer = features_pb2.SignalRow(row=1, signal=odd_signal(type=number, strength=100.0))
    over = features_pb2.SettledRow(row=2, type=number, signal_time_us=NOW_US)  # type: ignore[arg-type]
    known = features_pb2.SignalRow(row=1, signal=failures())
    plain = await stub.AssessUsers(request(signals=[known], user_ids=["ada"] * 3))
    mixed = await stub.AssessUsers(request(signals=[newer, known], settled=[over], user_ids=["bob"] * 3))
    assert mixed.assessments == plain.assessments
    read = await stub.GetRisk(wire.GetRiskRequest(user_id="bob"))
    assert [active.signal.type for active in read.signals] == [failures().type]


@pytest.mark.parametrize("time_us", [0, 1, 2**53])
async def test_accepted_events_can_be_read(stub: "ScoringServiceAsyncStub", time_us: int) -> None:
    signals = [features_pb2.SignalRow(row=2, signal=odd_signal(signal_time_us=time_us))]
    extreme = values(session_duration=1e12, time_since_last_success=1e12, average_time_per_page=1e12)
    await stub.AssessUsers(request(event_times_us=[time_us] * 3, values=extreme * 3, signals=signals))
    read = await stub.GetRisk(wire.GetRiskRequest(user_id="ada"))
    assert read.event_time.ToMicroseconds() == time_us
    assert all(each.reason for each in read.contributions)


async def test_at_its_row_a_settled_signal_counts_no_more(stub: "ScoringServiceAsyncStub") -> None:
    first = await stub.AssessUsers(request())
    assert [each.latest_signal_time_us for each in first.assessments] == [0, 0, failures().signal_time_us]
    failure = failures()
    ended = features_pb2.SettledRow(
        row=1, type=failure.type, signal_time_us=failure.signal_time_us, target=failure.target
    )
    another = features_pb2.SettledRow(row=1, type=failure.type, signal_time_us=failure.signal_time_us, target="/other")
    calm = {"user_ids": ["ada", "ada"], "event_times_us": [NOW_US + 3 * SECOND_US] * 2, "values": values() * 2}
    kept = await stub.AssessUsers(request(2, **calm, signals=[], settled=[another]))
    assert [each.strong_signal_count for each in kept.assessments] == [1, 1]
    for _ in range(2):
        answer = await stub.AssessUsers(request(3, **calm, signals=[], settled=[ended]))
        assert [each.strong_signal_count for each in answer.assessments] == [1, 0]
        assert [each.latest_signal_time_us for each in answer.assessments] == [failure.signal_time_us, 0]
        assert answer.assessments[0].score >= 75 > answer.assessments[1].score
    assert not (await stub.GetRisk(wire.GetRiskRequest(user_id="ada"))).signals
    after = await stub.AssessUsers(request(4, **calm, signals=[]))
    assert [each.strong_signal_count for each in after.assessments] == [0, 0]


async def test_a_continuing_rage_is_reported_once_at_its_longest(stub: "ScoringServiceAsyncStub") -> None:
    rages = [
        features_pb2.SignalRow(
            row=row,
            signal=odd_signal(
                type=features_pb2.SIGNAL_TYPE_RAGE_CLICKS,
                strength=80,
                signal_time_us=NOW_US + row,
                run_start_time_us=NOW_US,
            ),
        )
        for row in range(3)
    ]
    answer = await stub.AssessUsers(request(user_ids=["ada"] * 3, signals=rages))
    assert [each.strong_signal_count for each in answer.assessments] == [1, 1, 1]
    (kept,) = (await stub.GetRisk(wire.GetRiskRequest(user_id="ada"))).signals
    assert kept.signal == rages[-1].signal


async def test_nothing_is_known_of_an_unknown_user(stub: "ScoringServiceAsyncStub") -> None:
    with pytest.raises(NotFound) as refused:
        await stub.GetRisk(wire.GetRiskRequest(user_id="nobody"))
    assert refused.value.reason == "USER_NOT_FOUND"
    with pytest.raises(NotFound, match="USER_NOT_FOUND"):
        await stub.GetUser(wire.GetUserRequest(user_id="nobody"))


async def test_the_live_model_has_a_card(stub: "ScoringServiceAsyncStub") -> None:
    model = await stub.GetModel(wire.GetModelRequest())
    assert model.training_source == "oulad"
    assert model.feature_schema_version == SCHEMA_VERSION
    assert model.training_time.seconds > 1_700_000_000
    assert model.card.startswith(f"# Model `{model.model_version}`")


def of_record(sequence: int = 1, **members: Any) -> wire.AssessUsersRequest:
    """One record of ada's, as one row."""
    given = {"user_ids": ["ada"], "event_times_us": [NOW_US + 3 * SECOND_US], "values": values(), "signals": []}
    return request(sequence, **(given | members))


def found(*signals: features_pb2.Signal) -> list[features_pb2.SignalRow]:
    return [features_pb2.SignalRow(row=0, signal=each) for each in signals]


def over(signal: features_pb2.Signal) -> features_pb2.SettledRow:
    return features_pb2.SettledRow(row=0, type=signal.type, signal_time_us=signal.signal_time_us, target=signal.target)


async def test_all_signals_of_a_record_count_for_its_one_row(stub: "ScoringServiceAsyncStub") -> None:
    signals = [odd_signal(signal_time_us=NOW_US + number * SECOND_US, target=f"{number}") for number in range(4)]
    (assessed,) = (await stub.AssessUsers(of_record(signals=found(*signals)))).assessments
    assert assessed.strong_signal_count == 4
    assert assessed.latest_signal_time_us == NOW_US + 3 * SECOND_US
    read = await stub.GetRisk(wire.GetRiskRequest(user_id="ada"))
    assert len(read.history) == 1


async def test_a_signal_found_and_settled_in_one_record_does_not_count(stub: "ScoringServiceAsyncStub") -> None:
    solved, left = odd_signal(target="a"), odd_signal(target="b")
    (assessed,) = (await stub.AssessUsers(of_record(signals=found(solved, left), settled=[over(solved)]))).assessments
    assert assessed.strong_signal_count == 1
    read = await stub.GetRisk(wire.GetRiskRequest(user_id="ada"))
    assert [each.signal.target for each in read.signals] == ["b"]


async def test_a_run_that_continues_and_is_settled_in_one_record_leaves_nothing(
    stub: "ScoringServiceAsyncStub",
) -> None:
    first = odd_signal(run_start_time_us=NOW_US)
    last = odd_signal(run_start_time_us=NOW_US, signal_time_us=NOW_US + 2 * SECOND_US)
    await stub.AssessUsers(of_record(signals=found(first)))
    (assessed,) = (await stub.AssessUsers(of_record(2, signals=found(last), settled=[over(last)]))).assessments
    assert assessed.strong_signal_count == 0


async def test_events_of_a_record_count_as_evidence(stub: "ScoringServiceAsyncStub") -> None:
    for sequence in range(1, 6):
        (alone,) = (await stub.AssessUsers(of_record(sequence, user_ids=["bob"]))).assessments
    (together,) = (await stub.AssessUsers(of_record(6, event_counts=[5]))).assessments
    assert together.confidence == alone.confidence


async def test_only_what_the_user_did_is_evidence(stub: "ScoringServiceAsyncStub") -> None:
    for sequence in range(1, 3):
        (alone,) = (await stub.AssessUsers(of_record(sequence, user_ids=["bob"]))).assessments
    (joined,) = (await stub.AssessUsers(of_record(3, event_counts=[9], use_counts=[2]))).assessments
    assert joined.confidence == alone.confidence
    (by_others,) = (await stub.AssessUsers(of_record(4, use_counts=[0]))).assessments
    assert by_others.confidence == alone.confidence


@pytest.mark.parametrize(
    "counts", [{"event_counts": [0]}, {"event_counts": [1, 1]}, {"use_counts": [2]}, {"use_counts": [0, 1]}]
)
async def test_invalid_counts_of_events_are_refused(stub: "ScoringServiceAsyncStub", counts: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await stub.AssessUsers(of_record(**counts))
