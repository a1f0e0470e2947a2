"""How events get from a request to ingest, and what is said of each.

What is said and kept of events that are refused is bounded by what was sent: see `_most_told`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from journeymesh.common.v1 import error_reason_pb2
from journeymesh.ingest.v1 import ingest_pb2

from gateway.accepting.coalescer import Coalescer, Sent
from gateway.accepting.rows import Rows
from gateway.formats import native
from gateway.formats.ids import event_ids
from gateway.formats.native import Read
from gateway.formats.reading import SecondReading, salvage_ids
from gateway.formats.schema import words
from gateway.http.asgi import Request
from gateway.http.problems import Rejected
from gateway.metrics import count_events
from mesh.errors import InvalidArgument, MeshError, ResourceExhausted

_ACCEPTED: Final = ingest_pb2.VERDICT_ACCEPTED
_DUPLICATE: Final = ingest_pb2.VERDICT_DUPLICATE
_REASONS: Final = words(error_reason_pb2.ErrorReason.DESCRIPTOR)
_RETRY_SECONDS: Final = 1.0
_TOLD_ALWAYS: Final = 100
_BYTES_FOR_ONE_MORE: Final = 256
# With those kept together, of which 512 KiB make 17, it stays below the 1,000 that ingest takes of a request.
_KEPT_ONE_BY_ONE: Final = 500


class Warned(msgspec.Struct, rename="camel"):
    """What was cleaned or left out of an event that was taken; the member is empty where it is the event as a whole."""

    index: int
    event_id: str | None
    member: str
    detail: str


class Tracked(msgspec.Struct, rename="camel"):
    """What became of a request's events; one id an event, in order, null where none was readable.

    Of many that were refused the last one listed stands for the rest.
    """

    accepted: int
    duplicates: int
    rejected: list[Rejected]
    event_ids: list[str | None]
    trace_id: str
    warnings: list[Warned]


class _Unread:
    """Events of one request that are none: those sent along one by one, and those beyond, which are kept together."""

    def __init__(self, message: ingest_pb2.AcceptEventsRequest, stamp: native.Stamp, most_told: int) -> None:
        self._message = message
        self._stamp = stamp
        self._most_told = most_told
        self._most_kept = min(most_told, _KEPT_ONE_BY_ONE)
        self._count = 0
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._why: InvalidArgument | None = None

    def keep(self, raw: msgspec.Raw | bytes, error: InvalidArgument) -> str:
        """Keeps one; returns its id, empty where none is readable or it is not told one by one."""
        payload = bytes(raw)[: native.MAX_EVENT_BYTES]
        self._count += 1
        event_id, user_id = salvage_ids(raw) if self._count <= self._most_told else ("", "")
        if self._count <= self._most_kept:
            self._add(error, payload, event_id, user_id)
            return event_id
        if self._rest_bytes + len(payload) > native.MAX_EVENT_BYTES:
            self.close()
        self._why = self._why or error
        self._rest.append(payload)
        self._rest_bytes += len(payload) + 1
        return event_id

    def close(self) -> None:
        """Sends along what is kept together."""
        if self._why is not None:
            self._add(self._why, b",".join(self._rest))
        self._rest, self._rest_bytes, self._why = [], 0, None

    def _add(self, error: InvalidArgument, payload: bytes, event_id: str = "", user_id: str = "") -> None:
        self._message.unreadable.add(
            reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{error.reason}"),
            detail=error.detail,
            payload=payload,
            event_id=event_id,
            user_id=user_id,
            received_time_us=self._stamp.received_us,
            trace_id=self._stamp.trace_id,
        )


async def accept(
    coalescer: Coalescer,
    request: Request,
    raws: Sequence[msgspec.Raw | bytes],
    read: Read = native.read_event,
) -> Tracked:
    """Reads the events and has ingest accept the readable ones; what is unreadable goes along to be kept."""
    rows, others = Rows(), ingest_pb2.AcceptEventsRequest()
    stamp = native.Stamp(request.received_us, request.trace_id, request.span_id)
    make_id = event_ids(request.received_us).__next__
    add = rows.add
    most = _most_told(request)
    unread = _Unread(others, stamp, most)
    again = SecondReading(read)
    ids: list[str | None] = []
    rejected: list[Rejected] = []
    readable: list[int] = []
    cleaned: list[tuple[int, str, str]] = []
    index = 0

    def warn(member: str, detail: str) -> None:
        cleaned.append((index, member, detail))

    for index, raw in enumerate(raws):
        try:
            try:
                event_id = read(raw, add, stamp, make_id, warn)
            except InvalidArgument as error:
                event_id = again.read(raw, error, add, stamp, make_id, warn)
            ids.append(event_id)
            readable.append(index)
        except InvalidArgument as error:
            known_id = unread.keep(raw, error) or None
            ids.append(known_id)
            rejected.append(Rejected(index, known_id, error.reason, error.detail))
    unread.close()
    sent = Sent(rows, sum(len(raws[index]) for index in readable), others)
    verdicts = await coalescer.accept(sent, (request.trace_id, request.span_id), request.address)
    accepted, duplicates = verdicts.verdicts.count(_ACCEPTED), verdicts.verdicts.count(_DUPLICATE)
    for refused in verdicts.rejections:
        index = readable[refused.event_index]
        rejected.append(Rejected(index, ids[index], reason_word(refused.reason), refused.detail))
    cleaned += [(readable[one.event_index], one.member, one.detail) for one in verdicts.warnings]
    count_events(coalescer.telemetry.metrics, accepted, duplicates, len(rejected))
    warnings = _warnings(cleaned, rejected, ids, most) if cleaned else []
    return Tracked(accepted, duplicates, _listed(rejected, most), ids, request.trace_id.hex(), warnings)


def refusal_of(tracked: Tracked) -> MeshError | None:
    """Why nothing of a request was taken; None where something was.

    Where somebody sends too much, the request may come again whole: what is wrong with the others is kept once.
    """
    if tracked.accepted or tracked.duplicates:
        return None
    for one in tracked.rejected:
        if one.reason == "RATE_LIMITED":
            return ResourceExhausted(one.reason, one.detail, _RETRY_SECONDS)
    return InvalidArgument(tracked.rejected[0].reason, tracked.rejected[0].detail)


def reason_word(reason: int) -> str:
    """The word of a reason; that of a newer service is no word of this gateway."""
    return _REASONS.get(reason) or "INTERNAL"


def _most_told(request: Request) -> int:
    """How many refused events are told one by one, and kept so up to 500: a hundred, and more where more was sent.

    A body of a few bytes, unpacked to thousands of messages, must not fill the store or the client's network.
    """
    return _TOLD_ALWAYS + request.sent_bytes // _BYTES_FOR_ONE_MORE


def _listed(rejected: list[Rejected], most: int) -> list[Rejected]:
    """Those that are told, by index; the last stands for all beyond the bound."""
    rejected.sort(key=lambda each: each.index)
    if len(rejected) <= most:
        return rejected
    rest = rejected[most:]
    # That a request may come again whole must not be lost.
    first = next((one for one in rest if one.reason == "RATE_LIMITED"), rest[0])
    detail = f"{len(rest)} events more were refused and are not listed; of one of them: {first.detail}"
    return [*rejected[:most], Rejected(rest[0].index, None, first.reason, detail)]


def _warnings(
    cleaned: list[tuple[int, str, str]], rejected: list[Rejected], ids: Sequence[str | None], most: int
) -> list[Warned]:
    refused = {each.index for each in rejected}
    taken = sorted(one for one in set(cleaned) if one[0] not in refused)
    return [Warned(index, ids[index], member, detail) for index, member, detail in taken[:most]]
