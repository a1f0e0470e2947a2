"""Snapshots of journeys: a user's features at a point in time, and whether the user left afterwards.

A snapshot's label is "no event in the next 14 days". There are two kinds of moments:

- weekly: at midnight before day 14, 21, ..., 196 of the course, whether the user was active or not; the published
  method, and what is reported first.
- at an event: right after every event of the user's first day, and after one random event of each other active day;
  what the service sees, which always assesses at an event and mostly new users. The label ignores the rest of that
  day.

Features and signals come from the features service's code, the rules' probability from the scoring service's.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from offline.datasets.oulad import Journey
from services.features.domain import journey as features
from services.features.domain.event import Event
from services.features.domain.state import DAY_US, State
from services.features.domain.vector import vector
from services.scoring.domain import history, rules

HORIZON_DAYS: Final = 14
WEEKLY_DAYS: Final = range(14, 197, 7)


class Snapshot(NamedTuple):
    """One user at one time. `day` counts from the start of the course, `idle_days` from the user's last event.

    `rule_probability` is that of the rules alone.
    """

    user_id: str
    day: int
    is_weekly: bool
    idle_days: float
    is_gone: bool
    rule_probability: float
    values: list[float]


@dataclass(frozen=True)
class Table:
    """Snapshots as columns; `values` has one row per snapshot, in the order of the features."""

    users: npt.NDArray[np.str_]
    days: npt.NDArray[np.int64]
    is_weekly: npt.NDArray[np.bool_]
    idle_days: npt.NDArray[np.float64]
    is_gone: npt.NDArray[np.bool_]
    rule_probabilities: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.days)

    def where(self, mask: npt.NDArray[np.bool_]) -> "Table":
        """The snapshots for which the mask holds."""
        return Table(*(getattr(self, field.name)[mask] for field in fields(self)))


def table(journeys: Iterable[Journey]) -> Table:
    """The snapshots of all journeys."""
    found = [snapshot for journey in journeys for snapshot in snapshots(journey)]
    return Table(
        np.array([s.user_id for s in found]),
        np.array([s.day for s in found], np.int64),
        np.array([s.is_weekly for s in found], bool),
        np.array([s.idle_days for s in found]),
        np.array([s.is_gone for s in found], bool),
        np.array([s.rule_probability for s in found]),
        np.array([s.values for s in found]),
    )


def snapshots(journey: Journey) -> Iterator[Snapshot]:
    """A journey's snapshots in time order, except those after a withdrawal or without 14 recorded days after them."""
    state, signals = State(), list[history.Signal]()
    weekly = [day for day in WEEKLY_DAYS if _is_open(journey, day) and day + HORIZON_DAYS <= journey.observed_days]
    drawn = _drawn(journey)
    for index, event in enumerate(journey.events):
        while weekly and journey.start_us + weekly[0] * DAY_US <= event.at_us:
            if state.event_count:
                yield _weekly(journey, state, signals, weekly[0])
            weekly.pop(0)
        signals = _apply(state, signals, event)
        day = (event.at_us - journey.start_us) // DAY_US
        if index in drawn and _is_open(journey, day) and day + 1 + HORIZON_DAYS <= journey.observed_days:
            is_gone = not _is_active(journey, day + 1)
            yield Snapshot(journey.user_id, day, False, 0.0, is_gone, *_seen(state, signals, event.at_us))
    for day in weekly:
        yield _weekly(journey, state, signals, day)


def _weekly(journey: Journey, state: State, signals: list[history.Signal], day: int) -> Snapshot:
    at_us = journey.start_us + day * DAY_US
    idle_days = (at_us - state.last_us) / DAY_US
    is_gone = not _is_active(journey, day)
    return Snapshot(journey.user_id, day, True, idle_days, is_gone, *_seen(state, signals, at_us))


def _apply(state: State, signals: list[history.Signal], event: Event) -> list[history.Signal]:
    found = features.apply(state, event)
    if found is features.NOTHING and not signals:
        return signals
    over = {history.Settled(each.type, each.at_us, each.target) for each in found.settled}
    new = [
        history.Signal(each.type, each.strength, each.at_us, each.reason, b"", each.target, each.run_start_us)
        for each in found.signals
    ]
    left = history.drop(signals, over)
    return history.keep(left, new, event.at_us) if left or new else left


def _seen(state: State, signals: list[history.Signal], at_us: int) -> tuple[float, list[float]]:
    values = vector(state, at_us)
    return rules.probability(rules.find(history.active(signals, at_us), values)), values


def _drawn(journey: Journey) -> set[int]:
    """The indexes of all events of the first day and of one event of each other active day."""
    of_day: dict[int, list[int]] = {}
    for index, event in enumerate(journey.events):
        of_day.setdefault((event.at_us - journey.start_us) // DAY_US, []).append(index)
    first = min(of_day, default=0)
    drawn = {indexes[crc32(f"{journey.user_id}:{day}".encode()) % len(indexes)] for day, indexes in of_day.items()}
    return drawn.union(of_day.get(first, ()))


def _is_open(journey: Journey, day: int) -> bool:
    return journey.enrolled_until is None or day < journey.enrolled_until


def _is_active(journey: Journey, from_day: int) -> bool:
    """Whether there was an event in the 14 days from a day on."""
    place = bisect_left(journey.active_days, from_day)
    return place < len(journey.active_days) and journey.active_days[place] < from_day + HORIZON_DAYS
