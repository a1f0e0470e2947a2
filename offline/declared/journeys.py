"""Rows to journeys, out of core: rows are spilled to files by user, and one file at a time is sorted in memory."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from offline.declared.reading import DataError
from services.features.domain.event import Event

_PART_COUNT: Final = 64


class Journey(NamedTuple):
    """A user's events in time order, and for each the names of the outcomes that its row reports.

    `copied` has the indexes of the events that were copied from a linked journey.
    """

    user_id: str
    events: list[Event]
    outcomes: list[tuple[str, ...]]
    copied: Collection[int] = ()


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """A row as it is spilled. `index` is its place in the data, which orders rows of the same time."""

    user: str
    index: int
    event: Event
    outcomes: tuple[str, ...] = ()
    is_copied: bool = False
    """Whether the event was copied from a linked journey."""


class Spilled(NamedTuple):
    """Rows in files of a folder; `left_out` counts those that are not, by the reason."""

    folder: Path
    first_us: int
    last_us: int
    taken: int
    left_out: Counter[str]

    def journeys(self) -> Iterator[Journey]:
        """The journeys, always in the same order."""
        decode = msgspec.msgpack.Decoder(Taken).decode
        for number in range(_PART_COUNT):
            rows = sorted(
                (decode(each) for each in _frames(self.folder / str(number))),
                key=lambda row: (row.user, row.event.at_us, row.index),
            )
            for user, its in groupby(rows, key=lambda row: row.user):
                taken = list(its)
                copied = {place for place, row in enumerate(taken) if row.is_copied}
                yield Journey(user, [row.event for row in taken], [row.outcomes for row in taken], copied)


def spill(rows: Iterable[Taken | str], folder: Path) -> Spilled:
    """Spills rows by user; a text stands for a row that is left out, and says why.

    Raises:
        DataError: there is no row, or all are left out.
    """
    encode, left_out = msgspec.msgpack.Encoder().encode, Counter[str]()
    first_us, last_us, count = 1 << 62, 0, 0
    with ExitStack() as opened:
        parts = [opened.enter_context((folder / str(number)).open("wb")) for number in range(_PART_COUNT)]
        for row in rows:
            if isinstance(row, str):
                left_out[row] += 1
                continue
            count += 1
            first_us, last_us = min(first_us, row.event.at_us), max(last_us, row.event.at_us)
            frame = encode(row)
            part = parts[crc32(row.user.encode()) % _PART_COUNT]
            part.write(len(frame).to_bytes(4, "little"))
            part.write(frame)
    if not count:
        message = f"No row of the data can be used: {said(left_out) or 'it is empty'}."
        raise DataError(message)
    return Spilled(folder, first_us, last_us, count, left_out)


def said(left_out: Counter[str]) -> str:
    """Rows that were left out, as words."""
    return ", ".join(f"{count:,} rows {reason}" for reason, count in sorted(left_out.items()))


def _frames(path: Path) -> Iterator[bytes]:
    content, place = path.read_bytes(), 0
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "little")
        yield content[place + 4 : place + 4 + size]
        place += 4 + size
