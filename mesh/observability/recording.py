"""Spans that are recorded and sent, by OpenTelemetry's SDK; a process that records none does not import this."""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import Final, cast

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import aio_client_interceptors, aio_server_interceptor, filters
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.util.types import Attributes

from mesh import VERSION
from mesh.observability import semconv

# Health checks come every few seconds and are of no interest.
_NO_PROBE: Final = filters.negate(filters.health_check())

# Of the trace and of the span; 0 where none was chosen.
_chosen_ids: Final = contextvars.ContextVar[tuple[int, int]]("chosen_ids", default=(0, 0))


def exporter(endpoint: str) -> SpanExporter:
    """Sends spans to an OTLP endpoint over gRPC: in plain text, unless it is `https://`."""
    return OTLPSpanExporter(endpoint, insecure=not endpoint.startswith("https://"))


def provider(service: str, to: SpanExporter, sample_ratio: float) -> TracerProvider:
    """Records the spans of a service and exports them in batches."""
    resource = Resource(
        {
            "service.name": f"{semconv.SERVICE_PREFIX}{service}",
            "service.namespace": "journeymesh",
            "service.version": VERSION,
        }
    )
    recording = TracerProvider(sampler=ParentBased(_Roots(sample_ratio)), resource=resource, id_generator=_Ids())
    recording.add_span_processor(BatchSpanProcessor(to))
    return recording


def server_interceptor(of: trace.TracerProvider) -> grpc.aio.ServerInterceptor:
    """Records a span around each call that is served."""
    return cast("grpc.aio.ServerInterceptor", aio_server_interceptor(tracer_provider=of, filter_=_NO_PROBE))


def client_interceptors(of: trace.TracerProvider) -> list[grpc.aio.ClientInterceptor]:
    """Record a span around each call that is made."""
    return cast("list[grpc.aio.ClientInterceptor]", aio_client_interceptors(tracer_provider=of, filter_=_NO_PROBE))


@contextlib.contextmanager
def chosen(trace_id: bytes, span_id: bytes) -> Iterator[None]:
    """Gives these ids to the spans that are started within the block."""
    before = _chosen_ids.set((int.from_bytes(trace_id, "big"), int.from_bytes(span_id, "big")))
    try:
        yield
    finally:
        _chosen_ids.reset(before)


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
