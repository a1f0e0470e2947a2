"""Who of a batch is accepted: the bad are refused, the repeated are told apart, the rest go on."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from services.ingest.domain.event import Event
from services.ingest.domain.validation import Rejection, reject


class Verdict(IntEnum):
    """Values as in `journeymesh.ingest.v1.Verdict`."""

    ACCEPTED = 1
    DUPLICATE = 2
    REJECTED = 3


class Judged(NamedTuple):
    """A batch sorted: what is new within it, what it repeats itself, what is refused. All by index, ascending."""

    fresh: list[int]
    repeated: list[int]
    rejected: dict[int, Rejection]


def judge(events: Sequence[Event], now_us: int) -> Judged:
    """Sorts a batch by what can be told without memory. Of events with one id the first good one counts."""
    fresh: list[int] = []
    repeated: list[int] = []
    rejected: dict[int, Rejection] = {}
    ids: set[str] = set()
    for index, event in enumerate(events):
        rejection = reject(event, event.received_time_us or now_us)
        if rejection:
            rejected[index] = rejection
        elif event.event_id in ids:
            repeated.append(index)
        else:
            ids.add(event.event_id)
            fresh.append(index)
    return Judged(fresh, repeated, rejected)
