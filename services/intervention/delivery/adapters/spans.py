"""A span per attempt to send a message, below the span of its decision; and a count of what came of it."""

import contextlib
from collections.abc import Iterator

from opentelemetry.trace import SpanKind, Status, StatusCode

from mesh import registry, semconv, telemetry
from mesh.telemetry import Telemetry
from services.intervention.delivery.domain.delivery import Deferred, Refused, Slip, Unanswered


class SpanDeliveryWitness:
    """Writes spans, where spans are recorded at all, and counts."""

    def __init__(self, traced: Telemetry) -> None:
        self._traced = traced

    @contextlib.contextmanager
    def sending(self, slip: Slip) -> Iterator[None]:
        """See `services.intervention.delivery.ports.DeliveryWitness`. Stands below the decision."""
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
        """See `services.intervention.delivery.ports.DeliveryWitness`. Counts; there is a span of each attempt."""
        state = "deferred" if slip.is_waiting else slip.state.name.lower()
        self._traced.metrics.count(registry.DELIVERIES, 1, slip.parcel.channel, state)
