"""Rows of the archive as the copies have them, with tenant, day and place: queries over relations of the archive."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import duckdb

from services.analytics.adapters.copies import columns
from services.analytics.domain.layout import DECISIONS, EVENTS

COLUMNS: Final = {EVENTS: columns.EVENTS, DECISIONS: columns.DECISIONS}
ORDER: Final = "user_id, event_time, place"
"""Of a user's rows of one time, as the stream has them: what was there before, then what comes later in the shard."""
GROUP_ROWS: Final = 40_960
_PLACE: Final = "sequence || lpad(event_index::VARCHAR, 10, '0') AS place"
_DAY: Final = "(epoch_us(event_time) // 86400000000)::INTEGER"


class Relation(NamedTuple):
    """Something to select from, and the names of its columns."""

    sql: str
    names: Collection[str]


def relation(connection: duckdb.DuckDBPyConnection, sql: str) -> Relation:
    """A relation with the names of its columns."""
    return Relation(sql, {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {sql}").fetchall()})


def of_file(connection: duckdb.DuckDBPyConnection, path: str) -> Relation:
    """A Parquet file as a relation."""
    return relation(connection, f"read_parquet({text(path)}, hive_partitioning = false)")


def empty(kind: str) -> str:
    """A query that has the columns of what is staged, and no rows."""
    return f"SELECT ''::VARCHAR AS tenant, 0 AS day, ''::VARCHAR AS place, * FROM ({columns.none(COLUMNS[kind])})"


def events(of: Relation) -> str:
    """The events of a relation."""
    return (
        f"SELECT tenant, {_DAY} AS day, place, {', '.join(columns.EVENTS)} FROM (SELECT tenant_of(user_id) AS tenant, "
        f"{_PLACE}, {columns.selected(columns.EVENTS, of.names)} FROM {of.sql} WHERE NOT is_set_aside)"
    )


def decisions(of: Relation, beside: Sequence[Relation]) -> str:
    """The decisions of a relation, with what is known of the event that each is about: it is in one of those beside."""
    if not beside:
        return empty(DECISIONS)
    known = " UNION ALL BY NAME ".join(
        f"SELECT event_id AS whole_id, {_of_the_event(each.names)} FROM {each.sql} WHERE NOT is_set_aside"
        for each in beside
    )
    return (
        f"SELECT tenant, {_DAY} AS day, place, {', '.join(columns.DECISIONS)} FROM "
        f"(SELECT event_id AS whole_id, tenant_of(user_id) AS tenant, {_PLACE}, {columns.decisions_own(of.names)} "
        f"FROM {of.sql}) JOIN ({known}) USING (whole_id)"
    )


def text(value: str) -> str:
    """A value that is no caller's as SQL: a path, or a tenant's name."""
    return "'" + value.replace("'", "''") + "'"


def _of_the_event(known: Collection[str]) -> str:
    return columns.selected({name: columns.EVENTS[name] for name in columns.OF_THE_EVENT}, known)
