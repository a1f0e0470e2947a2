"""Coalesces the events of many small requests into few RPCs to ingest.

When idle, a request is sent at once; while an RPC is in flight, requests gather and go together with the next. Only one
RPC is in flight at a time, as two could overtake each other and reorder a user's events. Events wait as rows, so that
an RPC carries one table. Unreadable ones wait as serialized messages, which concatenate as the encoding of repeated
fields allows.

What waits is limited in bytes, because it is in memory, and in time, because a request that was admitted should not
wait much longer than one that is told to come again.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

from journeymesh.ingest.v1 import ingest_pb2
from opentelemetry import trace

from gateway.accepting.ingest_versions import Ingest
from gateway.accepting.rows import Rows, joined
from gateway.http.admission import refusal
from gateway.http.shares import Exhausted, Shares
from gateway.peers import Accept
from mesh.errors import INTERNAL_TEXT, DeadlineExceeded, Internal, Unavailable
from mesh.observability import semconv
from mesh.observability.telemetry import Telemetry, links, span_context, within
from records.tenants import DEFAULT

_MAX_RPC_BYTES: Final = 4 * 1024 * 1024
# Ingest refuses a request with more as a whole.
_MAX_RPC_UNREADABLE: Final = 1_000
_RETRY_SECONDS: Final = 1.0
# What is kept of an event besides what was sent: a generated id, trace, times.
_STAMP_BYTES: Final = 64


class Submission(NamedTuple):
    """What a request submits to ingest: its events, their decompressed size, and the unreadable rest."""

    rows: Rows
    size: int
    others: ingest_pb2.AcceptEventsRequest


class Verdicts(NamedTuple):
    """Ingest's verdicts on a request's readable events, in order; the others name an event by its index among them."""

    verdicts: Sequence[int]
    rejections: Sequence[ingest_pb2.Rejection]
    warnings: Sequence[ingest_pb2.Warning] = ()


_Finding = TypeVar("_Finding", ingest_pb2.Rejection, ingest_pb2.Warning)


class _Part(NamedTuple):
    rows: Rows
    unreadable: bytes
    unreadable_count: int
    size: int
    span: tuple[bytes, bytes]
    answer: asyncio.Future[Verdicts]
    came_at: float
    address: str
    tenant: str


class Coalescer:
    """Holds the requests that wait for ingest, in order of arrival."""

    def __init__(
        self,
        accept: Accept,
        telemetry: Telemetry,
        max_events: int,
        waiting_bytes: Shares,
        max_wait_seconds: float = 1.0,
    ) -> None:
        self._ingest = Ingest(accept)
        self.telemetry = telemetry
        self._max_events = max_events
        self._waiting_bytes = waiting_bytes
        self._max_wait_seconds = max_wait_seconds
        self._waiting: deque[_Part] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def accept(
        self, sent: Submission, span: tuple[bytes, bytes], address: str, tenant: str = DEFAULT
    ) -> Verdicts:
        """Sends a request's events, along with those of others, and waits for their verdicts.

        Raises:
            Unavailable: `BUFFER_FULL`, too much waits, or for too long; or ingest is unreachable or too slow.
            ResourceExhausted: `ADDRESS_BUSY`, `TENANT_BUSY`, too much of this address or tenant waits.
            MeshError: whatever else ingest raised.
        """
        unreadable = sent.others.SerializeToString()
        size = sent.size + len(unreadable) + len(sent.rows) * _STAMP_BYTES
        loop = asyncio.get_running_loop()
        now = loop.time()
        is_slow = bool(self._waiting) and now - self._waiting[0].came_at > self._max_wait_seconds
        exhausted = Exhausted.TOTAL if is_slow else self._waiting_bytes.take(address, size, tenant)
        if exhausted is not None:
            raise refusal(exhausted, "events wait to be accepted")
        unreadable_count = len(sent.others.unreadable)
        part = _Part(sent.rows, unreadable, unreadable_count, size, span, loop.create_future(), now, address, tenant)
        self._waiting.append(part)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_waiting())
        return await part.answer

    async def _send_waiting(self) -> None:
        while self._waiting:
            parts = self._take()
            try:
                await self._send(parts)
            except DeadlineExceeded as error:
                # For a client the same as unavailable: it is right and safe to send again.
                _fail(parts, Unavailable(error.reason, error.detail, _RETRY_SECONDS))
            except Exception as error:  # noqa: BLE001 - whatever it is, the waiting requests must get it
                _fail(parts, error)
            for part in parts:
                self._waiting_bytes.give_back(part.address, part.size, part.tenant)
        self._sending = None

    def _take(self) -> list[_Part]:
        """The next requests that fit into one RPC; at least one."""
        parts = [self._waiting.popleft()]
        event_count, unreadable_count, size = len(parts[0].rows), parts[0].unreadable_count, parts[0].size
        while self._waiting:
            event_count += len(self._waiting[0].rows)
            unreadable_count += self._waiting[0].unreadable_count
            size += self._waiting[0].size
            if event_count > self._max_events or unreadable_count > _MAX_RPC_UNREADABLE or size > _MAX_RPC_BYTES:
                break
            parts.append(self._waiting.popleft())
        return parts

    async def _send(self, parts: Sequence[_Part]) -> None:
        table = joined([part.rows for part in parts]).table()
        unreadable = b"".join(part.unreadable for part in parts)
        if self.telemetry.is_on:
            with self._span(parts, len(table)):
                response = await self._ingest.accept(table, unreadable)
        else:
            response = await self._ingest.accept(table, unreadable)
        if len(response.verdicts) != len(table):
            raise Internal("INTERNAL", INTERNAL_TEXT)
        _deal(parts, response)

    def _span(self, parts: Sequence[_Part], event_count: int) -> contextlib.AbstractContextManager[trace.Span]:
        """A span in the trace of the first recorded request, linked to those of the others."""
        recorded = [part.span for part in parts if part.span[1]]
        first, *others = recorded or [parts[0].span]
        return self.telemetry.tracer.start_as_current_span(
            semconv.SPAN_COALESCE,
            context=within(span_context(*first)),
            links=links(others),
            attributes={semconv.EVENT_COUNT: event_count},
        )


def _deal(parts: Sequence[_Part], response: ingest_pb2.AcceptEventsResponse) -> None:
    """Distributes the verdicts to their requests."""
    verdicts, rejections, warnings = list(response.verdicts), deque(response.rejections), deque(response.warnings)
    start = 0
    for part in parts:
        end = start + len(part.rows)
        own = Verdicts(verdicts[start:end], _cut(rejections, start, end), _cut(warnings, start, end))
        if not part.answer.done():
            part.answer.set_result(own)
        start = end


def _cut(findings: "deque[_Finding]", start: int, end: int) -> "list[_Finding]":
    """Takes the findings about events before `end`, and makes their indices those of the request's own events."""
    own: list[_Finding] = []
    while findings and findings[0].event_index < end:
        own.append(findings.popleft())
        own[-1].event_index -= start
    return own


def _fail(parts: Sequence[_Part], error: Exception) -> None:
    for part in parts:
        if not part.answer.done():
            part.answer.set_exception(error)
