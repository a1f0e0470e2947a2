"""The body of `/v1/batch` and `/v1/import`: cut into messages, so that a bad one never costs the others."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from gateway.formats.json.cutting import cut
from gateway.formats.json.mending import mended
from gateway.formats.json.refusal import DECODE_ERRORS, refusal
from gateway.formats.segment import told
from gateway.formats.segment.messages import Reader
from mesh.errors import InvalidArgument

# Segment bounds a batch by its bytes; so many of the smallest messages fill it.
MAX_MESSAGES: Final = 5000


class Batch(msgspec.Struct, rename="camel"):
    """The members of a batch that are read; `writeKey` and `integrations` are not."""

    batch: list[msgspec.Raw]
    sent_at: Any = None
    context: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class Cut(NamedTuple):
    """The messages of a body, each still to be read, and what reads them."""

    messages: Sequence[msgspec.Raw | bytes]
    reader: Reader


_decode: Final = msgspec.json.Decoder(Batch).decode


def split(body: bytes) -> Cut:
    """The messages of a body.

    Raises:
        InvalidArgument: the body is no batch; `EMPTY_BATCH`; `REQUEST_TOO_LARGE`, too many messages.
    """
    try:
        read = _decode(body)
        messages: Sequence[msgspec.Raw | bytes] = read.batch
    except DECODE_ERRORS as error:
        read, messages = _cut_broken(body, refusal(error, body, "$"))
    if not messages:
        raise InvalidArgument("EMPTY_BATCH", "`batch` holds no message.")
    if len(messages) > MAX_MESSAGES:
        raise InvalidArgument("REQUEST_TOO_LARGE", f"A batch may have {MAX_MESSAGES} messages.")
    context = bytes(read.context)
    try:
        place = None if told.is_empty(context) else told.place(context)
    except DECODE_ERRORS:
        place = None  # what is beside the messages costs none of them
    return Cut(messages, Reader(told.time_if_any(read.sent_at), place))


def _cut_broken(body: bytes, why: InvalidArgument) -> tuple[Batch, Sequence[bytes]]:
    """A batch that is no JSON as a whole, as where one message holds NaN; published clients send that."""
    found = cut(body, b"batch", MAX_MESSAGES) if why.reason == "MALFORMED_JSON" else None
    if found is None:
        raise why
    if len(found.elements) > MAX_MESSAGES:
        return Batch([]), found.elements
    try:
        return _decode(mended(found.around)), found.elements
    except DECODE_ERRORS:
        raise why from None
