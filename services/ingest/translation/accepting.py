"""The events of a request as a table."""

from typing import Final

from journeymesh.common.v1 import event_table_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import InvalidArgument
from records import table, wire
from records.table import Table

_EVENTS_MOST: Final = 5_000
# The gateway joins requests up to half of it.
_REQUEST_BYTES: Final = 8 * 1024 * 1024


def accepted_table(request: ingest_pb2.AcceptEventsRequest) -> Table:
    """The events of a request, row by row; those of a gateway of the version before are made a table here.

    Raises:
        InvalidArgument: `MALFORMED_MESSAGE`, a table cannot be read; `REQUEST_TOO_LARGE`, there are too many events, or
            too much is said of them.
    """
    event_count = len(request.events) + sum(each.row_count for each in request.tables)
    if event_count > _EVENTS_MOST or request.ByteSize() > _REQUEST_BYTES:
        most = f"{_EVENTS_MOST} events and {_REQUEST_BYTES // 1024 // 1024} MiB"
        raise InvalidArgument("REQUEST_TOO_LARGE", f"A request holds at most {most}.")
    try:
        tables = [_read(message) for message in request.tables]
    except wire.UnreadableTableError:
        raise InvalidArgument("MALFORMED_MESSAGE", "A table of events cannot be read.") from None
    if request.events:
        tables.insert(0, table.of_events(request.events))
    return table.joined(tables) if tables else Table(0, {})


def _read(message: event_table_pb2.EventTable) -> Table:
    read = wire.decoded(message)
    if wire.says_too_much(message, read):
        raise InvalidArgument("REQUEST_TOO_LARGE", "The events of a table hold at most 64 MiB.")
    return read
