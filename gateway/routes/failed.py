"""Routes of failed events: reading, replaying and discarding them."""

import contextlib
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.ingest.v1 import ingest_pb2

from gateway.accepting.acceptance import Tracked, Warned, reason_name
from gateway.accepting.rows import Rows
from gateway.access.tenancy import own_page, require_own
from gateway.core import Core
from gateway.formats import native, reading
from gateway.formats.ids import event_ids
from gateway.formats.json.refusal import DECODE_ERRORS, refusal
from gateway.formats.reading import MendingReader, salvage_ids
from gateway.formats.rendering import render
from gateway.http import problems
from gateway.http.asgi import Answer, Request, json
from gateway.http.parameters import LIST_CURSOR, list_cursor, number
from gateway.http.problems import Rejected
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from records.tenants import plain

MAX_REPLAYED: Final = 100
_MOST_WARNINGS: Final = 100
_LISTED_PAYLOAD_BYTES: Final = 1024

REASONS: Final = {
    name.removeprefix("ERROR_REASON_"): value for name, value in error_reason_pb2.ErrorReason.items() if value
}

_LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": MAX_REPLAYED}


class ReplayOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Which failed events to replay: the newest, or those after `cursor`."""

    reason: Annotated[str | None, msgspec.Meta(extra_json_schema={"enum": [*REASONS, None]})] = None
    # In JSON 4.0 is an integer too, which msgspec's int refuses.
    limit: Annotated[Any, msgspec.Meta(extra_json_schema=_LIMIT)] = MAX_REPLAYED
    cursor: Annotated[str, msgspec.Meta(extra_json_schema={"pattern": LIST_CURSOR})] = ""


class FailedAgain(msgspec.Struct):
    """A failed event that was refused again, and is kept."""

    id: str
    reason: str
    detail: str


class Replayed(msgspec.Struct, rename="camel"):
    """What became of replayed events; those refused again are kept, and `nextCursor` skips them."""

    accepted: int
    duplicates: int
    rejected: list[FailedAgain]
    next_cursor: str | None
    trace_id: str


class _Replayed(msgspec.Struct):
    verdict: ingest_pb2.Verdict.ValueType
    event_id: str | None
    reason: str = ""
    detail: str = ""
    warnings: list[tuple[str, str]] = []


_decode_order: Final = msgspec.json.Decoder(ReplayOrder).decode


async def list_failed(core: Core, request: Request) -> Answer:
    """Lists failed events, newest first, each with the beginning of what was sent."""
    limit = number(request.query.get("limit"), "limit", 20, 100)
    reason = _reason(request.query.get("reason"), "INVALID_PARAMETER")

    async def read(count: int, cursor: str) -> tuple[Sequence[Any], str]:
        asked = ingest_pb2.ListFailedEventsRequest(
            page_size=count, page_token=cursor, reason=reason, payload_bytes=_LISTED_PAYLOAD_BYTES
        )
        response = await core.peers.ingest.ListFailedEvents(asked)
        return response.failed_events, response.next_page_token

    cursor = list_cursor(request.query.get("cursor", ""), "cursor")
    failed, following = await own_page(read, lambda event: request.caller.owns(_owner(event)), limit, cursor)
    return json({"failedEvents": list(map(render, failed)), "nextCursor": following or None})


async def failed_event(core: Core, request: Request) -> Answer:
    """One failed event."""
    return json(render(await _own(core, request)))


async def discard(core: Core, request: Request) -> Answer:
    """Discards a failed event."""
    with contextlib.suppress(NotFound):
        found = await _own(core, request)
        await core.peers.ingest.ResolveFailedEvent(ingest_pb2.ResolveFailedEventRequest(id=found.id))
    return Answer(204, b"", "")


async def replay(core: Core, request: Request) -> Answer:
    """Replays a failed event, as it was or as corrected in the body; it is resolved once accepted."""
    mended = await request.body()
    if mended:
        request.require_json()
    sent = await _replay(core, request, await _own(core, request), mended)
    if sent.verdict == ingest_pb2.VERDICT_REJECTED:
        error = FailedPrecondition("STILL_INVALID", "The event was refused again.")
        rejected = [Rejected(0, sent.event_id, sent.reason, sent.detail)]
        return problems.answer(error, request.trace_id, rejected=rejected)
    accepted = int(sent.verdict == ingest_pb2.VERDICT_ACCEPTED)
    warnings = [Warned(0, sent.event_id, member, detail) for member, detail in sent.warnings[:_MOST_WARNINGS]]
    return json(Tracked(accepted, 1 - accepted, [], [sent.event_id], request.trace_id.hex(), warnings), 202)


async def replay_many(core: Core, request: Request) -> Answer:
    """Replays a page of failed events as they were, oldest first; each is resolved once accepted."""
    order = _order(await request.json_body())
    page_token = list_cursor(order.cursor, "cursor")
    page = await core.peers.ingest.ListFailedEvents(
        ingest_pb2.ListFailedEventsRequest(
            page_size=int(order.limit), page_token=page_token, reason=_reason(order.reason, "VALUE_OUT_OF_RANGE")
        )
    )
    counts = dict.fromkeys(ingest_pb2.Verdict.values(), 0)
    rejected = []
    for failed in reversed([each for each in page.failed_events if request.caller.owns(_owner(each))]):
        try:
            sent = await _replay(core, request, failed)
        except NotFound:  # replayed by someone else meanwhile
            continue
        counts[sent.verdict] += 1
        if sent.verdict == ingest_pb2.VERDICT_REJECTED:
            rejected.append(FailedAgain(failed.id, sent.reason, sent.detail))
    accepted, duplicates = counts[ingest_pb2.VERDICT_ACCEPTED], counts[ingest_pb2.VERDICT_DUPLICATE]
    following = page.next_page_token or None
    return json(Replayed(accepted, duplicates, rejected, following, request.trace_id.hex()), 202)


async def _own(core: Core, request: Request) -> ingest_pb2.FailedEvent:
    """The failed event that a request names.

    Raises:
        NotFound: `FAILED_EVENT_NOT_FOUND`, there is none, or it is another tenant's.
    """
    asked = ingest_pb2.GetFailedEventRequest(id=request.parameters["id"])
    found = (await core.peers.ingest.GetFailedEvent(asked)).failed_event
    require_own(request.caller, _owner(found), "failed event")
    return found


def _owner(failed: ingest_pb2.FailedEvent) -> str:
    """An id that says whose a failed event is; at least one does, even if a client gave none."""
    return failed.event_id or failed.user_id


async def _replay(core: Core, request: Request, failed: ingest_pb2.FailedEvent, mended: bytes = b"") -> _Replayed:
    """Replays one failed event: as ingest keeps it if it is whole, else as read from its payload or its correction."""
    written = failed.payload.encode()
    event, warnings = None, list[tuple[str, str]]()
    if not failed.is_kept_whole or mended not in {b"", written}:
        try:
            event = _read(request, failed, mended or written, warnings)
        except InvalidArgument as error:
            known = salvage_ids(mended or written)[0] or None
            return _Replayed(ingest_pb2.VERDICT_REJECTED, known, error.reason, error.detail)
    response = await core.peers.ingest.ReplayFailedEvent(ingest_pb2.ReplayFailedEventRequest(id=failed.id, event=event))
    refused, event_id = response.rejection, plain((event or failed).event_id)
    warnings += [(one.member, one.detail) for one in response.warnings]
    return _Replayed(response.verdict, event_id, reason_name(refused.reason), refused.detail, warnings)


def _read(
    request: Request, failed: ingest_pb2.FailedEvent, raw: bytes, warnings: list[tuple[str, str]]
) -> event_pb2.Event:
    """Reads an event in whichever format it was sent.

    Raises:
        InvalidArgument: it is still invalid.
    """
    rows = Rows(request.caller.tenant)
    stamp = native.Stamp(request.received_us, request.trace_id, request.span_id)
    make_id = event_ids(request.received_us).__next__
    sink = native.EventSink(rows.add, stamp, make_id, lambda *warning: warnings.append(warning))
    MendingReader(reading.reader_of(raw)).read(raw, sink)
    event = rows.table().event(0)
    if event.event_time_us == stamp.received_us and failed.HasField("failed_time"):
        event.event_time_us = (
            failed.failed_time.ToMicroseconds()
        )  # an event without a time happened when it was received
    return event


def _order(body: bytes) -> ReplayOrder:
    try:
        order = _decode_order(body)
    except DECODE_ERRORS as error:
        raise refusal(error, body, "$") from None
    limit = order.limit
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or limit % 1:
        raise InvalidArgument("INVALID_TYPE", "`limit` must be a whole number.")
    if not 1 <= limit <= MAX_REPLAYED:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`limit` must be from 1 to {MAX_REPLAYED}.")
    return order


def _reason(word: str | None, refused_as: str) -> error_reason_pb2.ErrorReason.ValueType:
    if not word:
        return error_reason_pb2.ERROR_REASON_UNSPECIFIED
    if word not in REASONS:
        raise InvalidArgument(refused_as, "`reason` must be a reason of an error, as in problems.")
    return REASONS[word]
