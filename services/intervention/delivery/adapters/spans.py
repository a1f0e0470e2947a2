"""A span per attempt to send a message, below the span of its decision; and a count of the results."""

import contextlib
from collections.abc import Iterator

from opentelemetry.trace import SpanKind, Status, StatusCode

from mesh.observability import registry, semconv, telemetry
from mesh.observability.telemetry import Telemetry
from services.intervention.delivery.domain.delivery import Deferred, OutboxEntry, Refused, Unanswered


class SpanDeliveryObserver:
    """Writes spans, where spans are recorded at all, and counts."""

    def __init__(self, traced: Telemetry) -> None:
        self._traced = traced

    @contextlib.contextmanager
    def sending(self, entry: OutboxEntry) -> Iterator[None]:
        """See `services.intervention.delivery.ports.DeliveryObserver`. Stands below the decision."""
        message = entry.message
        decided = telemetry.recorded(message.trace_id, telemetry.span_id_of(message.decision_id))
        with self._traced.tracer.start_as_current_span(
            f"{semconv.SPAN_SEND} {message.channel}",
            telemetry.within(decided),
            kind=SpanKind.CLIENT,
            attributes={
                semconv.OPERATION: semconv.SPAN_SEND,
                semconv.CHANNEL: message.channel,
                semconv.PROVIDER: entry.provider,
                semconv.DECISION_ID: message.decision_id,
                semconv.INTERVENTION_ID: message.intervention_id,
                semconv.ATTEMPT: entry.attempt_count,
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

    def noted(self, entry: OutboxEntry) -> None:
        """See `services.intervention.delivery.ports.DeliveryObserver`. Counts; there is a span of each attempt."""
        state = "deferred" if entry.is_waiting else entry.state.name.lower()
        self._traced.metrics.count(registry.DELIVERIES, 1, entry.message.channel, state)
