"""The spans of an intervention: the decision, attempts to send it, and what came of it, whatever else is recorded."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh.observability import telemetry
from services.intervention.decision.adapters.silence import SilentObserver
from services.intervention.decision.adapters.spans import SpanObserver
from services.intervention.decision.domain.facts import Outcome
from services.intervention.decision.ports import OutcomeEvent
from services.intervention.delivery.adapters.spans import SpanDeliveryObserver
from services.intervention.delivery.domain import delivery
from services.intervention.delivery.domain.delivery import Deferred, Refused, Unanswered
from services.intervention.policy.domain.policy import EventKind
from tests.intervention.builders import Row, World, outcome
from tests.intervention.messages import message

TRACE = bytes(range(16))
OTHER_TRACE = b"o" * 16
SPAN = b"s" * 8


class Recorded:
    """An observer at some ratio, and what it recorded."""

    def __init__(self, ratio: float) -> None:
        self._exporter = InMemorySpanExporter()
        self.traced = telemetry.exporting("intervention", self._exporter, ratio)
        self.observer = SpanObserver(self.traced)
        self.attempts = SpanDeliveryObserver(self.traced)

    def spans(self) -> tuple[ReadableSpan, ...]:
        """All that have ended."""
        self.traced.provider.force_flush()
        return self._exporter.get_finished_spans()


@pytest.fixture(params=[0.0, 1.0])
def recorded(request: pytest.FixtureRequest) -> Iterator[Recorded]:
    recording = Recorded(request.param)
    yield recording
    recording.traced.close()


def ids(span: ReadableSpan) -> tuple[bytes, bytes]:
    assert span.context is not None
    return span.context.trace_id.to_bytes(16, "big"), span.context.span_id.to_bytes(8, "big")


def parent(span: ReadableSpan) -> bytes:
    return span.parent.span_id.to_bytes(8, "big") if span.parent else b""


@pytest.mark.parametrize("span_id", [SPAN, b""])
async def test_a_decision_stands_below_its_request_or_is_the_root_of_its_trace(
    recorded: Recorded, span_id: bytes
) -> None:
    (made,) = await World().send(Row(80.0))
    recorded.observer.created("d-3-1-0", made.decision, span_id)
    (span,) = recorded.spans()
    assert ids(span) == (made.decision.facts.trace_id, telemetry.span_id_of("d-3-1-0"))
    assert parent(span) == span_id


@pytest.mark.parametrize("trace_id", [b"", bytes(16), b"short"])
async def test_a_decision_on_an_event_without_a_trace_has_one_of_its_own(recorded: Recorded, trace_id: bytes) -> None:
    recorded.observer.outcome(OutcomeEvent("i-3-1-0", "d-3-1-0", Outcome.SHOWN, trace_id, trace_id, b""))
    (span,) = recorded.spans()
    assert any(ids(span)[0])
    assert not span.links
    assert span.parent is None


@pytest.mark.parametrize("span_id", [SPAN, b""])
def test_an_outcome_stands_in_the_trace_of_its_own_request_and_is_linked_to_the_decision(
    recorded: Recorded, span_id: bytes
) -> None:
    recorded.observer.outcome(OutcomeEvent("i-3-1-0", "d-3-1-0", Outcome.DECLINED, TRACE, OTHER_TRACE, span_id))
    (span,) = recorded.spans()
    assert span.name == "settle intervention"
    assert ids(span)[0] == OTHER_TRACE
    assert parent(span) == span_id
    (link,) = span.links
    assert link.context.trace_id.to_bytes(16, "big") == TRACE
    assert link.context.span_id.to_bytes(8, "big") == telemetry.span_id_of("d-3-1-0")
    assert dict(span.attributes or {}) == {
        "journeymesh.decision.id": "d-3-1-0",
        "journeymesh.intervention.id": "i-3-1-0",
        "journeymesh.outcome": "declined",
    }


def test_two_outcomes_of_one_request_are_two_spans(recorded: Recorded) -> None:
    for what in (Outcome.SHOWN, Outcome.ACCEPTED):
        recorded.observer.outcome(OutcomeEvent("i-3-1-0", "d-3-1-0", what, TRACE, TRACE, SPAN))
    assert len({ids(span) for span in recorded.spans()}) == 2


@pytest.mark.parametrize("of_the_call", [TRACE, OTHER_TRACE])
async def test_within_a_recorded_call_a_decision_stands_below_it_or_is_linked_to_it(of_the_call: bytes) -> None:
    recorded = Recorded(0.0)
    (made,) = await World().send(Row(80.0, trace=int.from_bytes(TRACE, "big")))
    call = telemetry.within(telemetry.span_context(of_the_call, SPAN))
    with recorded.traced.tracer.start_as_current_span("call", call):
        recorded.observer.created("d-3-1-0", made.decision, b"requests")
        recorded.observer.created("d-3-1-1", made.decision, b"")
    below, alone, call_span = recorded.spans()
    links = [ids(call_span)[1]]
    if of_the_call == TRACE:
        assert (parent(below), [*below.links]) == (ids(call_span)[1], [])
    else:
        assert parent(below) == b"requests"
        assert [link.context.span_id.to_bytes(8, "big") for link in below.links] == links
    assert parent(alone) == b""
    assert [link.context.span_id.to_bytes(8, "big") for link in alone.links] == links
    recorded.traced.close()


FAULTS = [
    (Deferred("throttled"), "throttled"),
    (Refused("no_address"), "no_address"),
    (Unanswered("no_answer"), "no_answer"),
    (TimeoutError(), "no_answer"),
]


def test_an_attempt_to_send_stands_below_the_decision(recorded: Recorded) -> None:
    entry = delivery.begun(delivery.new_entry(message()), "ses", 0)
    with recorded.attempts.sending(entry):
        pass
    (span,) = recorded.spans()
    assert (span.name, span.kind.name) == ("send email", "CLIENT")
    assert ids(span)[0] == entry.message.trace_id
    assert parent(span) == telemetry.span_id_of("d-3-1-0")
    assert span.status.is_unset
    assert dict(span.attributes or {}) == {
        "messaging.operation.type": "send",
        "messaging.destination.name": "email",
        "messaging.system": "ses",
        "journeymesh.decision.id": "d-3-1-0",
        "journeymesh.intervention.id": "i-3-1-0",
        "journeymesh.delivery.attempt": 1,
    }


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
def test_an_attempt_that_fails_says_why_and_no_more(recorded: Recorded, fault: Exception, reason: str) -> None:
    with pytest.raises(type(fault)), recorded.attempts.sending(delivery.new_entry(message())):
        raise fault
    (span,) = recorded.spans()
    assert not span.status.is_ok
    assert (span.attributes or {})["error.type"] == reason
    assert not span.events


def test_where_nothing_is_recorded_nothing_is_looked_up() -> None:
    assert not SpanObserver(telemetry.off()).is_enabled
    assert not SilentObserver().is_enabled


async def test_an_outcome_is_reported_with_the_traces_of_both_requests() -> None:
    world = World()
    (made,) = await world.send(Row(80.0, trace=7))
    id_ = made.intervention.id
    await world.send(outcome(Outcome.SHOWN, id_, trace=8))
    await world.send(outcome(Outcome.SHOWN, id_, trace=9))  # a second time nothing came of it
    await world.send(outcome(Outcome.ACCEPTED, id_, trace=10))
    await world.send(outcome(Outcome.DECLINED, "i-of-another-system", "email", trace=11))
    traces = [(each.outcome, each.made_trace_id[-1], each.trace_id[-1]) for each in world.observer.outcomes]
    assert traces == [(Outcome.SHOWN, 7, 8), (Outcome.ACCEPTED, 7, 10)]
    assert {(each.intervention_id, each.decision_id) for each in world.observer.outcomes} == {
        (id_, world.observer.decision_ids[0])
    }


async def test_help_and_its_outcome_in_one_batch_are_reported_too() -> None:
    world = World()
    first, then = [Row(80.0, trace=7)], [outcome(Outcome.ACCEPTED, "i-3-1-0", trace=8)]
    await world.deliver(1, [first, then])
    (event,) = world.observer.outcomes
    assert (event.made_trace_id[-1], event.trace_id[-1]) == (7, 8)


async def test_a_conversion_by_another_event_is_an_outcome_too() -> None:
    world = World()
    (made,) = await world.send(Row(80.0, trace=7))
    await world.send(outcome(Outcome.ACCEPTED, made.intervention.id, trace=8))
    wanted = world.policies.at(0).conversion
    await world.send(Row(10.0, trace=9, kind=EventKind[wanted.event.upper()], target=wanted.target))
    assert [each.outcome for each in world.observer.outcomes] == [Outcome.ACCEPTED, Outcome.CONVERTED]
    assert world.observer.outcomes[-1].trace_id[-1] == 9
