"""Signals live 30 minutes of event time, everything is bounded."""

from hypothesis import given
from hypothesis import strategies as st

from services.scoring.domain import history
from services.scoring.domain.history import SIGNAL_LIFETIME_US, SIGNAL_LIMIT, Journal, Signal
from services.scoring.domain.schema import Level, SignalType
from tests.builders import MINUTE_US, NOW_US, SECOND_US
from tests.scoring.builders import signal

SIGNALS = st.builds(
    signal, st.sampled_from(list(SignalType)), st.floats(0, 100), st.integers(NOW_US - 10**10, NOW_US + 10**10)
)


def test_a_signal_counts_for_half_an_hour() -> None:
    told = [signal()]
    assert history.active(told, NOW_US) == told
    assert history.active(told, NOW_US + SIGNAL_LIFETIME_US - 1) == told
    assert history.active(told, NOW_US + SIGNAL_LIFETIME_US) == []


def test_a_signal_told_early_counts_for_a_late_event_near_it_only() -> None:
    told = [signal()]
    assert history.active(told, NOW_US - MINUTE_US) == told
    assert history.active(told, NOW_US - SIGNAL_LIFETIME_US) == []


def test_each_strong_signal_counts_once() -> None:
    told = [signal(strength=69.9), signal(strength=70.0), signal(strength=80.0), signal(SignalType.RAGE_CLICKS, 90.0)]
    assert history.strong_count(told) == 3


def test_what_has_passed_is_forgotten() -> None:
    later = NOW_US + SIGNAL_LIFETIME_US
    assert history.keep([signal(), signal(time_us=later - 1)], [], later) == [signal(time_us=later - 1)]


def test_an_event_with_a_wrong_clock_does_not_silence_what_comes_after() -> None:
    day = 24 * 60 * MINUTE_US
    kept = history.keep([signal(time_us=NOW_US + day)], [signal()], NOW_US)
    assert history.active(kept, NOW_US) == [signal()]


def test_a_flood_of_one_type_does_not_hide_another() -> None:
    rare = signal(SignalType.FORM_ERRORS)
    kept = [rare]
    for number in range(3 * SIGNAL_LIMIT):
        kept = history.keep(kept, [signal(SignalType.RAGE_CLICKS, time_us=NOW_US + number)], NOW_US + number)
    assert len(kept) == SIGNAL_LIMIT
    assert rare in kept
    assert kept[-1].time_us == NOW_US + 3 * SIGNAL_LIMIT - 1


@given(st.lists(st.lists(SIGNALS, max_size=4), max_size=20))
def test_the_signals_are_bounded(told: list[list[Signal]]) -> None:
    kept: list[Signal] = []
    for found in told:
        if kept or found:
            kept = history.keep(kept, found, NOW_US)
        assert len(kept) <= SIGNAL_LIMIT


def test_a_point_is_kept_a_minute_or_a_level_apart() -> None:
    journal = Journal()
    for seconds, score, level in ((0, 10.0, 1), (30, 12.0, 1), (40, 75.125, 3), (50, 76.0, 3), (101, 77.0, 3)):
        history.note(journal, NOW_US + seconds * SECOND_US, score, Level(level))
    assert [(point.event_time_us - NOW_US) // SECOND_US for point in history.course(journal)] == [101, 40, 0]
    assert [point.score for point in history.course(journal)] == [77.0, 75.12, 10.0]


def test_the_course_is_bounded_and_newest_first() -> None:
    journal = Journal()
    for minute in range(100):
        history.note(journal, NOW_US + minute * MINUTE_US, 10.0, Level.LOW)
    course = history.course(journal)
    assert len(course) == history.POINT_LIMIT
    assert course[0].event_time_us == NOW_US + 99 * MINUTE_US
    assert course == sorted(course, reverse=True)
