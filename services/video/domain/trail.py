"""The last events of a viewer and video in order, to distinguish playing from standing still.

A player may keep sending events while it stands still: after a pause, in a stall, at the end, its position slightly
off. And it may claim more than it played since its last event. So the events of a session that follow one another
without a jump back are one run, and what they claim counts once. A step back by no more than `JITTER_MS` is not a jump.
A reported jump (`SEEK`) begins a run wherever it leads; and what is claimed after a reported beginning of a run, by a
jump or by `PLAY`, was not played from before that beginning.

What an event adds does not depend on the order in which events arrive, apart from reported beginnings; and nothing is
ever subtracted: a run only grows, or splits in two.
"""

import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from services.video.domain import coverage

REMEMBERED_MOMENTS: Final = 20
JITTER_MS: Final = 1_000
"""The precision of reported positions: some players report whole seconds."""
# As in `playback.Action`: the actions that begin a run.
_PLAY: Final = 1
_SEEK: Final = 3
_GOING_ON: Final = frozenset({4})
"""Heartbeats: they neither begin a run nor are counted."""

# Packed, so that an event that merely continues, as nearly all do, looks at its neighbour only.
_RECORD: Final = struct.Struct("<qIqIBI")
_LATEST: Final = struct.Struct("<q")
_LONGEST_MS: Final = 0xFFFFFFFF
_FULL: Final = REMEMBERED_MOMENTS * _RECORD.size


_Record = tuple[int, int, int, int, int, int]


class Moment(NamedTuple):
    """Where a session was at a time; ordered by time. The `watched_ms` before `end_ms` were just played.

    `session` and `jump` are checksums: of the session's id, and of where a jump began.
    """

    at_us: int
    session: int
    end_ms: int
    watched_ms: int
    action: int
    jump: int

    @property
    def start_ms(self) -> int:
        """Where what was just played began."""
        return self.end_ms - self.watched_ms


class Placed(NamedTuple):
    """What a moment adds at its place: stretches that were played, and actions to count once more."""

    played: Sequence[tuple[int, int]]
    is_repeated: bool = False
    """It reports the same action as its neighbour: one pause, reported twice."""
    split_action: int = 0
    """The action that its neighbours reported as one and that are now two; 0 for none."""


def put(trail: bytes, moment: Moment) -> tuple[bytes, Placed | None]:
    """Inserts a moment; returns the trail with it, and None where it was there already.

    One from before all that is remembered is judged alone and not kept.
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
    """Microseconds from the last moment of any session at or before a time to that time; None without one."""
    if not trail:
        return None
    last_us: int = _LATEST.unpack_from(trail, len(trail) - _RECORD.size)[0]
    if last_us > at_us:
        last_us = max([each.at_us for each in moments_of(trail) if each.at_us <= at_us], default=at_us + 1)
    return at_us - last_us if last_us <= at_us else None


def shortened(trail: bytes) -> bytes:
    """The last two moments of the trail: where the viewer was."""
    return trail[-2 * _RECORD.size :]


def moments_of(trail: bytes) -> list[Moment]:
    """The moments of a trail, in the order of time."""
    return [Moment(*record) for record in _RECORD.iter_unpack(trail)]


def _going_on(trail: bytes, moment: Moment) -> int | None:
    """Where the addition of a moment begins, if it merely continues the latest one; None where all must be examined.

    It continues where the latest moment is known to be the farthest of its run.
    """
    if not trail:
        return moment.start_ms
    last = len(trail) - _RECORD.size
    at_us, session, end_ms, watched_ms, action, _ = _RECORD.unpack_from(trail, last)
    if moment.at_us <= at_us or moment.session != session or moment.start_ms < end_ms - watched_ms:
        return None
    if moment.end_ms < end_ms or moment.action not in _GOING_ON or action not in _GOING_ON:
        return None
    before_session, before_ms = _RECORD.unpack_from(trail, last - _RECORD.size)[1:3] if last else (0, 0)
    if (before_session != session or end_ms < before_ms + JITTER_MS) and end_ms < _farthest(trail, session):
        return None
    return max(moment.start_ms, int(end_ms))


def _farthest(trail: bytes, session: int) -> int:
    ends_ms: list[int] = [record[2] for record in _RECORD.iter_unpack(trail) if record[1] == session]
    return max(ends_ms)


def _placed(moment: Moment, before: Sequence[Moment], after: Sequence[Moment]) -> Placed:
    earlier = [each for each in before if each.session == moment.session]
    later = [each for each in after if each.session == moment.session]
    beside = [*earlier[-1:], *later[:1]]
    is_repeated = any(_is_same_action(moment, each) for each in beside)
    is_between = len(beside) == 2 and not is_repeated and _is_same_action(*beside)
    played = _more(_runs([*earlier, moment, *later]), _runs([*earlier, *later]))
    return Placed(played, is_repeated, beside[0].action if is_between else 0)


def _begun(moments: Sequence[Moment], moment: Moment) -> Moment:
    """A moment without what it claims from before the reported beginning of its run."""
    first: Moment | None = None
    reach_ms = 0
    for each in moments:
        if each.session == moment.session and each < moment:
            if first is None or _begins(each, reach_ms):
                first, reach_ms = each, each.end_ms
            reach_ms = max(reach_ms, each.end_ms)
    if first is None or first.action not in {_PLAY, _SEEK} or _begins(moment, reach_ms):
        return moment
    return moment._replace(watched_ms=min(moment.watched_ms, max(0, moment.end_ms - first.start_ms)))


def _begins(moment: Moment, reach_ms: int) -> bool:
    """Whether a moment begins a run, given how far the one before it reached."""
    return moment.action == _SEEK or moment.end_ms < reach_ms - JITTER_MS


def _runs(moments: Iterable[Moment]) -> list[list[int]]:
    """What was played in each run of a session, as sets of media time."""
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
    """The stretches that more runs contain than before, once per additional run, ascending."""
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
    """Forgets the first moment, after merging it into the next one of its session if that continues it."""
    first = moments.pop(0)
    for at, each in enumerate(moments):
        if each.session == first.session:
            moments[at] = Moment._make(_joined(first, each))
            return


def _without_first(trail: bytes) -> bytes | None:
    """The trail without its first moment, as `_forget_first` leaves it; None where the next is of another session."""
    first, second = _RECORD.unpack_from(trail), _RECORD.unpack_from(trail, _RECORD.size)
    return _RECORD.pack(*_joined(first, second)) + trail[2 * _RECORD.size :] if first[1] == second[1] else None


def _joined(first: _Record, second: _Record) -> _Record:
    """The second of two moments of a session, extended by the first where their run has no gap."""
    _, _, first_ms, first_watched_ms, *_ = first
    at_us, session, end_ms, watched_ms, action, jump = second
    if action == _SEEK or end_ms < first_ms - JITTER_MS or first_ms < end_ms - watched_ms:
        return second
    start_ms, end_ms = min(first_ms - first_watched_ms, end_ms - watched_ms), max(first_ms, end_ms)
    return at_us, session, end_ms, min(end_ms - start_ms, _LONGEST_MS), action, jump


def _is_same_action(one: Moment, other: Moment) -> bool:
    return (one.action, one.jump) == (other.action, other.jump) and abs(one.end_ms - other.end_ms) <= JITTER_MS


def _stretches(start: int, end: int) -> list[tuple[int, int]]:
    return [(start, end)] if start < end else []
