"""Traces and metrics of a process: made once in a composition root and passed on; nothing is set globally.

Without an endpoint nothing is recorded or sent, but every request still gets a trace id of its own.

An event carries the id of its trace and, only if that trace is recorded, the id of the span that brought it. So without
a span id nothing is recorded on its behalf, except for what always is (docs/traces.md).
"""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.util.types import Attributes

from mesh.observability.metrics import Metrics
from mesh.retry import ExitForNow
from mesh.settings import setting

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8


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

    provider: "TracerProvider | Unrecording"
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
        if not self.is_on:
            return
        from mesh.observability import recording  # loaded already: it made the provider

        with recording.chosen(*ids):
            self.tracer.start_span(name, within(parent), attributes=attributes, links=links).end()

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
            sentence = f"journeymesh: metrics cannot be served at {settings.metrics_listen}: {error}."
            raise (ExitForNow if isinstance(error, OSError) else SystemExit)(sentence) from None
    return telemetry


def _tracing(service: str, settings: TelemetrySettings) -> Telemetry:
    if not settings.endpoint:
        return off()
    from mesh.observability import recording  # a fifth of what a process loads, and only for those who record

    return exporting(service, recording.exporter(settings.endpoint), settings.sample_ratio)


@contextlib.contextmanager
def unrecorded() -> Iterator[None]:
    """Records no span within the block, neither here nor in the processes it calls: for what is asked every second."""
    with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False))):
        yield


def off() -> Telemetry:
    """Telemetry that records nothing but still generates trace ids."""
    return Telemetry(Unrecording(), is_on=False)


def exporting(service: str, exporter: "SpanExporter", sample_ratio: float = 1.0) -> Telemetry:
    """Telemetry that exports spans in batches."""
    from mesh.observability import recording  # as above

    return Telemetry(recording.provider(service, exporter, sample_ratio), is_on=True)


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


class Unrecording(trace.TracerProvider):
    """Makes tracers whose spans are recorded nowhere and have ids all the same."""

    def __init__(self) -> None:
        self._tracer = _Unrecorded()

    def get_tracer(self, *_: object, **__: object) -> trace.Tracer:
        """See `TracerProvider`."""
        return self._tracer

    def shutdown(self) -> None:
        """Does nothing: there is nothing left to send."""

    def force_flush(self) -> None:
        """Does nothing, likewise."""


class _Unrecorded(trace.Tracer):
    """Spans that stay in the trace of their parent, or begin one."""

    def start_span(
        self,
        name: str,  # noqa: ARG002 - nothing is recorded
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,  # noqa: ARG002 - the same
        attributes: Attributes = None,  # noqa: ARG002 - the same
        links: Sequence[trace.Link] | None = None,  # noqa: ARG002 - the same
        start_time: int | None = None,  # noqa: ARG002 - the same
        record_exception: bool = True,  # noqa: FBT001, FBT002, ARG002 - as in `Tracer`
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002, ARG002 - the same
    ) -> trace.Span:
        """See `Tracer`."""
        parent = trace.get_current_span(context).get_span_context()
        trace_id = parent.trace_id if parent.is_valid else _drawn(_TRACE_BYTES)
        state = parent.trace_state if parent.is_valid else None
        return trace.NonRecordingSpan(
            trace.SpanContext(trace_id, _drawn(_SPAN_BYTES), is_remote=False, trace_state=state)
        )

    @contextlib.contextmanager
    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        *_: object,
        **__: object,
    ) -> Iterator[trace.Span]:
        """See `Tracer`."""
        with trace.use_span(self.start_span(name, context)) as span:
            yield span


def _drawn(count: int) -> int:
    """A random number of so many bytes; never 0, which is no id."""
    return int.from_bytes(os.urandom(count), "big") or 1
