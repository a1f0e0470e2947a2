"""The formats an event may come in: ours, Segment's, CloudEvents. A failed event is read as what it looks like."""

from typing import Final

import msgspec

from gateway import cloudevents, transcode
from gateway.mending import mended
from gateway.segment import message, messages
from gateway.transcode import Read


class _Shape(msgspec.Struct, rename="camel"):
    event_type: object = None
    specversion: object = None
    type: object = None


_decode: Final = msgspec.json.Decoder(_Shape).decode


def reader_of(raw: bytes | msgspec.Raw) -> Read:
    """What reads an event that was kept; what looks like nothing is read as one of ours."""
    try:
        shape = _decode(mended(bytes(raw)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return transcode.read_event
    if shape.specversion is not None:
        return cloudevents.read
    if shape.event_type is None and shape.type in message.TYPES:
        return messages.Reader().read
    return transcode.read_event
