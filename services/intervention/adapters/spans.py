"""The witness that writes a span for every intervention made, in the trace of the event that led to it."""

from mesh import semconv, telemetry
from mesh.telemetry import Telemetry
from services.intervention.domain.ledger import Decision


class SpanWitness:
    """Writes spans, where spans are recorded at all."""

    def __init__(self, traced: Telemetry) -> None:
        self._tracer = traced.tracer

    def made(self, decision_id: str, decision: Decision, span_id: bytes) -> None:
        """See `services.intervention.ports.Witness`."""
        help_ = decision.verdict.intervention
        attributes: dict[str, str | float] = {
            semconv.DECISION_ID: decision_id,
            semconv.INTERVENTION_ID: help_.id if help_ else "",
            semconv.RISK_SCORE: decision.facts.assessment.score,
        }
        origin = telemetry.within(telemetry.span_context(decision.facts.trace_id, span_id))
        self._tracer.start_span(semconv.SPAN_DECIDE, origin, attributes=attributes).end()
