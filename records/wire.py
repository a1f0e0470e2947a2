"""Tables as messages.

Most members are the same for all events of a request, or have few different values. So each distinct value is written
once, times are written as differences, and rare members with the rows that have them.
"""

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from journeymesh.common.v1 import event_pb2, event_table_pb2

from records.table import BLOBS, DETAILS, FLAGS, LISTS, TIMES, WORDS, Detail, Table

# A word that is written once may be in every row, so the text of all rows together is bounded as well.
_TEXT_BYTES_MOST: Final = 64 * 1024 * 1024
# The times of an event are signed 64-bit integers.
_TIME_END: Final = 1 << 63


class UnreadableTableError(ValueError):
    """No table: columns differ in length, a cell names a missing word, or a time is out of range."""


def encoded(table: Table) -> event_table_pb2.EventTable:
    """The table as a message."""
    # Ids are always written, even if all are empty: decoding checks the number of rows against them.
    message = event_table_pb2.EventTable(row_count=len(table), event_id=table.event_id)
    for name, column in table.columns.items():
        if column and name != "event_id":
            _PUT[name](message, name, column)
    for row in sorted(table.details):
        detail = table.details[row]
        name = DETAILS[type(detail)]
        getattr(message, f"{name}_rows").append(row)
        getattr(message, name).append(detail)
    for row in sorted(table.carried):
        message.carried_rows.append(row)
        message.carried.append(table.carried[row])
    return message


def decoded(message: event_table_pb2.EventTable) -> Table:
    """The table of a message.

    Raises:
        UnreadableTableError: the message is no valid table.
    """
    count = message.row_count
    if len(message.event_id) != count:
        raise UnreadableTableError
    columns: dict[str, list[Any]] = {}
    details: dict[int, Detail] = {}
    carried: dict[int, event_pb2.Carried] = {}
    try:
        # Absent fields are skipped.
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
    if any(len(column) != count for column in columns.values()):
        raise UnreadableTableError
    return Table(count, columns, details, carried)


def says_too_much(message: event_table_pb2.EventTable, table: Table) -> bool:
    """Whether a message's table has more than 64 Mi characters of text, a word counted in each of its rows."""
    if message.ByteSize() * len(table) <= _TEXT_BYTES_MOST:
        return False
    columns = [table.columns[name] for name in (*WORDS, *BLOBS) if table.has(name)]
    return sum(sum(map(len, column)) for column in columns) > _TEXT_BYTES_MOST


def meant(message: event_table_pb2.TableRows) -> Table:
    """The rows of a table that a message selects.

    Raises:
        UnreadableTableError: the message is no valid table, or the rows do not ascend or lie beyond it.
    """
    table, rows = decoded(message.table), message.rows
    if not rows:
        return table
    if rows[-1] >= len(table) or not all(map(operator.lt, rows, itertools.islice(rows, 1, None))):
        raise UnreadableTableError
    return table.take(rows)


def _put_list(message: event_table_pb2.EventTable, name: str, column: list[Any]) -> None:
    if any(column):
        getattr(message, name).extend(column)


def _put_flags(message: event_table_pb2.EventTable, name: str, column: list[bool]) -> None:
    if True in column:
        getattr(message, name).extend([row for row, is_set in enumerate(column) if is_set])


def _put_times(message: event_table_pb2.EventTable, name: str, column: list[int]) -> None:
    first = column[0]
    is_same = column.count(first) == len(column)
    if first or not is_same:
        times = getattr(message, name)
        times.first_us = first
        if not is_same:
            try:
                times.offsets_us.extend([time_us - first for time_us in column])
            except ValueError:  # they lie too far apart: the times themselves always fit
                times.first_us = 0
                times.offsets_us[:] = column


def _put_words(message: event_table_pb2.EventTable, name: str, column: list[str]) -> None:
    words, cells = _distinct(column)
    if words != [""]:
        field = getattr(message, name)
        field.words.extend(words)
        field.cells.extend(cells)


def _put_blobs(message: event_table_pb2.EventTable, name: str, column: list[bytes]) -> None:
    values, cells = _distinct(column)
    if values != [b""]:
        field = getattr(message, name)
        field.values.extend(values)
        field.cells.extend(cells)


def _distinct(column: list[Any]) -> tuple[list[Any], Iterable[int]]:
    """The distinct values, and for each row the index of its value; no indexes if there is only one value."""
    first = column[0]
    if column.count(first) == len(column):
        return [first], ()
    values = [*dict.fromkeys(column)]
    indexes = {value: index for index, value in enumerate(values)}
    return values, map(indexes.__getitem__, column)


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
    times_us = [first + offset for offset in times.offsets_us]
    if not -_TIME_END <= min(times_us) <= max(times_us) < _TIME_END:
        raise UnreadableTableError
    return times_us


def _words_of(field: event_table_pb2.Words, count: int) -> list[str]:
    return _cells(field.words, field.cells, count)


def _blobs_of(field: event_table_pb2.Blobs, count: int) -> list[bytes]:
    return _cells(field.values, field.cells, count)


def _cells(values: Sequence[Any], cells: Sequence[int], count: int) -> list[Any]:
    if not cells:
        return [values[0]] * count
    return [*map([*values].__getitem__, cells)]


def _by_row(rows: Sequence[int], messages: Sequence[Any], count: int) -> dict[int, Any]:
    if len(rows) != len(messages) or max(rows) >= count:
        raise UnreadableTableError
    return dict(zip(rows, messages, strict=True))


_DETAIL_NAMES: Final = frozenset(DETAILS.values())
_KINDS: Final = (
    (LISTS, _put_list, _list_of),
    (FLAGS, _put_flags, _flags_of),
    (TIMES, _put_times, _times_of),
    (WORDS, _put_words, _words_of),
    (BLOBS, _put_blobs, _blobs_of),
)
_PUT: Final[Mapping[str, Any]] = {name: put for names, put, _ in _KINDS for name in names}
_GET: Final[Mapping[str, Any]] = {name: get for names, _, get in _KINDS for name in names}
