"""Summaries with the tail: those of days, but of whoever is in the tail, what all their rows of its days give.

All that a summary tells of a user follows from that user's rows of the day. So the users of the tail are left out of
the days that it touches, and are summarised again there from the days' files and the tail. The others stay as they are.
"""

from collections.abc import Collection, Mapping
from typing import Final

import duckdb

from services.analytics.adapters.copies.relations import LATER, all_rows, copied
from services.analytics.adapters.copies.summaries import SUMMARIES, of_rows
from services.analytics.domain.layout import DECISIONS, EVENTS, day_of
from services.analytics.domain.question import DAY_US, SESSION_GAP_US
from services.analytics.ports import Reading

PERSONS: Final = frozenset(name for name, summary in SUMMARIES.items() if "person" in summary.columns)
_NEEDED: Final = {
    EVENTS: "user_id, event_time, event_type, is_bot, is_system, place",
    DECISIONS: "user_id, event_time, score, level, indicators, is_bot, is_system, place",
}


class Hot:
    """What a connection has of the tail of one question, over tables `all_<summary>` and `people` of days."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, root: str) -> None:
        self._connection = connection
        self._root = root
        self._made: tuple[object, ...] = ()
        self.days: frozenset[int] = frozenset()
        """Those that the tail touches."""
        self._names: frozenset[str] = frozenset()

    def forget(self) -> None:
        """Makes everything anew with the next question: the days have changed."""
        self._made, self._names = (), frozenset()

    def show(self, reading: Reading, names: frozenset[str]) -> bool:
        """Makes tables `hot_<summary>` of these summaries, and views `now_<summary>` with those of days.

        With the fragments come `hot_sessions`, with what begins and ends a day `hot_struggles`: all of the users of the
        tail. Returns True if the tail or the days differ from the last ones.
        """
        days = frozenset(day_of(path) for path in (*reading.tail_events, *reading.tail_decisions))
        old = {
            EVENTS: [path for path in reading.events if day_of(path) in days],
            DECISIONS: [path for path in reading.decisions if day_of(path) in days],
        }
        tail = {EVENTS: reading.tail_events, DECISIONS: reading.tail_decisions}
        files = (*map(tuple, old.values()), *tail.values())
        is_new = files != self._made
        if is_new:
            self._choose(old, tail)
            self._made, self._names, self.days = files, frozenset(), days
        new = names - self._names
        for kind in (EVENTS, DECISIONS):
            its = {name for name in new if SUMMARIES[name].kind == kind}
            self._summarise(its & PERSONS, self._rows(kind, old[kind], tail[kind]))
            self._summarise(its - PERSONS, all_rows(self._root, tail[kind], kind))
        for name in new:
            self._view(name, days)
        if "fragments" in new:
            self._make("sessions", sessions("now_fragments", "hot"))
        if {"begun", "edges"} <= new:
            self._make("struggles", struggles("now_begun", "now_edges", "person IN (FROM hot)"))
        self._names |= names
        return is_new

    def _choose(self, old: Mapping[str, Collection[str]], tail: Mapping[str, tuple[str, ...]]) -> None:
        """Makes the tables `replaced`, of events that the tail has copies of, and `hot`, of the users of the tail."""
        execute = self._connection.execute
        ids = copied(self._root, tail[EVENTS])
        execute(f"CREATE OR REPLACE TEMP TABLE replaced AS SELECT copied_event_id AS event_id FROM ({ids})")
        users = [f"SELECT user_id FROM ({all_rows(self._root, tail[kind], kind)})" for kind in tail]
        if self._has_replaced():
            events = all_rows(self._root, [*old[EVENTS]], EVENTS)
            users.append(f"SELECT user_id FROM ({events}) WHERE event_id IN (FROM replaced)")
        execute(f"CREATE OR REPLACE TEMP TABLE hot_users AS SELECT DISTINCT user_id FROM ({' UNION ALL '.join(users)})")
        execute(numbering("FROM hot_users"))
        execute("CREATE OR REPLACE TEMP TABLE hot AS SELECT person FROM people JOIN hot_users USING (user_id)")

    def _has_replaced(self) -> bool:
        return self._connection.execute("FROM replaced LIMIT 1").fetchone() is not None

    def _rows(self, kind: str, old: Collection[str], tail: Collection[str]) -> str:
        """All rows of the users of the tail on its days."""
        is_kept = " AND event_id NOT IN (FROM replaced)" if kind == EVENTS and self._has_replaced() else ""
        before, after = all_rows(self._root, [*old], kind), all_rows(self._root, [*tail], kind, LATER)
        return (
            f"SELECT {_NEEDED[kind]} FROM ({before}) WHERE user_id IN (FROM hot_users){is_kept} "
            f"UNION ALL SELECT {_NEEDED[kind]} FROM ({after})"
        )

    def _summarise(self, names: Collection[str], rows: str) -> None:
        if not names:
            return
        execute = self._connection.execute
        execute(f"CREATE OR REPLACE TEMP TABLE hot_rows AS SELECT * RENAME (place AS file_row_number) FROM ({rows})")
        for name in names:
            columns = ", ".join(["day", *SUMMARIES[name].columns])
            people = "JOIN people USING (user_id)" if name in PERSONS else ""
            execute(
                f"CREATE OR REPLACE TEMP TABLE hot_{name} AS SELECT {columns} FROM "
                f"({of_rows(SUMMARIES[name], 'hot_rows')}) {people}"
            )
        execute("DROP TABLE hot_rows")

    def _view(self, name: str, days: Collection[int]) -> None:
        touched = f"day IN ({', '.join(map(str, days)) or 'NULL'})"
        left = "person NOT IN (FROM hot)" if name in PERSONS else "true"
        if name == "marks" and self._has_replaced():
            left = "event_id NOT IN (FROM replaced)"
        self._connection.execute(
            f"CREATE OR REPLACE TEMP VIEW now_{name} AS SELECT * FROM all_{name} WHERE ({touched}) IS NOT true "
            f"UNION ALL SELECT * FROM all_{name} WHERE {touched} AND {left} UNION ALL FROM hot_{name}"
        )

    def _make(self, name: str, query: str) -> None:
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE hot_{name} AS {query}")


def numbering(users: str) -> str:
    """Gives numbers to users, of a query for `user_id` that has each once, who have none yet."""
    return (
        "INSERT INTO people SELECT (row_number() OVER () + (SELECT coalesce(max(person), 0) FROM people))::INTEGER, "
        f"user_id FROM ({users}) ANTI JOIN people USING (user_id)"
    )


def sessions(fragments: str, persons: str) -> str:
    """A query for the sessions of some people, joined of the fragments that days have of them."""
    return f"""SELECT person, min(first_us) AS first_us, max(last_us) AS last_us, min(form_us) AS form_us,
        min(ended_us) AS ended_us FROM (
        SELECT *, sum(begins::INTEGER) OVER (PARTITION BY person ORDER BY first_us) AS number FROM (
            SELECT *, coalesce(first_us - max(last_us) OVER (PARTITION BY person ORDER BY first_us
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) > {SESSION_GAP_US}, true) AS begins
            FROM {fragments} WHERE person IN (FROM {persons}))
    ) GROUP BY person, number"""


def struggles(begun: str, edges: str, only: str = "true") -> str:
    """A query for struggles: those that began in a day, unless the day before ends with them."""
    return f"""SELECT person, t, struggle FROM {begun} AS begun WHERE {only} AND (NOT is_first OR NOT EXISTS (
        FROM {edges} AS edges WHERE edges.person = begun.person AND edges.day = begun.day - 1
        AND begun.t - edges.t <= {SESSION_GAP_US} AND list_contains(edges.signals, struggle)))"""


def near_midnight(fragments: str) -> str:
    """A query for people with sessions that may go on past midnight."""
    return (
        f"SELECT person FROM {fragments} WHERE first_us % {DAY_US} <= {SESSION_GAP_US} "
        f"INTERSECT SELECT person FROM {fragments} WHERE last_us % {DAY_US} >= {DAY_US - SESSION_GAP_US}"
    )
