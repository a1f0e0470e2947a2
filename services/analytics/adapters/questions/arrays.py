"""The summaries that a process keeps, as arrays in the order in which questions count them.

Persons are the numbers that `kept` gives to users; they are below `person_count`.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import duckdb
import numpy as np
from numpy.typing import NDArray

from services.analytics.adapters.questions.hot import near_midnight, sessions, struggles
from services.analytics.domain.layout import DAY_US
from services.analytics.domain.summary import EVERY, QUARTER_US

Numbers = NDArray[np.integer[Any]]
Columns = list[NDArray[Any]]
_Read = TypeVar("_Read")

NEVER: Final = np.iinfo(np.int64).max
"""A time that does not come."""
_QUARTERS: Final = DAY_US // QUARTER_US


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
    person: Numbers
    last_us: Numbers
    form_us: Numbers
    ended_us: Numbers

    def between(self, start_us: int, end_us: int) -> "Sessions":
        """Those that began in a span of time."""
        begins, ends = np.searchsorted(self.first_us, (start_us, end_us))
        return Sessions(*(column[begins:ends] for column in self))


class Named(NamedTuple):
    """Rows in the order of `order`, each with the place of its name in a list."""

    names: list[str]
    order: NDArray[Any]
    person: Numbers
    at: Numbers
    name: Numbers

    def counted(self, places: Numbers) -> Iterator[tuple[str, int]]:
        """How often each name is among some places in the list."""
        counts = (int(np.count_nonzero(places == place)) for place in range(len(self.names)))
        return ((name, count) for name, count in zip(self.names, counts, strict=True) if count)


class Arrays:
    """The arrays of a connection; each is read when it is first needed, until `forget`.

    They are those of days, and with the tail's rows in the place of its users' rows of days (`hot`).
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._of_days: dict[str, Any] = {}
        self._now: dict[str, Any] = {}
        self._hot_days: NDArray[np.int64] = np.empty(0, np.int64)

    def forget(self) -> None:
        """Reads all of them again when they are needed: the summaries have changed."""
        self._of_days.clear()
        self._now.clear()

    def show(self, days: Collection[int]) -> None:
        """Takes another tail, which touches these days."""
        self._now.clear()
        self._hot_days = np.array(sorted(days), np.int64)

    def cells(self) -> Cells:
        """Of all days that are kept."""

        def day(kept: Sequence[NDArray[Any]]) -> Numbers:
            found: Numbers = kept[0] // _QUARTERS
            return found

        return Cells(*self._columns("cells", _CELLS, day=day))

    def sessions(self) -> Sessions:
        """Of all days that are kept, with what goes on past midnight joined."""
        return Sessions(*self._columns("sessions", _SESSIONS))

    def struggles(self) -> Named:
        """Struggles that began, in order of time (`at`, in microseconds), without those that went on past midnight."""
        return self._named("struggles", _STRUGGLES)

    def risks(self) -> Named:
        """The level of each user's highest risk in a quarter of an hour (`at`), the highest scores last."""

        def day(kept: Sequence[NDArray[Any]]) -> Numbers:
            found: Numbers = kept[2] // _QUARTERS
            return found

        return self._named("risks", _RISKS, day)

    def person_count(self) -> int:
        """More than any person's number."""
        return _once(self._now, "people", lambda: int(self._value("SELECT coalesce(max(person), 0) + 1 FROM people")))

    def count(self, persons: Numbers) -> int:
        """How many persons are there, each once."""
        is_there = np.zeros(self.person_count(), np.bool_)
        is_there[persons] = True
        return int(np.count_nonzero(is_there))

    def distinct(self, persons: Numbers) -> Numbers:
        """The persons, each once."""
        last = _once(self._now, "last", lambda: np.empty(self.person_count(), np.int32))
        row = np.arange(len(persons), dtype=np.int32)
        last[persons] = row
        found: Numbers = persons[last[persons] == row]
        return found

    def _named(self, name: str, sources: "_Sources", day: "_Day | None" = None) -> Named:
        """Names have places by the order of the alphabet, with those of the tail at the end."""
        of_days = _once(self._of_days, f"names of {name}", lambda: self._names(sources.of_days, []))
        names = of_days
        if len(self._hot_days):
            names = _once(self._now, f"names of {name}", lambda: self._names(sources.of_tail, of_days))
        return Named(names, *self._columns(name, sources, {"names": names}, day))

    def _names(self, source: str, before: list[str]) -> list[str]:
        found = self._value(f"SELECT coalesce(list(DISTINCT name ORDER BY name), []) FROM ({source})")
        return before + [name for name in found if name not in before]

    def _columns(
        self, name: str, sources: "_Sources", values: dict[str, Any] | None = None, day: "_Day | None" = None
    ) -> Columns:
        """Columns in the order of the first; the second has the persons."""
        kept = _once(self._of_days, name, lambda: self._fetched(sources.shape, sources.of_days, values))
        if not len(self._hot_days):
            return kept
        return _once(
            self._now, name, lambda: self._joined(kept, self._fetched(sources.shape, sources.of_tail, values), day)
        )

    def _joined(self, kept: Columns, tail: Columns, day: "_Day | None") -> Columns:
        """The rows of days, with the tail's in the place of its users: on its days, or all without `day`."""
        is_hot = np.zeros(self.person_count(), np.bool_)
        is_hot[self._fetch("FROM hot")[0]] = True
        stays = ~is_hot[kept[1]]
        if day is not None:
            stays |= ~np.isin(day(kept), self._hot_days)
        places = np.searchsorted(kept[0][stays], tail[0], side="right")
        return [np.insert(before[stays], places, after) for before, after in zip(kept, tail, strict=True)]

    def _fetched(self, shape: str, source: str, values: dict[str, Any] | None) -> Columns:
        return self._fetch(f"SELECT {shape} FROM ({source}) ORDER BY 1", values)

    def _fetch(self, sql: str, values: dict[str, Any] | None = None) -> Columns:
        return [*self._connection.execute(sql, values).fetchnumpy().values()]

    def _value(self, sql: str) -> Any:  # noqa: ANN401 - whatever the query gives
        (found,) = self._connection.execute(sql).fetchone() or (None,)
        return found


_Day = Callable[[Sequence[NDArray[Any]]], Numbers]
"""The days of rows."""


class _Sources(NamedTuple):
    """What is read of the rows of two queries, one for those of days and one for those of the tail."""

    shape: str
    of_days: str
    of_tail: str


def _once(known: dict[str, Any], name: str, read: Callable[[], _Read]) -> _Read:
    if name not in known:
        known[name] = read()
    found: _Read = known[name]
    return found


_NAMED: Final = "moment AS at, (list_position($names::VARCHAR[], name) - 1)::TINYINT AS name"
_CELLS: Final = _Sources(
    "quarter, person, kinds, event_count", "FROM all_cells WHERE kinds <> 0", "FROM hot_cells WHERE kinds <> 0"
)
_SESSIONS: Final = _Sources(
    f"first_us, person, last_us, coalesce(form_us, {NEVER}), coalesce(ended_us, {NEVER})",
    f"""WITH near AS ({near_midnight("all_fragments")})
    SELECT person, first_us, last_us, form_us, ended_us FROM all_fragments WHERE person NOT IN (FROM near)
    UNION ALL {sessions("all_fragments", "near")}""",
    "FROM hot_sessions",
)
_STRUGGLES: Final = _Sources(
    f"moment AS ordered, person, {_NAMED}",
    f"SELECT t AS moment, struggle AS name, person FROM ({struggles('all_begun', 'all_edges')})",
    "SELECT t AS moment, struggle AS name, person FROM hot_struggles",
)
_IS_TOLD: Final = "level IS NOT NULL AND score IS NOT NULL"
_RISKS: Final = _Sources(
    f"score AS ordered, person, {_NAMED}",
    f"SELECT quarter AS moment, level AS name, person, score FROM all_risks WHERE {_IS_TOLD}",
    f"SELECT quarter AS moment, level AS name, person, score FROM hot_risks WHERE {_IS_TOLD}",
)
