"""How long a video is: the most common length that players reported lately, so that no single error stays.

Of each viewer the last 16 reported lengths count, so that nobody outweighs two others. Lengths are milliseconds.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

REMEMBERED_LENGTHS: Final = 16
# Distinct lengths kept per video, and the number of reports beyond which all counts are halved.
KEPT_LENGTHS: Final = 16
_MANY_REPORTS: Final = 1024


class Change(NamedTuple):
    """What an event changes in a viewer's last lengths: one is added, and one may be forgotten; 0 for none."""

    added_ms: int = 0
    forgotten_ms: int = 0


UNCHANGED: Final = Change()


def remember(recent: list[int], length_ms: int) -> Change:
    """Adds a length, unless it is 0, to a viewer's last lengths."""
    if not length_ms:
        return UNCHANGED
    recent.append(length_ms)
    if len(recent) <= REMEMBERED_LENGTHS:
        return Change(length_ms)
    forgotten_ms = recent.pop(0)
    return UNCHANGED if forgotten_ms == length_ms else Change(length_ms, forgotten_ms)


def of_viewer(recent: list[int]) -> int:
    """The most common length, on a tie the latest; 0 without any."""
    return max(reversed(recent), key=recent.count, default=0)


def count(counts: dict[int, int], change: Change) -> None:
    """Applies a viewer's change to the counts of a video's lengths, which are ordered by their last report."""
    if change.forgotten_ms in counts:
        counts[change.forgotten_ms] -= 1
        if not counts[change.forgotten_ms]:
            del counts[change.forgotten_ms]
    if change.added_ms:
        counts[change.added_ms] = counts.pop(change.added_ms, 0) + 1
        if len(counts) > KEPT_LENGTHS:
            del counts[min(counts, key=counts.__getitem__)]
        if sum(counts.values()) > _MANY_REPORTS:
            halved = {length_ms: times // 2 for length_ms, times in counts.items() if times > 1}
            counts.clear()
            counts.update(halved)


def of_video(shards: Iterable[Mapping[int, int]]) -> int:
    """The length reported most often over all shards, on a tie the latest; 0 without any."""
    total: dict[int, int] = {}
    for counts in shards:
        for length_ms, times in counts.items():
            total[length_ms] = total.pop(length_ms, 0) + times
    return max(reversed(total), key=total.__getitem__, default=0)
