"""Summaries of a day's file: what most questions about many users need of it, in a fraction of its rows.

    <root>/summaries/<version>/tenant=<tenant>/day=<YYYY-MM-DD>/<summary>-<hash>.parquet

Each is made from one file of the copies and has its hash: a day that is made again has other summaries, and they need
no other day. What goes on past midnight is joined where they are read (`summed`).
"""

from pathlib import Path
from typing import Final, NamedTuple

import duckdb

from services.analytics.adapters.copies.modes import make_folder, restrict
from services.analytics.adapters.copies.relations import BEGUN, FORM_ENDS, FORMS, SIGNALS, STRUGGLES, listed
from services.analytics.domain.layout import DECISIONS, EVENTS, summary_path
from services.analytics.domain.question import DAY_US, SESSION_GAP_US
from services.analytics.domain.summary import KINDS, OTHER, QUARTER_US

_DAY: Final = f"(t // {DAY_US})::INTEGER AS day"
_QUARTER: Final = f"(t // {QUARTER_US})::INTEGER AS quarter"
_KIND: Final = " ".join(f"WHEN {listed([kind])} THEN {1 << place}" for place, kind in enumerate(KINDS))
_ROWS: Final = "SELECT *, file_row_number AS place, epoch_us(event_time) AS t, NOT is_bot AND NOT is_system AS counts"
_DECIDED: Final = f"""SELECT *, lag(signals) OVER own AS before, lag(t) OVER own AS before_t, lead(t) OVER own AS next_t
    FROM (SELECT *, {SIGNALS.format(known=f"[{listed(STRUGGLES)}]")} AS signals FROM rows WHERE counts)
    WINDOW own AS (PARTITION BY user_id ORDER BY t, place)"""


class Summary(NamedTuple):
    """What a summary is of, its columns beside `day`, and the query that makes it; `user_id` becomes `person`."""

    kind: str
    columns: dict[str, str]
    query: str


SUMMARIES: Final = {
    # Per user and quarter of an hour: events that count, and their kinds. Without any, the user has other events.
    "cells": Summary(
        EVENTS,
        {"person": "INTEGER", "quarter": "INTEGER", "event_count": "INTEGER", "kinds": "BIGINT"},
        f"SELECT {_DAY}, user_id, {_QUARTER}, (count(*) FILTER (counts))::INTEGER AS event_count, coalesce(bit_or("
        f"CASE event_type {_KIND} ELSE {OTHER} END) FILTER (counts), 0)::BIGINT AS kinds FROM rows GROUP BY ALL",
    ),
    # Sessions as far as they lie in the day: the first and last event, the first of a form, the first that ends one.
    "fragments": Summary(
        EVENTS,
        {"person": "INTEGER", "first_us": "BIGINT", "last_us": "BIGINT", "form_us": "BIGINT", "ended_us": "BIGINT"},
        f"""SELECT (min(t) // {DAY_US})::INTEGER AS day, user_id, min(t) AS first_us, max(t) AS last_us,
            min(t) FILTER (event_type IN ({listed(FORMS)})) AS form_us,
            min(t) FILTER (event_type IN ({listed(FORM_ENDS)})) AS ended_us FROM (
            SELECT *, sum(begins::INTEGER) OVER (PARTITION BY user_id ORDER BY t) AS number FROM (
                SELECT *, coalesce(t - lag(t) OVER (PARTITION BY user_id ORDER BY t) > {SESSION_GAP_US}, true) AS begins
                FROM rows WHERE counts)
        ) GROUP BY user_id, number""",
    ),
    # Outcomes and purchases, whole.
    "marks": Summary(
        EVENTS,
        {
            "t": "BIGINT",
            "event_id": "VARCHAR",
            "intervention_id": "VARCHAR",
            "outcome": "VARCHAR",
            "amount": "DOUBLE",
            "currency": "VARCHAR",
            "counts": "BOOLEAN",
        },
        f"SELECT {_DAY}, t, event_id, intervention_id, outcome, amount, currency, counts FROM rows "
        "WHERE outcome IS NOT NULL OR amount IS NOT NULL",
    ),
    # Per user and quarter of an hour, the highest risk; null if no decision that counts saw one.
    "risks": Summary(
        DECISIONS,
        {"person": "INTEGER", "quarter": "INTEGER", "score": "DOUBLE", "level": "VARCHAR"},
        f"SELECT {_DAY}, user_id, {_QUARTER}, max(score) FILTER (counts AND level IS NOT NULL) AS score, "
        "arg_max(level, score) FILTER (counts) AS level FROM rows GROUP BY ALL",
    ),
    # Struggles that began, by what is known of the day; `is_first` is of the user's first decision in it.
    "begun": Summary(
        DECISIONS,
        {"person": "INTEGER", "t": "BIGINT", "struggle": "VARCHAR", "is_first": "BOOLEAN"},
        f"SELECT {_DAY}, user_id, t, unnest({BEGUN}) AS struggle, before_t IS NULL AS is_first FROM ({_DECIDED})",
    ),
    # The signals of each user's last decision, if it is so late that the next day goes on from it.
    "edges": Summary(
        DECISIONS,
        {"person": "INTEGER", "t": "BIGINT", "signals": "VARCHAR[]"},
        f"SELECT {_DAY}, user_id, t, signals FROM ({_DECIDED}) "
        f"WHERE next_t IS NULL AND t % {DAY_US} >= {DAY_US - SESSION_GAP_US}",
    ),
    # Decisions for help.
    "offers": Summary(
        DECISIONS,
        {"t": "BIGINT", "decision_id": "VARCHAR", "intervention_id": "VARCHAR"},
        f"SELECT {_DAY}, t, decision_id, intervention_id FROM rows WHERE counts AND kind = 'intervene'",
    ),
}


def of_rows(summary: Summary, source: str) -> str:
    """The query of a summary over rows of the copies, whose places are in `file_row_number`."""
    return f"WITH rows AS ({_ROWS} FROM {source}) SELECT * FROM ({summary.query})"


def write(connection: duckdb.DuckDBPyConnection, root: Path, path: str) -> None:
    """Writes the summaries of a file of the copies, which is at this path below the root."""
    kind = path.partition("/")[0]
    connection.read_parquet(str(root / path), hive_partitioning=False, file_row_number=True).create_view("source")
    for name, summary in SUMMARIES.items():
        if summary.kind == kind:
            to = root / summary_path(name, path)
            make_folder(to.parent)
            connection.execute(
                f"COPY ({of_rows(summary, 'source')} ORDER BY ALL) TO {listed([str(to)])} "
                "(FORMAT parquet, COMPRESSION zstd)"
            )
            restrict(to, to.parent)
    connection.execute("DROP VIEW source")
