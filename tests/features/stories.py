"""Short stories of users as events of the domain."""

from collections.abc import Sequence
from typing import Any

from services.features.domain.event import Event, Kind
from services.features.domain.journey import apply
from services.features.domain.signal import Signal
from services.features.domain.state import MINUTE_US, SECOND_US, State
from services.features.domain.vector import FEATURE_NAMES, vector

START_US = 1_767_348_000 * SECOND_US
"""2026-01-02T10:00:00Z."""


def at(seconds: float, kind: int, page: str = "", target: str = "", **members: Any) -> Event:
    """What happened so many seconds after ten o'clock; its id says when."""
    return Event(f"e{seconds:g}", kind, START_US + round(seconds * SECOND_US), page, target, **members)


def applied(events: Sequence[Event]) -> tuple[State, list[Signal]]:
    """The user after the events, and all signals found on the way."""
    state = State()
    return state, [signal for event in events for signal in apply(state, event).signals]


def signals(events: Sequence[Event], kind: int) -> list[Signal]:
    """The signals of one kind found in the events."""
    return [signal for signal in applied(events)[1] if signal.type == kind]


def feature(name: str, events: Sequence[Event], seconds: float | None = None) -> float:
    """One feature after the events, as of so many seconds after ten o'clock or of the latest event."""
    at_us = None if seconds is None else START_US + round(seconds * SECOND_US)
    return vector(applied(events)[0], at_us)[FEATURE_NAMES.index(name)]


def views(count: int, every_seconds: float, begin: float = 0) -> list[Event]:
    """Views of different pages."""
    return [at(begin + index * every_seconds, Kind.PAGE_VIEW, f"/page/{index}") for index in range(count)]


MINUTE = MINUTE_US / SECOND_US
HOUR = 60 * MINUTE
DAY = 24 * HOUR
