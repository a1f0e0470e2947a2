"""Whether what a model said came true: against brute force, and where probabilities are true."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.analytics.adapters.questions.calibrating import calibration
from services.analytics.domain import calibration as measured
from services.analytics.domain.question import DAY_US, Calibration, Interval
from tests.analytics.rows import EVERYBODY, MINUTE_US, START_US, WINDOW, Decision, Event, asking

ASKED = Calibration(WINDOW, (), EVERYBODY, "", Interval.DAY, 2)
WATERMARK_US = START_US + 6 * DAY_US
KINDS = ("page_view", "click", "identify", "intervention_outcome")
TELLS = "no event for 2 days, at events"

moments = st.integers(-10, 24 * 12).map(lambda step: START_US + step * 20 * MINUTE_US)
rows = st.lists(
    st.tuples(st.sampled_from("abcd"), moments, st.sampled_from(KINDS), st.booleans(), st.integers(0, 9)),
    max_size=30,
    unique_by=lambda each: each[:2],
)
links = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("bcd")), max_size=3, unique_by=lambda each: each[0])


def known(user: str, linked: dict[str, str]) -> str:
    """Who a user turned out to be."""
    for _ in linked:
        user = linked.get(user, user)
    return user


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows, links.filter(lambda pairs: all(one < other for one, other in pairs)))
def test_outcomes_are_those_of_brute_force(
    done: list[tuple[str, int, str, bool, int]], pairs: list[tuple[str, str]]
) -> None:
    linked = dict(pairs)
    events = [
        Event(user, t, f"e{number:02}", kind, is_bot=luck == 0) for number, (user, t, kind, _, luck) in enumerate(done)
    ] + [
        Event(user, START_US + 7 * DAY_US, f"l{number}", "identify", linked_user_id=other)
        for number, (user, other) in enumerate(pairs)
    ]
    decisions = [
        Decision(
            user,
            t,
            f"d{number:02}",
            event_type=kind,
            is_bot=luck == 0,
            model_version="m-2" if is_other else "m-1",
            model_score=luck * 10.0,
            probability=luck / 20 if luck % 2 else None,
            model_outcome=TELLS if luck % 2 else None,
        )
        for number, (user, t, kind, is_other, luck) in enumerate(done)
    ]
    own = [each for each in done if each[2] in KINDS[:2] and each[4] != 0]
    times: dict[str, list[int]] = {}
    for user, t, *_ in own:
        times.setdefault(known(user, linked), []).append(t)
    made = [each for each in own if WINDOW.start_us <= each[1] < WINDOW.end_us]
    version = max(made, key=lambda each: (each[1], each[3]))[3] if made else None
    ended: list[tuple[int, int, bool | None]] = []
    for user, t, _, is_other, luck in made:
        if is_other is version:
            its = sorted(times[known(user, linked)])
            last = t
            for each in its:
                last = each if last <= each <= last + 30 * MINUTE_US else last
            is_true = not any(last < each <= last + 2 * DAY_US for each in its)
            ended.append((t, luck, is_true if last + 2 * DAY_US <= WATERMARK_US else None))

    found = calibration(asking(events, decisions), ASKED, WATERMARK_US)
    assert found.model_version == ("" if version is None else "m-2" if version else "m-1")
    assert sum(each.prediction_count for each in found.versions) == len(made)
    whole, *days = found.spans
    for span, start_us, end_us in [
        (whole, WINDOW.start_us, WINDOW.end_us),
        *((day, day.start_us, day.start_us + DAY_US) for day in days),
    ]:
        its_ended = [each for each in ended if start_us <= each[0] < end_us]
        sure = [each for each in its_ended if each[2] is not None]
        assert (span.prediction_count, span.known_count, span.waiting_count) == (
            len(its_ended),
            len(sure),
            len(its_ended) - len(sure),
        )
        if sure:
            said = [luck / 20 if luck % 2 else luck / 10 for _, luck, _ in sure]
            assert span.predicted == pytest.approx(sum(said) / len(sure))
            assert span.told_count == sum(luck % 2 for _, luck, _ in sure)
            assert span.came_true == pytest.approx(sum(bool(each[2]) for each in sure) / len(sure))
        assert (span.gap, span.error, span.bins) == (None, None, ())


def test_a_copied_event_is_no_prediction_of_its_own_and_another_model_can_be_named() -> None:
    one = Decision("a", START_US, "d-1", model_version="old")
    decisions = [one, Decision("a", START_US + 1, "d-2"), Decision("a", START_US + 2, "d-3", copied_event_id="e-0")]
    assert calibration(asking([], decisions), ASKED, WATERMARK_US).spans[0].prediction_count == 1
    asked = dataclasses.replace(ASKED, model_version="old")
    found = calibration(asking([], decisions), asked, WATERMARK_US)
    assert [tuple(each) for each in found.versions] == [("m-1", 1), ("old", 1)]
    assert (found.model_version, found.spans[0].prediction_count) == ("old", 1)


def told_to(count: int, outcome: str | None = TELLS, told: float | None = 0.75) -> tuple[list[Event], list[Decision]]:
    """Users with one event each, of whom none came back."""
    users = [f"u-{number:03}" for number in range(count)]
    events = [Event(user, START_US, f"e-{user}") for user in users]
    decisions = [Decision(user, START_US, f"d-{user}", probability=told, model_outcome=outcome) for user in users]
    return events, decisions


def test_what_was_told_is_judged_and_of_the_others_what_the_model_said() -> None:
    events, decisions = told_to(200)
    # Of before what was told was kept; the model said 0.5.
    decisions[150:] = [dataclasses.replace(each, probability=None, model_outcome=None) for each in decisions[150:]]
    found = calibration(asking(events, decisions), dataclasses.replace(ASKED, silent_days=0), WATERMARK_US)
    whole = found.spans[0]
    assert (found.outcome, found.silent_days, found.is_other_outcome) == (TELLS, 2, False)
    assert (whole.known_count, whole.told_count, whole.came_true) == (200, 150, 1.0)
    assert whole.predicted == pytest.approx((150 * 0.75 + 50 * 0.5) / 200)
    assert whole.gap is not None
    assert whole.gap.value == pytest.approx(1 - (150 * 0.75 + 50 * 0.5) / 200)
    assert [(each.predicted, each.known_count) for each in whole.bins] == [(0.5, 50), (0.75, 150)]


@pytest.mark.parametrize(("outcome", "days"), [(TELLS, 3), ("never returns", 2), ("never returns", 0), (None, 2)])
def test_what_was_told_is_not_judged_by_something_else(outcome: str | None, days: int) -> None:
    asked = dataclasses.replace(ASKED, silent_days=days)
    found = calibration(asking(*told_to(150, outcome)), asked, WATERMARK_US)
    assert found.is_other_outcome
    assert (found.outcome, found.silent_days) == (outcome or "", days or 14)
    assert (found.spans[0].prediction_count, found.spans[0].known_count, found.spans[0].gap) == (150, 0, None)


def test_where_nothing_was_told_the_model_is_judged_by_whatever_is_asked_for() -> None:
    asked = dataclasses.replace(ASKED, silent_days=3)
    found = calibration(asking(*told_to(150, TELLS, None)), asked, WATERMARK_US)
    whole = found.spans[0]
    assert (found.is_other_outcome, found.silent_days) == (False, 3)
    assert (whole.known_count, whole.told_count, whole.predicted) == (150, 0, 0.5)


@pytest.mark.parametrize(
    ("outcome", "days"),
    [
        ("no event for 30 days, at session end and weekly", 30),
        ("no event in the next 14 days", 14),
        ("no event for 1 day", 1),
        ("no event for 91 days", None),
        ("no event for 0 days", None),
        ("purchase within 7 days, at events", None),
        ("", None),
    ],
)
def test_the_silence_that_an_outcome_is_about_is_read(outcome: str, days: int | None) -> None:
    assert measured.silence(outcome, 90) == days


def test_of_many_predictions_those_of_some_users_are_measured() -> None:
    users = [f"u-{number}" for number in range(300)]
    events = [Event(user, START_US, f"e-{user}") for user in users]
    decisions = [Decision(user, START_US, f"d-{user}") for user in users]
    found = calibration(asking(events, decisions), ASKED, WATERMARK_US, most_measured=150)
    assert found.one_in == 2
    assert 100 < found.spans[0].prediction_count == found.spans[0].user_count < 200
    assert [tuple(each) for each in found.versions] == [("m-1", 300)]


def test_true_probabilities_are_within_the_intervals_and_false_ones_are_not() -> None:
    draw = np.random.default_rng(3)
    chances = draw.random(4_000)
    is_true, users = draw.random(4_000) < chances, np.arange(4_000).astype(np.str_)
    fair = measured.calibration(chances, is_true, users)
    assert fair.gap.low < 0 < fair.gap.high
    assert sum(each.low <= each.predicted <= each.high for each in fair.bins) >= 8
    assert sum(each.row_count for each in fair.bins) == 4_000
    low = measured.calibration(chances * 0.6, is_true, users)
    assert low.gap.low > 0.15
    assert low.error.low > fair.error.high
    # The same outcome many times over is no more evidence.
    again = measured.calibration(np.repeat(chances, 5), np.repeat(is_true, 5), np.repeat(users, 5))
    assert again.gap == pytest.approx(fair.gap)
    assert [(each.low, each.high) for each in again.bins] == [(each.low, each.high) for each in fair.bins]


@given(st.integers(1, 500), st.floats(0, 1))
def test_the_interval_of_a_share_is_that_of_wilson(count: int, share: float) -> None:
    low, high = measured.wilson(share, count)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1
    for end in (low, high):  # where the score test just does not reject
        if 0 < end < 1:
            assert abs(share - end) == pytest.approx(1.959964 * (end * (1 - end) / count) ** 0.5, rel=1e-5, abs=1e-7)
