"""How customers move between segments, and between groups, from one fit to the next, and what becomes of groups."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

NONE_YET: Final = "none yet"
"""The segment of customers before their first order."""
ERASED: Final = "erased"
"""The segment of customers who have been erased since."""
NO_GROUP: Final = "no group"
"""The group of customers who are in none."""
_MOST: Final = 0.5
_PART: Final = 0.25
"""What must be of a group in another one, for the one to have become the other, or to have been split into it."""

Moved: TypeAlias = Mapping[str, Mapping[str, int]]
"""Customers by their segment or group before, then by that of now; only what is above 0."""


class Change(StrEnum):
    """What became of a group of before, or that it is new."""

    KEPT = "kept"
    MERGED = "merged"
    SPLIT = "split"
    GONE = "gone"
    NEW = "new"


class Transition(NamedTuple):
    """What became of a group: the groups of now, by name; none of one that is gone or new."""

    group: str
    change: Change
    became: tuple[str, ...]


def moved(before: Mapping[str, str], erased: Mapping[str, int], now: Mapping[str, str]) -> Moved:
    """Counts who went where.

    Args:
        before: the segment or group that each customer had.
        erased: how many were erased since, by what they had; they are not in `before`.
        now: what each customer has. Whoever is not in it any more counts as erased.
    """
    found: dict[str, dict[str, int]] = {}
    for customer, segment in now.items():
        row = found.setdefault(before.get(customer, NONE_YET), {})
        row[segment] = row.get(segment, 0) + 1
    for customer, segment in before.items():
        if customer not in now:
            row = found.setdefault(segment, {})
            row[ERASED] = row.get(ERASED, 0) + 1
    for segment, count in erased.items():
        row = found.setdefault(segment, {})
        row[ERASED] = row.get(ERASED, 0) + count
    return {segment: dict(sorted(row.items())) for segment, row in sorted(found.items())}


def shares(of: Moved) -> Mapping[str, Mapping[str, float]]:
    """The rows of a migration as shares: each row adds up to 1."""
    return {name: _parts(row) for name, row in of.items() if row}


def transitions(of: Moved) -> tuple[Transition, ...]:
    """What became of the groups of before, by name, and then the new ones.

    It goes by the customers that both fits have, as MONIC does (Spiliopoulou and others, KDD 2006): a group became
    another one if that has half of its customers or more, of two the first by name; was merged if another
    group became the same; was split if groups that have a quarter of its customers each have half of them together.
    """
    nowhere = {ERASED, NO_GROUP}
    rows = {name: row for name, row in sorted(of.items()) if name not in {NONE_YET, NO_GROUP}}
    parts = {name: _parts({to: count for to, count in row.items() if to != ERASED}) for name, row in rows.items()}
    into = {
        name: min((to for to, part in its.items() if part >= _MOST and to not in nowhere), default="")
        for name, its in parts.items()
    }
    found = []
    for name, its in parts.items():
        several = tuple(to for to, part in sorted(its.items()) if part >= _PART and to not in nowhere)
        if to := into[name]:
            is_alone = sum(other == to for other in into.values()) == 1
            found.append(Transition(name, Change.KEPT if is_alone else Change.MERGED, (to,)))
        elif sum(its[each] for each in several) >= _MOST:
            found.append(Transition(name, Change.SPLIT, several))
        else:
            found.append(Transition(name, Change.GONE, ()))
    became = {to for each in found for to in each.became}
    new = sorted({to for row in of.values() for to in row} - became - nowhere)
    return (*found, *(Transition(name, Change.NEW, ()) for name in new))


def _parts(row: Mapping[str, int]) -> Mapping[str, float]:
    return {to: count / sum(row.values()) for to, count in row.items()}
