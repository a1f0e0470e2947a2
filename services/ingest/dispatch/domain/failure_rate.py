"""When to stop setting records aside: if most of them fail, it is not the records."""

from collections import deque
from typing import Final

RECALLED: Final = 100
"""Of so many last records of a shard the share of failures is taken."""
TOLERATED: Final = 3
"""So many failures among them are always set aside, be they the only records."""


class FailureRate:
    """How the last records of a shard fared."""

    def __init__(self, tolerated_share: float) -> None:
        self._tolerated_share = tolerated_share
        self._failed: deque[bool] = deque(maxlen=RECALLED)

    def refusal(self, failed: int, of: int) -> str:
        """Why so many failures of so many records must not be set aside, in a sentence; empty where they may be."""
        after = [*self._failed, *_outcomes(failed, of)][-RECALLED:]
        count = sum(after)
        if count <= TOLERATED or count <= self._tolerated_share * len(after):
            return ""
        return f"Paused: {count} of the last {len(after)} records cannot be applied."

    def note(self, failed: int, of: int) -> None:
        """Takes note of records that were applied or set aside."""
        self._failed.extend(_outcomes(failed, of))


def _outcomes(failed: int, of: int) -> list[bool]:
    return [True] * failed + [False] * (of - failed)
