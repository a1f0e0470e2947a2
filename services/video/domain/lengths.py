"""How long a video is: the most common of the lengths that players told lately, so that no single fault stays.

Of one viewer the last 16 lengths told count. Of a video those of all its viewers do, each viewer's last 16: so nobody
outweighs two others. Lengths are milliseconds.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

REMEMBERED_LENGTHS: Final = 16
# Different lengths that are kept of a video, and lengths told from which on the older ones count half.
KEPT_LENGTHS: Final = 16
_MANY_TOLD: Final = 1024


class Change(NamedTuple):
    """What a beat changes in the lengths a viewer told lately: one is told, and one may be forgotten; 0 for none."""

    told_ms: int = 0
    forgotten_ms: int = 0


UNCHANGED: Final = Change()


def tell(recent: list[int], length_ms: int) -> Change:
    """Adds a length, if one was told, to those a viewer told lately."""
    if not length_ms:
        return UNCHANGED
    recent.append(length_ms)
    if len(recent) <= REMEMBERED_LENGTHS:
        return Change(length_ms)
    forgotten_ms = recent.pop(0)
    return UNCHANGED if forgotten_ms == length_ms else Change(length_ms, forgotten_ms)


def of_viewer(recent: list[int]) -> int:
    """The most common length; of several the one told last. 0 where none was told."""
    return max(reversed(recent), key=recent.count, default=0)


def count(told: dict[int, int], change: Change) -> None:
    """Takes a viewer's change into how often each length was told of a video, the one told last at the end."""
    if change.forgotten_ms in told:
        told[change.forgotten_ms] -= 1
        if not told[change.forgotten_ms]:
            del told[change.forgotten_ms]
    if change.told_ms:
        told[change.told_ms] = told.pop(change.told_ms, 0) + 1
        if len(told) > KEPT_LENGTHS:
            del told[min(told, key=told.__getitem__)]
        if sum(told.values()) > _MANY_TOLD:
            halved = {length_ms: times // 2 for length_ms, times in told.items() if times > 1}
            told.clear()
            told.update(halved)


def of_video(shards: Iterable[Mapping[int, int]]) -> int:
    """The length told most often over all shards; of several the one told last. 0 where none was told."""
    total: dict[int, int] = {}
    for told in shards:
        for length_ms, times in told.items():
            total[length_ms] = total.pop(length_ms, 0) + times
    return max(reversed(total), key=total.__getitem__, default=0)
