"""The body of `POST /api/events/track`: cut into events, so that a bad one never costs the others."""

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.cutting import cut
from gateway.mending import mended
from gateway.transcode import MAX_EVENT_BYTES
from mesh.errors import InvalidArgument

MAX_EVENTS: Final = 500


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


class _AnyObject(msgspec.Struct):
    events: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode: Final = msgspec.json.Decoder(_Batch).decode
_decode_any: Final = msgspec.json.Decoder(_AnyObject).decode


def split(body: bytes) -> Sequence[msgspec.Raw | bytes]:
    """The events of a body, each still to be read.

    Raises:
        InvalidArgument: the body is neither an event nor a batch; `EMPTY_BATCH`; `REQUEST_TOO_LARGE`, too many events.
    """
    events = _cut(body)
    if not events:
        raise InvalidArgument("EMPTY_BATCH", "`events` holds no event.")
    if len(events) > MAX_EVENTS:
        raise InvalidArgument("REQUEST_TOO_LARGE", f"A request may have {MAX_EVENTS} events.")
    return events


def _cut(body: bytes) -> Sequence[msgspec.Raw | bytes]:
    try:
        return _decode(body).events
    except msgspec.ValidationError:
        return _one_event(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = cut(body, b"events", MAX_EVENTS)
        is_batch = found is not None and (len(found.elements) > MAX_EVENTS or _is_batch(mended(found.around)))
        return found.elements if found is not None and is_batch else [body[:MAX_EVENT_BYTES]]


def _one_event(body: bytes) -> Sequence[bytes]:
    """JSON that is no batch: an event, if it is an object without `events`."""
    try:
        is_batch = _decode_any(body).events is not msgspec.UNSET
    except msgspec.ValidationError:
        return [body]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [body[:MAX_EVENT_BYTES]]
    if is_batch:
        raise _no_batch()
    return [body]


def _is_batch(around: bytes) -> bool:
    """Whether a body is a batch once its events were cut out.

    Raises:
        InvalidArgument: it would be one without what stands beside them.
    """
    try:
        _decode(around)
    except msgspec.ValidationError:
        raise _no_batch() from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _no_batch() -> InvalidArgument:
    return InvalidArgument("INVALID_TYPE", "A batch is an object whose only member `events` is an array.")
