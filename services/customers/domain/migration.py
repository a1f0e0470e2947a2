"""How customers move between segments from one fit to the next."""

from collections.abc import Mapping
from typing import Final, TypeAlias

NONE_YET: Final = "none yet"
"""The segment of customers before their first order."""
ERASED: Final = "erased"
"""The segment of customers who have been erased since."""

Moved: TypeAlias = Mapping[str, Mapping[str, int]]
"""Customers by their segment before, then by their segment now; only what is above 0."""


def moved(before: Mapping[str, str], erased: Mapping[str, int], now: Mapping[str, str]) -> Moved:
    """Counts who went where.

    Args:
        before: the segment that each customer had.
        erased: how many were erased since, by the segment they had; they are not in `before`.
        now: the segment that each customer has. Whoever is not in it any more counts as erased.
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
    return {segment: {to: count / sum(row.values()) for to, count in row.items()} for segment, row in of.items() if row}
