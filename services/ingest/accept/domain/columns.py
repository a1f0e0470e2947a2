"""Columns of a table: checks over their few distinct cells rather than row by row. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from services.ingest.events.domain.event import Table

_Cell = TypeVar("_Cell")


def rows_without(is_plain: Callable[[_Cell], object], column: Sequence[_Cell]) -> Iterable[int]:
    """The rows whose cell is not plain, ascending."""
    odd = {cell for cell in set(column) if not is_plain(cell)}
    return [row for row, cell in enumerate(column) if cell in odd] if odd else ()


def odd_rows(table: Table, plain: Iterable[tuple[str, Callable[..., object]]]) -> set[int]:
    """The rows with a cell that is not plain in any of the columns; a column that no event sets has none."""
    odd: set[int] = set()
    for name, is_plain in plain:
        if table.has(name):
            odd.update(rows_without(is_plain, table.columns[name]))
    return odd
