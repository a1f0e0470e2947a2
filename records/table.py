"""Events column by column: how many of them travel, lie on the stream and are worked on (docs/adr/043).

A column is a list with a cell per row, named as the member of `Event` it holds. Most members of the events of a request
are the same for all of them, or few different ones: on the wire a word is told once, times are told as distances, and
what few events have by the rows that have it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import Message
from journeymesh.common.v1 import event_pb2, event_table_pb2

Detail = event_pb2.Click | event_pb2.Playback | event_pb2.InterventionOutcome | event_pb2.Purchase

_WORDS: Final = (
    "user_id",
    "page",
    "target",
    "session_id",
    "anonymous_id",
    "error_code",
    "device_id",
    "time_zone",
    "correlation_id",
    "user_agent",
    "address",
    "bot_evidence",
    "linked_user_id",
    "copied_event_id",
)
_BLOBS: Final = ("trace_id", "span_id")
_TIMES: Final = ("event_time_us", "received_time_us", "sent_time_us", "client_time_us", "session_start_us")
_LISTS: Final = ("event_id", "event_type", "properties", "platform", "device_class", "attempt_count")
_FLAGS: Final = ("is_refresh", "is_automated", "is_system", "is_bot", "is_own")
_DETAILS: Final[Mapping[type[Message], str]] = {
    event_pb2.Click: "click",
    event_pb2.Playback: "playback",
    event_pb2.InterventionOutcome: "outcome",
    event_pb2.Purchase: "purchase",
}
COLUMNS: Final[Mapping[str, object]] = {
    "event_id": "",
    "event_type": 0,
    "properties": b"",
    "platform": 0,
    "device_class": 0,
    "attempt_count": 0,
    **dict.fromkeys(_WORDS, ""),
    **dict.fromkeys(_BLOBS, b""),
    **dict.fromkeys(_TIMES, 0),
    **dict.fromkeys(_FLAGS, False),
}
"""The columns there may be, and the cell of an event that does not tell it."""


class UnreadableTableError(ValueError):
    """A message that is no table: columns of different lengths, or a cell of a word that is not there."""


class Table:
    """Events, column by column.

    Only the columns that some event tells are kept. One that is asked for, and is not, is made of empty cells, and kept
    from then on. `details` has what only one kind of event has, and `carried` what moves with a login, by row.
    """

    __slots__ = ("_row_count", "carried", "columns", "details")

    event_id: list[str]
    user_id: list[str]
    event_type: list[int]
    event_time_us: list[int]
    page: list[str]
    target: list[str]
    received_time_us: list[int]
    session_id: list[str]
    anonymous_id: list[str]
    sent_time_us: list[int]
    error_code: list[str]
    device_id: list[str]
    time_zone: list[str]
    correlation_id: list[str]
    user_agent: list[str]
    address: list[str]
    bot_evidence: list[str]
    linked_user_id: list[str]
    copied_event_id: list[str]
    client_time_us: list[int]
    session_start_us: list[int]
    trace_id: list[bytes]
    span_id: list[bytes]
    properties: list[bytes]
    platform: list[int]
    device_class: list[int]
    attempt_count: list[int]
    is_refresh: list[bool]
    is_automated: list[bool]
    is_system: list[bool]
    is_bot: list[bool]
    is_own: list[bool]

    def __init__(
        self,
        row_count: int,
        columns: Mapping[str, list[Any]],
        details: Mapping[int, Detail] | None = None,
        carried: Mapping[int, event_pb2.Carried] | None = None,
    ) -> None:
        self._row_count = row_count
        self.columns = dict(columns)
        self.details: dict[int, Detail] = dict(details or {})
        self.carried: dict[int, event_pb2.Carried] = dict(carried or {})

    def __len__(self) -> int:
        """How many rows there are."""
        return self._row_count

    def __getattr__(self, name: str) -> list[Any]:
        """A column."""
        if name not in COLUMNS:
            raise AttributeError(name)
        column = self.columns.get(name)
        if column is None:
            self.columns[name] = column = [COLUMNS[name]] * self._row_count
        return column

    def has(self, name: str) -> bool:
        """Whether some event may tell a column."""
        return name in self.columns

    def event(self, row: int) -> event_pb2.Event:
        """The event of a row, made anew."""
        event = event_pb2.Event(**{name: column[row] for name, column in self.columns.items()})
        if (detail := self.details.get(row)) is not None:
            getattr(event, _DETAILS[type(detail)]).CopyFrom(detail)
        if (carried := self.carried.get(row)) is not None:
            event.carried.CopyFrom(carried)
        return event

    def events(self) -> list[event_pb2.Event]:
        """All events, made anew."""
        return [*map(self.event, range(self._row_count))]

    def put(self, row: int, event: event_pb2.Event) -> None:
        """Writes an event into a row, in the place of the one that stands there."""
        for name, empty in COLUMNS.items():
            cell = getattr(event, name)
            if cell != empty or name in self.columns:
                getattr(self, name)[row] = cell
        self.details.pop(row, None)
        self.carried.pop(row, None)
        if (which := event.WhichOneof("detail")) is not None:
            self.details[row] = getattr(event, which)
        if event.HasField("carried"):
            self.carried[row] = event.carried

    def take(self, rows: Sequence[int]) -> "Table":
        """The rows, in the order given."""
        columns = {name: [*map(column.__getitem__, rows)] for name, column in self.columns.items()}
        places = {row: place for place, row in enumerate(rows)} if self.details or self.carried else {}
        return Table(len(rows), columns, _moved(self.details, places), _moved(self.carried, places))


def of_events(events: Sequence[event_pb2.Event]) -> Table:
    """The events as a table."""
    columns = {name: [getattr(event, name) for event in events] for name in COLUMNS}
    told = [(row, event.WhichOneof("detail"), event) for row, event in enumerate(events)]
    return Table(
        len(events),
        {name: column for name, column in columns.items() if any(column)},
        {row: getattr(event, which) for row, which, event in told if which is not None},
        {row: event.carried for row, _, event in told if event.HasField("carried")},
    )


def joined(tables: Sequence[Table]) -> Table:
    """The tables, one below the other."""
    if len(tables) == 1:
        return tables[0]
    told = dict.fromkeys(name for table in tables for name in table.columns)
    columns: dict[str, list[Any]] = {name: [] for name in told}
    whole = Table(sum(map(len, tables)), columns)
    start = 0
    for table in tables:
        for name, column in whole.columns.items():
            column.extend(table.columns.get(name) or [COLUMNS[name]] * len(table))
        whole.details.update((start + row, each) for row, each in table.details.items())
        whole.carried.update((start + row, each) for row, each in table.carried.items())
        start += len(table)
    return whole


def encoded(table: Table) -> event_table_pb2.EventTable:
    """The table as a message."""
    # Ids are told even where all are empty: a reader trusts the number of rows no further.
    message = event_table_pb2.EventTable(row_count=len(table), event_id=table.event_id)
    for name, column in table.columns.items():
        if column and name != "event_id":
            _PUT[name](message, name, column)
    for row in sorted(table.details):
        detail = table.details[row]
        name = _DETAILS[type(detail)]
        getattr(message, f"{name}_rows").append(row)
        getattr(message, name).append(detail)
    for row in sorted(table.carried):
        message.carried_rows.append(row)
        message.carried.append(table.carried[row])
    return message


def decoded(message: event_table_pb2.EventTable) -> Table:
    """The table of a message.

    Raises:
        UnreadableTableError: it is none.
    """
    count = message.row_count
    columns: dict[str, list[Any]] = {}
    details: dict[int, Detail] = {}
    carried: dict[int, event_pb2.Carried] = {}
    try:
        # What is not told is not even looked at.
        for field, value in message.ListFields():
            name = field.name
            if name in _GET:
                columns[name] = _GET[name](value, count)
            elif name in _DETAIL_NAMES:
                details |= _by_row(getattr(message, f"{name}_rows"), value, count)
            elif name == "carried":
                carried = _by_row(message.carried_rows, value, count)
    except IndexError:
        raise UnreadableTableError from None
    if any(len(column) != count for column in columns.values()) or len(columns.get("event_id", ())) != count:
        raise UnreadableTableError
    return Table(count, columns, details, carried)


def _put_list(message: event_table_pb2.EventTable, name: str, column: list[Any]) -> None:
    if any(column):
        getattr(message, name).extend(column)


def _put_flags(message: event_table_pb2.EventTable, name: str, column: list[bool]) -> None:
    if True in column:
        getattr(message, name).extend([row for row, is_told in enumerate(column) if is_told])


def _put_times(message: event_table_pb2.EventTable, name: str, column: list[int]) -> None:
    first = column[0]
    is_same = column.count(first) == len(column)
    if first or not is_same:
        times = getattr(message, name)
        times.first_us = first
        if not is_same:
            times.offsets_us.extend([time_us - first for time_us in column])


def _put_words(message: event_table_pb2.EventTable, name: str, column: list[str]) -> None:
    words, cells = _told_once(column)
    if words != [""]:
        told = getattr(message, name)
        told.words.extend(words)
        told.cells.extend(cells)


def _put_blobs(message: event_table_pb2.EventTable, name: str, column: list[bytes]) -> None:
    values, cells = _told_once(column)
    if values != [b""]:
        told = getattr(message, name)
        told.values.extend(values)
        told.cells.extend(cells)


def _told_once(column: list[Any]) -> tuple[list[Any], Iterable[int]]:
    """The values, each once, and for each row the place of its value; no places where there is one value."""
    first = column[0]
    if column.count(first) == len(column):
        return [first], ()
    values = [*dict.fromkeys(column)]
    places = {value: place for place, value in enumerate(values)}
    return values, map(places.__getitem__, column)


def _list_of(value: Iterable[Any], count: int) -> list[Any]:  # noqa: ARG001 - as the others
    return [*value]


def _flags_of(rows: Iterable[int], count: int) -> list[bool]:
    flags = [False] * count
    for row in rows:
        flags[row] = True
    return flags


def _times_of(times: event_table_pb2.Times, count: int) -> list[int]:
    first = times.first_us
    if not times.offsets_us:
        return [first] * count
    return [first + offset for offset in times.offsets_us]


def _words_of(told: event_table_pb2.Words, count: int) -> list[str]:
    return _cells(told.words, told.cells, count)


def _blobs_of(told: event_table_pb2.Blobs, count: int) -> list[bytes]:
    return _cells(told.values, told.cells, count)


def _cells(values: Sequence[Any], cells: Sequence[int], count: int) -> list[Any]:
    if not cells:
        return [values[0]] * count
    return [*map([*values].__getitem__, cells)]


def _by_row(rows: Sequence[int], messages: Sequence[Any], count: int) -> dict[int, Any]:
    if len(rows) != len(messages) or max(rows) >= count:
        raise UnreadableTableError
    return dict(zip(rows, messages, strict=True))


def _moved(by_row: Mapping[int, Any], places: Mapping[int, int]) -> dict[int, Any]:
    return {places[row]: each for row, each in by_row.items() if row in places}


_DETAIL_NAMES: Final = frozenset(_DETAILS.values())
_KINDS: Final = (
    (_LISTS, _put_list, _list_of),
    (_FLAGS, _put_flags, _flags_of),
    (_TIMES, _put_times, _times_of),
    (_WORDS, _put_words, _words_of),
    (_BLOBS, _put_blobs, _blobs_of),
)
_PUT: Final[Mapping[str, Any]] = {name: put for names, put, _ in _KINDS for name in names}
_GET: Final[Mapping[str, Any]] = {name: get for names, _, get in _KINDS for name in names}
