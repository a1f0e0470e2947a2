"""The body of `POST /api/events/track`: cut into events, so that a bad one never costs the others."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.transcode import MAX_EVENT_BYTES
from mesh.errors import InvalidArgument

MAX_EVENTS: Final = 500


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


class _AnyObject(msgspec.Struct):
    events: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode: Final = msgspec.json.Decoder(_Batch).decode
_decode_any: Final = msgspec.json.Decoder(_AnyObject).decode

_FRAME: Final = re.compile(rb'\s*\{\s*"events"\s*:\s*\[(.*)\]\s*\}\s*', re.DOTALL)
# Strings are skipped whole; a run of brackets of one direction is one token, so that deep nesting is soon read.
_TOKENS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]+|[\]}]+|,', re.DOTALL)


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
        frame = _FRAME.fullmatch(body)
        return cut_broken(frame[1], MAX_EVENTS) if frame else [body[:MAX_EVENT_BYTES]]


def _one_event(body: bytes) -> Sequence[bytes]:
    """JSON that is no batch: an event, if it is an object without `events`."""
    try:
        is_batch = _decode_any(body).events is not msgspec.UNSET
    except msgspec.ValidationError:
        return [body]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [body[:MAX_EVENT_BYTES]]
    if is_batch:
        raise InvalidArgument("INVALID_TYPE", "A batch is an object whose only member `events` is an array.")
    return [body]


def cut_broken(inside: bytes, most: int) -> Sequence[bytes]:
    """Cuts what stands between the brackets of a batch, at the commas between its events; ends soon after `most`.

    Such a batch is no JSON as a whole, as where one event holds NaN.
    """
    pieces, start, depth = [], 0, 0
    for match in _TOKENS.finditer(inside):
        token = match[0]
        if token[0] in b"[{":
            depth += len(token)
        elif token[0] in b"]}":
            depth -= len(token)
        elif token == b"," and depth == 0:
            pieces.append(inside[start : match.start()])
            start = match.end()
            if len(pieces) > most:
                break
    return [*pieces, inside[start:]] if pieces or inside.strip() else []
