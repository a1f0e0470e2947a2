"""Traces and metrics of a process: made once in a composition root and passed on; nothing is set globally.

Without an endpoint nothing is recorded or sent, but every request still gets a trace id of its own.
"""

import dataclasses
import sys
from collections.abc import Iterable

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBasedTraceIdRatio

from mesh import semconv
from mesh.metrics import Metrics
from mesh.settings import setting


@dataclasses.dataclass(frozen=True)
class TelemetrySettings:
    """Where traces go."""

    endpoint: str = setting(
        "JOURNEYMESH_OTLP_ENDPOINT", "", "OTLP endpoint (gRPC) that traces are sent to; empty: none are recorded."
    )
    sample_ratio: float = setting(
        "JOURNEYMESH_TRACE_SAMPLE_RATIO", 1.0, "Share of requests whose trace is recorded.", minimum=0, maximum=1
    )
    metrics_listen: str = setting(
        "JOURNEYMESH_METRICS_LISTEN", "", "Where the process tells its metrics, host and port; empty: nowhere."
    )


@dataclasses.dataclass(frozen=True)
class Telemetry:
    """A process's tracer and metrics. `is_on` tells whether spans are recorded at all."""

    provider: TracerProvider
    is_on: bool
    metrics: Metrics = dataclasses.field(default_factory=Metrics)

    @property
    def tracer(self) -> trace.Tracer:
        """The tracer of this process."""
        return self.provider.get_tracer("journeymesh")

    def close(self) -> None:
        """Sends what is left."""
        self.provider.shutdown()
        self.metrics.close()


def start(service: str, settings: TelemetrySettings) -> Telemetry:
    """The telemetry of a process, as its settings want it. Ends the process where its metrics cannot be told."""
    telemetry = _tracing(service, settings)
    if settings.metrics_listen:
        try:
            telemetry.metrics.serve(settings.metrics_listen)
        except (OSError, ValueError) as error:
            sys.exit(f"journeymesh: metrics cannot be told at {settings.metrics_listen}: {error}.")
    return telemetry


def _tracing(service: str, settings: TelemetrySettings) -> Telemetry:
    if not settings.endpoint:
        return off(service)
    insecure = not settings.endpoint.startswith("https://")
    return exporting(service, OTLPSpanExporter(settings.endpoint, insecure=insecure), settings.sample_ratio)


def off(service: str = "") -> Telemetry:
    """Telemetry that records nothing but still gives out trace ids."""
    return Telemetry(TracerProvider(sampler=ALWAYS_OFF, resource=_resource(service)), is_on=False)


def exporting(service: str, exporter: SpanExporter, sample_ratio: float = 1.0) -> Telemetry:
    """Telemetry that gives spans to an exporter, in batches."""
    provider = TracerProvider(sampler=ParentBasedTraceIdRatio(sample_ratio), resource=_resource(service))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Telemetry(provider, is_on=True)


def span_context(trace_id: bytes, span_id: bytes) -> trace.SpanContext | None:
    """The span an event came with; None where the ids are absent or of the wrong length."""
    if len(trace_id) != 16 or len(span_id) != 8:
        return None
    context = trace.SpanContext(
        int.from_bytes(trace_id, "big"),
        int.from_bytes(span_id, "big"),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    return context if context.is_valid else None


def within(origin: trace.SpanContext | None) -> Context:
    """A context whose spans become children of `origin`; a fresh one where there is none."""
    return trace.set_span_in_context(trace.NonRecordingSpan(origin), Context()) if origin else Context()


def links(origins: Iterable[tuple[bytes, bytes]]) -> list[trace.Link]:
    """Links to the spans that brought events."""
    contexts = (span_context(trace_id, span_id) for trace_id, span_id in origins)
    return [trace.Link(context) for context in contexts if context is not None]


def _resource(service: str) -> Resource:
    return Resource({"service.name": f"{semconv.SERVICE_PREFIX}{service}", "service.namespace": "journeymesh"})
