"""The columns of the copies, and what each is made of; docs/analytics.md says what they mean."""

from collections.abc import Collection
from typing import Final, NamedTuple


class Column(NamedTuple):
    """A column: its type in DuckDB, the column of the archive that it needs, and what it is made of."""

    type: str
    needs: str
    expression: str


def _same(name: str, kind: str = "VARCHAR") -> Column:
    return Column(kind, name, name)


def _plain(name: str) -> Column:
    return Column("VARCHAR", name, f"plain({name})")


_INDICATORS: Final = "STRUCT(name VARCHAR, contribution DOUBLE, reason VARCHAR)[]"
_CANDIDATES: Final = (
    "STRUCT(action VARCHAR, channel VARCHAR, success_probability DOUBLE, propensity DOUBLE, refusal VARCHAR, "
    "is_chosen BOOLEAN)[]"
)

EVENTS: Final = {
    "user_id": _plain("user_id"),
    "event_time": _same("event_time", "TIMESTAMPTZ"),
    "received_time": _same("received_time", "TIMESTAMPTZ"),
    "event_id": _plain("event_id"),
    "event_type": _same("event_type"),
    "page": _same("page"),
    "target": _same("target"),
    "error_code": _same("error_code"),
    "platform": _same("platform"),
    "device_class": _same("device_class"),
    "country": Column("VARCHAR", "properties", "country_of(properties, time_zone)"),
    "video_id": Column("VARCHAR", "playback", "plain(playback.video_id)"),
    "intervention_id": Column("VARCHAR", "outcome", "plain(outcome.intervention_id)"),
    "outcome": Column("VARCHAR", "outcome", "outcome.outcome"),
    "channel": Column("VARCHAR", "outcome", "outcome.channel"),
    "amount": Column("DOUBLE", "purchase", "purchase.amount"),
    "currency": Column("VARCHAR", "purchase", "purchase.currency"),
    "is_refund": Column("BOOLEAN", "purchase", "purchase.is_refund"),
    "is_bot": _same("is_bot", "BOOLEAN"),
    "is_system": Column("BOOLEAN", "is_system", "coalesce(is_system, false)"),
    "copied_event_id": _plain("copied_event_id"),
    "linked_user_id": _plain("linked_user_id"),
}

_OWN: Final = {
    "user_id": _plain("user_id"),
    "received_time": _same("received_time", "TIMESTAMPTZ"),
    "decision_id": _plain("decision_id"),
    "event_id": _plain("event_id"),
    "kind": _same("kind"),
    "reasons": _same("reasons", "VARCHAR[]"),
    "score": _same("score", "DOUBLE"),
    "level": _same("level"),
    "indicators": _same("indicators", _INDICATORS),
    "policy_version": _same("policy_version"),
    "explanation": _same("explanation"),
    "intervention_id": Column("VARCHAR", "intervention", "plain(json_extract_string(intervention, '$.id'))"),
    "action": Column("VARCHAR", "intervention", "json_extract_string(intervention, '$.action')"),
    "channel": Column("VARCHAR", "intervention", "json_extract_string(intervention, '$.channel')"),
    "candidates": _same("candidates", _CANDIDATES),
    "is_treated": _same("is_treated", "BOOLEAN"),
    "experiment": _same("experiment"),
    "model_version": _same("model_version"),
    "model_score": _same("model_score", "DOUBLE"),
    "probability": _same("probability", "DOUBLE"),
    "model_outcome": _same("model_outcome"),
    "rule_score": _same("rule_score", "DOUBLE"),
}
OF_THE_EVENT: Final = (
    "event_time",
    "event_type",
    "page",
    "target",
    "error_code",
    "platform",
    "device_class",
    "country",
    "video_id",
    "is_bot",
    "is_system",
    "copied_event_id",
)
"""What a decision has from the event it is about."""

DECISIONS: Final = _OWN | {name: EVENTS[name] for name in OF_THE_EVENT}


def selected(columns: dict[str, Column], known: Collection[str]) -> str:
    """The columns as a list of SQL, null where the archive's files are too old to have what they need."""
    return ", ".join(
        f"{each.expression if each.needs in known else 'NULL'}::{each.type} AS {name}" for name, each in columns.items()
    )


def decisions_own(known: Collection[str]) -> str:
    """The columns of decisions that are their own, as `selected`."""
    return selected(_OWN, known)


def none(columns: dict[str, Column]) -> str:
    """A query that has the columns and no rows."""
    return f"SELECT {', '.join(f'NULL::{each.type} AS {name}' for name, each in columns.items())} WHERE false"
