"""When to pause a shard: if most records fail, the fault is not theirs."""

from collections import deque
from typing import Final

RECALLED: Final = 100
"""The number of recent records of a shard over which the share of failures is taken."""
TOLERATED: Final = 3
"""This many failures among them are always tolerated, even if there are no other records."""


class FailureRate:
    """The share of failures among the last records of a shard."""

    def __init__(self, tolerated_share: float) -> None:
        self._tolerated_share = tolerated_share
        self._failed: deque[bool] = deque(maxlen=RECALLED)

    def refusal(self, failed: int, of: int) -> str:
        """Why `failed` more failures among `of` records are too many, as a sentence; empty if they are not."""
        after = [*self._failed, *_outcomes(failed, of)][-RECALLED:]
        count = sum(after)
        if count <= TOLERATED or count <= self._tolerated_share * len(after):
            return ""
        return f"Paused: {count} of the last {len(after)} records cannot be applied."

    def note(self, failed: int, of: int) -> None:
        """Notes records that were applied or failed."""
        self._failed.extend(_outcomes(failed, of))


def _outcomes(failed: int, of: int) -> list[bool]:
    return [True] * failed + [False] * (of - failed)
