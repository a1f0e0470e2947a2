"""Snapshots of students of OULAD, whose times have days only.

A snapshot's label is "no event in the next 14 days". There are two kinds of moments:

- weekly: at midnight before day 14, 21, ..., 196 of the course, whether the user was active or not; the published
  method, and what is reported first.
- at an event: right after every event of the user's first day, and after one random event of each other active day;
  what the service sees, which always assesses at an event and mostly new users. The label ignores the rest of that
  day.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final
from zlib import crc32

from offline.datasets import oulad
from offline.datasets.oulad import Journey
from offline.training.fitting import Source
from offline.training.table import AT_EVENTS, WEEKLY, Snapshot, Table
from offline.training.watching import Watch
from services.features.domain.state import DAY_US

HORIZON_DAYS: Final = 14
WEEKLY_DAYS: Final = range(14, 197, 7)
_ABOUT: Final = """\
OULAD (Kuzilek, Hlosta, Zdrahal: Open University Learning Analytics dataset, Scientific Data 4, 170171, 2017; CC BY
4.0): the clicks of students in online courses. The data is not in this repository. It has days but no time of day:
features within a session would be invented, and errors, retries, forms and clicks do not occur; these features have no
effect. Weekly snapshots are taken at midnight before day 14 to 196 of the course; snapshots at events after every event
of the first day and one event of each other active day. The mapping of the data and the weights were chosen with the
users held back in view, so the figures are slightly optimistic."""


def snapshots(journey: Journey) -> Iterator[Snapshot]:
    """A journey's snapshots in time order, except those after a withdrawal or without 14 recorded days after them."""
    watch = Watch()
    weekly = [day for day in WEEKLY_DAYS if _is_open(journey, day) and day + HORIZON_DAYS <= journey.observed_days]
    drawn = _drawn(journey)
    for index, event in enumerate(journey.events):
        while weekly and journey.start_us + weekly[0] * DAY_US <= event.at_us:
            if watch.state.event_count:
                yield _weekly(journey, watch, weekly[0])
            weekly.pop(0)
        watch.take(event)
        day = (event.at_us - journey.start_us) // DAY_US
        if index in drawn and _is_open(journey, day) and day + 1 + HORIZON_DAYS <= journey.observed_days:
            is_gone = not _is_active(journey, day + 1)
            known_us = journey.start_us + (day + 1 + HORIZON_DAYS) * DAY_US
            seen = watch.seen(event.at_us)
            yield Snapshot(journey.user_id, AT_EVENTS, event.at_us, known_us, 0.0, is_gone, *seen)
    for day in weekly:
        yield _weekly(journey, watch, day)


def _weekly(journey: Journey, watch: Watch, day: int) -> Snapshot:
    at_us = journey.start_us + day * DAY_US
    known_us, idle_days = at_us + HORIZON_DAYS * DAY_US, (at_us - watch.state.last_us) / DAY_US
    is_gone = not _is_active(journey, day)
    return Snapshot(journey.user_id, WEEKLY, at_us, known_us, idle_days, is_gone, *watch.seen(at_us))


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


def source(snapshots: Table) -> Source:
    """OULAD as what is trained on."""
    return Source(
        oulad.NAME, _ABOUT, f"no event in the next {HORIZON_DAYS} days", snapshots, oulad.MEASURED, is_directed=False
    )
