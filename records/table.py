"""Events column by column: the form in which many are worked on at once (docs/adr/043). `wire` has their messages.

A column is a list with a cell per row, named as the member of `Event` it holds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import Message
from journeymesh.common.v1 import event_pb2

Detail = (
    event_pb2.Click | event_pb2.Playback | event_pb2.InterventionOutcome | event_pb2.Purchase | event_pb2.SegmentChange
)

WORDS: Final = (
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
BLOBS: Final = ("trace_id", "span_id")
TIMES: Final = ("event_time_us", "received_time_us", "sent_time_us", "client_time_us", "session_start_us")
LISTS: Final = ("event_id", "event_type", "properties", "platform", "device_class", "attempt_count")
FLAGS: Final = ("is_refresh", "is_automated", "is_system", "is_bot", "is_own")
DETAILS: Final[Mapping[type[Message], str]] = {
    event_pb2.Click: "click",
    event_pb2.Playback: "playback",
    event_pb2.InterventionOutcome: "outcome",
    event_pb2.Purchase: "purchase",
    event_pb2.SegmentChange: "segment_change",
}
COLUMNS: Final[Mapping[str, object]] = {
    "event_id": "",
    "event_type": 0,
    "properties": b"",
    "platform": 0,
    "device_class": 0,
    "attempt_count": 0,
    **dict.fromkeys(WORDS, ""),
    **dict.fromkeys(BLOBS, b""),
    **dict.fromkeys(TIMES, 0),
    **dict.fromkeys(FLAGS, False),
}
"""All columns, each with the cell of an event that does not set it."""


class Table:
    """Events, column by column.

    Only the columns that some event sets are kept; reading an absent one adds it, with empty cells. By row,
    `details` has what only one kind of event has, and `carried` what moves with a login.
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
        """Whether some event may set a column."""
        return name in self.columns

    def details_of(self, name: str) -> dict[int, Any]:
        """The details of one kind, as `click`, by row."""
        return {row: detail for row, detail in self.details.items() if DETAILS[type(detail)] == name}

    def event(self, row: int) -> event_pb2.Event:
        """The event of a row, made anew."""
        event = event_pb2.Event(**{name: column[row] for name, column in self.columns.items()})
        if (detail := self.details.get(row)) is not None:
            getattr(event, DETAILS[type(detail)]).CopyFrom(detail)
        if (carried := self.carried.get(row)) is not None:
            event.carried.CopyFrom(carried)
        return event

    def events(self) -> list[event_pb2.Event]:
        """All events, made anew."""
        return [*map(self.event, range(self._row_count))]

    def put(self, row: int, event: event_pb2.Event) -> None:
        """Replaces the event of a row."""
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
        new_rows = {row: new_row for new_row, row in enumerate(rows)} if self.details or self.carried else {}
        return Table(len(rows), columns, _moved(self.details, new_rows), _moved(self.carried, new_rows))


def of_events(events: Sequence[event_pb2.Event]) -> Table:
    """The events as a table."""
    columns = {name: [getattr(event, name) for event in events] for name in COLUMNS}
    detailed = [(row, event.WhichOneof("detail"), event) for row, event in enumerate(events)]
    return Table(
        len(events),
        {name: column for name, column in columns.items() if any(column)},
        {row: getattr(event, which) for row, which, event in detailed if which is not None},
        {row: event.carried for row, _, event in detailed if event.HasField("carried")},
    )


def joined(tables: Sequence[Table]) -> Table:
    """The tables, one below the other."""
    if len(tables) == 1:
        return tables[0]
    names = dict.fromkeys(name for table in tables for name in table.columns)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    whole = Table(sum(map(len, tables)), columns)
    start = 0
    for table in tables:
        for name, column in whole.columns.items():
            column.extend(table.columns.get(name) or [COLUMNS[name]] * len(table))
        whole.details.update((start + row, each) for row, each in table.details.items())
        whole.carried.update((start + row, each) for row, each in table.carried.items())
        start += len(table)
    return whole


def _moved(by_row: Mapping[int, Any], new_rows: Mapping[int, int]) -> dict[int, Any]:
    return {new_rows[row]: each for row, each in by_row.items() if row in new_rows}
