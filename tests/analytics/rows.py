"""Rows of the copies as tests tell them, and a connection to them."""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import duckdb
import pyarrow as pa
from hypothesis import strategies as st

from services.analytics.adapters.copies import columns
from services.analytics.adapters.copies.relations import Query
from services.analytics.domain.question import DAY_US, Comparison, Condition, Conditions, Field, UserFilter, Window

START_US: Final = 1_767_312_000_000_000
"""2026-01-02T00:00:00Z."""
MINUTE_US: Final = 60_000_000
WINDOW: Final = Window(START_US, START_US + 3 * DAY_US, "UTC")
EVERYBODY: Final = UserFilter()
_TYPES: Final = {
    "VARCHAR": pa.string(),
    "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
}


@dataclasses.dataclass(frozen=True)
class Event:
    """An event of the copies."""

    user_id: str
    t: int
    event_id: str
    event_type: str = "page_view"
    page: str | None = "/a"
    platform: str | None = "web"
    country: str | None = None
    outcome: str | None = None
    intervention_id: str | None = None
    amount: float | None = None
    currency: str | None = None
    is_bot: bool = False
    is_system: bool = False
    linked_user_id: str | None = None


@dataclasses.dataclass(frozen=True)
class Decision:
    """A decision of the copies."""

    user_id: str
    t: int
    decision_id: str
    signals: tuple[str, ...] = ()
    level: str = "low"
    score: float = 10.0
    kind: str = "none"
    intervention_id: str | None = None
    page: str | None = "/a"
    event_id: str = "e"
    is_treated: bool | None = None
    experiment: str | None = None
    event_type: str = "page_view"
    copied_event_id: str | None = None
    is_bot: bool = False
    model_version: str = "m-1"
    model_score: float = 50.0
    rule_score: float = 0.0
    probability: float | None = None
    model_outcome: str | None = None


def asking(
    events: Sequence[Event], decisions: Sequence[Decision] = (), time_zone: str = "UTC", block_rows: int = 4
) -> Query:
    """A query over these rows, which are taken so few at a time that users do not end with them."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(f"SET TimeZone = '{time_zone}'")
    known = (
        "user_id",
        "event_id",
        "event_type",
        "page",
        "platform",
        "country",
        "outcome",
        "intervention_id",
        "amount",
        "currency",
        "is_bot",
        "is_system",
        "linked_user_id",
    )
    rows = [
        {**{name: getattr(each, name) for name in known}, "event_time": _time(each.t), "received_time": _time(each.t)}
        for each in events
    ]
    _table(connection, "all_events", columns.EVENTS, rows, "event_id")
    decided: list[dict[str, Any]] = [
        {
            "user_id": each.user_id,
            "event_time": _time(each.t),
            "decision_id": each.decision_id,
            "event_id": each.event_id,
            "kind": each.kind,
            "level": each.level,
            "score": each.score,
            "page": each.page,
            "intervention_id": each.intervention_id,
            "is_treated": each.is_treated,
            "experiment": each.experiment,
            "event_type": each.event_type,
            "copied_event_id": each.copied_event_id,
            "model_version": each.model_version,
            "model_score": each.model_score,
            "rule_score": each.rule_score,
            "probability": each.probability,
            "model_outcome": each.model_outcome,
            "is_bot": each.is_bot,
            "is_system": False,
            "reasons": ["risk_too_low"],
            "indicators": [{"name": name, "contribution": 1.0, "reason": name} for name in each.signals],
        }
        for each in decisions
    ]
    _table(connection, "all_decisions", columns.DECISIONS, decided, "decision_id")
    return Query(connection, block_rows)


def _table(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    known: dict[str, columns.Column],
    rows: list[dict[str, Any]],
    order: str,
) -> None:
    connection.execute(f"CREATE TABLE {name} AS SELECT *, NULL::BIGINT AS place FROM ({columns.none(known)})")
    if rows:
        ordered = sorted(rows, key=lambda row: str(row[order]))
        given = pa.Table.from_pylist([row | {"place": place} for place, row in enumerate(ordered)])
        connection.register("given", given)
        connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM given")
        connection.unregister("given")


def _time(t: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=t)


def where(field: Field, *values: str, comparison: Comparison = Comparison.IS) -> Conditions:
    """One condition."""
    return (Condition(field, comparison, values),)


@st.composite
def journeys(draw: st.DrawFn, most: int = 40) -> list[Event]:
    """Events of a few users on a few pages within five days about the window, no two of a user at the same time."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from("abcd"),
                st.one_of(st.integers(-30, 80), st.integers(-24 * 12, 4 * 24 * 12)),
                st.sampled_from(("/a", "/b", "/c", "/d", None)),
                st.sampled_from(("page_view", "page_view", "click", "form_start", "form_submit", "purchase")),
                st.sampled_from(("web", "mobile", None)),
                st.integers(0, 20),
            ),
            max_size=most,
            unique_by=lambda each: each[:2],
        )
    )
    return [
        Event(
            user,
            START_US + step * 5 * MINUTE_US,
            f"e{number:03}",
            kind,
            page,
            platform,
            (None, "DE", "AT")[luck % 3],
            amount=float(number) if kind == "purchase" else None,
            currency="EUR" if kind == "purchase" else None,
            is_bot=luck == 0,
            is_system=luck == 1,
        )
        for number, (user, step, page, kind, platform, luck) in enumerate(drawn)
    ]
