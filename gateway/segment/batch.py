"""The body of `/v1/batch` and `/v1/import`: cut into messages, so that a bad one never costs the others."""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from gateway import batch
from gateway.refusal import refusal
from gateway.segment import told
from gateway.segment.messages import Reader
from mesh.errors import InvalidArgument

# Segment bounds a batch by its bytes; so many of the smallest messages fill it.
MAX_MESSAGES: Final = 5000

_BEGINNING: Final = re.compile(rb'"batch"\s*:\s*\[')


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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        read, messages = _cut_broken(body, refusal(error, body, "$"))
    if not messages:
        raise InvalidArgument("EMPTY_BATCH", "`batch` holds no message.")
    if len(messages) > MAX_MESSAGES:
        raise InvalidArgument("REQUEST_TOO_LARGE", f"A batch may have {MAX_MESSAGES} messages.")
    try:
        place = told.place(bytes(read.context))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(error, read.context, "$.context") from None
    is_placed = bool(read.context)
    return Cut(messages, Reader(told.time_if_any(read.sent_at), place if is_placed else None))


def _cut_broken(body: bytes, why: InvalidArgument) -> tuple[Batch, Sequence[bytes]]:
    """A batch that is no JSON as a whole, as where one message holds NaN; published clients send that."""
    beginning, end = _BEGINNING.search(body), body.rfind(b"]")
    if why.reason != "MALFORMED_JSON" or beginning is None or end < beginning.end() or b"[" in body[end:]:
        raise why
    try:
        read = _decode(body[: beginning.end()] + body[end:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise why from None
    return read, batch.cut_broken(body[beginning.end() : end], MAX_MESSAGES)
