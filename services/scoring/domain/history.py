"""What is kept per user: the signals that may still count, the risk history, and the input of the last assessment.

All of it is bounded. Times are event time in Unix microseconds; events may come late and out of order, so a signal is
active within its lifetime before and after its time. A late event is therefore judged as of its own time, and one event
with a wrong clock does not disable later signals.
"""

import struct
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import msgspec

from services.scoring.domain.schema import Level, SignalType

SIGNAL_LIFETIME_US: Final = 30 * 60 * 1_000_000
SIGNAL_LIMIT: Final = 16
STRONG_FROM: Final = 70.0
_SINGLE_CLICKS: Final = frozenset({SignalType.DEAD_CLICK, SignalType.ERROR_CLICK})
POINT_LIMIT: Final = 32
POINT_GAP_US: Final = 60 * 1_000_000
_POINT: Final = struct.Struct("<qH")
# Scores in the history have two digits; they are truncated, not rounded, to keep their level.
_SCORE_STEPS: Final = 100.0


class Signal(msgspec.Struct, array_like=True, frozen=True):
    """A signal. `record` is the signal's message, opaque here, to return it unchanged."""

    type: int
    strength: float
    time_us: int
    reason: str
    record: bytes
    target: str = ""
    run_start_us: int = 0
    """Start of the run of events it reports; it replaces what was reported of the run before. 0: it has none."""


class Settled(NamedTuple):
    """What identifies a signal that has ended."""

    type: int
    time_us: int
    target: str


class Point(NamedTuple):
    """The risk after one assessment."""

    event_time_us: int
    score: float


class Journal(msgspec.Struct, array_like=True):
    """One user's state.

    `values` are the input of the last assessment and `terms` the model's terms for it: 64- and 32-bit floats,
    little-endian, `terms` beginning with the model's baseline. `points` are packed, oldest first; the last one's time
    and level are kept separately. `use_count` counts what the user did, and saturates. `values` are of
    `schema_version`.
    """

    use_count: int = 0
    event_time_us: int = 0
    model_probability: float = 0.0
    model_version: str = ""
    values: bytes = b""
    terms: bytes = b""
    points: bytes = b""
    point_us: int = 0
    point_level: int = 0
    signals: list[Signal] = []
    schema_version: str = "features-1"
    more_values: bytes = b""
    """What a model of the extended schema took beside `values`; as they are stored."""
    more_terms: bytes = b""
    """The terms of these; as `terms` are stored."""
    own_names: list[str] = []
    """The names of those that are neither of the 13 nor of history."""
    rule_weights: dict[str, float] = {}
    """The learned weights of the rules that applied in the last assessment; without those that count as shipped."""


def active(signals: Sequence[Signal], at_us: int) -> list[Signal]:
    """The signals that count at a time, in the order they were reported."""
    since_us, until_us = at_us - SIGNAL_LIFETIME_US, at_us + SIGNAL_LIFETIME_US
    return [signal for signal in signals if since_us < signal.time_us < until_us]


def strong_count(active_signals: Sequence[Signal]) -> int:
    """How many signals are strong; each counts once, whatever its type. At most `SIGNAL_LIMIT`."""
    return len([signal for signal in active_signals if signal.strength >= STRONG_FROM])


def latest_us(active_signals: Sequence[Signal]) -> int:
    """The time of the latest signal; 0 for none."""
    return max([signal.time_us for signal in active_signals], default=0)


def drop(signals: Sequence[Signal], settled: Collection[Settled]) -> list[Signal]:
    """The signals without those that have ended."""
    return [signal for signal in signals if (signal.type, signal.time_us, signal.target) not in settled]


def keep(signals: list[Signal], found: Sequence[Signal], at_us: int) -> list[Signal]:
    """The signals to keep after an event at `at_us` with the new signals `found`.

    Expired ones are dropped, at the latest with the one reported first; a signal of a run replaces the earlier one of
    the run and those of its single clicks. Above the limit the oldest that has a later one of its own type is dropped,
    so that many signals of one type cannot hide another type.
    """
    since_us = at_us - SIGNAL_LIFETIME_US
    if not found and signals[0].time_us > since_us:
        return signals
    kept = [signal for signal in signals if signal.time_us > since_us]
    for signal in found:
        if signal.run_start_us:
            kept = [each for each in kept if not _is_of_run(each, signal)]
        kept.append(signal)
    while len(kept) > SIGNAL_LIMIT:
        last_of_type = {signal.type: index for index, signal in enumerate(kept)}
        kept.pop(next((index for index, signal in enumerate(kept) if last_of_type[signal.type] != index), 0))
    return kept


def _is_of_run(earlier: Signal, signal: Signal) -> bool:
    if earlier.type in _SINGLE_CLICKS and signal.type == SignalType.RAGE_CLICKS:
        return signal.run_start_us <= earlier.time_us <= signal.time_us
    return (earlier.type, earlier.run_start_us) == (signal.type, signal.run_start_us)


def note(journal: Journal, event_time_us: int, score: float, level: Level) -> None:
    """Adds a point to the risk history if the level changed or the last point is a minute away."""
    if journal.point_level == level and -POINT_GAP_US < event_time_us - journal.point_us < POINT_GAP_US:
        return
    older = journal.points[max(0, len(journal.points) - (POINT_LIMIT - 1) * _POINT.size) :]
    journal.points = older + _POINT.pack(event_time_us, int(score * _SCORE_STEPS))
    journal.point_us, journal.point_level = event_time_us, level


def course(journal: Journal) -> list[Point]:
    """The risk history, newest event first."""
    points = [Point(event_time_us, steps / _SCORE_STEPS) for event_time_us, steps in _POINT.iter_unpack(journal.points)]
    return sorted(points, key=lambda point: -point.event_time_us)
