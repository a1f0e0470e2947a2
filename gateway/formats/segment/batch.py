"""The body of `/v1/batch` and `/v1/import`: cut into messages, so that a bad one costs no other."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from gateway.formats.json.cutting import cut
from gateway.formats.json.mending import mended
from gateway.formats.json.refusal import DECODE_ERRORS, refusal
from gateway.formats.segment import values
from gateway.formats.segment.context import read as read_context
from gateway.formats.segment.reader import Reader
from mesh.errors import InvalidArgument

# Segment limits a batch in bytes; this many of the smallest messages fill it.
MAX_MESSAGES: Final = 5000


class _Batch(msgspec.Struct, rename="camel"):
    """The members of a batch that are read."""

    batch: list[msgspec.Raw]
    sent_at: Any = None
    context: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class Cut(NamedTuple):
    """The messages of a body, yet to be read, and their reader."""

    messages: Sequence[msgspec.Raw | bytes]
    reader: Reader


_decode: Final = msgspec.json.Decoder(_Batch).decode


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
    try:
        context = None if values.is_empty(bytes(read.context)) else read_context(bytes(read.context))
    except DECODE_ERRORS:
        context = None  # what accompanies the messages costs none of them
    return Cut(messages, Reader(values.time_if_any(read.sent_at), context))


def _cut_broken(body: bytes, why: InvalidArgument) -> tuple[_Batch, Sequence[bytes]]:
    """A batch that as a whole is not JSON, for instance because of a NaN, which published clients do send."""
    found = cut(body, b"batch", MAX_MESSAGES) if why.reason == "MALFORMED_JSON" else None
    if found is None:
        raise why
    if len(found.elements) > MAX_MESSAGES:
        return _Batch([]), found.elements
    try:
        return _decode(mended(found.around)), found.elements
    except DECODE_ERRORS:
        raise why from None
