"""Joins the events of many small requests into few RPCs to ingest.

While nothing is under way, a request goes at once; while an RPC is, requests gather and go together with the next. One
RPC is under way at a time, because two could overtake each other and change the order of a user's events. Events wait
as rows, so that an RPC brings one table; what is no event waits as serialized messages: joining two is joining their
bytes, as the encoding of repeated fields allows.

What waits is bounded twice: in bytes, because it lies in memory, and in time, because a request that was let in should
not wait much longer than it takes to be told to come again.
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
from gateway.http.shares import Lack, Shares
from gateway.peers import Accept
from mesh import semconv
from mesh.errors import INTERNAL_TEXT, DeadlineExceeded, Internal, ResourceExhausted, Unavailable
from mesh.telemetry import Telemetry, links, span_context, within

_MAX_RPC_BYTES: Final = 4 * 1024 * 1024
# Ingest refuses a whole request with more, whoever of those who were joined sent them.
_MAX_RPC_UNREADABLE: Final = 1_000
_RETRY_SECONDS: Final = 1.0
# What is kept of an event beside what was sent: its id if it had none, trace, times.
_STAMP_BYTES: Final = 64


class Sent(NamedTuple):
    """What a request has for ingest: its events, and beside them a message with what is none.

    `size` is how many bytes the events had when they came, unpacked.
    """

    rows: Rows
    size: int
    others: ingest_pb2.AcceptEventsRequest


class Refused(NamedTuple):
    """Why ingest refused one event of a request; the index is that among the request's readable events."""

    event_index: int
    reason: int
    detail: str


class Cleaned(NamedTuple):
    """What ingest cleaned or left out of one event of a request; the index is as in `Refused`."""

    event_index: int
    member: str
    detail: str


class Verdicts(NamedTuple):
    """What ingest said of a request's readable events, in their order."""

    verdicts: Sequence[int]
    rejections: Sequence[Refused]
    warnings: Sequence[Cleaned] = ()


_Told = TypeVar("_Told", Refused, Cleaned)


class _Part(NamedTuple):
    rows: Rows
    unreadable: bytes
    unreadable_count: int
    size: int
    span: tuple[bytes, bytes]
    answer: asyncio.Future[Verdicts]
    came_at: float
    address: str


class Coalescer:
    """Holds the requests that wait for ingest, in the order they came."""

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

    async def accept(self, sent: Sent, span: tuple[bytes, bytes], address: str) -> Verdicts:
        """Sends a request's events, together with others', and waits for their verdicts.

        Raises:
            Unavailable: `BUFFER_FULL`, too much waits already, or for too long; or ingest cannot be reached or was too
                slow.
            ResourceExhausted: `ADDRESS_BUSY`, too much of this address waits.
            MeshError: what else ingest raised.
        """
        unreadable = sent.others.SerializeToString()
        size = sent.size + len(unreadable) + len(sent.rows) * _STAMP_BYTES
        loop = asyncio.get_running_loop()
        now = loop.time()
        is_slow = bool(self._waiting) and now - self._waiting[0].came_at > self._max_wait_seconds
        lack = Lack.FOR_ALL if is_slow else self._waiting_bytes.take(address, size)
        if lack is Lack.FOR_ALL:
            raise Unavailable("BUFFER_FULL", "Too many events wait to be accepted.", _RETRY_SECONDS)
        if lack is Lack.FOR_ONE:
            raise ResourceExhausted("ADDRESS_BUSY", "Too many events of this address wait.", _RETRY_SECONDS)
        unreadable_count = len(sent.others.unreadable)
        part = _Part(sent.rows, unreadable, unreadable_count, size, span, loop.create_future(), now, address)
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
                # To a client the same as unavailable: sending again is right and safe.
                _fail(parts, Unavailable(error.reason, error.detail, _RETRY_SECONDS))
            except Exception as error:  # noqa: BLE001 - whatever it is, the waiters must hear of it
                _fail(parts, error)
            for part in parts:
                self._waiting_bytes.give_back(part.address, part.size)
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
        """A span in the trace of the first request that is recorded, linked to the others'; else none is recorded."""
        recorded = [part.span for part in parts if part.span[1]]
        first, *others = recorded or [parts[0].span]
        return self.telemetry.tracer.start_as_current_span(
            semconv.SPAN_COALESCE,
            context=within(span_context(*first)),
            links=links(others),
            attributes={semconv.EVENT_COUNT: event_count},
        )


def _deal(parts: Sequence[_Part], response: ingest_pb2.AcceptEventsResponse) -> None:
    """Gives each request its own part of the verdicts."""
    verdicts = list(response.verdicts)
    rejections = deque(Refused(r.event_index, r.reason, r.detail) for r in response.rejections)
    warnings = deque(Cleaned(w.event_index, w.member, w.detail) for w in response.warnings)
    start = 0
    for part in parts:
        end = start + len(part.rows)
        own = Verdicts(verdicts[start:end], _cut(rejections, start, end), _cut(warnings, start, end))
        if not part.answer.done():
            part.answer.set_result(own)
        start = end


def _cut(told: "deque[_Told]", start: int, end: int) -> "list[_Told]":
    """Takes what is told of the events up to `end`, as of a request's own events."""
    own: list[_Told] = []
    while told and told[0].event_index < end:
        one = told.popleft()
        own.append(one._replace(event_index=one.event_index - start))
    return own


def _fail(parts: Sequence[_Part], error: Exception) -> None:
    for part in parts:
        if not part.answer.done():
            part.answer.set_exception(error)
