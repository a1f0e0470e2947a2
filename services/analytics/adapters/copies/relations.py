"""What questions are asked of, as queries: chosen events, sessions, decisions, struggles.

Nothing that a caller said becomes SQL: values are bound, and the names of columns come from a closed set of fields.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import duckdb
import pyarrow as pa

from services.analytics.adapters.copies import columns
from services.analytics.domain.layout import DECISIONS, EVENTS, day_of
from services.analytics.domain.question import (
    SESSION_GAP_US,
    Comparison,
    Conditions,
    Field,
    Question,
    UserFilter,
    Window,
)
from services.analytics.ports import Reading

_COLUMNS: Final = {EVENTS: columns.EVENTS, DECISIONS: columns.DECISIONS}

STRUGGLES: Final = (
    "repeated_failures",
    "long_time_on_page",
    "rapid_navigation",
    "repeated_recalculation",
    "form_abandonment",
    "page_refreshes",
    "quick_backs",
    "rage_clicks",
    "dead_click",
    "error_click",
    "engagement_drop",
    "form_errors",
    "help_seeking",
)
"""The indicators of a decision that are signals of a struggle, as features names them."""

BEGUN: Final = (
    f"CASE WHEN t - before_t <= {SESSION_GAP_US} THEN list_filter(signals, lambda s: NOT list_contains(before, s)) "
    "ELSE signals END"
)
"""The struggles that began with a decision: the last one's signals stand in `before`, its time in `before_t`."""

SIGNALS: Final = "list_filter(list_transform(indicators, lambda i: i.name), lambda n: list_contains({known}, n))"
"""The signals of struggles that a decision names; `known` is the list of all."""

FORMS: Final = ("form_start", "form_abandon")
"""With these events a session has a form."""

FORM_ENDS: Final = ("form_submit", "task_success", "purchase")
"""With one of these it was not abandoned."""

# Bounds what a block takes beside the memory that DuckDB may take: about 50 MiB with what is computed of it.
_BLOCK_ROWS: Final = 200_000

_COMPARED: Final[dict[Comparison, Callable[[str, str], str]]] = {
    Comparison.IS: lambda column, values: f"{column} IN {values}",
    Comparison.IS_NOT: lambda column, values: f"{column} NOT IN {values}",
    Comparison.CONTAINS: lambda column, values: f"len(list_filter({values}, lambda v: contains({column}, v))) > 0",
    Comparison.BEGINS_WITH: lambda column, values: (
        f"len(list_filter({values}, lambda v: starts_with({column}, v))) > 0"
    ),
}


class Query:
    """A question to a connection: values are bound as they come up."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, block_rows: int = _BLOCK_ROWS) -> None:
        self.connection = connection
        self._block_rows = block_rows
        self._values: dict[str, Any] = {}
        self._made: set[str] = set()
        self._given: set[str] = set()

    def bound(self, value: object) -> str:
        """The place of a value in a query."""
        name = f"v{len(self._values)}"
        self._values[name] = value
        return f"${name}"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query; what was bound belongs to it, and to none after it."""
        values, self._values = self._values, {}
        return self.connection.execute(sql, values).fetchall()

    def blocks(self, sql: str) -> Iterator[dict[str, Any]]:
        """The rows of a query that is ordered by `user_id`, as columns of Arrow in one piece: whole users at a time.

        There is at least one block; it is empty if there are no rows. The connection can do nothing else meanwhile.
        """
        values, self._values = self._values, {}
        reader = self.connection.sql(sql, params=values).to_arrow_reader(self._block_rows)
        pending = [reader.schema.empty_table()]
        for batch in reader:
            rows = pa.Table.from_batches([batch])
            users = rows["user_id"]
            end = users.index(users[-1]).as_py()
            if end:
                yield _in_one_piece([*pending, rows.slice(0, end)])
                pending = []
            pending.append(rows.slice(end))
        yield _in_one_piece(pending)

    def give(self, name: str, rows: pa.Table) -> None:
        """Makes a relation of rows, until `close`."""
        self._given.add(name)
        self.connection.register(name, rows)

    def make(self, name: str, sql: str) -> None:
        """Makes a table of a query's rows, until `close`."""
        self._made.add(name)
        self.rows(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")

    def close(self) -> None:
        """Drops what was made and given."""
        for name in self._given:
            self.connection.unregister(name)
        for name in self._made:
            self.connection.execute(f"DROP TABLE IF EXISTS temp.{name}")

    def met(self, conditions: Conditions) -> str:
        """Whether a row meets all conditions."""
        return (
            " AND ".join(
                f"({_COMPARED[each.comparison](column(each.field), self.bound(list(each.values)) + '::VARCHAR[]')})"
                for each in conditions
            )
            or "true"
        )

    def likely(self, steps: Sequence[Conditions]) -> str:
        """What a row that meets any of some conditions meets too, if files can be searched by it; else empty."""
        every = [{each.field: each.values for each in step if each.comparison is Comparison.IS} for step in steps]
        for field in set.intersection(*map(set, every)):
            values = sorted({value for each in every for value in each[field]})
            if all(values):
                return f"{field.value} IN ({', '.join(map(self.bound, values))})"
        return ""

    def within(self, window: Window, before_us: int = 0) -> str:
        """Whether a row lies in a window, or so long before it."""
        start, end = self.bound(window.start_us - before_us), self.bound(window.end_us)
        return f"(event_time >= make_timestamptz({start}::BIGINT) AND event_time < make_timestamptz({end}::BIGINT))"

    def of_users(self, segment: UserFilter, window: Window) -> str:
        """Whether a row is of a user of a segment."""
        every = [self._who_did(segment, window)] if segment.did or segment.did_not else []
        if segment.at_least:
            levels = self.bound(list(segment.at_least.and_above))
            every.append(
                f"user_id IN (SELECT user_id FROM all_decisions WHERE {COUNTS} AND {self.within(window)} "
                f"AND level IN {levels}::VARCHAR[])"
            )
        if segment.saved:
            assert segment.definition is not None  # noqa: S101 - it was looked up before the question was asked
            every.append(self.of_users(segment.definition, window))
        return " AND ".join(every) or "true"

    def _who_did(self, segment: UserFilter, window: Window) -> str:
        did = f"bool_or({self.met(segment.did)})" if segment.did else "true"
        did_not = f"NOT bool_or({self.met(segment.did_not)})" if segment.did_not else "true"
        return (
            f"user_id IN (SELECT user_id FROM all_events WHERE {COUNTS} AND {self.within(window)} "
            f"GROUP BY user_id HAVING {did} AND {did_not})"
        )

    def chosen(self, question: Question, window: Window | None = None, relation: str = "all_events") -> str:
        """The rows of events or decisions that a question is about."""
        its = window or question.window
        return (
            f"SELECT *, epoch_us(event_time) AS t FROM {relation} WHERE {COUNTS} AND {self.within(its)} "
            f"AND {self.met(question.where)} AND {self.of_users(question.segment, its)}"
        )

    def in_sessions(self, question: Question, window: Window | None = None) -> str:
        """The events of the sessions that began in a window, with whether they are chosen.

        `session` is when it began. Events past the window's end are left out.
        """
        its = window or question.window
        started = self.bound(its.start_us)
        return f"""SELECT * FROM (
            SELECT *, max(CASE WHEN begins THEN t END) OVER (PARTITION BY user_id ORDER BY t) AS session FROM (
                SELECT *, coalesce(t - lag(t) OVER (PARTITION BY user_id ORDER BY t) > {SESSION_GAP_US}, true) AS begins
                FROM (SELECT *, epoch_us(event_time) AS t, ({self.met(question.where)}) AS is_chosen FROM all_events
                    WHERE {COUNTS} AND {self.within(its, SESSION_GAP_US)} AND {self.of_users(question.segment, its)})
            )
        ) WHERE session >= {started}::BIGINT"""

    def signals(self) -> str:
        """The signals of struggles that a decision names."""
        return SIGNALS.format(known=f"{self.bound(list(STRUGGLES))}::VARCHAR[]")

    def struggles(self, question: Question, window: Window | None = None) -> str:
        """The decisions that a question is about, one row for each struggle that began there, as `struggle`.

        A struggle begins where a decision names its signal and the user's decision before, within half an hour, does
        not.
        """
        its = window or question.window
        return f"""SELECT * FROM (
            SELECT * EXCLUDE (signals, before, before_t), unnest({BEGUN}) AS struggle
            FROM (
                SELECT *, lag(signals) OVER own AS before, lag(t) OVER own AS before_t FROM (
                    SELECT *, epoch_us(event_time) AS t, {self.signals()} AS signals FROM all_decisions
                    WHERE {COUNTS} AND {self.within(its, SESSION_GAP_US)}
                ) WINDOW own AS (PARTITION BY user_id ORDER BY t, place)
            )
        ) WHERE {self.within(its)} AND {self.met(question.where)} AND {self.of_users(question.segment, its)}"""


def _in_one_piece(tables: Sequence[pa.Table]) -> dict[str, Any]:
    table = pa.concat_tables(tables)
    return {name: table[name].combine_chunks() for name in table.column_names}


def listed(values: Iterable[str]) -> str:
    """Values that are no caller's as SQL, with commas between them."""
    return ", ".join("'" + each.replace("'", "''") + "'" for each in values)


COUNTS: Final = "NOT is_bot AND NOT is_system"


def column(field: Field) -> str:
    """The column of a field, where what has none is an empty text."""
    return f"coalesce({field.value}, '')" if field is not Field.UNSPECIFIED else "''"


LATER: Final = 1 << 40
"""What comes after the files of days is later in the stream by so many places."""


def open_files(connection: duckdb.DuckDBPyConnection, root: str, reading: Reading) -> None:
    """Makes the relations `all_events` and `all_decisions` of the files of a question; without files they are empty.

    `place` orders rows of a user and time as the stream did.
    """
    for kind, files, tail in (
        (EVENTS, reading.events, reading.tail_events),
        (DECISIONS, reading.decisions, reading.tail_decisions),
    ):
        late = {day_of(path) for path in tail}
        touched = [path for path in files if day_of(path) in late]
        rows = [
            all_rows(root, [path for path in files if day_of(path) not in late], kind),
            all_rows(root, touched, kind),
            all_rows(root, tail, kind, LATER),
        ]
        if touched and kind == EVENTS and connection.execute(copied(root, tail)).fetchone():
            rows[1] = f"SELECT * FROM ({rows[1]}) WHERE event_id NOT IN ({copied(root, tail)})"
        connection.execute(f"CREATE OR REPLACE TEMP VIEW all_{kind} AS {' UNION ALL BY NAME '.join(rows)}")


def all_rows(root: str, paths: Sequence[str], kind: str, later: int = 0) -> str:
    """A query for the rows of files, with their places in the stream, later by so many than those of other files."""
    if not paths:
        return f"SELECT *, NULL::BIGINT AS place FROM ({columns.none(_COLUMNS[kind])})"
    files = listed(f"{root}/{path}" for path in paths)
    read = f"read_parquet([{files}], hive_partitioning = false, file_row_number = true)"
    return f"SELECT * EXCLUDE (file_row_number), (file_row_number + {later})::BIGINT AS place FROM {read}"


def copied(root: str, tail: Sequence[str]) -> str:
    """A query for the ids of events that the tail has copies of, which count in their place."""
    return f"SELECT copied_event_id FROM ({all_rows(root, tail, EVENTS)}) WHERE copied_event_id IS NOT NULL"
