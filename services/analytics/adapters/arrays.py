"""The summaries that a process keeps, as arrays in the order in which questions count them.

Persons are the numbers that `kept` gives to users; they are below `person_count`.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

import duckdb
import numpy as np
from numpy.typing import NDArray

from services.analytics.domain.layout import DAY_US
from services.analytics.domain.question import SESSION_GAP_US
from services.analytics.domain.summary import EVERY

Numbers = NDArray[np.integer[Any]]
_Read = TypeVar("_Read")

NEVER: Final = np.iinfo(np.int64).max
"""A time that does not come."""


class Cells(NamedTuple):
    """Users' quarters of an hour with events that count, in order of time: their kinds, and how many there are."""

    quarter: Numbers
    person: Numbers
    kinds: Numbers
    event_count: Numbers

    def between(self, first: int, end: int) -> "Cells":
        """Those from a quarter on, before another."""
        begins, ends = np.searchsorted(self.quarter, np.array((first, end), self.quarter.dtype))
        return Cells(*(column[begins:ends] for column in self))

    def persons(self, kinds: int) -> Numbers:
        """The persons with an event of one of some kinds, each at least once."""
        return self.person if kinds == EVERY else self.person[(self.kinds & kinds) != 0]


class Sessions(NamedTuple):
    """Sessions in order of their beginning; `NEVER` where there is no form, or no end of one."""

    first_us: Numbers
    form_us: Numbers
    ended_us: Numbers

    def between(self, start_us: int, end_us: int) -> "Sessions":
        """Those that began in a span of time."""
        begins, ends = np.searchsorted(self.first_us, (start_us, end_us))
        return Sessions(*(column[begins:ends] for column in self))


class Named(NamedTuple):
    """Rows, each with the place of its name in a list."""

    names: list[str]
    at: Numbers
    name: Numbers
    person: Numbers

    def counted(self, places: Numbers) -> Iterator[tuple[str, int]]:
        """How often each name is among some places in the list."""
        counts = (int(np.count_nonzero(places == place)) for place in range(len(self.names)))
        return ((name, count) for name, count in zip(self.names, counts, strict=True) if count)


class Arrays:
    """The arrays of a connection; each is read when it is first needed, until `forget`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._read: dict[str, Any] = {}

    def forget(self) -> None:
        """Reads all of them again when they are needed: the summaries have changed."""
        self._read.clear()

    def cells(self) -> Cells:
        """Of all days that are kept."""
        return self._once(
            "cells",
            lambda: Cells(
                *self._columns(
                    "SELECT quarter, person, kinds, event_count FROM all_cells WHERE kinds <> 0 ORDER BY quarter"
                )
            ),
        )

    def sessions(self) -> Sessions:
        """Of all days that are kept, with what goes on past midnight joined."""
        return self._once("sessions", lambda: Sessions(*self._columns(_SESSIONS)))

    def struggles(self) -> Named:
        """Struggles that began, in order of time (`at`, in microseconds), without those that went on past midnight."""
        return self._once("struggles", lambda: self._named(_STRUGGLES, "moment"))

    def risks(self) -> Named:
        """The level of each user's highest risk in a quarter of an hour (`at`), the highest scores last."""
        return self._once("risks", lambda: self._named(_RISKS, "score"))

    def person_count(self) -> int:
        """More than any person's number."""
        return self._once("people", lambda: int(self._value("SELECT coalesce(max(person), 0) + 1 FROM people")))

    def count(self, persons: Numbers) -> int:
        """How many persons are there, each once."""
        is_there = np.zeros(self.person_count(), np.bool_)
        is_there[persons] = True
        return int(np.count_nonzero(is_there))

    def distinct(self, persons: Numbers) -> Numbers:
        """The persons, each once."""
        last = self._once("last", lambda: np.empty(self.person_count(), np.int32))
        row = np.arange(len(persons), dtype=np.int32)
        last[persons] = row
        found: Numbers = persons[last[persons] == row]
        return found

    def _once(self, name: str, read: Callable[[], _Read]) -> _Read:
        if name not in self._read:
            self._read[name] = read()
        found: _Read = self._read[name]
        return found

    def _named(self, source: str, order: str) -> Named:
        names = self._value(f"SELECT coalesce(list(DISTINCT name), []) FROM ({source})")
        place = "(list_position($names::VARCHAR[], name) - 1)::TINYINT AS name"
        columns = self._columns(f"SELECT moment, {place}, person FROM ({source}) ORDER BY {order}", {"names": names})
        return Named(names, *columns)

    def _columns(self, sql: str, values: dict[str, Any] | None = None) -> list[Numbers]:
        found = self._connection.execute(sql, values).fetchnumpy()
        return [*found.values()]

    def _value(self, sql: str) -> Any:  # noqa: ANN401 - whatever the query gives
        (found,) = self._connection.execute(sql).fetchone() or (None,)
        return found


_NEAR: Final = (
    f"SELECT person FROM all_fragments WHERE first_us % {DAY_US} <= {SESSION_GAP_US} "
    f"INTERSECT SELECT person FROM all_fragments WHERE last_us % {DAY_US} >= {DAY_US - SESSION_GAP_US}"
)
_SESSIONS: Final = f"""WITH near AS ({_NEAR})
    SELECT first_us, coalesce(form_us, {NEVER}), coalesce(ended_us, {NEVER}) FROM (
        SELECT first_us, form_us, ended_us FROM all_fragments WHERE person NOT IN (FROM near)
        UNION ALL SELECT min(first_us), min(form_us), min(ended_us) FROM (
            SELECT *, sum(begins::INTEGER) OVER (PARTITION BY person ORDER BY first_us) AS number FROM (
                SELECT *, coalesce(first_us - max(last_us) OVER (PARTITION BY person ORDER BY first_us
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) > {SESSION_GAP_US}, true) AS begins
                FROM all_fragments WHERE person IN (FROM near))
        ) GROUP BY person, number
    ) ORDER BY first_us"""
_STRUGGLES: Final = f"""SELECT t AS moment, struggle AS name, person FROM all_begun
    WHERE NOT is_first OR NOT EXISTS (FROM all_edges WHERE all_edges.person = all_begun.person
        AND all_edges.day = all_begun.day - 1 AND all_begun.t - all_edges.t <= {SESSION_GAP_US}
        AND list_contains(all_edges.signals, struggle))"""
_RISKS: Final = """SELECT quarter AS moment, level AS name, person, score FROM all_risks
    WHERE level IS NOT NULL AND score IS NOT NULL"""
