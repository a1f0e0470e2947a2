"""One thing a user did, as the features see it. The numbers of `Kind` and `Platform` are those of the wire contract."""

from enum import IntEnum

import msgspec

NAME_LIMIT = 200
"""Characters of a page's or target's name that are told apart and kept."""


class Kind(IntEnum):
    """What happened."""

    PAGE_VIEW = 1
    FEATURE_INTERACTION = 2
    CLICK = 3
    FORM_START = 4
    FORM_SUBMIT = 5
    FORM_ABANDON = 6
    ERROR = 7
    RETRY = 8
    HELP_REQUEST = 9
    TASK_SUCCESS = 10
    TASK_FAILURE = 11
    STRUGGLE_SIGNAL = 12
    VIDEO_PLAYBACK = 13
    PURCHASE = 14
    SESSION_START = 15
    SESSION_END = 16
    INTERVENTION_OUTCOME = 17


class Platform(IntEnum):
    """Where an event was made."""

    WEB = 1
    MOBILE = 2
    BACKEND = 3


class Click(msgspec.Struct, frozen=True, gc=False):
    """Where a click went and what came of it. `None` means unknown or not watched; `x` and `y` are CSS pixels."""

    x: float | None = None
    y: float | None = None
    effect_observed: bool | None = None
    error_observed: bool = False
    selection_changed: bool = False


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event of one user. Only the first three fields are always told; the others are empty where they do not apply."""

    event_id: str
    kind: int
    at_us: int
    """When it happened: Unix microseconds of event time."""
    page: str = ""
    target: str = ""
    attempt_count: int = 0
    error_code: str = ""
    is_refresh: bool = False
    is_bot: bool = False
    platform: int = 0
    time_zone: str = ""
    click: Click | None = None
    amount: float = 0.0
    """With a purchase: the price paid, negative for a return."""
