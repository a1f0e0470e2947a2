"""Sets of media time as boundaries: `[start, end, start, end, ...]` in milliseconds, strictly ascending, half open.

A moment lies inside if the number of boundaries at or before it is odd. So the index of a boundary says whether it
begins or ends a stretch, and a union is two binary searches.
"""

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence


def added(boundaries: list[int], start: int, end: int) -> list[int]:
    """The union with a non-empty [start, end). Stretches that touch become one."""
    if not boundaries or boundaries[-1] < start:
        return [*boundaries, start, end]
    low, high = bisect_left(boundaries, start), bisect_right(boundaries, end)
    opens = [] if low % 2 else [start]
    closes = [] if high % 2 else [end]
    return [*boundaries[:low], *opens, *closes, *boundaries[high:]]


def inside(boundaries: Sequence[int], start: int, end: int) -> list[int]:
    """The part of [start, end) inside the set."""
    low, high = bisect_right(boundaries, start), bisect_left(boundaries, end)
    opens = [start] if low % 2 else []
    closes = [end] if high % 2 else []
    return [*opens, *boundaries[low:high], *closes]


def outside(boundaries: Sequence[int], start: int, end: int) -> list[int]:
    """The part of [start, end) outside the set."""
    low, high = bisect_left(boundaries, start), bisect_right(boundaries, end)
    opens = [] if low % 2 else [start]
    closes = [] if high % 2 else [end]
    cut = [*opens, *boundaries[low:high], *closes]
    if len(cut) == 2:
        return cut if cut[0] < cut[1] else []
    return [each for pair in stretches(cut) if pair[0] < pair[1] for each in pair]


def stretches(boundaries: Sequence[int]) -> list[tuple[int, int]]:
    """The set as ascending, disjoint (start, end)."""
    return list(zip(boundaries[::2], boundaries[1::2], strict=True))


def length(boundaries: Sequence[int]) -> int:
    """Milliseconds in the set."""
    return sum(boundaries[1::2]) - sum(boundaries[::2])


def clipped(boundaries: Sequence[int], end: int) -> Sequence[int]:
    """The set up to `end`; the whole set where `end` is 0, which stands for unknown."""
    return inside(boundaries, 0, end) if end and boundaries and boundaries[-1] > end else boundaries


def without(boundaries: Sequence[int], other: Sequence[int]) -> list[int]:
    """What is in the set and not in the other."""
    return [each for start, end in stretches(boundaries) for each in outside(other, start, end)]


def notable(boundaries: Sequence[int], gap: int, least: int) -> list[int]:
    """The set as a person would describe it: gaps up to `gap` closed, then stretches below `least` left out."""
    if not boundaries:
        return []
    joined: list[int] = []
    for start, end in stretches(boundaries):
        if joined and start - joined[-1] <= gap:
            joined[-1] = end
        else:
            joined += (start, end)
    return [each for start, end in stretches(joined) if end - start >= least for each in (start, end)]


def bounded(boundaries: list[int], limit: int) -> list[int]:
    """The set with at most `limit` stretches: the narrowest gaps are closed until it fits."""
    surplus = len(boundaries) // 2 - limit
    if surplus <= 0:
        return boundaries
    gaps = [(b - a, at) for at, (a, b) in enumerate(itertools.pairwise(boundaries)) if at % 2]
    closed = {edge for _, at in sorted(gaps)[:surplus] for edge in (at, at + 1)}
    return [each for at, each in enumerate(boundaries) if at not in closed]


def last_of(apart: Sequence[tuple[int, int]], most_ms: int) -> list[tuple[int, int]]:
    """The last `most_ms` of some stretches."""
    kept: list[tuple[int, int]] = []
    for start, end in reversed(apart):
        if most_ms <= 0:
            break
        kept.insert(0, (max(start, end - most_ms), end))
        most_ms -= end - start
    return kept
