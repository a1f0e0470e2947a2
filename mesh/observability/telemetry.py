"""Traces and metrics of a process: made once in a composition root and passed on; nothing is set globally.

Without an endpoint nothing is recorded or sent, but every request still gets a trace id of its own.

An event carries the id of its trace and, only if that trace is recorded, the id of the span that brought it. So without
a span id nothing is recorded on its behalf, except for what always is (docs/traces.md).
"""

import contextlib
import contextvars
import dataclasses
import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.util.types import Attributes

from mesh.observability import semconv
from mesh.observability.metrics import Metrics
from mesh.settings import setting

_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8

_chosen_ids: Final = contextvars.ContextVar[tuple[int, int]]("chosen_ids", default=(0, 0))


@dataclasses.dataclass(frozen=True)
class TelemetrySettings:
    """Where traces are sent, and where metrics are served."""

    endpoint: str = setting(
        "JOURNEYMESH_OTLP_ENDPOINT", "", "OTLP endpoint (gRPC) that traces are sent to; empty: none are recorded."
    )
    sample_ratio: float = setting(
        "JOURNEYMESH_TRACE_SAMPLE_RATIO",
        1.0,
        "Share of requests whose trace is recorded, unless the caller's `traceparent` decides; help always is.",
        minimum=0,
        maximum=1,
    )
    metrics_listen: str = setting(
        "JOURNEYMESH_METRICS_LISTEN", "", "Where the process serves its metrics, host and port; empty: nowhere."
    )


@dataclasses.dataclass(frozen=True)
class Telemetry:
    """A process's tracer and metrics; `is_on` if spans are recorded at all."""

    provider: TracerProvider
    is_on: bool
    metrics: Metrics = dataclasses.field(default_factory=Metrics)

    @property
    def tracer(self) -> trace.Tracer:
        """The tracer of this process."""
        return self.provider.get_tracer("journeymesh")

    def record_span(
        self,
        name: str,
        ids: tuple[bytes, bytes],
        parent: trace.SpanContext | None,
        attributes: Attributes,
        links: Sequence[trace.Link] = (),
    ) -> None:
        """Records a span without duration and with a chosen span id: under its parent, else as the root of its trace.

        Args:
            name: the span's name.
            ids: of the trace, unless there is a parent, and of the span: 16 and 8 bytes.
            parent: a recorded span.
            attributes: with `semconv.DECISION_ID` among them, the span is recorded whatever the ratio.
            links: recorded spans.
        """
        chosen = _chosen_ids.set((int.from_bytes(ids[0], "big"), int.from_bytes(ids[1], "big")))
        try:
            self.tracer.start_span(name, within(parent), attributes=attributes, links=links).end()
        finally:
            _chosen_ids.reset(chosen)

    def close(self) -> None:
        """Sends what is left."""
        self.provider.shutdown()
        self.metrics.close()


def start(service: str, settings: TelemetrySettings) -> Telemetry:
    """Starts a process's telemetry. Ends the process if its metrics cannot be served."""
    telemetry = _tracing(service, settings)
    if settings.metrics_listen:
        try:
            telemetry.metrics.serve(settings.metrics_listen)
        except (OSError, ValueError) as error:
            sys.exit(f"journeymesh: metrics cannot be served at {settings.metrics_listen}: {error}.")
    return telemetry


def _tracing(service: str, settings: TelemetrySettings) -> Telemetry:
    if not settings.endpoint:
        return off(service)
    insecure = not settings.endpoint.startswith("https://")
    return exporting(service, OTLPSpanExporter(settings.endpoint, insecure=insecure), settings.sample_ratio)


@contextlib.contextmanager
def unrecorded() -> Iterator[None]:
    """Records no span within the block, neither here nor in the processes it calls: for what is asked every second."""
    with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False))):
        yield


def off(service: str = "") -> Telemetry:
    """Telemetry that records nothing but still generates trace ids."""
    return Telemetry(TracerProvider(sampler=ALWAYS_OFF, resource=_resource(service)), is_on=False)


def exporting(service: str, exporter: SpanExporter, sample_ratio: float = 1.0) -> Telemetry:
    """Telemetry that exports spans in batches."""
    provider = TracerProvider(
        sampler=ParentBased(_Roots(sample_ratio)), resource=_resource(service), id_generator=_Ids()
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Telemetry(provider, is_on=True)


def span_context(trace_id: bytes, span_id: bytes) -> trace.SpanContext | None:
    """The span that caused an event, None without a trace id. Without a span id, nothing is recorded below it."""
    if len(trace_id) != _TRACE_BYTES or not any(trace_id):
        return None
    is_recorded = len(span_id) == _SPAN_BYTES and any(span_id)
    return trace.SpanContext(
        int.from_bytes(trace_id, "big"),
        int.from_bytes(span_id, "big") if is_recorded else 1,
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED if is_recorded else trace.TraceFlags.DEFAULT),
    )


def recorded(trace_id: bytes, span_id: bytes) -> trace.SpanContext | None:
    """The span that caused an event; None if it is not recorded."""
    context = span_context(trace_id, span_id)
    return context if context and context.trace_flags.sampled else None


def span_id_of(name: str) -> bytes:
    """A span id derived from a name, by which later spans find their parent."""
    return hashlib.blake2b(name.encode(), digest_size=_SPAN_BYTES).digest()


def within(origin: trace.SpanContext | None) -> Context:
    """A context whose spans become children of `origin`; a fresh one where there is none."""
    return trace.set_span_in_context(trace.NonRecordingSpan(origin), Context()) if origin else Context()


def links(origins: Iterable[tuple[bytes, bytes]]) -> list[trace.Link]:
    """Links to the spans that brought events, as far as they are recorded."""
    return [trace.Link(context) for origin in origins if (context := recorded(*origin)) is not None]


class _Roots(Sampler):
    """Records spans without a parent: always those of decisions and those linked to recorded ones, others by ratio."""

    def __init__(self, ratio: float) -> None:
        self._by_ratio = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> SamplingResult:
        """See `Sampler`."""
        is_wanted = links or (attributes and semconv.DECISION_ID in attributes)
        sampler = ALWAYS_ON if is_wanted else self._by_ratio
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """See `Sampler`."""
        return f"Roots{{{self._by_ratio.get_description()}}}"


class _Ids(RandomIdGenerator):
    """Random ids, unless the span's ids were chosen."""

    def generate_trace_id(self) -> int:
        return _chosen_ids.get()[0] or super().generate_trace_id()

    def generate_span_id(self) -> int:
        return _chosen_ids.get()[1] or super().generate_span_id()


def _resource(service: str) -> Resource:
    return Resource({"service.name": f"{semconv.SERVICE_PREFIX}{service}", "service.namespace": "journeymesh"})
