"""Counts of one shard: users treated and in the holdout, and how many of each converted."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from services.intervention.decision.domain.offer import Exposure
from services.intervention.lift.domain.lift import Counts

ALL: Final = "all"


class Cell(msgspec.Struct, frozen=True, array_like=True):
    """The counts of the users who are alike in what they were, or would have been, offered."""

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


Tally = tuple[Cell, ...]
"""In the order in which each got its first user."""

Change = tuple[Exposure | None, Exposure | None]
"""How a user counted before and counts from now on; None where not at all."""


def counted(tally: Tally, changes: Iterable[Change]) -> Tally:
    """The counts after changes of users, who count once in each experiment.

    Who is counted as somebody else from now on is taken out again. That may be in a shard that counted nobody like
    that, so only the sum over all shards means something. A new experiment leaves the counts of the one before.
    """
    cells = {each[:6]: each[6:] for each in map(msgspec.structs.astuple, tally)}
    for before, after in changes:
        if before is not None and (after is None or after.experiment == before.experiment):
            _add(cells, before, -1)
        if after is not None:
            _add(cells, after, 1)
    return tuple(Cell(*of, *counts) for of, counts in cells.items())


def _add(cells: dict[tuple[Any, ...], tuple[Any, ...]], user: Exposure, sign: int) -> None:
    of = (user.experiment, user.type, user.action, user.channel, user.level, user.is_high_value)
    counts = list(cells.get(of, (0, 0, 0, 0)))
    side = 0 if user.is_treated else 2
    counts[side] += sign
    counts[side + 1] += sign * user.is_converted
    cells[of] = tuple(counts)


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


def _sum(cells: Iterable[Cell]) -> Counts:
    columns = [(each.treated, each.treated_converted, each.holdout, each.holdout_converted) for each in cells]
    return Counts(*map(sum, zip(*columns, strict=True))) if columns else Counts(0, 0, 0, 0)
