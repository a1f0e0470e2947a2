"""The witness that writes the spans of an intervention: the decision, each attempt to send it, and what came of it.

They are recorded whether or not the request's own trace is. The decision's span has an id that follows from the
decision's, so that what comes later, by whatever process, stands below it or is linked to it.
"""

import contextlib
from collections.abc import Iterator

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from mesh import registry, semconv, telemetry
from mesh.telemetry import Telemetry
from services.intervention.domain.delivery import Deferred, Refused, Slip, Unanswered
from services.intervention.domain.ledger import Decision
from services.intervention.ports import Became


class SpanWitness:
    """Writes spans, where spans are recorded at all."""

    def __init__(self, traced: Telemetry) -> None:
        self._traced = traced
        self.is_looking = traced.is_on

    def made(self, decision_id: str, decision: Decision, span_id: bytes) -> None:
        """See `services.intervention.ports.Witness`."""
        help_ = decision.verdict.intervention
        trace_id = decision.facts.trace_id
        parent, links = _above(trace_id, span_id)
        self._traced.tell(
            semconv.SPAN_DECIDE,
            (trace_id, telemetry.span_id_of(decision_id)),
            parent,
            {
                semconv.DECISION_ID: decision_id,
                semconv.INTERVENTION_ID: help_.id if help_ else "",
                semconv.RISK_SCORE: decision.facts.assessment.score,
            },
            links,
        )

    def became(self, became: Became) -> None:
        """See `services.intervention.ports.Witness`. Linked to the decision."""
        name = f"{became.decision_id} {became.outcome.name}"
        parent, links = _above(became.trace_id, became.span_id)
        decided = (became.made_trace_id, telemetry.span_id_of(became.decision_id))
        self._traced.tell(
            semconv.SPAN_OUTCOME,
            (became.trace_id, telemetry.span_id_of(name)),
            parent,
            {
                semconv.DECISION_ID: became.decision_id,
                semconv.INTERVENTION_ID: became.intervention_id,
                semconv.OUTCOME: became.outcome.name.lower(),
            },
            [*links, *telemetry.links([decided])],
        )

    @contextlib.contextmanager
    def sending(self, slip: Slip) -> Iterator[None]:
        """See `services.intervention.ports.DeliveryWitness`. Stands below the decision."""
        parcel = slip.parcel
        decided = telemetry.recorded(parcel.trace_id, telemetry.span_id_of(parcel.decision_id))
        with self._traced.tracer.start_as_current_span(
            f"{semconv.SPAN_SEND} {parcel.channel}",
            telemetry.within(decided),
            kind=SpanKind.CLIENT,
            attributes={
                semconv.OPERATION: semconv.SPAN_SEND,
                semconv.CHANNEL: parcel.channel,
                semconv.PROVIDER: slip.provider,
                semconv.DECISION_ID: parcel.decision_id,
                semconv.INTERVENTION_ID: parcel.intervention_id,
                semconv.ATTEMPT: slip.attempt_count,
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except (Deferred, Refused, Unanswered, TimeoutError) as error:
                reason = "no_answer" if isinstance(error, TimeoutError) else error.reason
                span.set_attribute(semconv.ERROR_TYPE, reason)
                span.set_status(Status(StatusCode.ERROR, reason))
                raise

    def noted(self, slip: Slip) -> None:
        """See `services.intervention.ports.DeliveryWitness`. Counts; there is a span of each attempt."""
        state = "deferred" if slip.is_waiting else slip.state.name.lower()
        self._traced.metrics.count(registry.DELIVERIES, 1, slip.parcel.channel, state)


def _above(trace_id: bytes, span_id: bytes) -> tuple[trace.SpanContext | None, list[trace.Link]]:
    """What a span on behalf of an event stands below: the present call, where it is of the event's trace.

    A call may serve events of many traces: then it is the event's request, if recorded, and the call is linked.
    """
    request, call = telemetry.recorded(trace_id, span_id), trace.get_current_span().get_span_context()
    if not call.trace_flags.sampled:
        return request, []
    if request is not None and request.trace_id == call.trace_id:
        return call, []
    return request, [trace.Link(call)]
