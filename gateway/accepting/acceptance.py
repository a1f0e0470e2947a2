"""Takes events from a request to ingest, and returns a verdict for each.

How many refused events are listed and kept depends on the size of the request: see `_max_listed`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from journeymesh.common.v1 import error_reason_pb2
from journeymesh.ingest.v1 import ingest_pb2

from gateway.accepting.coalescer import Coalescer, Submission
from gateway.accepting.rows import Rows
from gateway.formats import native
from gateway.formats.ids import event_ids
from gateway.formats.native import Read
from gateway.formats.reading import MendingReader, salvage_ids
from gateway.formats.schema import enum_names
from gateway.http.asgi import Request
from gateway.http.problems import Rejected
from gateway.metrics import count_events
from mesh.errors import InvalidArgument, MeshError, PermissionDenied, ResourceExhausted, Unauthenticated
from records.tenants import qualified

_ACCEPTED: Final = ingest_pb2.VERDICT_ACCEPTED
_DUPLICATE: Final = ingest_pb2.VERDICT_DUPLICATE
_REASONS: Final = enum_names(error_reason_pb2.ErrorReason.DESCRIPTOR)
# After how many seconds a request may be repeated as a whole, although its events were refused one by one.
_RETRY_SECONDS: Final = {"RATE_LIMITED": 1.0, "BUFFER_FULL": 60.0}
_KINDS: Final[dict[str, type[MeshError]]] = {
    "NOT_PERMITTED": PermissionDenied,
    "USER_PROOF_REQUIRED": Unauthenticated,
    "USER_PROOF_INVALID": Unauthenticated,
}
_LISTED_ALWAYS: Final = 100
_BYTES_PER_LISTED: Final = 256
# Together with those kept in bulk, at most 17 for 512 KiB, that is below the 1,000 that ingest takes per request.
_MAX_KEPT_SINGLY: Final = 500


class Warned(msgspec.Struct, rename="camel"):
    """What was cleaned or left out of an accepted event; the member is empty for the event as a whole."""

    index: int
    event_id: str | None
    member: str
    detail: str


class Tracked(msgspec.Struct, rename="camel"):
    """The verdicts on a request's events, and the id of each in order, null if it had no readable one.

    If too many were rejected, the last one listed stands for the rest.
    """

    accepted: int
    duplicates: int
    rejected: list[Rejected]
    event_ids: list[str | None]
    trace_id: str
    warnings: list[Warned]


class _FailedEvents:
    """Passes the unreadable events of a request on to ingest to be kept: singly, and beyond a limit in bulk."""

    def __init__(
        self, message: ingest_pb2.AcceptEventsRequest, stamp: native.Stamp, max_listed: int, tenant: str
    ) -> None:
        self._message = message
        self._tenant = tenant
        self._stamp = stamp
        self._max_listed = max_listed
        self._max_kept = min(max_listed, _MAX_KEPT_SINGLY)
        self._count = 0
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._why: InvalidArgument | None = None

    def keep(self, raw: msgspec.Raw | bytes, error: InvalidArgument) -> str:
        """Keeps one; returns its id, empty if it has no readable one or is beyond those listed."""
        payload = bytes(raw)[: native.MAX_EVENT_BYTES]
        self._count += 1
        event_id, user_id = salvage_ids(raw) if self._count <= self._max_listed else ("", "")
        if self._count <= self._max_kept:
            self._add(error, payload, event_id, user_id)
            return event_id
        if self._rest_bytes + len(payload) > native.MAX_EVENT_BYTES:
            self.close()
        self._why = self._why or error
        self._rest.append(payload)
        self._rest_bytes += len(payload) + 1
        return event_id

    def close(self) -> None:
        """Passes on what was collected in bulk."""
        if self._why is not None:
            self._add(self._why, b",".join(self._rest))
        self._rest, self._rest_bytes, self._why = [], 0, None

    def _add(self, error: InvalidArgument, payload: bytes, event_id: str = "", user_id: str = "") -> None:
        self._message.unreadable.add(
            reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{error.reason}"),
            detail=error.detail,
            payload=payload,
            event_id=qualified(self._tenant, event_id),
            user_id=qualified(self._tenant, user_id),
            received_time_us=self._stamp.received_us,
            trace_id=self._stamp.trace_id,
        )


async def accept(
    coalescer: Coalescer,
    request: Request,
    raws: Sequence[msgspec.Raw | bytes],
    read: Read = native.read_event,
) -> Tracked:
    """Reads events and submits them to ingest; unreadable ones go along to be kept.

    The first event was paid for when the request was admitted.
    """
    request.rates.spend(request.caller.limits, len(raws) - 1)
    rows, others = Rows(request.caller.tenant), ingest_pb2.AcceptEventsRequest()
    stamp = native.Stamp(request.received_us, request.trace_id, request.span_id)
    max_listed = _max_listed(request)
    failed = _FailedEvents(others, stamp, max_listed, request.caller.tenant)
    reader = MendingReader(read)
    ids: list[str | None] = []
    rejected: list[Rejected] = []
    readable: list[int] = []
    cleaned: list[tuple[int, str, str]] = []
    index = 0

    def warn(member: str, detail: str) -> None:
        cleaned.append((index, member, detail))

    sink = native.EventSink(
        request.caller.guarded(rows.add, warn), stamp, event_ids(request.received_us).__next__, warn
    )
    for index, raw in enumerate(raws):
        try:
            ids.append(reader.read(raw, sink))
            readable.append(index)
        except InvalidArgument as error:
            known_id = failed.keep(raw, error) or None
            ids.append(known_id)
            rejected.append(Rejected(index, known_id, error.reason, error.detail))
        except (PermissionDenied, Unauthenticated) as error:  # not kept: whoever sent it may not
            ids.append(salvage_ids(raw)[0] or None)
            rejected.append(Rejected(index, ids[-1], error.reason, error.detail))
    failed.close()
    sent = Submission(rows, sum(len(raws[index]) for index in readable), others)
    verdicts = await coalescer.accept(sent, (request.trace_id, request.span_id), request.address, request.caller.tenant)
    accepted, duplicates = verdicts.verdicts.count(_ACCEPTED), verdicts.verdicts.count(_DUPLICATE)
    for refused in verdicts.rejections:
        index = readable[refused.event_index]
        rejected.append(Rejected(index, ids[index], reason_name(refused.reason), refused.detail))
    cleaned += [(readable[one.event_index], one.member, one.detail) for one in verdicts.warnings]
    count_events(coalescer.telemetry.metrics, accepted, duplicates, len(rejected))
    warnings = _warnings(cleaned, rejected, ids, max_listed) if cleaned else []
    return Tracked(accepted, duplicates, _listed(rejected, max_listed), ids, request.trace_id.hex(), warnings)


def refusal_of(tracked: Tracked) -> MeshError | None:
    """The error if no event of a request was accepted; None if any was.

    A limit takes precedence: the request may be repeated as a whole, as failed events are kept only once.
    """
    if tracked.accepted or tracked.duplicates:
        return None
    for one in tracked.rejected:
        if one.reason in _RETRY_SECONDS:
            return ResourceExhausted(one.reason, one.detail, _RETRY_SECONDS[one.reason])
    first = tracked.rejected[0]
    return _KINDS.get(first.reason, InvalidArgument)(first.reason, first.detail)


def reason_name(reason: int) -> str:
    """The name of a reason; a newer service may give one that this gateway does not know."""
    return _REASONS.get(reason) or "INTERNAL"


def _max_listed(request: Request) -> int:
    """How many refused events are listed, and up to 500 kept singly: a hundred, and more for larger requests.

    A few bytes that decompress to thousands of events must fill neither the store nor the client's network.
    """
    return _LISTED_ALWAYS + request.sent_bytes // _BYTES_PER_LISTED


def _listed(rejected: list[Rejected], most: int) -> list[Rejected]:
    """The rejections to list, by index; the last stands for all beyond the limit."""
    rejected.sort(key=lambda each: each.index)
    if len(rejected) <= most:
        return rejected
    rest = rejected[most:]
    # A limit must not get lost: it says that the request may be repeated.
    first = next((one for one in rest if one.reason in _RETRY_SECONDS), rest[0])
    detail = f"{len(rest)} events more were refused and are not listed; of one of them: {first.detail}"
    return [*rejected[:most], Rejected(rest[0].index, None, first.reason, detail)]


def _warnings(
    cleaned: list[tuple[int, str, str]], rejected: list[Rejected], ids: Sequence[str | None], most: int
) -> list[Warned]:
    refused = {each.index for each in rejected}
    taken = sorted(one for one in set(cleaned) if one[0] not in refused)
    return [Warned(index, ids[index], member, detail) for index, member, detail in taken[:most]]
