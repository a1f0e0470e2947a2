"""Questions. Members are those of `journeymesh.analytics.v1`, which says what they mean; times are Unix microseconds.

Words are those of the JSON. A question of this module is complete: it has no defaults left to fill in.
"""

import datetime as dt
import enum
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.analytics.domain import layout

DAY_US = 86_400_000_000
SESSION_GAP_US = 1_800_000_000
"""As in features: a session ends after this long without an event."""
HOUR_US = 3_600_000_000
WEEKS_COMPARED = 4
"""With so many weeks before, the hours of an incident are compared to find what explains it."""
SESSION_REACH_US = 6 * HOUR_US
"""Where sessions are sliced, what they did so long before their end counts."""


class Field(enum.StrEnum):
    """What is known of an event."""

    UNSPECIFIED = ""
    EVENT_TYPE = "event_type"
    PAGE = "page"
    TARGET = "target"
    PLATFORM = "platform"
    DEVICE_CLASS = "device_class"
    ERROR_CODE = "error_code"
    VIDEO_ID = "video_id"
    LEVEL = "level"
    STRUGGLE = "struggle"
    CHANNEL = "channel"
    COUNTRY = "country"


OF_EVENTS = frozenset(
    {
        Field.EVENT_TYPE,
        Field.PAGE,
        Field.TARGET,
        Field.PLATFORM,
        Field.DEVICE_CLASS,
        Field.ERROR_CODE,
        Field.VIDEO_ID,
        Field.COUNTRY,
    }
)
"""The fields that every event has."""


class Level(enum.StrEnum):
    """A level of risk, the lowest first."""

    UNSPECIFIED = ""
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def and_above(self) -> tuple["Level", ...]:
        """The level and those above it."""
        levels = tuple(Level)
        return levels[levels.index(self) :]


class Comparison(enum.StrEnum):
    """How a condition compares."""

    IS = "is"
    IS_NOT = "is_not"
    CONTAINS = "contains"
    BEGINS_WITH = "begins_with"


class Measure(enum.StrEnum):
    """What is counted over time."""

    EVENTS = "events"
    USERS = "users"
    SESSIONS = "sessions"
    STRUGGLES = "struggles"
    USERS_AT_RISK = "users_at_risk"
    OFFERED = "offered"
    SHOWN = "shown"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    CONVERTED = "converted"


class Interval(enum.StrEnum):
    """The length of an interval."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class FunnelStart(enum.StrEnum):
    """Where a way through a funnel begins."""

    ANY = "any"
    FIRST = "first"


class DayKind(enum.StrEnum):
    """Which days count."""

    CALENDAR = "calendar"
    ROLLING = "rolling"


class CohortKind(enum.StrEnum):
    """Who belongs to a cohort."""

    FIRST_TIME = "first_time"
    RECURRING = "recurring"


class Direction(enum.StrEnum):
    """Which way to look."""

    FORWARD = "forward"
    BACKWARD = "backward"


class ListKind(enum.StrEnum):
    """What is listed."""

    USERS = "users"
    USERS_AT_RISK = "users_at_risk"
    OFFERS = "offers"
    DROP_OFFS = "drop_offs"
    CONVERSIONS = "conversions"


@dataclass(frozen=True)
class Window:
    """From `start_us` on and before `end_us`."""

    start_us: int
    end_us: int
    time_zone: str


@dataclass(frozen=True)
class Condition:
    """A condition on an event."""

    field: Field
    comparison: Comparison
    values: tuple[str, ...]


Conditions = tuple[Condition, ...]


@dataclass(frozen=True)
class UserFilter:
    """Users who, within the window, did something, did not do something else, and had at least some risk."""

    did: Conditions = ()
    did_not: Conditions = ()
    at_least: Level = Level.UNSPECIFIED
    saved: str = ""
    """The id of a saved segment that they are in too."""
    definition: "UserFilter | None" = None
    """What that segment says; None while it has not been looked up."""

    @property
    def is_of_risk(self) -> bool:
        """Whether decisions have a say in who they are."""
        return bool(self.at_least) or (self.definition is not None and self.definition.is_of_risk)


@dataclass(frozen=True)
class Question:
    """What every question has."""

    window: Window
    where: Conditions
    segment: UserFilter

    @property
    def read_from_us(self) -> int:
        """The first event time that the answer depends on; whether a session begins depends on what came before."""
        return self.window.start_us - SESSION_GAP_US

    @property
    def read_to_us(self) -> int:
        """The event time from which on nothing changes the answer."""
        return self.window.end_us

    @property
    def read_days(self) -> Collection[int]:
        """The days whose files are read, in UTC, counted from 1970."""
        return layout.days(self.read_from_us, self.read_to_us)


def _before(window: Window) -> Window:
    """The window of the same length before."""
    return Window(2 * window.start_us - window.end_us, window.start_us, window.time_zone)


@dataclass(frozen=True)
class Kpis(Question):
    """Asks for key figures."""

    conversion: Conditions

    @property
    def previous(self) -> Window:
        """The window of the same length before."""
        return _before(self.window)

    @property
    def read_from_us(self) -> int:
        """See `Question`."""
        return self.previous.start_us - SESSION_GAP_US


@dataclass(frozen=True)
class Trend(Question):
    """Asks for a figure over time."""

    measure: Measure
    interval: Interval
    breakdown: Field
    series_count: int


@dataclass(frozen=True)
class Step:
    """A step of a funnel."""

    name: str
    where: Conditions


@dataclass(frozen=True)
class Funnel(Question):
    """Asks for a funnel."""

    steps: tuple[Step, ...]
    start: FunnelStart
    within_seconds: int
    breakdown: Field
    series_count: int

    @property
    def read_from_us(self) -> int:
        """See `Question`."""
        return self.window.start_us


@dataclass(frozen=True)
class Retention(Question):
    """Asks who comes back."""

    joins: Conditions
    returns: Conditions
    period: Interval
    period_count: int
    days: DayKind
    cohorts: CohortKind

    @property
    def read_from_us(self) -> int:
        """See `Question`: whether an event is somebody's first depends on all before it."""
        return 0 if self.cohorts is CohortKind.FIRST_TIME else self.window.start_us - 31 * DAY_US

    @property
    def read_to_us(self) -> int:
        """See `Question`: those of the last cohort come back later."""
        days = {Interval.DAY: 1, Interval.WEEK: 7, Interval.MONTH: 31}[self.period]
        return self.window.end_us + (self.period_count + 1) * days * DAY_US


@dataclass(frozen=True)
class Paths(Question):
    """Asks which ways sessions take."""

    place: Field
    start_place: str
    direction: Direction
    column_count: int
    place_count: int


@dataclass(frozen=True)
class Struggles(Question):
    """Asks where users struggle."""

    limit: int


@dataclass(frozen=True)
class Journey(Question):
    """Asks for a user's journey."""

    user_id: str
    limit: int


@dataclass(frozen=True)
class Listing(Question):
    """Asks for users or decisions."""

    kind: ListKind
    funnel: Funnel | None
    step: int
    limit: int

    @property
    def read_to_us(self) -> int:
        """See `Question`: what comes of help comes after it."""
        return self.window.end_us + DAY_US


@dataclass(frozen=True)
class Effect(Question):
    """Asks what help changed."""

    conversion: Conditions
    within_seconds: int
    experiment: str

    @property
    def read_to_us(self) -> int:
        """See `Question`: what users do after the last of them began to count."""
        return self.window.end_us + self.within_seconds * 1_000_000


SILENT_DAYS = 14
"""Days without an event by which a model is judged that does not say what it tells the probability of."""
MOST_SILENT_DAYS = 90
"""Outcomes of predictions are looked for in so many days after them."""


@dataclass(frozen=True)
class Calibration(Question):
    """Asks whether what the model said came true. `silent_days` is 0 for those that the model tells of."""

    model_version: str
    interval: Interval
    silent_days: int

    @property
    def read_from_us(self) -> int:
        """See `Question`: what came before a prediction says nothing of what comes after."""
        return self.window.start_us

    @property
    def read_to_us(self) -> int:
        """See `Question`: the days count from the end of a session, which may last for a day."""
        return self.window.end_us + ((self.silent_days or MOST_SILENT_DAYS) + 1) * DAY_US


@dataclass(frozen=True)
class Drift(Question):
    """Asks what moved since the window of the same length before."""

    model_version: str

    @property
    def previous(self) -> Window:
        """The window of the same length before."""
        return _before(self.window)

    @property
    def read_from_us(self) -> int:
        """See `Question`."""
        return self.previous.start_us


class Price(NamedTuple):
    """What a part of the mesh costs, in US dollars; a day's fixed cost is shared between tenants by their events."""

    name: str
    usd_per_million_events: float = 0.0
    usd_per_million_decisions: float = 0.0
    usd_per_day: float = 0.0


class Prices(NamedTuple):
    """What parts cost, and what a day of a tenant may cost, in US dollars; None: no limit was said."""

    parts: tuple[Price, ...] = ()
    daily_budget_usd: float | None = None
    budgets: tuple[tuple[str, float], ...] = ()
    """Of tenants that have one of their own."""

    def budget_of(self, tenant: str) -> float | None:
        """What a day of a tenant may cost."""
        return dict(self.budgets).get(tenant, self.daily_budget_usd)


class DayOfUse(NamedTuple):
    """What a tenant used on a UTC day, and which share of all tenants' events were its own, 0 to 1."""

    start_us: int
    event_count: int
    decision_count: int
    share: float
    models_usd: float
    """What its language models cost."""
    passed: float = 1.0
    """How much of the day has passed, 0 to 1: of today whole quarters of an hour."""


@dataclass(frozen=True)
class Costs(Effect):
    """Asks what the mesh cost, and what that bought: the window has whole days of UTC."""

    prices: tuple[Price, ...] = ()
    budget_usd: float | None = None
    days: tuple[DayOfUse, ...] = ()
    """What was used; none while it has not been looked up."""


@dataclass(frozen=True)
class Insights(Question):
    """Asks when key figures were unusual."""

    conversion: Conditions
    limit: int

    @property
    def learned(self) -> Window:
        """The window, and the eight weeks before it, from which it is known what is usual."""
        its = self.window
        return Window(its.start_us - 56 * DAY_US, its.end_us, its.time_zone)

    @property
    def read_from_us(self) -> int:
        """See `Question`."""
        return self.learned.start_us - SESSION_GAP_US


class SlicedPart(NamedTuple):
    """A metric, its hours that were off, by when they begin, and how many were expected in all of them together."""

    metric: str
    hours_us: tuple[int, ...]
    expected: float


@dataclass(frozen=True)
class Slices(Question):
    """Asks which slices explain an incident: its hours are compared with the same hours of the weeks before."""

    parts: tuple[SlicedPart, ...]
    conversion: Conditions

    @property
    def hours_us(self) -> frozenset[int]:
        """All hours that are counted: those that were off, and the same of the weeks before."""
        return frozenset(
            hour for part in self.parts for own in part.hours_us for hour in (own, *hours_before(own, self.window))
        )

    @property
    def read_days(self) -> Collection[int]:
        """See `Question`: of the days between nothing is read. A session may have begun six hours before its end."""
        return {
            day
            for hour_us in self.hours_us
            for day in layout.days(hour_us - SESSION_REACH_US, hour_us + HOUR_US + SESSION_GAP_US)
        }


def hours_before(hour_us: int, window: Window) -> tuple[int, ...]:
    """When the same hour of the week began in the four weeks before, by the clock of a window's zone."""
    zone = ZoneInfo(window.time_zone)
    local = dt.datetime.fromtimestamp(hour_us // 1_000_000, zone)
    return tuple(
        int((local.replace(tzinfo=None) - dt.timedelta(weeks=weeks)).replace(tzinfo=zone).timestamp()) * 1_000_000
        for weeks in range(1, WEEKS_COMPARED + 1)
    )
