"""Rows to journeys, out of core: rows are spilled to files by user, and one file at a time is sorted in memory."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from offline.declared import mapping as mappings
from offline.declared.mapping import KINDS, SKIP, Kinds, Mapping, MappingError
from offline.declared.reading import Profile, Row
from services.features.domain.event import Event

_PART_COUNT: Final = 64
_NO_TIME_US: Final = 946_684_800_000_000
_TRUE: Final = frozenset({"true", "1", "yes"})


class Journey(NamedTuple):
    """A user's events in time order, and for each the names of the outcomes that its row reports."""

    user_id: str
    events: list[Event]
    outcomes: list[tuple[str, ...]]


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """A row as it is spilled. `index` is its place in the data, which orders rows of the same time."""

    user: str
    at_us: int
    index: int
    kind: int
    page: str
    target: str
    properties: dict[str, str]
    outcomes: tuple[str, ...]


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
                key=lambda row: (row.user, row.at_us, row.index),
            )
            for user, its in groupby(rows, key=lambda row: row.user):
                taken = list(its)
                yield Journey(user, [_event(row) for row in taken], [row.outcomes for row in taken])


def spill(rows: Iterable[Row], mapping: Mapping, folder: Path, profile: Profile) -> Spilled:
    """Reads all rows, counts their values in `profile`, and spills them by user.

    Raises:
        MappingError: a column is missing, or a value of the kind is not in the mapping.
    """
    read = _Reader(mapping)
    encode, left_out = msgspec.msgpack.Encoder().encode, Counter[str]()
    first_us, last_us, count = 1 << 62, 0, 0
    with ExitStack() as opened:
        parts = [opened.enter_context((folder / str(number)).open("wb")) for number in range(_PART_COUNT)]
        for index, row in enumerate(rows):
            profile.note(row)
            taken = read.row(index, row)
            if isinstance(taken, str):
                left_out[taken] += 1
                continue
            count += 1
            first_us, last_us = min(first_us, taken.at_us), max(last_us, taken.at_us)
            frame = encode(taken)
            part = parts[crc32(taken.user.encode()) % _PART_COUNT]
            part.write(len(frame).to_bytes(4, "little"))
            part.write(frame)
    read.require_known_kinds()
    if not count:
        message = f"No row of the data can be used: {said(left_out) or 'it is empty'}."
        raise MappingError(message)
    return Spilled(folder, first_us, last_us, count, left_out)


def said(left_out: Counter[str]) -> str:
    """Rows that were left out, as words."""
    return ", ".join(f"{count:,} rows {reason}" for reason, count in sorted(left_out.items()))


class _Reader:
    """Takes rows by a mapping."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._clock = mappings.clock(mapping.when) if mapping.when else None
        self._columns = mapping.columns
        self._outcomes = [
            (name, outcome.column, {value.strip().casefold() for value in outcome.is_})
            for name, outcome in mapping.outcomes.items()
        ]
        self._unknown_kinds = Counter[str]()
        self._is_first = True

    def row(self, index: int, row: Row) -> Taken | str:
        """A row as it is spilled, or the reason why it is left out."""
        if self._is_first:
            self._require_columns(row)
            self._is_first = False
        mapping = self._mapping
        user = row.get(mapping.user, "") if mapping.user else f"row-{index}"
        if not user:
            return "without a user"
        at_us = _NO_TIME_US
        if self._clock is not None and mapping.when is not None:
            try:
                at_us = self._clock.us(row.get(mapping.when.column, ""))
            except (ValueError, OverflowError):
                return "with a time of another form"
        kind = self._kind(row)
        if kind is None:
            return "of a kind that is skipped"
        properties = {name: value for name, column in mapping.properties.items() if (value := row.get(column, ""))}
        outcomes = tuple(
            name for name, column, true in self._outcomes if row.get(column, "").strip().casefold() in true
        )
        page, target = row.get(mapping.page, ""), row.get(mapping.target, "")
        return Taken(user, at_us, index, kind, page, target, properties, outcomes)

    def require_known_kinds(self) -> None:
        """Refuses values of the kind that are neither named nor covered by `others`."""
        if self._unknown_kinds:
            shown = ", ".join(f"{value!r} ({count:,} rows)" for value, count in self._unknown_kinds.most_common(8))
            message = f"The mapping does not name these values of the kind: {shown}; `others: skip` skips them."
            raise MappingError(message)

    def _kind(self, row: Row) -> int | None:
        of = self._mapping.kind
        if not isinstance(of, Kinds):
            return KINDS[of]
        value = row.get(of.column, "")
        name = of.values.get(value, "") or (value if not of.values and value in KINDS else of.others)
        if not name:
            self._unknown_kinds[value] += 1
        return None if name in {"", SKIP} else KINDS[name]

    def _require_columns(self, row: Row) -> None:
        """Looks at the first row only: JSON may leave out what is empty."""
        for column, member in self._columns.items():
            if column not in row:
                message = f"The mapping's {member} is the column {column!r}; the data has {', '.join(row)}."
                raise MappingError(message)


def _event(row: Taken) -> Event:
    said = row.properties
    return Event(
        f"row-{row.index}",
        row.kind,
        row.at_us,
        row.page,
        row.target,
        attempt_count=int(_number(said.get("attempt_count", ""))),
        error_code=said.get("error_code", ""),
        is_refresh=said.get("is_refresh", "").casefold() in _TRUE,
        amount=_number(said.get("amount", "")),
        currency=said.get("currency", ""),
        is_refund=said.get("is_refund", "").casefold() in _TRUE,
    )


def _number(text: str) -> float:
    try:
        value = float(text or 0.0)
    except ValueError:
        return 0.0
    return value if abs(value) < 1e12 else 0.0


def _frames(path: Path) -> Iterator[bytes]:
    content, place = path.read_bytes(), 0
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "little")
        yield content[place + 4 : place + 4 + size]
        place += 4 + size
