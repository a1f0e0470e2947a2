"""The last beats of a viewer and video in their order, to tell what was played from what only stands.

A player may go on to send beats while it stands: after a pause, in a stall, at the end, its position off by a little.
And it may claim more than it played since its last beat. So beats of one viewing that follow one another without a jump
back are one run, and what they claim counts once. A position that lies back by no more than `JITTER_MS` is no jump. A
jump that is told (`SEEK`) begins a run wherever it leads to; and what is claimed after a run was told to begin, by a
jump or by `PLAY`, was not played from before there.

What is added to a sum when a beat is put in its place does not depend on the order in which beats come, but for what a
later beat is told to have begun with; and nothing has to be taken back: a run only grows, or falls into two.
"""

import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from services.video.domain import coverage

REMEMBERED_MOMENTS: Final = 20
JITTER_MS: Final = 1_000
"""How exactly positions are told: some players tell whole seconds."""
# As in `playback.Action`: what tells where a run begins.
_PLAY: Final = 1
_SEEK: Final = 3
_GOING_ON: Final = frozenset({4})
"""Heartbeats: they neither begin a run nor are counted."""

# Packed, so that a beat that just goes on, as nearly all do, looks at its neighbour only.
_RECORD: Final = struct.Struct("<qIqIBI")
_LATEST: Final = struct.Struct("<q")
_LONGEST_MS: Final = 0xFFFFFFFF
_FULL: Final = REMEMBERED_MOMENTS * _RECORD.size


_Record = tuple[int, int, int, int, int, int]


class Moment(NamedTuple):
    """Where a viewing was at a time, in the order of time: `watched_ms` before `end_ms` were just played.

    `viewing` and `jump` are checksums: of the viewing, and of where a jump began.
    """

    at_us: int
    viewing: int
    end_ms: int
    watched_ms: int
    action: int
    jump: int

    @property
    def start_ms(self) -> int:
        """Where what was just played began."""
        return self.end_ms - self.watched_ms


class Placed(NamedTuple):
    """What a moment adds where it is put: stretches that were played, and actions to count once more."""

    played: Sequence[tuple[int, int]]
    is_told_again: bool = False
    """It tells of the same action as the moment before or after it: one pause, told twice."""
    split_action: int = 0
    """The action that the moments around it told of as one, and which are now two; 0 for none."""


def put(trail: bytes, moment: Moment) -> tuple[bytes, Placed | None]:
    """Puts a moment in its place; gives the trail with it, and None where it was there already.

    One from before all that is remembered is judged by itself and not kept.
    """
    begins_ms = _going_on(trail, moment)
    rest = trail if len(trail) < _FULL or begins_ms is None else _without_first(trail)
    if begins_ms is not None and rest is not None:
        return rest + _RECORD.pack(*moment), Placed(_stretches(begins_ms, moment.end_ms))
    moments = moments_of(trail)
    moment = _begun(moments, moment)
    at = bisect_left(moments, moment)
    if at < len(moments) and moments[at] == moment:
        return trail, None
    if at == 0 and len(moments) >= REMEMBERED_MOMENTS:
        return trail, Placed(_stretches(moment.start_ms, moment.end_ms))
    placed = _placed(moment, moments[:at], moments[at:])
    moments.insert(at, moment)
    if len(moments) > REMEMBERED_MOMENTS:
        _forget_first(moments)
    return b"".join(_RECORD.pack(*each) for each in moments), placed


def since(trail: bytes, at_us: int) -> int | None:
    """Microseconds from the last moment up to a time to that time, whatever its viewing; None where none is known."""
    if not trail:
        return None
    last_us: int = _LATEST.unpack_from(trail, len(trail) - _RECORD.size)[0]
    if last_us > at_us:
        last_us = max([each.at_us for each in moments_of(trail) if each.at_us <= at_us], default=at_us + 1)
    return at_us - last_us if last_us <= at_us else None


def shortened(trail: bytes) -> bytes:
    """The trail with its last two moments only: where the viewer was."""
    return trail[-2 * _RECORD.size :]


def moments_of(trail: bytes) -> list[Moment]:
    """The moments of a trail, in the order of time."""
    return [Moment(*record) for record in _RECORD.iter_unpack(trail)]


def _going_on(trail: bytes, moment: Moment) -> int | None:
    """Where what a moment adds begins, if it just goes on behind the latest; None where all have to be looked at.

    It does where the latest is known to be as far as its run came.
    """
    if not trail:
        return moment.start_ms
    last = len(trail) - _RECORD.size
    at_us, viewing, end_ms, watched_ms, action, _ = _RECORD.unpack_from(trail, last)
    if moment.at_us <= at_us or moment.viewing != viewing or moment.start_ms < end_ms - watched_ms:
        return None
    if moment.end_ms < end_ms or moment.action not in _GOING_ON or action not in _GOING_ON:
        return None
    before_viewing, before_ms = _RECORD.unpack_from(trail, last - _RECORD.size)[1:3] if last else (0, 0)
    if (before_viewing != viewing or end_ms < before_ms + JITTER_MS) and end_ms < _farthest(trail, viewing):
        return None
    return max(moment.start_ms, int(end_ms))


def _farthest(trail: bytes, viewing: int) -> int:
    ends_ms: list[int] = [record[2] for record in _RECORD.iter_unpack(trail) if record[1] == viewing]
    return max(ends_ms)


def _placed(moment: Moment, before: Sequence[Moment], after: Sequence[Moment]) -> Placed:
    earlier = [each for each in before if each.viewing == moment.viewing]
    later = [each for each in after if each.viewing == moment.viewing]
    beside = [*earlier[-1:], *later[:1]]
    is_told_again = any(_is_same_action(moment, each) for each in beside)
    is_between = len(beside) == 2 and not is_told_again and _is_same_action(*beside)
    played = _more(_runs([*earlier, moment, *later]), _runs([*earlier, *later]))
    return Placed(played, is_told_again, beside[0].action if is_between else 0)


def _begun(moments: Sequence[Moment], moment: Moment) -> Moment:
    """A moment without what it claims from before the place where its run is told to have begun."""
    first: Moment | None = None
    reach_ms = 0
    for each in moments:
        if each.viewing == moment.viewing and each < moment:
            if first is None or _begins(each, reach_ms):
                first, reach_ms = each, each.end_ms
            reach_ms = max(reach_ms, each.end_ms)
    if first is None or first.action not in {_PLAY, _SEEK} or _begins(moment, reach_ms):
        return moment
    return moment._replace(watched_ms=min(moment.watched_ms, max(0, moment.end_ms - first.start_ms)))


def _begins(moment: Moment, reach_ms: int) -> bool:
    """Whether a moment begins a run, where the one before reached so far."""
    return moment.action == _SEEK or moment.end_ms < reach_ms - JITTER_MS


def _runs(moments: Iterable[Moment]) -> list[list[int]]:
    """What was played in each run of a viewing, as sets of media time."""
    runs: list[list[int]] = []
    reach_ms = 0
    for each in moments:
        if not runs or _begins(each, reach_ms):
            runs.append([])
            reach_ms = 0
        reach_ms = max(reach_ms, each.end_ms)
        if each.watched_ms:
            runs[-1] = coverage.added(runs[-1], each.start_ms, each.end_ms)
    return runs


def _more(runs: Iterable[Sequence[int]], before: Iterable[Sequence[int]]) -> list[tuple[int, int]]:
    """The stretches that are in more runs than before, each as often as it is, ascending."""
    steps: Counter[int] = Counter()
    for times, sets in ((1, runs), (-1, before)):
        for run in sets:
            for start, end in coverage.stretches(run):
                steps[start] += times
                steps[end] -= times
    more: list[tuple[int, int]] = []
    level = begin = 0
    for at in sorted(at for at, step in steps.items() if step):
        more += [(begin, at)] * level
        level, begin = level + steps[at], at
    return more


def _forget_first(moments: list[Moment]) -> None:
    """Forgets the first moment; what it told stays known where the next one of its viewing goes on from it."""
    first = moments.pop(0)
    for at, each in enumerate(moments):
        if each.viewing == first.viewing:
            moments[at] = Moment._make(_joined(first, each))
            return


def _without_first(trail: bytes) -> bytes | None:
    """The trail without its first moment, as `_forget_first` leaves it; None where the next is of another viewing."""
    first, second = _RECORD.unpack_from(trail), _RECORD.unpack_from(trail, _RECORD.size)
    return _RECORD.pack(*_joined(first, second)) + trail[2 * _RECORD.size :] if first[1] == second[1] else None


def _joined(first: _Record, second: _Record) -> _Record:
    """The second of two moments of a viewing, with what the first told of their run where that has no gap."""
    _, _, first_ms, first_watched_ms, *_ = first
    at_us, viewing, end_ms, watched_ms, action, jump = second
    if action == _SEEK or end_ms < first_ms - JITTER_MS or first_ms < end_ms - watched_ms:
        return second
    start_ms, end_ms = min(first_ms - first_watched_ms, end_ms - watched_ms), max(first_ms, end_ms)
    return at_us, viewing, end_ms, min(end_ms - start_ms, _LONGEST_MS), action, jump


def _is_same_action(one: Moment, other: Moment) -> bool:
    return (one.action, one.jump) == (other.action, other.jump) and abs(one.end_ms - other.end_ms) <= JITTER_MS


def _stretches(start: int, end: int) -> list[tuple[int, int]]:
    return [(start, end)] if start < end else []
