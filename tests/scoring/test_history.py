"""Signals live 30 minutes of event time, everything is bounded."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from services.scoring.domain import assessment, history
from services.scoring.domain.history import SIGNAL_LIFETIME_US, SIGNAL_LIMIT, Journal, Signal
from services.scoring.domain.schema import Level, SignalType
from services.scoring.states import JOURNALS
from tests.builders import MINUTE_US, NOW_US, SECOND_US
from tests.scoring.builders import over, signal

SIGNALS = st.builds(
    signal, st.sampled_from(list(SignalType)), st.floats(0, 100), st.integers(NOW_US - 10**10, NOW_US + 10**10)
)


def test_a_signal_counts_for_half_an_hour() -> None:
    found = [signal()]
    assert history.active(found, NOW_US) == found
    assert history.active(found, NOW_US + SIGNAL_LIFETIME_US - 1) == found
    assert history.active(found, NOW_US + SIGNAL_LIFETIME_US) == []


def test_an_early_signal_counts_only_for_late_events_near_it() -> None:
    found = [signal()]
    assert history.active(found, NOW_US - MINUTE_US) == found
    assert history.active(found, NOW_US - SIGNAL_LIFETIME_US) == []


def test_each_strong_signal_counts_once() -> None:
    found = [signal(strength=69.9), signal(strength=70.0), signal(strength=80.0), signal(SignalType.RAGE_CLICKS, 90.0)]
    assert history.strong_count(found) == 3


def test_expired_signals_are_dropped() -> None:
    later = NOW_US + SIGNAL_LIFETIME_US
    assert history.keep([signal(), signal(time_us=later - 1)], [], later) == [signal(time_us=later - 1)]


def test_an_event_with_a_wrong_clock_does_not_silence_what_comes_after() -> None:
    day = 24 * 60 * MINUTE_US
    kept = history.keep([signal(time_us=NOW_US + day)], [signal()], NOW_US)
    assert history.active(kept, NOW_US) == [signal()]


def test_many_signals_of_one_type_do_not_hide_another() -> None:
    rare = signal(SignalType.FORM_ERRORS)
    kept = [rare]
    for number in range(3 * SIGNAL_LIMIT):
        kept = history.keep(kept, [signal(SignalType.RAGE_CLICKS, time_us=NOW_US + number)], NOW_US + number)
    assert len(kept) == SIGNAL_LIMIT
    assert rare in kept
    assert kept[-1].time_us == NOW_US + 3 * SIGNAL_LIMIT - 1


@given(st.lists(st.lists(SIGNALS, max_size=4), max_size=20))
def test_the_signals_are_bounded(each_found: list[list[Signal]]) -> None:
    kept: list[Signal] = []
    for found in each_found:
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


def test_the_later_signal_of_a_run_stands_for_the_earlier_ones() -> None:
    run = [signal(SignalType.RAGE_CLICKS, 80.0 + n, NOW_US + n, f"{n} clicks", "pay", NOW_US) for n in range(5)]
    other = signal(SignalType.RAGE_CLICKS, 90.0, NOW_US + 9, "another run", "pay", NOW_US + 9)
    alone = signal(SignalType.DEAD_CLICK, 40.0, NOW_US - 1)
    kept = [alone]
    for each in [*run, other]:
        kept = history.keep(kept, [each], each.time_us)
    assert kept == [alone, run[-1], other]
    assert history.keep([alone], [*run, other], NOW_US + 9) == kept
    assert history.strong_count(kept) == 2


def test_exactly_the_ended_signals_are_dropped() -> None:
    kept = [signal(time_us=NOW_US + n, target=target) for n, target in ((0, "pay"), (0, "tax"), (5, "pay"))]
    other = signal(SignalType.FORM_ERRORS, target="pay")
    assert history.drop([*kept, other], {over(kept[0])}) == [kept[1], kept[2], other]
    assert history.drop(kept, {over(signal(time_us=NOW_US + 1, target="pay"))}) == kept
    assert history.drop([], {over(kept[0])}) == []


def test_a_run_takes_the_place_of_its_single_clicks() -> None:
    second = 1_000_000
    before = signal(SignalType.DEAD_CLICK, time_us=NOW_US - 60 * second)
    dead, error = (
        signal(kind, time_us=NOW_US + at)
        for kind, at in ((SignalType.DEAD_CLICK, 0), (SignalType.ERROR_CLICK, second // 2))
    )
    failure = signal(SignalType.REPEATED_FAILURES, time_us=NOW_US)
    run = signal(SignalType.RAGE_CLICKS, time_us=NOW_US + second, run_start_us=NOW_US)
    after = signal(SignalType.DEAD_CLICK, time_us=NOW_US + 9 * second)
    kept = history.keep([before, dead, error, failure], [run], NOW_US + second)
    assert kept == [before, failure, run]
    assert history.keep(kept, [after], NOW_US + 9 * second) == [before, failure, run, after]


def test_when_the_latest_was_found() -> None:
    assert history.latest_us([]) == 0
    assert history.latest_us([signal(time_us=NOW_US + 5), signal(time_us=NOW_US)]) == NOW_US + 5


def test_a_journal_of_the_first_version_is_read() -> None:
    stored = (Path(__file__).parent / "golden" / "journal-rules-1.msgpack").read_bytes()
    journal = JOURNALS.decode(stored)
    (kept,) = journal.signals
    assert (kept.type, kept.reason, kept.target, kept.run_start_us) == (
        SignalType.REPEATED_FAILURES,
        "3 failed attempts on /calculator",
        "",
        0,
    )
    assert assessment.explain(journal).assessment.latest_signal_us == kept.time_us
    assert JOURNALS.decode(JOURNALS.encode(journal)) == journal
