"""The Open University learning analytics data set (OULAD): clicks of students in online courses, per day.

Kuzilek, Hlosta, Zdrahal: Open University Learning Analytics dataset, Scientific Data 4, 170171 (2017), CC BY 4.0.

A row is a student's number of clicks on one page of the course on one day. It becomes one or two events:

| activity type | events |
|---|---|
| homepage, subpage, sharedsubpage, resource, url, and all else | `page_view` |
| oucontent, and three clicks or more on a resource | `page_view`, then `task_success`: course work was read |
| quiz, questionnaire, dataplus | `page_view`, then `task_success`: an exercise was done |
| forumng, ouwiki, oucollaborate, ouelluminate | `feature_interaction`: took part with others |
| glossary, repeatactivity, htmlactivity | `help_request` for the glossary, `page_view` for the others |

The time of day is not known. A day's rows become one session: it begins at an hour drawn from the student and the day,
home page first, then in the order of a checksum, 20 to 200 seconds apart. So everything measured within a session
(durations, time per page, pages left) is made up, and errors, retries, forms and clicks do not occur at all: `MEASURED`
lists what is left.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zlib import crc32

from services.features.domain import history
from services.features.domain.event import Event, Kind
from services.features.domain.state import DAY_US, SECOND_US

NAME: Final = "oulad"
# Nobody's trouble is in this data, and the time of day is made up.
_NO_HISTORY: Final = frozenset(
    {"troubles_7_days", "troubles_28_days", "usual_session_length", "length_to_usual", "day_part_habit"}
)
MEASURED: Final = frozenset(
    {"engagement_score", "time_since_last_success", "session_count", "unique_pages_visited", *history.NAMES}
).difference(_NO_HISTORY)
"""The features that this data really has; the others are constant or made up here."""

_COURSE_WORK: Final = frozenset({"oucontent", "quiz", "questionnaire", "externalquiz", "dataplus"})
_TAKING_PART: Final = frozenset({"forumng", "ouwiki", "oucollaborate", "ouelluminate"})
_READ_CLICKS: Final = 3
# Presentations are named by year and the month they begin in: B is February, J October.
_MONTHS: Final = {"B": 2, "J": 10}
_FIRST_HOUR, _HOURS = 8, 10
_SHORTEST_GAP_S, _GAP_SPAN_S = 20, 181
_LONGEST_SESSION_S: Final = (24 - _FIRST_HOUR - _HOURS) * 3600


@dataclass(frozen=True)
class Journey:
    """One student in one presentation of a course.

    `events` are in time order. Days count from `start_us`, the first day of the course, and may be negative;
    `active_days` ascend. `observed_days` is the number of days of the course that were recorded, `enrolled_until` the
    day of the formal withdrawal or None.
    """

    user_id: str
    start_us: int
    events: list[Event]
    active_days: list[int]
    observed_days: int
    enrolled_until: int | None


@dataclass(frozen=True)
class _Visit:
    """One row: a page, its activity type and the clicks on that day."""

    site: str
    activity: str
    clicks: int


def journeys(folder: Path) -> Iterator[Journey]:
    """The students who were ever active, in the order of their ids.

    Raises:
        FileNotFoundError: the folder does not contain the data set.
    """
    activity = {row["id_site"]: row["activity_type"] for row in _rows(folder / "vle.csv.gz")}
    enrolled = {_key(row): row["date_unregistration"] for row in _rows(folder / "student_registration.csv.gz")}
    days: dict[tuple[str, str, str], dict[int, list[_Visit]]] = defaultdict(lambda: defaultdict(list))
    for row in _rows(folder / "student_vle.csv.gz"):
        visit = _Visit(row["id_site"], activity.get(row["id_site"], ""), int(row["sum_click"]))
        days[_key(row)][int(row["date"])].append(visit)
    observed: dict[tuple[str, str], int] = {}
    for (module, presentation, _), active in days.items():
        observed[module, presentation] = max(observed.get((module, presentation), 0), *active, 0)
    for key in sorted(days):
        module, presentation, student = key
        user_id = f"{module}-{presentation}-{student}"
        start_us = _start_us(presentation)
        active_days = sorted(days[key])
        events = [e for day in active_days for e in _session(user_id, start_us + day * DAY_US, days[key][day])]
        until = enrolled.get(key, "")
        enrolled_until = int(float(until)) if until else None
        yield Journey(user_id, start_us, events, active_days, observed[module, presentation] + 1, enrolled_until)


def _session(user_id: str, day_us: int, visits: list[_Visit]) -> Iterator[Event]:
    """The events of one day."""
    seed = f"{user_id}:{day_us}"
    drawn = sorted(visits, key=lambda visit: (visit.activity != "homepage", _draw(seed, visit.site)))
    planned = [(visit, kind) for visit in drawn for kind in _kinds(visit)]
    gaps = [_SHORTEST_GAP_S + _draw(seed, str(index)) % _GAP_SPAN_S for index in range(len(planned))]
    pace = min(1.0, _LONGEST_SESSION_S / sum(gaps))
    at_us = day_us + (_FIRST_HOUR * 3600 + _draw(seed, "hour") % (_HOURS * 3600)) * SECOND_US
    for index, ((visit, kind), gap) in enumerate(zip(planned, gaps, strict=True)):
        place = f"/{visit.activity}/{visit.site}"
        yield Event(f"{seed}:{index}", kind, at_us, place, visit.activity)
        at_us += round(gap * pace * SECOND_US)


def _kinds(visit: _Visit) -> tuple[int, ...]:
    if visit.activity in _COURSE_WORK or (visit.activity == "resource" and visit.clicks >= _READ_CLICKS):
        return (Kind.PAGE_VIEW, Kind.TASK_SUCCESS)
    if visit.activity in _TAKING_PART:
        return (Kind.FEATURE_INTERACTION,)
    return (Kind.HELP_REQUEST,) if visit.activity == "glossary" else (Kind.PAGE_VIEW,)


def _draw(seed: str, name: str) -> int:
    """A pseudorandom number that is always the same."""
    return crc32(f"{seed}:{name}".encode())


def _start_us(presentation: str) -> int:
    month = _MONTHS.get(presentation[4:], 1)
    return int(datetime(int(presentation[:4]), month, 1, tzinfo=UTC).timestamp()) * 1_000_000


def _key(row: dict[str, str]) -> tuple[str, str, str]:
    return row["code_module"], row["code_presentation"], row["id_student"]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)
