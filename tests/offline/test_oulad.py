"""The mapping of OULAD to events, on a course made up here, and on the real one where it is at hand."""

import gzip
from itertools import pairwise
from pathlib import Path

import pytest

from offline.datasets import oulad
from services.features.domain import history
from services.features.domain.event import Kind
from services.features.domain.state import DAY_US, SESSION_GAP_US
from services.features.domain.vector import FEATURE_NAMES

COURSE = {
    "vle.csv.gz": """id_site,code_module,code_presentation,activity_type,week_from,week_to
1,AAA,2013J,homepage,,
2,AAA,2013J,quiz,,
3,AAA,2013J,forumng,,
4,AAA,2013J,glossary,,
5,AAA,2013J,resource,,
""",
    "student_registration.csv.gz": """code_module,code_presentation,id_student,date_registration,date_unregistration
AAA,2013J,7,-20.0,
AAA,2013J,8,-20.0,30.0
""",
    "student_vle.csv.gz": """code_module,code_presentation,id_student,id_site,date,sum_click
AAA,2013J,7,2,3,1
AAA,2013J,7,1,3,4
AAA,2013J,7,3,-5,2
AAA,2013J,7,4,40,1
AAA,2013J,7,5,40,1
AAA,2013J,7,5,41,3
AAA,2013J,8,9,12,1
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A course of two students."""
    for name, text in COURSE.items():
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    return tmp_path


def test_a_journey_is_a_student_in_a_presentation(folder: Path) -> None:
    one, other = oulad.journeys(folder)
    assert (one.user_id, other.user_id) == ("AAA-2013J-7", "AAA-2013J-8")
    assert one.active_days == [-5, 3, 40, 41]
    assert (one.enrolled_until, other.enrolled_until) == (None, 30)
    assert (one.observed_days, other.observed_days) == (42, 42)


def test_activities_become_events(folder: Path) -> None:
    one, other = oulad.journeys(folder)
    of_day: dict[int, list[int]] = {}
    for event in one.events:
        of_day.setdefault((event.at_us - one.start_us) // DAY_US, []).append(event.kind)
    assert of_day[-5] == [Kind.FEATURE_INTERACTION]
    assert of_day[3] == [Kind.PAGE_VIEW, Kind.PAGE_VIEW, Kind.TASK_SUCCESS]
    assert sorted(of_day[40]) == [Kind.PAGE_VIEW, Kind.HELP_REQUEST]
    assert of_day[41] == [Kind.PAGE_VIEW, Kind.TASK_SUCCESS]
    assert [event.kind for event in other.events] == [Kind.PAGE_VIEW]


def test_a_day_is_one_sitting_in_order_and_the_home_page_is_first(folder: Path) -> None:
    one, _ = oulad.journeys(folder)
    times = [event.at_us for event in one.events]
    assert times == sorted(times)
    sitting = [event for event in one.events if (event.at_us - one.start_us) // DAY_US == 3]
    assert sitting[0].page == "/homepage/1"
    assert all(0 < b.at_us - a.at_us < SESSION_GAP_US for a, b in pairwise(sitting))


def test_a_busy_day_does_not_run_into_the_next(folder: Path) -> None:
    rows = "".join(f"AAA,2013J,7,{site},10,5\n" for site in range(100, 1100))
    header = COURSE["student_vle.csv.gz"].splitlines()[0]
    (folder / "student_vle.csv.gz").write_bytes(gzip.compress(f"{header}\n{rows}".encode()))
    (one,) = oulad.journeys(folder)
    assert {(event.at_us - one.start_us) // DAY_US for event in one.events} == {10}


def test_it_is_the_same_every_time(folder: Path) -> None:
    assert list(oulad.journeys(folder)) == list(oulad.journeys(folder))


def test_measured_features_are_features() -> None:
    assert {*FEATURE_NAMES, *history.NAMES} >= oulad.MEASURED


def test_missing_data_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        next(oulad.journeys(tmp_path))
