"""How events get from a request to ingest, and what is said of each."""

from collections.abc import Sequence
from typing import Final

import msgspec
from journeymesh.common.v1 import error_reason_pb2
from journeymesh.ingest.v1 import ingest_pb2

from gateway import transcode
from gateway.core import Core
from gateway.ids import event_ids
from gateway.metrics import count_events
from gateway.problems import Rejected
from gateway.salvage import salvage_ids
from gateway.schema import words
from gateway.transcode import Read
from gateway.web import Request
from mesh.errors import InvalidArgument, MeshError, ResourceExhausted

_ACCEPTED: Final = ingest_pb2.VERDICT_ACCEPTED
_DUPLICATE: Final = ingest_pb2.VERDICT_DUPLICATE
_REASONS: Final = words(error_reason_pb2.ErrorReason.DESCRIPTOR)
_RETRY_SECONDS: Final = 1.0


class Tracked(msgspec.Struct, rename="camel"):
    """What became of a request's events; one id an event, in order, null where none was readable."""

    accepted: int
    duplicates: int
    rejected: list[Rejected]
    event_ids: list[str | None]
    trace_id: str


async def accept(
    core: Core, request: Request, raws: Sequence[msgspec.Raw | bytes], read: Read = transcode.read_event
) -> Tracked:
    """Reads the events and has ingest accept the readable ones; what is unreadable goes along to be kept."""
    message = ingest_pb2.AcceptEventsRequest()
    stamp = transcode.Stamp(request.received_us, request.trace_id, request.span_id)
    make_id = event_ids(request.received_us).__next__
    add = message.events.add
    ids: list[str | None] = []
    rejected: list[Rejected] = []
    readable: list[int] = []
    for index, raw in enumerate(raws):
        try:
            ids.append(read(raw, add, stamp, make_id))
            readable.append(index)
        except InvalidArgument as error:
            event_id = _add_unreadable(message, raw, error, stamp)
            ids.append(event_id or None)
            rejected.append(Rejected(index, event_id or None, error.reason, error.detail))
    verdicts = await core.coalescer.accept(message, (request.trace_id, request.span_id))
    accepted, duplicates = verdicts.verdicts.count(_ACCEPTED), verdicts.verdicts.count(_DUPLICATE)
    for refused in verdicts.rejections:
        index = readable[refused.event_index]
        rejected.append(Rejected(index, ids[index], reason_word(refused.reason), refused.detail))
    rejected.sort(key=lambda each: each.index)
    count_events(core.telemetry.metrics, accepted, duplicates, len(rejected))
    return Tracked(accepted, duplicates, rejected, ids, request.trace_id.hex())


def refusal_of(tracked: Tracked) -> MeshError | None:
    """Why nothing of a request was taken; None where something was.

    Where somebody sends too much, the request may come again whole: what is wrong with the others is kept once.
    """
    if len(tracked.rejected) < len(tracked.event_ids):
        return None
    for one in tracked.rejected:
        if one.reason == "RATE_LIMITED":
            return ResourceExhausted(one.reason, one.detail, _RETRY_SECONDS)
    return InvalidArgument(tracked.rejected[0].reason, tracked.rejected[0].detail)


def reason_word(reason: int) -> str:
    """The word of a reason; that of a newer service is no word of this gateway."""
    return _REASONS.get(reason) or "INTERNAL"


def _add_unreadable(
    message: ingest_pb2.AcceptEventsRequest,
    raw: msgspec.Raw | bytes,
    error: InvalidArgument,
    stamp: transcode.Stamp,
) -> str:
    event_id, user_id = salvage_ids(raw)
    message.unreadable.add(
        reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{error.reason}"),
        detail=error.detail,
        payload=bytes(raw)[: transcode.MAX_EVENT_BYTES],
        event_id=event_id,
        user_id=user_id,
        received_time_us=stamp.received_us,
        trace_id=stamp.trace_id,
    )
    return event_id
