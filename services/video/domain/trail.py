"""The last beats of a viewer and video in their order, to tell what was played from what only stands.

A player may go on to send beats while it stands: after a pause, in a stall, at the end. Each may claim the seconds just
before its position, which were played once. So beats of one viewing that follow one another at the same position are
one stand, and what they claim counts once: from the earliest start that any of them tells. A beat at another position
between two of them, such as a jump back, makes them two stands.

What is added to a sum when a beat is put in its place does not depend on the order in which beats come, and nothing has
to be taken back: a stand only grows, or falls into two.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

REMEMBERED_MOMENTS: Final = 20

# Packed, so that a beat that just goes on, as nearly all do, looks at its neighbour only.
_RECORD: Final = struct.Struct("<qIqIBI")
_LATEST: Final = struct.Struct("<q")
_FULL: Final = REMEMBERED_MOMENTS * _RECORD.size


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
    if _just_goes_on(trail, moment):
        return trail[-_FULL + _RECORD.size :] + _RECORD.pack(*moment), Placed(
            _stretches((moment.start_ms, moment.end_ms))
        )
    moments = moments_of(trail)
    at = bisect_left(moments, moment)
    if at < len(moments) and moments[at] == moment:
        return trail, None
    if at == 0 and len(moments) >= REMEMBERED_MOMENTS:
        return trail, Placed(_stretches((moment.start_ms, moment.end_ms)))
    placed = _placed(moment, _stand(reversed(moments[:at]), moment), _stand(moments[at:], moment))
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


def moments_of(trail: bytes) -> list[Moment]:
    """The moments of a trail, in the order of time."""
    return [Moment(*record) for record in _RECORD.iter_unpack(trail)]


def _just_goes_on(trail: bytes, moment: Moment) -> bool:
    """Whether a moment is the latest and stands with none, and what it pushes out stands with none either."""
    if not trail:
        return True
    at_us, viewing, end_ms, *_ = _RECORD.unpack_from(trail, len(trail) - _RECORD.size)
    if moment.at_us <= at_us or moment.viewing != viewing or moment.end_ms == end_ms:
        return False
    if len(trail) < _FULL:
        return True
    _, first_viewing, first_end_ms, *_ = _RECORD.unpack_from(trail)
    _, second_viewing, second_end_ms, *_ = _RECORD.unpack_from(trail, _RECORD.size)
    return bool(first_viewing == second_viewing and first_end_ms != second_end_ms)


def _placed(moment: Moment, before: Sequence[Moment], after: Sequence[Moment]) -> Placed:
    end_ms = moment.end_ms
    beside = [stand[0] for stand in (before, after) if stand]
    is_told_again = any(_is_same_action(moment, each) for each in beside)
    is_between = len(beside) == 2 and not is_told_again and _is_same_action(*beside)
    stood = [each.start_ms for stand in (before, after) for each in stand if each.end_ms == end_ms]
    if stood:
        played = _stretches((moment.start_ms, min(stood)))
    elif len(beside) == 2 and before[0].end_ms == after[0].end_ms:
        again = max(min(each.start_ms for each in stand) for stand in (before, after))
        played = _stretches((moment.start_ms, end_ms), (again, before[0].end_ms))
    else:
        played = _stretches((moment.start_ms, end_ms))
    return Placed(played, is_told_again, before[0].action if is_between else 0)


def _stand(moments: Iterable[Moment], moment: Moment) -> list[Moment]:
    """Of moments on one side, nearest first, those of the viewing that stand nearest: all at one position."""
    stand: list[Moment] = []
    for each in moments:
        if each.viewing == moment.viewing:
            if stand and each.end_ms != stand[0].end_ms:
                break
            stand.append(each)
    return stand


def _forget_first(moments: list[Moment]) -> None:
    """Forgets the first moment; how far its stand reaches back stays known."""
    first = moments.pop(0)
    for at, each in enumerate(moments):
        if each.viewing == first.viewing:
            if each.end_ms == first.end_ms:
                moments[at] = each._replace(watched_ms=max(each.watched_ms, first.watched_ms))
            return


def _is_same_action(one: Moment, other: Moment) -> bool:
    return (one.action, one.end_ms, one.jump) == (other.action, other.end_ms, other.jump)


def _stretches(*stretches: tuple[int, int]) -> list[tuple[int, int]]:
    return [(start, end) for start, end in stretches if start < end]
