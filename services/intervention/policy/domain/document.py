"""The policy as people write it: the shape of the YAML document. `interpretation.py` says what one means.

Durations are a whole number and a unit: `30s`, `15m`, `24h`, `7d`. Times of day are `HH:MM` on the user's clock.
A member that was added later is unset by default, so that a policy without it keeps the version it had.
"""

from typing import Annotated, Literal

import msgspec

Duration = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,6}[smhd]$(?!\n)", examples=["15m"])]
TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)", examples=["21:00"])]
Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,64}$(?!\n)")]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
Strength = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Channel = Literal["chat", "email", "in_app", "push", "ticket"]
Difficulty = Literal["technical", "orientation", "any"]
Level = Literal["low", "medium", "high", "critical"]
Segments = Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...], msgspec.Meta(max_length=64)]
Sentence = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Trigger(_Strict, frozen=True):
    """When help is urgent: from this score on, or with so many strong signals."""

    score: Annotated[float, msgspec.Meta(ge=0, le=100)] = 75.0
    strong_signals: Count = 4


class Eligibility(_Strict, frozen=True):
    """When nobody is helped: while the assessment is too unsure, and on pages such as `/checkout/*`."""

    least_confidence: Share = 0.0
    quiet_pages: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=256)], ...] = ()


class Cap(_Strict, frozen=True):
    """At most so many messages per hour, day or week of the user's calendar; with segments, only to users of these."""

    most: Annotated[int, msgspec.Meta(ge=0, le=50)]
    per: Literal["hour", "day", "week"]
    channel: Channel | Literal["any"] = "any"
    topic: Word = "any"
    segments: Segments | msgspec.UnsetType = msgspec.UNSET


class QuietHours(_Strict, frozen=True):
    """When channels are silent, on the user's clock. What falls into them is held until their end, or dropped."""

    start: TimeOfDay
    end: TimeOfDay
    channels: tuple[Channel, ...]
    then: Literal["hold", "drop"] = "hold"


class OfficeHours(_Strict, frozen=True):
    """When people are at work, Monday to Friday on the user's clock."""

    opens: Annotated[int, msgspec.Meta(ge=0, le=23)] = 9
    closes: Annotated[int, msgspec.Meta(ge=1, le=23)] = 18
    least_left: Duration = "30m"


class Suppression(_Strict, frozen=True):
    """Users who get no help at all, or none by a channel: user ids, or `sha256:` and the hash of one."""

    users: Annotated[tuple[str, ...], msgspec.Meta(max_length=10_000)] = ()
    channels: dict[Channel, Annotated[tuple[str, ...], msgspec.Meta(max_length=10_000)]] = {}


class Escalation(_Strict, frozen=True):
    """After so many automated offers that did not help, only people help."""

    after: Count = 2
    within: Duration = "24h"


class HighValue(_Strict, frozen=True):
    """From which sum of purchases a user's help goes to the priority queue. 0: never."""

    least: Amount = 0.0
    currency: Annotated[str, msgspec.Meta(pattern=r"^([A-Z]{3})?$(?!\n)")] = ""


class Welcome(_Strict, frozen=True):
    """When a channel counts as welcome to a user: after so many own outcomes, with this probability of success."""

    least_outcomes: Count = 3
    least_probability: Share = 0.6


class Conversion(_Strict, frozen=True):
    """What counts as the goal, and how long after the help it counts."""

    event: Word = "purchase"
    target: Annotated[str, msgspec.Meta(max_length=256)] = ""
    within: Duration = "24h"


class Holdout(_Strict, frozen=True):
    """The share of users who are not helped, so that the lift can be measured. Another salt is another experiment."""

    share: Annotated[float, msgspec.Meta(ge=0, le=0.9)] = 0.0
    salt: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "1"


class Exploration(_Strict, frozen=True):
    """How often another action than the best one is drawn. Temperature 0 and floor 0: never."""

    temperature: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    floor: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.0
    salt: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "1"
    nothing_utility: Annotated[float, msgspec.Meta(ge=-1000, le=1000)] = 0.0


class Chance(_Strict, frozen=True):
    """So many acceptances and refusals are assumed before anything was seen."""

    accepted: Strength
    refused: Strength


class ContextChance(_Strict, frozen=True):
    """The same for one level and one kind of difficulty."""

    accepted: Strength
    refused: Strength
    level: Level | Literal["any"] = "any"
    difficulty: Difficulty = "any"


class Action(_Strict, frozen=True, kw_only=True):
    """One thing that can be done; with segments, only for users of these (`none`: users who are in none)."""

    name: Word
    type: Word
    need: Literal["urgent", "gentle"]
    channel: Channel
    also_channels: tuple[Channel, ...] = ()
    topic: Word = "support"
    handled_by: Literal["ai", "human"] = "human"
    levels: tuple[Level, ...] = ()
    difficulties: tuple[Literal["technical", "orientation"], ...] = ()
    content: dict[Difficulty, tuple[Word, ...]]
    offer: dict[Difficulty, Sentence]
    lifetime: Duration = "30m"
    deliver_within: Duration = "1m"
    in_office_hours: bool = False
    transactional: bool = False
    worded: bool = True
    dismissed_for: Duration = "0s"
    worth: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 1.0
    cost: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0
    prior: Chance | None = None
    contexts: tuple[ContextChance, ...] = ()
    segments: Segments | msgspec.UnsetType = msgspec.UNSET
    recommends: Annotated[int, msgspec.Meta(ge=1, le=5)] | msgspec.UnsetType = msgspec.UNSET


class Arm(_Strict, frozen=True):
    """One of the policies that are compared. The first arm is the control, and has no policy: it is this document."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$(?!\n)")]
    weight: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    policy: "Document | None" = None


class Experiment(_Strict, frozen=True):
    """Which policy decides for a user: that of the user's arm, in the way of the experiments service.

    All arms have the same freshness, conversion and holdout, so that they are measured alike.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$(?!\n)")]
    arms: Annotated[tuple[Arm, ...], msgspec.Meta(min_length=2, max_length=10)]
    salt: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 100.0
    holdout_percent: Annotated[float, msgspec.Meta(ge=0, le=90)] = 0.0


class Document(_Strict, frozen=True, kw_only=True):
    """A policy as it is written."""

    version: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,40}$(?!\n)")]
    trigger: Trigger = Trigger()
    eligibility: Eligibility = Eligibility()
    freshness: Duration = "5m"
    cooldown: Duration = "15m"
    caps: tuple[Cap, ...] = ()
    quiet_hours: QuietHours | None = None
    office_hours: OfficeHours = OfficeHours()
    suppression: Suppression = Suppression()
    escalation: Escalation = Escalation()
    high_value: HighValue = HighValue()
    welcome: Welcome = Welcome()
    conversion: Conversion = Conversion()
    holdout: Holdout = Holdout()
    exploration: Exploration = Exploration()
    priors: dict[Channel, Chance]
    actions: Annotated[tuple[Action, ...], msgspec.Meta(min_length=1, max_length=40)]
    # Left out where there is none, so that other policies keep their versions.
    experiment: Experiment | msgspec.UnsetType = msgspec.UNSET
