"""Each detector: what it finds, how strong, on what evidence, and what it leaves alone."""

from typing import Any

import pytest

from services.features.domain.event import Event, Kind
from services.features.domain.signal import DETECTOR_VERSION, SignalType
from tests.features.stories import DAY, HOUR, MINUTE, applied, at, signals, views


def strengths(events: list[Event], kind: int) -> list[float]:
    return [round(signal.strength, 1) for signal in signals(events, kind)]


def test_a_struggle_signal_of_three_attempts_is_repeated_failure() -> None:
    events = [
        at(0, Kind.PAGE_VIEW, "/calculator"),
        at(15, Kind.FEATURE_INTERACTION, "/calculator", "loan_amount"),
        at(30, Kind.STRUGGLE_SIGNAL, "/calculator", attempt_count=3),
    ]
    (signal,) = applied(events)[1]
    assert signal.type == SignalType.REPEATED_FAILURES
    assert signal.strength == pytest.approx(78.4)
    assert signal.reason == "3 failed attempts on /calculator"
    assert signal.target == "/calculator"
    assert list(signal.evidence_event_ids) == ["e30"]
    assert signal.at_us == events[-1].at_us
    assert signal.detector_version == DETECTOR_VERSION


@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.TASK_FAILURE, Kind.RETRY, Kind.STRUGGLE_SIGNAL])
def test_failures_at_one_place_add_up(kind: int) -> None:
    events = [at(second, kind, "/pay", "card") for second in (0, 60, 120)]
    assert strengths(events, SignalType.REPEATED_FAILURES) == [64.0, 78.4]


def test_failures_at_different_places_do_not_add_up() -> None:
    events = [at(0, Kind.ERROR, "/pay", "card"), at(1, Kind.ERROR, "/pay", "address"), at(2, Kind.ERROR, "/home")]
    assert not signals(events, SignalType.REPEATED_FAILURES)


def test_a_failure_without_a_target_is_of_its_page() -> None:
    events = [at(0, Kind.ERROR, "/pay", "card"), at(1, Kind.STRUGGLE_SIGNAL, "/pay", attempt_count=2)]
    (signal,) = signals(events, SignalType.REPEATED_FAILURES)
    assert signal.reason == "3 failed attempts on /pay"
    assert list(signal.evidence_event_ids) == ["e0", "e1"]


def test_failures_name_a_place_only_if_all_were_there() -> None:
    events = [at(0, Kind.ERROR, "/pay"), at(1, Kind.ERROR, "/pay", "card"), at(2, Kind.ERROR, "/cart", "card")]
    page, target = signals(events, SignalType.REPEATED_FAILURES)
    assert page.reason == "2 failed attempts on /pay"
    assert target.reason == "2 failed attempts on card"
    (nowhere,) = signals([at(0, Kind.ERROR, "", ""), at(1, Kind.ERROR, "", "card")], SignalType.REPEATED_FAILURES)
    assert nowhere.reason == "2 failed attempts"


def test_the_end_of_a_session_leaves_the_form_that_was_open() -> None:
    events = [at(0, Kind.FORM_START, "/join", "signup_form"), at(60, Kind.SESSION_END, "/join", "logout")]
    (left,) = signals(events, SignalType.FORM_ABANDONMENT)
    assert (left.reason, left.target) == ("The form signup_form was begun and left", "signup_form")


def test_failures_more_than_ten_minutes_apart_do_not_add_up() -> None:
    assert not signals([at(0, Kind.ERROR, "/a"), at(10 * MINUTE, Kind.ERROR, "/a")], SignalType.REPEATED_FAILURES)


def test_a_success_settles_the_failures_of_its_place() -> None:
    failed = [at(0, Kind.ERROR, "/pay", "card"), at(10, Kind.TASK_SUCCESS, "/pay", "card")]
    assert not signals([*failed, at(20, Kind.ERROR, "/pay", "card")], SignalType.REPEATED_FAILURES)
    elsewhere = [failed[0], at(10, Kind.TASK_SUCCESS, "/home"), at(20, Kind.ERROR, "/pay", "card")]
    assert len(signals(elsewhere, SignalType.REPEATED_FAILURES)) == 1


def test_a_late_failure_counts_and_stands_in_its_place_in_the_evidence() -> None:
    events = [at(60, Kind.ERROR, "/a"), at(30, Kind.ERROR, "/a"), at(90, Kind.ERROR, "/a")]
    found = signals(events, SignalType.REPEATED_FAILURES)
    assert [list(signal.evidence_event_ids) for signal in found] == [["e30", "e60"], ["e30", "e60", "e90"]]


def test_evidence_ends_at_ten_events() -> None:
    found = signals([at(second, Kind.ERROR, "/a") for second in range(30)], SignalType.REPEATED_FAILURES)
    assert list(found[-1].evidence_event_ids) == [f"e{second}" for second in range(20, 30)]


@pytest.mark.parametrize(
    ("errors", "form"),
    [
        ([at(s, Kind.ERROR, "/apply", "loan-form") for s in (1, 2, 3)], "loan-form"),
        ([at(s, Kind.ERROR, "/apply", "loanForm") for s in (1, 2, 3)], "loanForm"),
        ([at(s, Kind.ERROR, "/apply", f"field{s}", error_code="validation") for s in (1, 2, 3)], "/apply"),
        ([at(s, Kind.ERROR, "/apply", "income", error_code="required") for s in (1, 2, 3)], "/apply"),
    ],
)
def test_errors_in_one_form_are_form_errors_and_no_failures(errors: list[Event], form: str) -> None:
    found = signals(errors, SignalType.FORM_ERRORS)
    assert [round(signal.strength, 1) for signal in found] == [64.0, 78.4]
    assert found[-1].reason == f"3 errors in the form {form}"
    assert not signals(errors, SignalType.REPEATED_FAILURES)


def test_errors_belong_to_the_form_that_was_begun() -> None:
    start = at(0, Kind.FORM_START, "/apply", "loan")
    errors = [
        at(1, Kind.ERROR, "/apply", "loan"),
        at(2, Kind.ERROR, "/apply", "income", error_code="validation_failed"),
        at(3, Kind.ERROR, "/apply", "age", error_code="out_of_range"),
    ]
    (_, last) = signals([start, *errors], SignalType.FORM_ERRORS)
    assert last.reason == "3 errors in the form loan"


@pytest.mark.parametrize("target", ["platform", "information", "performance"])
def test_a_name_with_form_inside_a_word_is_no_form(target: str) -> None:
    assert not signals([at(s, Kind.ERROR, "/a", target) for s in (1, 2)], SignalType.FORM_ERRORS)


def test_help_asked_for_again() -> None:
    events = [at(s, Kind.HELP_REQUEST, f"/help/{s}") for s in (0, 60, 120)]
    assert strengths(events, SignalType.HELP_SEEKING) == [75.0, 87.5]
    assert not signals([at(0, Kind.HELP_REQUEST), at(10 * MINUTE, Kind.HELP_REQUEST)], SignalType.HELP_SEEKING)


def test_refreshes_are_reported_by_the_client_or_detected() -> None:
    reported = [at(s, Kind.PAGE_VIEW, "/a", is_refresh=True) for s in (0, 100, 200)]
    assert strengths(reported, SignalType.PAGE_REFRESHES) == [57.8]
    seen = [at(s, Kind.PAGE_VIEW, "/a") for s in (0, 20, 40, 60, 80)]
    assert strengths(seen, SignalType.PAGE_REFRESHES) == [57.8, 68.4]


def test_the_same_page_after_something_done_or_after_a_while_is_no_refresh() -> None:
    done = [at(s, kind, "/a") for s in range(0, 100, 10) for kind in (Kind.PAGE_VIEW, Kind.FEATURE_INTERACTION)]
    assert not signals(done, SignalType.PAGE_REFRESHES)
    slow = [at(s, Kind.PAGE_VIEW, "/a") for s in range(0, 600, 61)]
    assert not signals([at(5, Kind.PAGE_VIEW, "/a")] * 9, SignalType.PAGE_REFRESHES), "one view reported nine times"
    assert not signals(slow, SignalType.PAGE_REFRESHES)


def test_quick_backs() -> None:
    pages = [(0, "/list"), (20, "/one"), (25, "/list"), (40, "/two"), (44, "/list")]
    (signal,) = signals([at(s, Kind.PAGE_VIEW, page) for s, page in pages], SignalType.QUICK_BACKS)
    assert signal.strength == pytest.approx(51)
    assert signal.target == "/two"


def test_going_back_after_reading_or_doing_is_no_quick_back() -> None:
    slow = [(0, "/list"), (20, "/one"), (50, "/list"), (70, "/two"), (99, "/list")]
    assert not signals([at(s, Kind.PAGE_VIEW, page) for s, page in slow], SignalType.QUICK_BACKS)
    quick = [(0, "/list"), (20, "/one"), (25, "/list"), (40, "/two"), (44, "/list")]
    busy = [event for s, page in quick for event in (at(s, Kind.PAGE_VIEW, page), at(s + 1, Kind.CLICK, page))]
    assert not signals(busy, SignalType.QUICK_BACKS)


def test_six_pages_within_a_minute_are_rapid_navigation_once() -> None:
    assert strengths(views(6, 11), SignalType.RAPID_NAVIGATION) == [60.0]
    assert strengths(views(11, 5), SignalType.RAPID_NAVIGATION) == [60.0]
    assert not signals(views(20, 12), SignalType.RAPID_NAVIGATION)
    getting_on = [event for view in views(20, 2) for event in (view, at(1, Kind.TASK_SUCCESS))]
    assert signals(getting_on, SignalType.RAPID_NAVIGATION), "late successes settle nothing"
    getting_on = [
        event
        for index, view in enumerate(views(20, 2))
        for event in (view, at(index * 2 + 1, Kind.TASK_SUCCESS, view.page))
    ]
    assert not signals(getting_on, SignalType.RAPID_NAVIGATION)


def test_the_same_calculation_again_and_again() -> None:
    events = [at(s * 20, Kind.FEATURE_INTERACTION, "/calculator", "loan_amount") for s in range(6)]
    assert strengths(events, SignalType.REPEATED_RECALCULATION) == [70.0, 80.0]
    others = [at(s * 20, Kind.FEATURE_INTERACTION, "/calculator", f"field{s}") for s in range(6)]
    assert not signals(others, SignalType.REPEATED_RECALCULATION)
    editing = [at(s * 20, Kind.FEATURE_INTERACTION, "/editor", "bold") for s in range(20)]
    assert not signals(editing, SignalType.REPEATED_RECALCULATION)
    slowly = [at(s * 101, Kind.FEATURE_INTERACTION, "/calculator", "loan_amount") for s in range(9)]
    assert not signals(slowly, SignalType.REPEATED_RECALCULATION)


def test_long_on_one_page_with_something_done_and_no_success() -> None:
    view = at(0, Kind.PAGE_VIEW, "/tax")
    busy = [at(s, Kind.FEATURE_INTERACTION, "/tax", f"line{s}") for s in range(30, 700, 30)]
    found = signals([view, *busy], SignalType.LONG_TIME_ON_PAGE)
    assert [signal.strength for signal in found] == [50.0, 60.0]
    assert list(found[0].evidence_event_ids) == ["e0", "e300"]
    assert found[0].reason == "5 minutes on /tax without a success"
    getting_on = sorted([*busy, *(at(s, Kind.TASK_SUCCESS, "/tax") for s in (200, 450))], key=lambda event: event.at_us)
    assert not signals([view, *getting_on], SignalType.LONG_TIME_ON_PAGE)


def test_reading_watching_and_absence_are_not_struggle() -> None:
    view = at(0, Kind.PAGE_VIEW, "/tax")
    refreshed = [at(s, Kind.PAGE_VIEW, "/tax") for s in range(0, 900, 100)]
    watching = [at(s, Kind.VIDEO_PLAYBACK, "/tax") for s in range(0, 900, 10)]
    away = [view, at(10, Kind.CLICK, "/tax"), at(29 * MINUTE, Kind.CLICK, "/tax")]
    for events in (refreshed, [view, *watching], away):
        assert not signals(events, SignalType.LONG_TIME_ON_PAGE)


def test_a_form_begun_and_left() -> None:
    start = at(0, Kind.FORM_START, "/loan", "loan")
    (left,) = signals([start, at(60, Kind.FORM_ABANDON, "/loan", "loan")], SignalType.FORM_ABANDONMENT)
    assert (left.strength, left.target, list(left.evidence_event_ids)) == (60.0, "loan", ["e0", "e60"])
    (ended,) = signals([start, at(60, Kind.SESSION_END)], SignalType.FORM_ABANDONMENT)
    assert ended.reason == "The form loan was begun and left"
    sent = [start, at(30, Kind.FORM_SUBMIT, "/loan", "loan"), at(60, Kind.SESSION_END)]
    assert not signals(sent, SignalType.FORM_ABANDONMENT)
    (alone,) = signals([at(60, Kind.FORM_ABANDON, "/loan", "loan")], SignalType.FORM_ABANDONMENT)
    assert list(alone.evidence_event_ids) == ["e60"]


def keen_week(days: int = 3) -> list[Event]:
    return [
        at(day * DAY + second, Kind.FEATURE_INTERACTION, "/a") for day in range(days) for second in range(0, 200, 20)
    ]


def test_engagement_falls_against_the_users_own_history() -> None:
    trouble = [at(10 * DAY + s, kind, "/a") for s, kind in enumerate([Kind.PAGE_VIEW, *[Kind.ERROR] * 6])]
    found = signals([*keen_week(), *trouble], SignalType.ENGAGEMENT_DROP)
    assert found
    rising = [signal.strength for signal in found]
    assert rising == sorted(rising)
    assert rising[0] >= 52.5
    assert "below the user's usual level" in found[0].reason
    assert not signals(trouble, SignalType.ENGAGEMENT_DROP), "without a history there is nothing to fall from"


def test_a_new_session_or_plain_reading_is_no_drop() -> None:
    reading = views(20, 30, begin=10 * DAY)
    assert not [s for s in signals([*keen_week(), *reading], SignalType.ENGAGEMENT_DROP) if s.strength >= 70]
    one_more = [at(20 * DAY, Kind.PAGE_VIEW, "/a")]
    assert not signals([*keen_week(), *one_more], SignalType.ENGAGEMENT_DROP)


def test_a_calm_user_gives_no_signal() -> None:
    pages = [
        event
        for index in range(20)
        for event in (
            at(index * 25, Kind.PAGE_VIEW, f"/page/{index % 7}"),
            at(index * 25 + 10, Kind.TASK_SUCCESS, f"/page/{index % 7}"),
        )
    ]
    assert applied(pages)[1] == []


def test_form_trouble_gives_form_errors_help_refreshes_and_a_drop() -> None:
    begin = HOUR * 30
    kinds = [
        (0, Kind.PAGE_VIEW, False),
        (5, Kind.FORM_START, False),
        (20, Kind.ERROR, False),
        (40, Kind.ERROR, False),
        (60, Kind.ERROR, False),
        (90, Kind.HELP_REQUEST, False),
        (150, Kind.HELP_REQUEST, False),
        *((160 + 10 * index, Kind.PAGE_VIEW, True) for index in range(3)),
    ]
    trouble = [at(begin + s, kind, "/apply", "loan-form", is_refresh=again) for s, kind, again in kinds]
    found = {signal.type: signal.strength for signal in applied([*keen_week(1), *trouble])[1]}
    assert found[SignalType.FORM_ERRORS] == pytest.approx(78.4)
    assert found[SignalType.HELP_SEEKING] == 75
    assert found[SignalType.PAGE_REFRESHES] == pytest.approx(57.8, abs=0.1)
    assert found[SignalType.ENGAGEMENT_DROP] >= 70


@pytest.mark.parametrize(
    ("kind", "members", "said"),
    [
        (Kind.HELP_REQUEST, {}, "{} requests for help within 10 minutes"),
        (Kind.TASK_FAILURE, {"target": "pay"}, "{} failed attempts on pay"),
        (Kind.ERROR, {"target": "loan form"}, "{} errors in the form loan form"),
        (Kind.PAGE_VIEW, {"is_refresh": True}, "/a was loaded again {} times within 5 minutes"),
    ],
)
def test_counts_beyond_those_kept_are_given_as_at_least(kind: int, members: dict[str, Any], said: str) -> None:
    """Ten are kept, and a count that stops there is not presented as the total."""
    for count, words in ((9, "9"), (10, "at least 10"), (14, "at least 10")):
        _, found = applied([at(number, kind, "/a", **members) for number in range(count)])
        expected = said.format(words)
        assert found[-1].reason == expected[0].upper() + expected[1:]
