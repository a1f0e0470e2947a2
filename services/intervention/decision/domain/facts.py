"""What is known of one event when it is decided on: the inputs of a decision."""

import enum
from typing import Final

import msgspec

from services.intervention.decision.domain.segment import Segment


class Level(enum.IntEnum):
    """How high the exit risk is."""

    UNKNOWN = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


LEVEL_NAMES: Final = ("unknown", "low", "medium", "high", "critical")
"""By `Level`."""


class Outcome(enum.IntEnum):
    """What became of an intervention; `NONE` as long as nothing has."""

    NONE = 0
    SHOWN = 1
    ACCEPTED = 2
    DECLINED = 3
    EXPIRED = 4
    CONVERTED = 5
    WITHDRAWN = 6


class Indicator(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A reason of the assessment: its name, its share of the score in points, and why."""

    name: str
    contribution: float
    reason: str


class Assessment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The risk as scoring saw it. Scores are 0 to 100, the confidence 0 to 1, indicators strongest first.

    `latest_signal_time_us` is the event time of the newest signal that counts, in Unix microseconds; 0 where none
    counts and where scoring does not say. `probability` is the told probability of the outcome, 0 to 1; None if none
    was told.
    """

    score: float
    level: int
    confidence: float
    rule_score: float
    model_score: float
    strong_signal_count: int
    indicators: tuple[Indicator, ...] = ()
    latest_signal_time_us: int = 0
    probability: float | None = None


class OutcomeReport(msgspec.Struct, frozen=True, array_like=True):
    """An outcome reported by an event. The id is empty for an intervention of another system."""

    intervention_id: str
    outcome: Outcome
    channel: str


class Purchase(msgspec.Struct, frozen=True, array_like=True):
    """A purchase or a refund: its amount in a currency (ISO 4217; may be empty)."""

    amount: float
    currency: str
    is_refund: bool = False

    @property
    def gives_back(self) -> bool:
        """Whether money went back: the event says so, or the amount is negative."""
        return self.is_refund or self.amount < 0


class Contact(msgspec.Struct, frozen=True, array_like=True):
    """Where a user can be reached outside the product; what is empty is not known."""

    email: str
    push_target: str


class EventPosition(msgspec.Struct, frozen=True, array_like=True):
    """Where an event stands on the stream."""

    shard: str
    sequence: int
    event_index: int


class Facts(msgspec.Struct, frozen=True):
    """One event with its assessment.

    `received_us` is the time of the decision, in Unix microseconds. `age_us` is how long before that the event
    happened: 0 where unknown, negative where the client's clock runs ahead. `time_zone` is the user's last known one.
    """

    position: EventPosition
    user_id: str
    event_id: str
    received_us: int
    trace_id: bytes
    page: str
    time_zone: str
    is_bot: bool
    outcome: OutcomeReport | None
    assessment: Assessment
    model_version: str
    rules_version: str
    # The kind of event (0: unknown), and what it was about.
    kind: int = 0
    target: str = ""
    bought: Purchase | None = None
    # The feature vector behind the assessment, in the order of `feature_names`; empty at low risk.
    features: tuple[float, ...] = ()
    feature_names: tuple[str, ...] = ()
    feature_schema_version: str = ""
    age_us: int = 0
    # With a purchase that is no refund, the products; with a segment change, what it says.
    products: tuple[str, ...] = ()
    segment: Segment | None = None
    # A copy of an event of the linked journey.
    is_copy: bool = False
    # A system made the event, not the user.
    is_system: bool = False
    # Signals ended with this event, because the user succeeded.
    is_settled: bool = False
    # What the model tells the probability of, in words; empty where unknown.
    model_outcome: str = ""

    @property
    def event_us(self) -> int:
        """When the event happened: Unix microseconds."""
        return self.received_us - self.age_us
