"""Writes a user's last events for the store, and reads them back.

An event is kept as the bytes of its message; events of older versions are read the same way, and the previous version
reads these. The bytes are built from a table column by column, without a message per event.
"""

import functools
import itertools
import operator
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from journeymesh.common.v1 import event_pb2

from records.table import BLOBS, COLUMNS, DETAILS, WORDS, Table
from services.features.domain.pages import shortened
from services.features.domain.recents import Kept, session_starts
from services.features.domain.state import SESSION_GAP_US

WHOLE_EVENT_BYTES: Final = 1024
"""A larger event is kept without its properties and, if necessary, with shortened names."""
ADDRESS_BYTES: Final = 2 * 1024
"""An event that is still larger is kept with a shortened address."""

_REPEATED: Final = frozenset({*WORDS, *BLOBS})
_REMEMBERED: Final = WHOLE_EVENT_BYTES
_INT64: Final = (1 << 64) - 1
_FOURTEEN_BITS: Final = (1 << 14) - 1
# Two groups of seven bits, with more behind them. Times have eight such groups.
_PAIRS: Final = [bytes((pair & 127 | 128, pair >> 7 | 128)) for pair in range(_FOURTEEN_BITS + 1)]
_VARINT, _DELIMITED = 0, 2
_DELIMITED_TYPES: Final = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE}


def kept_of(of: Table) -> list[bytes]:
    """The bytes to keep of each event of a table, without `carried`.

    A copy of it would move purchases again.
    """
    kept = [*_serialized(of)]
    for row, whole in enumerate(kept):
        if len(whole) > WHOLE_EVENT_BYTES:
            kept[row] = _shortened(of.event(row))
    return kept


def kept_events(user_id: str, kept: Sequence[Kept]) -> list[event_pb2.Event]:
    """Kept events as messages, each with the start of its session."""
    return [
        _kept_event(user_id, one, start_us)
        for one, start_us in zip(kept, session_starts(kept, SESSION_GAP_US), strict=True)
    ]


def exported(whole: bytes) -> dict[str, Any]:
    """A kept event as an export says it: the members of `journeymesh.common.v1.Event`, properties as their text."""
    event = event_pb2.Event.FromString(whole)
    said = MessageToDict(event)
    if event.properties:
        said["properties"] = event.properties.decode(errors="replace")
    return said


def _kept_event(user_id: str, kept: Kept, session_start_us: int) -> event_pb2.Event:
    event = event_pb2.Event.FromString(kept.whole)
    event.session_start_us = session_start_us
    if not event.session_id and session_start_us:
        event.session_id = f"s-{zlib.crc32(user_id.encode()):08x}-{session_start_us // 1000}"
    return event


def _shortened(event: event_pb2.Event) -> bytes:
    event.ClearField("carried")
    event.ClearField("properties")
    if event.ByteSize() > WHOLE_EVENT_BYTES:
        _shorten_products(event)
    if event.ByteSize() > WHOLE_EVENT_BYTES:
        for member in ("user_agent", "correlation_id"):
            event.ClearField(member)
        # As `events_of` does: a copy of it is the same to the features.
        event.page, event.target = shortened(event.page), shortened(event.target)
    if event.ByteSize() > ADDRESS_BYTES:
        event.address = shortened(event.address)
    return event.SerializeToString()


def _shorten_products(event: event_pb2.Event) -> None:
    """Leaves of an order its products, quantities and prices, else the order; of a segment its names."""
    for line in event.purchase.lines if event.HasField("purchase") else ():
        line.ClearField("name")
        line.ClearField("category")
    if event.ByteSize() > WHOLE_EVENT_BYTES and event.HasField("purchase"):
        event.purchase.ClearField("lines")
    if event.HasField("segment_change"):
        event.segment_change.ClearField("products")


def _serialized(of: Table) -> Iterator[bytes]:
    """The bytes of each event's message, without `carried`. What stands in many rows is put into bytes once."""
    shared = b""
    columns: list[Iterable[bytes]] = []
    for name, column in of.columns.items():
        if column.count(column[0]) == len(column):
            shared += next(_members(name, column[:1]))
        elif name in _REPEATED:
            cells = [*{*column}]
            columns.append(map(dict(zip(cells, _members(name, cells), strict=True)).__getitem__, column))
        else:
            columns.append(_members(name, column))
    if of.details:
        details = [b""] * len(of)
        for row, detail in of.details.items():
            content = detail.SerializeToString()
            details[row] = _HEADS[DETAILS[type(detail)]][len(content)] + content
        columns.append(details)
    return map(b"".join, zip(itertools.repeat(shared, len(of)), *columns, strict=False))


def _members(name: str, cells: Sequence[Any]) -> Iterator[bytes]:
    """A member of `Event` in bytes, as Protocol Buffers write it, for each of the cells; none where it is empty."""
    head, empty = _HEADS[name].__getitem__, COLUMNS[name]
    if isinstance(empty, int):
        return map(head, cells)
    contents: Sequence[bytes] = [*map(str.encode, cells)] if isinstance(empty, str) else cells
    return map(operator.add, map(head, map(len, contents)), contents)


class _Heads(dict[int, bytes]):
    """The head of a member in a message, by its number or length. Small ones are remembered, and 0 is not written."""

    def __init__(self, field: FieldDescriptor) -> None:
        super().__init__()
        wire_type = _DELIMITED if field.type in _DELIMITED_TYPES else _VARINT
        self._tag = _varint(field.number << 3 | wire_type)
        if field.name in COLUMNS:
            self[0] = b""

    def __missing__(self, number: int) -> bytes:
        number &= _INT64
        if number > _FOURTEEN_BITS:
            return self._tag + _PAIRS[number & _FOURTEEN_BITS] + _varint(number >> 14)
        head = self._tag + _varint(number)
        if number <= _REMEMBERED:
            self[number] = head
        return head


@functools.lru_cache(maxsize=1024)  # 16 ms of times have all but their lowest bits in common
def _varint(number: int) -> bytes:
    """A number as Protocol Buffers write it: by seven bits, the lowest first."""
    if number > _FOURTEEN_BITS:
        return _PAIRS[number & _FOURTEEN_BITS] + _varint(number >> 14)
    return bytes((number & 127 | 128, number >> 7)) if number > 127 else bytes((number,))


_HEADS: Final = {field.name: _Heads(field) for field in event_pb2.Event.DESCRIPTOR.fields}
