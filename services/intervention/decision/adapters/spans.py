"""Spans of an intervention: the decision and its outcomes.

They are recorded even if the trace of the request is not. The id of the decision's span is computed from the decision's
id, so that later spans of any process can stand below it or be linked to it.
"""

from opentelemetry import trace

from mesh.observability import semconv, telemetry
from mesh.observability.telemetry import Telemetry
from services.intervention.decision.domain.ledger import Decision
from services.intervention.decision.ports import OutcomeEvent


class SpanObserver:
    """Writes spans, where spans are recorded at all."""

    def __init__(self, traced: Telemetry) -> None:
        self._traced = traced
        self.is_enabled = traced.is_on

    def created(self, decision_id: str, decision: Decision, span_id: bytes) -> None:
        """See `services.intervention.decision.ports.Observer`."""
        help_ = decision.verdict.intervention
        trace_id = decision.facts.trace_id
        parent, links = _above(trace_id, span_id)
        self._traced.record_span(
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

    def outcome(self, event: OutcomeEvent) -> None:
        """See `services.intervention.decision.ports.Observer`. Linked to the decision."""
        name = f"{event.decision_id} {event.outcome.name}"
        parent, links = _above(event.trace_id, event.span_id)
        decided = (event.made_trace_id, telemetry.span_id_of(event.decision_id))
        self._traced.record_span(
            semconv.SPAN_OUTCOME,
            (event.trace_id, telemetry.span_id_of(name)),
            parent,
            {
                semconv.DECISION_ID: event.decision_id,
                semconv.INTERVENTION_ID: event.intervention_id,
                semconv.OUTCOME: event.outcome.name.lower(),
            },
            [*links, *telemetry.links([decided])],
        )


def _above(trace_id: bytes, span_id: bytes) -> tuple[trace.SpanContext | None, list[trace.Link]]:
    """The parent of a span on behalf of an event, and its links.

    The parent is the present call if it belongs to the event's trace. A call may serve events of many traces: then the
    parent is the event's request, if that is recorded, and the call is linked.
    """
    request, call = telemetry.recorded(trace_id, span_id), trace.get_current_span().get_span_context()
    if not call.trace_flags.sampled:
        return request, []
    if request is not None and request.trace_id == call.trace_id:
        return call, []
    return request, [trace.Link(call)]
