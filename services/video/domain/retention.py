"""How all viewers watch a video: viewers and plays per second, where they stop, where they replay."""

import itertools
import statistics
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from services.video.domain import coverage, lengths
from services.video.domain.playback import Effect

# The rest of a longer video is not counted.
LONGEST_SECONDS: Final = 4 * 3_600
_SPAN: Final = 5
_LEAST_FALL: Final = 0.10
_LEAST_REPLAYS: Final = 0.50
_MOST_SEGMENTS: Final = 5


class Counts(msgspec.Struct):
    """What one shard counts of a video.

    `seen` and `played` are the changes of the counts at `seconds`, which ascend: a stretch is two steps, whatever its
    length. A second counts as seen if its middle was, so that neither the order nor the cut of the events matters.
    `lengths` counts the reports per length in milliseconds.
    """

    viewer_count: int = 0
    seconds: "array[int]" = msgspec.field(default_factory=lambda: array("H"))
    seen: "array[int]" = msgspec.field(default_factory=lambda: array("i"))
    played: "array[int]" = msgspec.field(default_factory=lambda: array("i"))
    lengths: dict[int, int] = {}


class Curve(msgspec.Struct, frozen=True):
    """A video second by second, as far as it was watched and no further than its length."""

    duration_ms: int
    viewer_count: int
    viewers: list[int]
    plays: list[int]


def count(counts: Counts, effect: Effect, *, is_new_viewer: bool) -> None:
    """Adds the effect of one event."""
    if effect.length is not lengths.UNCHANGED:
        lengths.count(counts.lengths, effect.length)
    counts.viewer_count += is_new_viewer
    unseen = coverage.stretches(effect.unseen)
    if unseen == effect.played:
        for start, end in unseen:
            _add(counts, start, end, 1, 1)
        return
    for start, end in effect.played:
        _add(counts, start, end, 0, 1)
    for start, end in unseen:
        _add(counts, start, end, 1, 0)


def curve(shards: Iterable[Counts]) -> Curve:
    """The sum over shards."""
    each = list(shards)
    duration_ms = lengths.of_video(counts.lengths for counts in each)
    watched = max((counts.seconds[-1] for counts in each if counts.seconds), default=0)
    length = min(watched, -(-duration_ms // 1000)) if duration_ms else watched
    viewers, plays = _levels(each, "seen", length), _levels(each, "played", length)
    while plays and not plays[-1]:
        plays.pop(), viewers.pop()
    return Curve(duration_ms, sum(counts.viewer_count for counts in each), viewers, plays)


def drop_offs(of: Curve) -> list[tuple[int, int]]:
    """Stretches of five seconds over which at least a tenth of all viewers stopped, worst first, at most five."""
    least = _LEAST_FALL * of.viewer_count
    falls = [(of.viewers[at] - of.viewers[at + _SPAN], at) for at in range(len(of.viewers) - _SPAN)]
    worst: list[int] = []
    for fall, at in sorted(falls, key=lambda each: (-each[0], each[1])):
        if len(worst) == _MOST_SEGMENTS or fall < max(least, 1):
            break
        if all(abs(at - other) > _SPAN for other in worst):
            worst.append(at)
    return [(at, at + _SPAN) for at in worst]


def replay_hot_spots(of: Curve) -> list[tuple[int, int]]:
    """Stretches replayed half a play per viewer more than the median of what was seen, most first, at most five."""
    rates = [plays / viewers - 1 if viewers else 0.0 for viewers, plays in zip(of.viewers, of.plays, strict=True)]
    seen = [rate for rate, viewers in zip(rates, of.viewers, strict=True) if viewers]
    least = statistics.median(seen) + _LEAST_REPLAYS if seen else 0.0
    spots = []
    for is_hot, seconds in itertools.groupby(range(len(rates)), key=lambda second: rates[second] >= least):
        inside = list(seconds)
        if is_hot:
            replays = sum(of.plays[second] - of.viewers[second] for second in inside)
            spots.append((-replays, inside[0], inside[-1] + 1))
    return [(start, end) for _, start, end in sorted(spots)[:_MOST_SEGMENTS]]


def _add(counts: Counts, start_ms: int, end_ms: int, seen: int, played: int) -> None:
    """Adds to the counts of a stretch."""
    first, last = (start_ms + 499) // 1000, min((end_ms + 499) // 1000, LONGEST_SECONDS)
    if first < last:
        _step(counts, first, seen, played)
        _step(counts, last, -seen, -played)


def _step(counts: Counts, second: int, seen: int, played: int) -> None:
    """Adds to the steps at a second; steps of zero are dropped."""
    seconds = counts.seconds
    at = bisect_left(seconds, second)
    if at == len(seconds) or seconds[at] != second:
        seconds.insert(at, second)
        counts.seen.insert(at, seen)
        counts.played.insert(at, played)
        return
    counts.seen[at] += seen
    counts.played[at] += played
    if not counts.seen[at] and not counts.played[at]:
        del seconds[at], counts.seen[at], counts.played[at]


def _levels(shards: Sequence[Counts], name: str, length: int) -> list[int]:
    """One of the counts, summed over shards, second by second."""
    steps = [0] * length
    for counts in shards:
        for second, step in zip(counts.seconds, getattr(counts, name), strict=True):
            if second < length:
                steps[second] += step
    return list(itertools.accumulate(steps))
