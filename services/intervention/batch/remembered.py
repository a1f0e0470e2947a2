"""Whom experiments were told of, so that most batches tell nothing."""

from collections.abc import Iterable
from typing import Final

from services.intervention.lift.domain.report import STAYED, Report

_MOST: Final = 200_000


class Remembered:
    """Remembers who met an arm, and who is there, as hashes, so that nobody's id outlives an erasure.

    Two of 200,000 are the same less than once in 10^8 times. What is forgotten is told again, which changes nothing.
    """

    def __init__(self) -> None:
        self._hashes: set[int] = set()

    def __contains__(self, report: Report) -> bool:
        """Whether it was told of; for an arm, at whatever time."""
        return _hash(report) in self._hashes

    def add(self, reports: Iterable[Report]) -> None:
        """Remembers reports that need not be told again; other outcomes than `stayed` come again seldom."""
        for each in reports:
            if each.arm or each.outcome == STAYED:
                if len(self._hashes) >= _MOST:
                    self._hashes.clear()
                self._hashes.add(_hash(each))


def _hash(of: Report) -> int:
    return hash((of.tenant, of.experiment_id, of.unit, of.arm, 0 if of.arm else of.at_us))
