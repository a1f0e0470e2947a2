"""Journeys made up for tests, and the real ones where they are at hand."""

import functools
import os
from pathlib import Path
from zlib import crc32

import pytest

from mesh.settings import read
from offline.datasets import oulad
from offline.datasets.oulad import Journey
from offline.settings import Settings
from services.features.domain.event import Event, Kind
from services.features.domain.state import DAY_US, SECOND_US

_START_US = 1_380_585_600 * SECOND_US
_OBSERVED_DAYS = 120


def made_up(count: int) -> list[Journey]:
    """Users who come every day or every ninth day, half of whom stop for good somewhere in the middle."""
    return [_journey(number) for number in range(count)]


def journey(user_id: str, active_days: list[int], enrolled_until: int | None = None) -> Journey:
    """A user with a page view and a success on each of the days."""
    events = [
        Event(f"{user_id}-{day}-{kind}", kind, _START_US + day * DAY_US + after * 60 * SECOND_US, f"/{day % 7}")
        for day in active_days
        for after, kind in ((600, Kind.PAGE_VIEW), (601, Kind.TASK_SUCCESS))
    ]
    return Journey(user_id, _START_US, events, active_days, _OBSERVED_DAYS, enrolled_until)


@functools.cache
def real() -> list[Journey]:
    """The students of OULAD; skips the test where the data is not there."""
    folder = Path(read(Settings, os.environ).data) / oulad.NAME
    if not folder.is_dir():
        pytest.skip(f"the data set {oulad.NAME} is not there")
    return list(oulad.journeys(folder))


def _journey(number: int) -> Journey:
    drawn = crc32(f"student-{number}".encode())
    pace = (1, 2, 4, 9)[drawn % 4]
    end = 30 + drawn // 4 % 60 if drawn // 256 % 2 else _OBSERVED_DAYS
    return journey(f"student-{number}", list(range(drawn // 1024 % pace, end, pace)))
