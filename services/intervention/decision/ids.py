"""Ids of decisions and interventions, and names in the ledger."""

from typing import Final

from mesh.state import applied
from services.intervention.decision.domain.facts import EventPosition

DECISION_PREFIX: Final = "d"
INTERVENTION_PREFIX: Final = "i"


def decision_id(position: EventPosition) -> str:
    """The id of the decision on the event at a position."""
    return applied.derived_id(DECISION_PREFIX, position.shard, position.sequence, position.event_index)


def position_of(prefix: str, text: str) -> EventPosition | None:
    """The position of the event that an id with this prefix is derived from; None if the text is no such id."""
    parsed = applied.parse_derived_id(text)
    return EventPosition(*parsed[1:]) if parsed and parsed[0] == prefix else None


def decision_id_of(intervention_id: str) -> str:
    """The id of the decision that led to an intervention: both are derived from the same event."""
    return DECISION_PREFIX + intervention_id.removeprefix(INTERVENTION_PREFIX)


def user_name(user_id: str) -> str:
    """The name by which the ledger finds a user."""
    return "u" + user_id


def trace_name(trace_id: bytes) -> str:
    """The name by which the ledger finds a trace."""
    return "t" + trace_id.hex()


def intervention_id(position: EventPosition) -> str:
    """The id of the intervention that the event at a position may lead to."""
    return applied.derived_id(INTERVENTION_PREFIX, position.shard, position.sequence, position.event_index)
