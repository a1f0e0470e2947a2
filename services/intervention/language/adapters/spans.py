"""The observer that writes a span for every call of a model, by OpenTelemetry's conventions for generative AI."""

from typing import Final

from opentelemetry.trace import SpanKind, Status, StatusCode

from mesh.observability import semconv, telemetry
from mesh.observability.telemetry import Telemetry
from services.intervention.language.ports import Call

_NANO_A_MICRO: Final = 1000


class ModelSpans:
    """Writes spans, where spans are recorded at all."""

    def __init__(self, traced: Telemetry) -> None:
        self._tracer = traced.tracer

    def called(self, call: Call) -> None:
        """See `services.intervention.language.ports.ModelObserver`."""
        attributes: dict[str, str | int | float | list[str]] = {
            semconv.AI_OPERATION: semconv.AI_CHAT,
            semconv.AI_PROVIDER: semconv.AI_BEDROCK,
            semconv.AI_MODEL: call.model_id,
            semconv.AI_MOST_TOKENS: call.most_tokens,
            semconv.AI_PROMPT: call.prompt_version,
            semconv.AI_COST_MICRO_USD: call.cost_micro_usd,
        }
        origin = None
        if call.decision_id:
            attributes[semconv.DECISION_ID] = call.decision_id
            origin = telemetry.recorded(call.trace_id, telemetry.span_id_of(call.decision_id))
        if call.answer is not None:
            attributes[semconv.AI_INPUT_TOKENS] = call.answer.input_tokens
            attributes[semconv.AI_OUTPUT_TOKENS] = call.answer.output_tokens
            attributes[semconv.AI_FINISH_REASONS] = [call.answer.stop.value]
        if call.refusal is not None:
            attributes[semconv.ERROR_TYPE] = call.refusal.value
        span = self._tracer.start_span(
            f"{semconv.AI_CHAT} {call.model_id}",
            telemetry.within(origin) if origin else None,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=call.started_us * _NANO_A_MICRO,
        )
        if call.refusal is not None:
            span.set_status(Status(StatusCode.ERROR, call.refusal.value))
        span.end(call.ended_us * _NANO_A_MICRO)
