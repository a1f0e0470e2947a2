"""One thing a user did, as the features see it. The numbers of `Kind` and `Platform` are those of the wire contract."""

from typing import Final

import msgspec

from services.features.domain.own import Own

NAME_LIMIT = 200
"""Characters of a page's or target's name that are distinguished and kept."""


class Kind:
    """What happened. Plain numbers, because looking up an enumeration's member costs 0.1 µs, ten times per event."""

    PAGE_VIEW: Final = 1
    FEATURE_INTERACTION: Final = 2
    CLICK: Final = 3
    FORM_START: Final = 4
    FORM_SUBMIT: Final = 5
    FORM_ABANDON: Final = 6
    ERROR: Final = 7
    RETRY: Final = 8
    HELP_REQUEST: Final = 9
    TASK_SUCCESS: Final = 10
    TASK_FAILURE: Final = 11
    STRUGGLE_SIGNAL: Final = 12
    VIDEO_PLAYBACK: Final = 13
    PURCHASE: Final = 14
    SESSION_START: Final = 15
    SESSION_END: Final = 16
    INTERVENTION_OUTCOME: Final = 17
    IDENTIFY: Final = 18
    SEGMENT_CHANGE: Final = 19


class Platform:
    """Where an event was made."""

    WEB: Final = 1
    MOBILE: Final = 2
    BACKEND: Final = 3


class Click(msgspec.Struct, frozen=True, gc=False):
    """Where a click went and its effect. `None` means unknown or not watched; `x` and `y` are CSS pixels."""

    x: float | None = None
    y: float | None = None
    effect_observed: bool | None = None
    error_observed: bool = False
    selection_changed: bool = False
    value_changed: bool | None = None
    role: str = ""
    """The element's ARIA role."""


class Carried(msgspec.Struct, frozen=True, gc=False):
    """Purchases that move from an anonymous user to the known one: their number without refunds, and sums."""

    purchase_count: int = 0
    purchase_amounts: dict[str, float] = {}


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event of one user. The first three fields are always set, the others are empty where they do not apply."""

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
    is_system: bool = False
    """A system did this, not the user."""
    received_us: int = 0
    """When the mesh received it: Unix microseconds; 0 if unknown."""
    address: str = ""
    """With a page view: the full address, where it says more than the page."""
    click: Click | None = None
    amount: float = 0.0
    """With a purchase: the price paid; with a refund what was given back, as a negative number, or 0 if unknown."""
    currency: str = ""
    """With a purchase: its ISO 4217 code; empty if unknown."""
    is_refund: bool = False
    is_copy: bool = False
    """With a purchase: it was copied from a linked journey, where it was counted."""
    is_link: bool = False
    """It links an anonymous journey, whose purchases move to the known user."""
    carried: Carried | None = None
    """Purchases that move to this user from an anonymous journey."""
    own: Own | None = None
    """What it says of the installation's own columns."""


def is_given_back(event: Event) -> bool:
    """Whether a purchase is a refund, which is neither a purchase nor a success."""
    return event.is_refund or event.amount < 0
