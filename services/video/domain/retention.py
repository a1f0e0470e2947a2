"""How a video is watched by all: viewers and plays of each second, where they stop, where they replay."""

import itertools
import statistics
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from services.video.domain import coverage
from services.video.domain.playback import Effect

# Seconds that are counted; of a longer video the rest is left out.
LONGEST_SECONDS: Final = 4 * 3_600
_SPAN: Final = 5
_LEAST_FALL: Final = 0.10
_LEAST_REPLAYS: Final = 0.50
_MOST_SEGMENTS: Final = 5


class Counts(msgspec.Struct):
    """What one shard knows of a video.

    `seen` and `played` are the steps of the counts from second to second, so that a stretch is two additions whatever
    its length. A second counts as seen where its middle was: so the order and the cut of the beats do not matter.
    """

    duration_ms: int = 0
    viewer_count: int = 0
    seen: "array[int]" = msgspec.field(default_factory=lambda: array("i"))
    played: "array[int]" = msgspec.field(default_factory=lambda: array("i"))


class _Packed(msgspec.Struct, array_like=True):
    duration_ms: int
    viewer_count: int
    seen: bytes
    played: bytes


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Packed).decode


class Curve(msgspec.Struct, frozen=True):
    """A video second by second; the lists are as long as the video was watched."""

    duration_ms: int
    viewer_count: int
    viewers: list[int]
    plays: list[int]


def encode(counts: Counts) -> bytes:
    """The counts as bytes; the same counts give the same bytes."""
    packed = _Packed(counts.duration_ms, counts.viewer_count, counts.seen.tobytes(), counts.played.tobytes())
    return _ENCODE(packed)


def decode(blob: bytes) -> Counts:
    """The counts from bytes; empty ones from none."""
    if not blob:
        return Counts()
    packed = _DECODE(blob)
    return Counts(packed.duration_ms, packed.viewer_count, array("i", packed.seen), array("i", packed.played))


def count(counts: Counts, effect: Effect, duration_ms: int, *, is_new_viewer: bool) -> None:
    """Adds the effect of one beat."""
    counts.duration_ms = max(counts.duration_ms, duration_ms)
    counts.viewer_count += is_new_viewer
    _step(counts.played, effect.start_ms, effect.end_ms)
    for start, end in coverage.stretches(effect.unseen):
        _step(counts.seen, start, end)


def curve(shards: Iterable[Counts]) -> Curve:
    """The sum over shards."""
    each = list(shards)
    seen = [list(itertools.accumulate(counts.seen)) for counts in each]
    played = [list(itertools.accumulate(counts.played)) for counts in each]
    duration_ms = max((counts.duration_ms for counts in each), default=0)
    watched = max(map(len, played), default=0)
    length = min(watched, -(-duration_ms // 1000)) if duration_ms else watched
    return Curve(duration_ms, sum(counts.viewer_count for counts in each), _sums(seen, length), _sums(played, length))


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
    """Stretches replayed by half a play a viewer above the video's median, most replays first, at most five."""
    rates = [plays / viewers - 1 if viewers else 0.0 for viewers, plays in zip(of.viewers, of.plays, strict=True)]
    least = statistics.median(rates) + _LEAST_REPLAYS if rates else 0.0
    spots = []
    for is_hot, seconds in itertools.groupby(range(len(rates)), key=lambda second: rates[second] >= least):
        inside = list(seconds)
        if is_hot:
            replays = sum(of.plays[second] - of.viewers[second] for second in inside)
            spots.append((-replays, inside[0], inside[-1] + 1))
    return [(start, end) for _, start, end in sorted(spots)[:_MOST_SEGMENTS]]


def _step(steps: "array[int]", start_ms: int, end_ms: int) -> None:
    first, last = (start_ms + 499) // 1000, min((end_ms + 499) // 1000, LONGEST_SECONDS)
    if first >= last:
        return
    if len(steps) <= last:
        steps.extend([0] * (last + 1 - len(steps)))
    steps[first] += 1
    steps[last] -= 1


def _sums(shards: Sequence[Sequence[int]], length: int) -> list[int]:
    return [sum(each) for each in itertools.islice(itertools.zip_longest(*shards, fillvalue=0), length)] or [0] * length
