"""Whatever is asked of the service, it answers with a stable reason, and nothing is changed or broken for later."""

import math
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToJson
from hypothesis import given, settings
from hypothesis import strategies as st
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.common.v1.event_pb2 import InterventionOutcome
from journeymesh.common.v1.position_pb2 import EventPosition
from journeymesh.intervention.v1 import intervention_pb2 as wire
from journeymesh.intervention.v1.intervention_pb2_grpc import (
    InterventionServiceStub,
    add_InterventionServiceServicer_to_server,
)

from mesh.clock import LATEST_US
from mesh.errors import InvalidArgument, NotFound, Unavailable, VersionMismatch
from services.intervention.decision.domain.facts import Outcome, Purchase
from services.intervention.policy.domain.policy import EventKind
from services.intervention.translation.rows import rows_of
from tests.intervention.builders import NOON_ISH, Row, World, outcome
from tests.intervention.test_servicer import request
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceAsyncStub

Request = wire.DecideInterventionsRequest
HUGE = 2**63 - 1
REASONS = frozenset(error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name)
NUMBERS = (math.nan, math.inf, -math.inf, -1.0, 1e308)


@pytest.fixture
async def served() -> AsyncIterator[tuple[World, "InterventionServiceAsyncStub"]]:
    world = World()
    servicer = world.servicer()
    async with serving(lambda server: add_InterventionServiceServicer_to_server(servicer, server)) as channel:
        yield world, InterventionServiceStub(channel)


def reported(intervention_id: str = "i-3-1-0", what: int = 2, channel: str = "email") -> InterventionOutcome:
    return InterventionOutcome(
        intervention_id=intervention_id, outcome=event_pb2.Outcome.ValueType(what), channel=channel
    )


def _set(name: str, value: Any, row: int = 0) -> Callable[[Request], object]:
    return lambda made: getattr(made, name).__setitem__(row, value)


def _score(name: str, value: Any, row: int = 0) -> Callable[[Request], object]:
    return lambda made: setattr(made.assessments[row], name, value)


def test_the_service_knows_every_kind_of_event() -> None:
    contract = {name.removeprefix("EVENT_TYPE_"): number for name, number in event_pb2.EventType.items() if number}
    assert {kind.name: kind.value for kind in EventKind} == contract


WRONG: list[tuple[str, Callable[[Request], object]]] = [
    # Columns that do not belong together.
    ("INVALID_TYPE", lambda made: made.user_ids.append("eve")),
    ("INVALID_TYPE", lambda made: made.event_times_us.append(1)),
    ("INVALID_TYPE", lambda made: made.targets.append("x")),
    ("INVALID_TYPE", lambda made: made.ClearField("targets")),
    ("INVALID_TYPE", lambda made: made.ClearField("position")),
    ("INVALID_TYPE", _set("record_indexes", 1, 1)),
    *(
        ("INVALID_TYPE", lambda made, name=name: getattr(made, name).append(2))
        for name in ("bot_rows", "copied_rows", "settled_rows", "system_rows")
    ),
    ("INVALID_TYPE", lambda made: made.linked_rows.add(row=2**32 - 1, user_id="eve")),
    ("INVALID_TYPE", lambda made: made.features.add(row=2)),
    ("INVALID_TYPE", lambda made: made.outcomes.add(row=2, outcome=reported())),
    # Positions.
    ("INVALID_TYPE", lambda made: made.position.sequences.append("x")),
    ("INVALID_TYPE", lambda made: made.position.sequences.append("1_000")),
    ("INVALID_TYPE", lambda made: made.position.sequences.append("9" * 65)),
    ("INVALID_TYPE", lambda made: setattr(made.position, "shard", "3}:user:ada")),
    # Words that there are not.
    ("VALUE_OUT_OF_RANGE", _set("event_types", -1)),
    ("VALUE_OUT_OF_RANGE", _score("level", -1)),
    *(("VALUE_OUT_OF_RANGE", lambda made, n=n: made.outcomes.add(row=0, outcome=reported(what=n))) for n in (-1, 6)),
    ("MISSING_FIELD", lambda made: made.outcomes.add(row=0)),
    ("MISSING_FIELD", _set("user_ids", "")),
    ("MISSING_FIELD", lambda made: made.linked_rows.add(row=0)),
    ("MISSING_FIELD", lambda made: made.linked_rows.add(row=0, user_id="ada")),
    # Numbers.
    *(
        ("VALUE_OUT_OF_RANGE", _score(name, number, row))
        for name in ("score", "confidence", "rule_score", "model_score")
        for number in NUMBERS
        for row in (0, 1)
    ),
    *(
        ("VALUE_OUT_OF_RANGE", lambda made, n=n: made.assessments[1].indicators.add(name="x", contribution=n))
        for n in NUMBERS[:3]
    ),
    *(("VALUE_OUT_OF_RANGE", lambda made, n=n: made.features.add(row=0, values=[1.0, n])) for n in NUMBERS[:3]),
    *(
        ("VALUE_OUT_OF_RANGE", lambda made, n=n: made.purchases.add(row=0, purchase=event_pb2.Purchase(amount=n)))
        for n in (*NUMBERS[:3], 1e308, -1e13)
    ),
    # Times.
    *(
        ("INVALID_TIME", _set(name, number, row))
        for name in ("received_times_us", "event_times_us")
        for number in (HUGE, -HUGE, -1, LATEST_US + 1)
        for row in (0, 1)
    ),
    *(("INVALID_TIME", _score("latest_signal_time_us", number, 1)) for number in (HUGE, -1)),
    # Texts.
    *(
        ("INVALID_IDENTIFIER", lambda made, text=text: made.outcomes.add(row=0, outcome=reported(channel=text)))
        for text in ("e\nmail", "\0", "email\x7f", "e\u2028mail", "x" * 129)
    ),
    *(
        ("INVALID_IDENTIFIER", lambda made, text=text: made.outcomes.add(row=0, outcome=reported(text)))
        for text in ("i-3-1-0\n", "\x1b[2J", "x" * 129)
    ),
    (
        "INVALID_IDENTIFIER",
        lambda made: made.purchases.add(row=0, purchase=event_pb2.Purchase(amount=1, currency="E\rR")),
    ),
    *(
        ("INVALID_IDENTIFIER", lambda made, said=said: made.segment_changes.add(row=0, segment_change=said))
        for said in (
            event_pb2.SegmentChange(segment="a\nb"),
            event_pb2.SegmentChange(group="x" * 129),
            event_pb2.SegmentChange(products=[event_pb2.RecommendedProduct(product_id="\0")]),
            event_pb2.SegmentChange(products=[event_pb2.RecommendedProduct(product_id="p", name="x" * 257)]),
        )
    ),
    ("INVALID_TYPE", lambda made: made.segment_changes.add(row=2, segment_change=event_pb2.SegmentChange())),
    ("INVALID_IDENTIFIER", _set("trace_ids", b"\1")),
    ("INVALID_IDENTIFIER", _set("span_ids", bytes(16))),
    # Standing.
    *(
        ("VALUE_OUT_OF_RANGE", lambda made, blob=blob: made.standings.add(row=0, standing=blob))
        for blob in (b"", b"x", b"\xc1", bytes(1000))
    ),
]


@pytest.mark.parametrize(("reason", "spoil"), WRONG)
async def test_a_wrong_batch_is_refused_with_its_reason_and_changes_nothing(
    reason: str, spoil: Callable[[Request], object]
) -> None:
    world = World()
    await world.send(Row(80.0))
    before = dict(world.state._values)
    wrong = request(2, Row(10.0), Row(85.0, user_id="bob"))
    spoil(wrong)
    with pytest.raises(InvalidArgument) as refused:
        await world.servicer().DecideInterventions(wrong, None)  # type: ignore[arg-type]
    assert refused.value.reason == reason
    assert f"ERROR_REASON_{reason}" in REASONS
    assert world.state._values == before
    assert len(await world.deliver(2, [[Row(85.0, user_id="bob")]])) == 1


OF_TOMORROW: list[Callable[[Request], object]] = [
    *(_set("event_types", number) for number in (20, 99, 2**31 - 1)),
    *(_score("level", number) for number in (5, 2**31 - 1)),
    lambda made: made.outcomes.add(row=0, outcome=reported(what=7)),
    *(lambda made, name=name: made.ClearField(name) for name in ("pages", "time_zones", "span_ids", "event_indexes")),
]


@pytest.mark.parametrize("skew", OF_TOMORROW)
async def test_a_batch_of_another_version_waits_and_changes_nothing(skew: Callable[[Request], object]) -> None:
    world = World()
    await world.send(Row(80.0))
    before = dict(world.state._values)
    newer = request(2, Row(10.0), Row(85.0, user_id="bob"))
    skew(newer)
    with pytest.raises(VersionMismatch):
        await world.servicer().DecideInterventions(newer, None)  # type: ignore[arg-type]
    assert world.state._values == before


async def read_everything(stub: "InterventionServiceAsyncStub", *user_ids: str) -> None:
    """Reads all there is to read, as JSON too."""
    for user_id in user_ids:
        MessageToJson(await stub.GetPendingIntervention(wire.GetPendingInterventionRequest(user_id=user_id)))
        listed = await stub.ListDecisions(wire.ListDecisionsRequest(user_id=user_id, page_size=2**32 - 1))
        MessageToJson(listed)
        for each in listed.decisions:
            MessageToJson(await stub.GetDecision(wire.GetDecisionRequest(id=each.id)))
            if each.HasField("intervention"):
                asked = wire.GetInterventionRequest(id=each.intervention.id)
                MessageToJson(await stub.GetIntervention(asked))
    MessageToJson(await stub.ReadLedger(wire.ReadLedgerRequest(shard="3", sequences=["1", "2"])))
    MessageToJson(await stub.GetLift(wire.GetLiftRequest()))


@pytest.mark.parametrize("at_us", [0, 1, LATEST_US])
@pytest.mark.parametrize("age_us", [0, -(2**53)])
async def test_what_is_taken_at_the_ends_of_time_can_be_read(
    served: tuple[World, "InterventionServiceAsyncStub"], at_us: int, age_us: int
) -> None:
    world, stub = served
    world.clock.now_us = at_us
    event_us = min(LATEST_US, max(0, at_us - age_us))
    welcome = [outcome(Outcome.ACCEPTED, channel="email", at_us=at_us) for _ in range(4)]
    await stub.DecideInterventions(request(1, *welcome))
    rows = [
        Row(55.0, at_us, indicators=("form_errors",), age_us=at_us - event_us, latest_signal_us=LATEST_US),
        Row(100.0, at_us, "bob", strong=2**32 - 1, kind=EventKind.PURCHASE, bought=Purchase(1e12, "EUR")),
    ]
    answer = await stub.DecideInterventions(request(2, *rows))
    assert len(answer.interventions) == 2
    await read_everything(stub, "ada", "bob")


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_batch_at_all_breaks_the_reading_of_it(data: st.DataObject) -> None:
    made: Any = request(1, Row(80.0), Row(20.0))
    numbers = st.floats() | st.sampled_from([0.0, 1.0, 100.0])
    times = st.integers(-(2**63), 2**63 - 1) | st.just(NOON_ISH)
    for each in made.assessments:
        each.score, each.confidence = data.draw(numbers), data.draw(numbers)
        each.level = data.draw(st.integers(-(2**31), 2**31 - 1) | st.integers(0, 4))
        each.latest_signal_time_us = data.draw(times)
    for column in (made.received_times_us, made.event_times_us):
        column[0], column[1] = data.draw(times), data.draw(times)
    made.event_types[0] = data.draw(st.integers(-(2**31), 2**31 - 1) | st.integers(0, 18))
    made.outcomes.add(row=data.draw(st.integers(0, 3)), outcome=reported(data.draw(st.text()), 2, data.draw(st.text())))
    made.standings.add(row=1, standing=data.draw(st.binary()))
    reason = refusal_of(made)
    assert not reason or f"ERROR_REASON_{reason}" in REASONS


def refusal_of(made: Request) -> str:
    """The reason for which a batch is refused; empty where it is not."""
    try:
        rows_of(made)
    except (InvalidArgument, VersionMismatch) as error:
        return error.reason
    return ""


# Reading.

NO_IDS = [
    "",
    "nonsense",
    "d-3-1",
    "d-3-1-0-0",
    "d-{3}:user:ada-7-0",
    "d-3}:user:ada-7-0",
    "d-3-01-0",
    "d-3-²-0",
    "d-3- 1-0",
    "d-3-1-0 ",
    "d-3-1-0\0",
    "d-3-" + "9" * 65 + "-0",
    "D-3-1-0",
    "x" * 100_000,
]


@pytest.mark.parametrize("text", NO_IDS)
async def test_ids_that_never_were_are_not_found(
    served: tuple[World, "InterventionServiceAsyncStub"], text: str
) -> None:
    world, stub = served
    await world.send(Row(80.0, user_id="7-0"))
    with pytest.raises(NotFound, match="DECISION_NOT_FOUND"):
        await stub.GetDecision(wire.GetDecisionRequest(id=text))
    with pytest.raises(NotFound, match="INTERVENTION_NOT_FOUND"):
        await stub.GetIntervention(wire.GetInterventionRequest(id=text.replace("d", "i", 1)))


QUERIES = [
    wire.ListDecisionsRequest(),
    wire.ListDecisionsRequest(trace_id="7"),
    wire.ListDecisionsRequest(trace_id="00 " * 11),
    wire.ListDecisionsRequest(trace_id="zz" * 16),
    wire.ListDecisionsRequest(trace_id="²" * 32),
    wire.ListDecisionsRequest(position=EventPosition()),
    wire.ListDecisionsRequest(position=EventPosition(shard="3}:user:ada", sequence="7")),
    wire.ListDecisionsRequest(position=EventPosition(shard="3", sequence="²")),
    wire.ListDecisionsRequest(position=EventPosition(shard="3", sequence="-1")),
    wire.ListDecisionsRequest(position=EventPosition(shard="3", sequence="9" * 61)),
]


@pytest.mark.parametrize("query", QUERIES)
async def test_wrong_queries_are_refused(
    served: tuple[World, "InterventionServiceAsyncStub"], query: wire.ListDecisionsRequest
) -> None:
    with pytest.raises(InvalidArgument):
        await served[1].ListDecisions(query)


@pytest.mark.parametrize(
    ("shard", "sequences"),
    [("3", ["²"]), ("3", ["1 "]), ("3", ["9" * 61]), ("", ["1"]), ("3}:user:ada", ["1"]), ("{3}", ["1"])],
)
async def test_a_ledger_of_no_shard_or_record_is_refused(
    served: tuple[World, "InterventionServiceAsyncStub"], shard: str, sequences: list[str]
) -> None:
    with pytest.raises(InvalidArgument):
        await served[1].ReadLedger(wire.ReadLedgerRequest(shard=shard, sequences=sequences))


@pytest.mark.parametrize("cursor", ["²", "1" * 19, "-1", "+1", " 1", "1 ", "0x1", "1e3", "yesterday"])
async def test_a_cursor_that_never_was_is_refused(
    served: tuple[World, "InterventionServiceAsyncStub"], cursor: str
) -> None:
    watch = wire.WatchPendingInterventionRequest(user_id="ada", cursor=cursor)
    with pytest.raises(InvalidArgument):
        await anext(aiter(served[1].WatchPendingIntervention(watch)))


async def test_a_depth_that_is_none_is_refused(served: tuple[World, "InterventionServiceAsyncStub"]) -> None:
    asked = wire.AnalyzeUserRequest(user_id="ada", depth=wire.AnalysisDepth.ValueType(-1))
    with pytest.raises(InvalidArgument, match="VALUE_OUT_OF_RANGE"):
        await served[1].AnalyzeUser(asked)


async def test_what_only_a_newer_version_knows_how_to_ask_waits(
    served: tuple[World, "InterventionServiceAsyncStub"],
) -> None:
    with pytest.raises(Unavailable, match="VERSION_MISMATCH"):
        await served[1].AnalyzeUser(wire.AnalyzeUserRequest(user_id="ada", depth=wire.AnalysisDepth.ValueType(99)))
    listed = wire.ListDecisionsRequest.FromString(b"\xc2\x3e\x05hello")  # field 1000, of a oneof of tomorrow
    with pytest.raises(Unavailable, match="VERSION_MISMATCH"):
        await served[1].ListDecisions(listed)
    with pytest.raises(InvalidArgument):
        await served[1].ListDecisions(wire.ListDecisionsRequest())


async def test_any_user_and_any_experiment_may_be_asked_for(
    served: tuple[World, "InterventionServiceAsyncStub"],
) -> None:
    for text in ("", "\0", "}:user:{", "x" * 10_000, "\u200c"):
        await read_everything(served[1], text)
        await served[1].GetLift(wire.GetLiftRequest(experiment=text))
