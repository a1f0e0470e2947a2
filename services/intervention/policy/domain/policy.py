"""Every rule of when, how and how often to help, in one value. What decides differently gets another version."""

import enum
from typing import Final

import msgspec

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

URGENT: Final = "urgent"
GENTLE: Final = "gentle"
HUMAN: Final = "human"
IN_APP: Final = "in_app"
CHANNELS: Final = ("chat", "email", "in_app", "push", "ticket")
PRESENT_CHANNELS: Final = frozenset({"chat", IN_APP})
"""The channels that reach only a user who is there."""
TECHNICAL: Final = "technical"
ORIENTATION: Final = "orientation"
ANY: Final = "any"
LEAST_QUIET_MINUTES: Final = 10
STRONG_SIGNAL: Final = 70
"""The strength from which on scoring counts a signal as strong."""
REMEMBERED_OFFERS: Final = 64
"""Offers remembered of a user, the last ones. A cap whose period reaches further back than they do is taken as full."""
# Names of indicators, as features and scoring use them. Technical: something did not work.
TECHNICAL_DIFFICULTIES: Final = frozenset(
    {
        "repeated_failures",
        "form_errors",
        "page_refreshes",
        "rage_clicks",
        "dead_click",
        "error_click",
        "scattered_errors",
        "error_count",
        "retry_count",
        "click_frustration",
    }
)
# Orientation: it works, but the user does not find or understand it.
ORIENTATION_DIFFICULTIES: Final = frozenset(
    {
        "help_seeking",
        "quick_backs",
        "rapid_navigation",
        "long_time_on_page",
        "repeated_recalculation",
        "form_abandonment",
        "forms_left",
        "help_requests",
        "form_abandons",
    }
)
DIFFICULTIES: Final = TECHNICAL_DIFFICULTIES | ORIENTATION_DIFFICULTIES


class EventKind(enum.IntEnum):
    """What happened, as far as a policy may take it as the goal of a user."""

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
    IDENTIFY = 18
    SEGMENT_CHANGE = 19


class Prior(msgspec.Struct, frozen=True):
    """Beta prior of success: so many acceptances and refusals are assumed before anything was seen."""

    accepted: float
    refused: float


class ContextPrior(msgspec.Struct, frozen=True):
    """The prior of an action where the risk's level and the kind of difficulty are these; `any` is each."""

    level: str
    difficulty: str
    accepted: float
    refused: float


class Action(msgspec.Struct, frozen=True):
    """One thing that can be done. Times are microseconds; `content` and `offer` go by kind of difficulty.

    `need` is `urgent` (at the trigger) or `gentle` (medium risk, by a channel the user welcomes). It is for users of
    `segments`; without any, for all. It offers up to `recommends` of the products that are recommended to the user.
    """

    name: str
    type: str
    need: str
    channel: str
    also_channels: tuple[str, ...]
    topic: str
    handled_by: str
    levels: frozenset[str]
    difficulties: frozenset[str]
    content: dict[str, tuple[str, ...]]
    offer: dict[str, str]
    lifetime_us: int
    deliver_us: int
    is_in_business_hours: bool
    is_transactional: bool
    uses_generated_copy: bool
    dismissed_us: int
    worth: float
    cost: float
    prior: Prior | None
    contexts: tuple[ContextPrior, ...]
    segments: frozenset[str]
    recommends: int

    @property
    def channels(self) -> tuple[str, ...]:
        """All its channels, its own first."""
        return (self.channel, *self.also_channels)


class Cap(msgspec.Struct, frozen=True):
    """At most so many messages in each period of the user's calendar; an empty channel or topic is each.

    It binds users of its segments; without any, all.
    """

    most: int
    per: str
    channel: str
    topic: str
    segments: frozenset[str]


class QuietHours(msgspec.Struct, frozen=True):
    """When channels are silent: minutes of the local day, from `start` on and before `end`; may span midnight.

    What falls into them is held until their end (`is_held`), or not sent at all.
    """

    start_minute: int
    end_minute: int
    channels: frozenset[str]
    is_held: bool


class BusinessHours(msgspec.Struct, frozen=True):
    """When there are people at work, Monday to Friday: local clock hours, and the least of them that must be left."""

    opens_hour: int
    closes_hour: int
    least_us: int


class Conversion(msgspec.Struct, frozen=True):
    """What a user is wanted to do: an event of this kind, about this target (empty: any), so soon after the help."""

    event: str
    target: str
    within_us: int


class Holdout(msgspec.Struct, frozen=True):
    """The share of users who are not helped, 0 to 1; the salt names the experiment and decides who they are."""

    share: float
    salt: str


class Exploration(msgspec.Struct, frozen=True):
    """How freely actions are drawn: see `chance.propensities`. The salt seeds the draw."""

    temperature: float
    floor: float
    salt: str
    nothing_utility: float


class Policy(msgspec.Struct, frozen=True):
    """The rules a decision rests on. Times are microseconds of received time; the version names the content."""

    version: str
    trigger_score: float
    trigger_signal_count: int
    least_confidence: float
    quiet_pages: tuple[str, ...]
    cooldown_us: int
    freshness_us: int
    caps: tuple[Cap, ...]
    quiet: QuietHours | None
    business_hours: BusinessHours
    suppressed_users: frozenset[str]
    suppressed_channels: dict[str, frozenset[str]]
    escalation_count: int
    escalation_us: int
    high_value: float
    high_value_currency: str
    welcome_outcome_count: int
    welcome_probability: float
    conversion: Conversion
    holdout: Holdout
    exploration: Exploration
    priors: dict[str, Prior]
    actions: tuple[Action, ...]
