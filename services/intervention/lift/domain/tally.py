"""Counts of one shard: users treated and in the holdout, and how many of each converted."""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from services.intervention.decision.domain.offer import Exposure
from services.intervention.decision.domain.segment import NONE
from services.intervention.lift.domain.lift import Counts

ALL: Final = "all"
OTHER: Final = "other"
"""What segments beyond `MOST_SEGMENTS` are counted as."""
MOST_SEGMENTS: Final = 32

Alike = tuple[str, str, str, str, str, bool]
"""What users of one cell have in common, as `Cell` and `Exposure` name it."""
Columns = tuple[int, int, int, int]
"""The members of `Counts`."""
_NOTHING: Final[Columns] = (0, 0, 0, 0)


class Cell(msgspec.Struct, frozen=True, array_like=True):
    """The counts of the users who are alike in what they were, or would have been, offered.

    `segments` has those of them who were in a segment, by its name. It stands last, because the previous version leaves
    it out: whoever it counted so counts as one of no segment.
    """

    experiment: str
    type: str
    action: str
    channel: str
    level: str
    is_high_value: bool
    treated: int = 0
    treated_converted: int = 0
    holdout: int = 0
    holdout_converted: int = 0
    segments: Mapping[str, Columns] = {}


_OF: Final[Callable[[Any], Alike]] = operator.attrgetter(*Cell.__struct_fields__[:6])
_COUNTS: Final[Callable[[Cell], Columns]] = operator.attrgetter(*Cell.__struct_fields__[6:10])

Tally = tuple[Cell, ...]
"""In the order in which each got its first user."""

Change = tuple[Exposure | None, Exposure | None]
"""How a user counted before and counts from now on; None where not at all."""


def counted(tally: Tally, changes: Iterable[Change]) -> Tally:
    """The counts after changes of users, who count once in each experiment.

    Who is counted as somebody else from now on is taken out again. That may be in a shard that counted nobody like
    that, so only the sum over all shards means something. A new experiment leaves the counts of the one before.
    """
    cells = {_OF(each): (_COUNTS(each), each.segments) for each in tally}
    for before, after in changes:
        if before is not None and (after is None or after.experiment == before.experiment):
            _add(cells, before, -1)
        if after is not None:
            _add(cells, after, 1)
    return tuple(Cell(*of, *counts, segments) for of, (counts, segments) in cells.items())


def _add(cells: dict[Alike, tuple[Columns, Mapping[str, Columns]]], user: Exposure, sign: int) -> None:
    of = _OF(user)
    counts, segments = cells.get(of, (_NOTHING, {}))
    if user.segment:
        name = user.segment if user.segment in segments or len(segments) < MOST_SEGMENTS else OTHER
        segments = {**segments, name: _counted(segments.get(name, _NOTHING), user, sign)}
    cells[of] = (_counted(counts, user, sign), segments)


def _counted(counts: Columns, user: Exposure, sign: int) -> Columns:
    treated, treated_converted, holdout, holdout_converted = counts
    converted = sign * user.is_converted
    if user.is_treated:
        return treated + sign, treated_converted + converted, holdout, holdout_converted
    return treated, treated_converted, holdout + sign, holdout_converted + converted


def by_dimension(tally: Iterable[Cell], experiment: str) -> Iterator[tuple[str, str, Counts]]:
    """The counts of an experiment: of all users first, then by each dimension and its names in order."""
    cells = [each for each in tally if each.experiment == experiment]
    yield ALL, "", _sum(cells)
    names: dict[str, Callable[[Cell], str]] = {
        "intervention": lambda cell: cell.type,
        "action": lambda cell: cell.action,
        "channel": lambda cell: cell.channel,
        "level": lambda cell: cell.level,
        "value": lambda cell: "high" if cell.is_high_value else "standard",
    }
    for dimension, name_of in names.items():
        for name in sorted({name_of(cell) for cell in cells}):
            yield dimension, name, _sum([cell for cell in cells if name_of(cell) == name])
    segments = {name for cell in cells for name in cell.segments}
    for name in sorted(segments):
        yield "segment", name, _sum_of([cell.segments.get(name, _NOTHING) for cell in cells])
    if segments:
        whole, inside = _sum(cells), _sum_of([counts for cell in cells for counts in cell.segments.values()])
        yield "segment", NONE, Counts(*map(operator.sub, whole, inside))


def _sum(cells: Iterable[Cell]) -> Counts:
    return _sum_of(map(_COUNTS, cells))


def _sum_of(columns: Iterable[Columns]) -> Counts:
    return Counts(*map(sum, zip(_NOTHING, *columns, strict=True)))
