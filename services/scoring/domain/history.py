"""What is kept of a user: the signals that may still count, the course of the risk, and what the last assessment saw.

All of it is bounded. Times are event time in Unix microseconds; events may come late and out of order, so a signal is
active at a time when it lies less than its lifetime away from it, before or after: the answer to a late event is about
its own time, and one event with a wrong clock does not silence what comes after it.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from services.scoring.domain.schema import level_of

SIGNAL_LIFETIME_US: Final = 30 * 60 * 1_000_000
SIGNAL_LIMIT: Final = 24
STRONG_FROM: Final = 70.0
POINT_LIMIT: Final = 32
# Points nearer than this to the one before, and of the same level, replace it.
POINT_GAP_US: Final = 60 * 1_000_000
_POINT: Final = struct.Struct("<qH")
# The last point of each assessment is exact in the answer; in the history a score keeps two digits.
_SCORE_STEPS: Final = 100.0


class Signal(msgspec.Struct, array_like=True, frozen=True):
    """A sign of struggle. `record` is the signal as it was told, opaque here, so that it can be told again."""

    type: int
    strength: float
    time_us: int
    reason: str
    record: bytes


class Point(NamedTuple):
    """The risk after one event; the score is cut, not rounded, to two digits so that it keeps its level."""

    event_time_us: int
    score: float


class Journal(msgspec.Struct, array_like=True):
    """One user's state.

    `values` and `terms` are what the last assessment saw and how the model came to its answer: 64-bit and 32-bit floats,
    little-endian, `terms` led by the model's baseline. `points` are packed, oldest first. `assessed_count` saturates.
    """

    assessed_count: int = 0
    event_time_us: int = 0
    model_probability: float = 0.0
    model_version: str = ""
    values: bytes = b""
    terms: bytes = b""
    points: bytes = b""
    signals: list[Signal] = []


def is_active(signal: Signal, at_us: int) -> bool:
    """Whether the signal counts at a time."""
    return -SIGNAL_LIFETIME_US < at_us - signal.time_us < SIGNAL_LIFETIME_US


def active(signals: Sequence[Signal], at_us: int) -> list[Signal]:
    """The signals that count at a time, in the order they were told."""
    return [signal for signal in signals if is_active(signal, at_us)]


def strong_count(active_signals: Sequence[Signal]) -> int:
    """How many signals are strong; each that was told counts once, whatever its type."""
    return sum(1 for signal in active_signals if signal.strength >= STRONG_FROM)


def keep(signals: Sequence[Signal], found: Sequence[Signal], at_us: int) -> list[Signal]:
    """The signals to remember after an event at `at_us` that brought `found`.

    Those whose lifetime has passed fall out. Above the limit the oldest goes that has a later one of its own type, so
    that a flood of one type cannot hide another.
    """
    kept = [signal for signal in signals if at_us - signal.time_us < SIGNAL_LIFETIME_US]
    kept.extend(found)
    while len(kept) > SIGNAL_LIMIT:
        last_of_type = {signal.type: index for index, signal in enumerate(kept)}
        kept.pop(next((index for index, signal in enumerate(kept) if last_of_type[signal.type] != index), 0))
    return kept


def extend(points: bytes, event_time_us: int, score: float) -> bytes:
    """The points with one more; it replaces the last one if that is near in time and of the same level."""
    steps = int(score * _SCORE_STEPS)
    added = _POINT.pack(event_time_us, steps)
    if points:
        last_us, last_steps = _POINT.unpack_from(points, len(points) - _POINT.size)
        is_near = -POINT_GAP_US < event_time_us - last_us < POINT_GAP_US
        if is_near and level_of(last_steps / _SCORE_STEPS) is level_of(steps / _SCORE_STEPS):
            return points[: -_POINT.size] + added
    return points[max(0, len(points) + _POINT.size - POINT_LIMIT * _POINT.size) :] + added


def points_of(points: bytes) -> list[Point]:
    """The points, newest event first."""
    found = [Point(event_time_us, steps / _SCORE_STEPS) for event_time_us, steps in _POINT.iter_unpack(points)]
    return sorted(found, key=lambda point: point.event_time_us, reverse=True)
