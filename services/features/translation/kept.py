"""The user's last events: how they are kept, and how they are read back.

An event is kept as the bytes of its message, whatever brought it; older ones, and services of the version before, read
the same. The bytes of a table are put together column by column, without a message per event.
"""

import itertools
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from journeymesh.common.v1 import event_pb2

from records.table import COLUMNS, DETAILS, Table
from services.features.domain.pages import shortened
from services.features.domain.recents import Kept, session_starts
from services.features.domain.state import SESSION_GAP_US

WHOLE_EVENT_BYTES: Final = 1024
"""A larger event is kept among the user's last without its properties, and with short names if need be."""
ADDRESS_BYTES: Final = 2 * 1024
"""One that is still larger is kept with a short address."""

_INT64: Final = (1 << 64) - 1
_FOURTEEN: Final = (1 << 14) - 1
_VARINT, _DELIMITED = 0, 2
_DELIMITED_TYPES: Final = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE}


class _Varints(dict[int, bytes]):
    """Numbers as Protocol Buffers write them: by seven bits, the lowest first. Those of 14 bits are remembered."""

    def __missing__(self, number: int) -> bytes:
        begun, rest = b"", number
        while rest > _FOURTEEN:
            begun += bytes((rest & 127 | 128, rest >> 7 & 127 | 128))
            rest >>= 14
        told = begun + (bytes((rest & 127 | 128, rest >> 7)) if rest > 127 else bytes((rest,)))
        if number <= _FOURTEEN:
            self[number] = told
        return told


_VARINTS: Final = _Varints()
_TAGS: Final = {
    field.name: _VARINTS[field.number << 3 | (_DELIMITED if field.type in _DELIMITED_TYPES else _VARINT)]
    for field in event_pb2.Event.DESCRIPTOR.fields
}


def kept_of(of: Table) -> Iterator[bytes]:
    """Each event of a table as it is kept among the user's last.

    What moved with one is left out: a copy of it would move it again.
    """
    for row, whole in enumerate(_serialized(of)):
        yield whole if len(whole) <= WHOLE_EVENT_BYTES else _shortened(of.event(row))


def kept_events(user_id: str, kept: Sequence[Kept]) -> list[event_pb2.Event]:
    """Events as they were kept, each with the session it was found to belong to."""
    return [
        _kept_event(user_id, one, start_us)
        for one, start_us in zip(kept, session_starts(kept, SESSION_GAP_US), strict=True)
    ]


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
        for member in ("user_agent", "correlation_id"):
            event.ClearField(member)
        # As `events_of` does: a copy of it is the same to the features.
        event.page, event.target = shortened(event.page), shortened(event.target)
    if event.ByteSize() > ADDRESS_BYTES:
        event.address = shortened(event.address)
    return event.SerializeToString()


def _serialized(of: Table) -> Iterator[bytes]:
    """The bytes of each event's message, without `carried`. What stands in many rows is put into bytes once."""
    shared = b""
    columns: list[Iterable[bytes]] = []
    for name, column in of.columns.items():
        cells = {*column}
        if len(cells) == 1:
            shared += _members(name, cells)[0]
        elif 2 * len(cells) > len(column):
            columns.append(_members(name, column))
        else:
            columns.append(map(dict(zip(cells, _members(name, cells), strict=True)).__getitem__, column))
    if of.details:
        details = [b""] * len(of)
        for row, detail in of.details.items():
            content = detail.SerializeToString()
            details[row] = _TAGS[DETAILS[type(detail)]] + _VARINTS[len(content)] + content
        columns.append(details)
    return map(b"".join, zip(itertools.repeat(shared, len(of)), *columns, strict=False))


def _members(name: str, cells: Collection[Any]) -> list[bytes]:
    """A member of `Event` in bytes, as Protocol Buffers write it, for each of the cells; none where it is empty."""
    tag, empty = _TAGS[name], COLUMNS[name]
    if isinstance(empty, int):
        return [tag + _VARINTS[cell & _INT64] if cell else b"" for cell in cells]
    contents = map(str.encode, cells) if isinstance(empty, str) else cells
    return [tag + _VARINTS[len(content)] + content if content else b"" for content in contents]
