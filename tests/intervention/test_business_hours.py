"""Office hours across weekends, zones and changes of daylight saving."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intervention.decision.domain.local_time import business_us_left, local_time, next_opening_us

ZONES = ["", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "No/Where", "../etc"]


def at(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("now", "zone", "left_hours"),
    [
        ("2026-01-07T09:00+01:00", "Europe/Berlin", 9),
        ("2026-01-07T08:59+01:00", "Europe/Berlin", 0),
        ("2026-01-07T18:00+01:00", "Europe/Berlin", 0),
        ("2026-01-10T12:00+01:00", "Europe/Berlin", 0),
        ("2026-01-07T17:00+00:00", "", 1),
        ("2026-01-07T17:00+00:00", "No/Where", 1),
    ],
)
def test_what_is_left_of_the_business_day(now: str, zone: str, left_hours: int) -> None:
    assert business_us_left(at(now), zone, 9, 18) == left_hours * 3_600_000_000


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-01-07T18:30+01:00", "2026-01-08T09:00+01:00"),
        ("2026-01-07T03:00+01:00", "2026-01-07T09:00+01:00"),
        ("2026-01-09T18:30+01:00", "2026-01-12T09:00+01:00"),
        # The clocks go forward on the Sunday between.
        ("2026-03-27T20:00+01:00", "2026-03-30T09:00+02:00"),
    ],
)
def test_the_next_opening(now: str, opens: str) -> None:
    assert next_opening_us(at(now), "Europe/Berlin", 9) == at(opens)


@given(st.integers(0, 4_000_000_000_000_000), st.sampled_from(ZONES))
def test_business_hours_begin_with_the_opening_hour(now_us: int, zone: str) -> None:
    opening_us = next_opening_us(now_us, zone, 9)
    assert 0 < opening_us - now_us <= 4 * 24 * 3_600_000_000
    assert local_time(opening_us, zone).hour == 9
    assert business_us_left(opening_us, zone, 9, 18) == 9 * 3_600_000_000
