"""Each feature's definition, by example."""

import pytest

from services.features.domain.event import Click, Event, Kind
from services.features.domain.state import NEUTRAL_ENGAGEMENT, State
from services.features.domain.vector import DEFINITIONS, FEATURE_COUNT, FEATURE_NAMES, vector
from tests.features.stories import DAY, HOUR, MINUTE, applied, at, feature, views

NAMES = (
    "error_count, retry_count, help_requests, session_duration, page_exits, form_abandons, click_frustration, "
    "success_rate, engagement_score, time_since_last_success, session_count, unique_pages_visited, "
    "average_time_per_page"
)


def test_the_schema_has_these_features_in_this_order() -> None:
    assert ", ".join(FEATURE_NAMES) == NAMES
    assert len(vector(State())) == FEATURE_COUNT == 13


def test_nothing_seen_gives_the_empty_values() -> None:
    assert vector(State()) == [definition.empty_value for definition in DEFINITIONS]
    assert vector(State(), 10**15) == [definition.empty_value for definition in DEFINITIONS]


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("error_count", at(0, Kind.ERROR)),
        ("retry_count", at(0, Kind.RETRY)),
        ("help_requests", at(0, Kind.HELP_REQUEST)),
        ("form_abandons", at(0, Kind.FORM_ABANDON)),
        ("click_frustration", at(0, Kind.CLICK, click=Click(effect_observed=False))),
        ("click_frustration", at(0, Kind.CLICK, click=Click(error_observed=True))),
    ],
)
def test_a_count_holds_for_less_than_thirty_minutes(name: str, event: Event) -> None:
    assert feature(name, [event]) == 1
    assert feature(name, [event], 30 * MINUTE - 0.001) == 1
    assert feature(name, [event], 30 * MINUTE) == 0


def test_counts_stop_at_sixty_four() -> None:
    assert feature("error_count", [at(second, Kind.ERROR) for second in range(100)]) == 64


def test_a_late_event_counts_by_its_own_time() -> None:
    late = at(10, Kind.ERROR)
    assert feature("error_count", [at(20 * MINUTE, Kind.PAGE_VIEW, "/a"), late]) == 1
    assert feature("error_count", [at(20 * MINUTE, Kind.PAGE_VIEW, "/a"), late], 30 * MINUTE + 10) == 0
    assert feature("error_count", [at(40 * MINUTE, Kind.PAGE_VIEW, "/a"), late]) == 0


def test_a_struggle_reported_by_the_client_counts_its_attempts() -> None:
    struggle = [at(0, Kind.STRUGGLE_SIGNAL, "/calculator", attempt_count=3), at(1, Kind.TASK_SUCCESS)]
    assert feature("retry_count", struggle) == 2
    assert feature("error_count", struggle) == 0
    assert feature("success_rate", struggle) == 1 / 4
    assert feature("retry_count", [at(0, Kind.STRUGGLE_SIGNAL, attempt_count=4_000_000)]) == 9


def test_success_rate_is_the_share_of_successes_among_known_ends() -> None:
    events = [at(0, Kind.TASK_SUCCESS), at(1, Kind.PURCHASE, amount=5.0), at(2, Kind.ERROR), at(3, Kind.TASK_FAILURE)]
    assert feature("success_rate", events) == 0.5
    assert feature("success_rate", [*events, at(4, Kind.FORM_SUBMIT), at(5, Kind.PURCHASE, amount=-5.0)]) == 0.5
    assert feature("success_rate", events, 31 * MINUTE) == 1.0


def test_session_duration_runs_from_the_first_to_the_latest_event() -> None:
    events = [at(0, Kind.PAGE_VIEW, "/a"), at(90, Kind.CLICK), at(60, Kind.CLICK)]
    assert feature("session_duration", events) == 90
    assert feature("session_duration", events, 90 + 30 * MINUTE) == 90
    assert feature("session_duration", events, 91 + 30 * MINUTE) == 0


def test_a_gap_of_more_than_thirty_minutes_begins_a_session() -> None:
    first = at(0, Kind.PAGE_VIEW, "/a")
    assert feature("session_count", [first, at(30 * MINUTE, Kind.PAGE_VIEW, "/b")]) == 1
    two = [first, at(30 * MINUTE + 0.001, Kind.PAGE_VIEW, "/b")]
    assert feature("session_count", two) == 2
    assert feature("session_duration", two) == 0


def test_sessions_are_counted_over_twenty_eight_days() -> None:
    events = [at(day * DAY, Kind.PAGE_VIEW, "/a") for day in range(40)]
    assert feature("session_count", events) == 28
    assert feature("session_count", events, 49 * DAY) == 18
    assert feature("session_count", events, 400 * DAY) == 0
    assert feature("session_count", [at(index * HOUR, Kind.PAGE_VIEW, "/a") for index in range(100)]) == 64


def test_different_pages_are_counted_over_twenty_eight_days() -> None:
    assert feature("unique_pages_visited", [*views(3, 10), *views(4, 10, begin=60)]) == 4
    assert feature("unique_pages_visited", views(200, 10)) == 128
    again = [*views(3, 10), at(10 * DAY, Kind.PAGE_VIEW, "/page/1")]
    assert feature("unique_pages_visited", again, 27 * DAY) == 3
    assert feature("unique_pages_visited", again, 28 * DAY) == 1
    assert feature("unique_pages_visited", again, 38 * DAY) == 0


def test_the_page_not_visited_for_longest_makes_room() -> None:
    old = at(0, Kind.PAGE_VIEW, "/old")
    events = [old, *views(127, 1, begin=DAY), at(2 * DAY, Kind.PAGE_VIEW, "/new")]
    assert feature("unique_pages_visited", events) == 128
    assert feature("unique_pages_visited", events, 28 * DAY) == 128


def test_a_late_page_view_counts_for_the_pages_and_nothing_else() -> None:
    events = [at(0, Kind.PAGE_VIEW, "/a"), at(60, Kind.PAGE_VIEW, "/b"), at(30, Kind.PAGE_VIEW, "/c")]
    assert feature("unique_pages_visited", events) == 3
    assert applied(events)[0].page == "/b"
    assert feature("page_exits", events) == 1
    assert feature("unique_pages_visited", [at(40 * DAY, Kind.PAGE_VIEW, "/a"), at(0, Kind.PAGE_VIEW, "/b")]) == 1


def test_a_page_exit_is_a_page_left_with_nothing_done_on_it() -> None:
    left = views(3, 10)
    assert feature("page_exits", left) == 2
    assert feature("page_exits", [*left, at(25, Kind.FEATURE_INTERACTION), at(30, Kind.PAGE_VIEW, "/end")]) == 2
    assert feature("page_exits", [*left, at(25, Kind.SESSION_END)]) == 3
    assert feature("page_exits", [*left, at(25, Kind.PAGE_VIEW, "/page/2")]) == 2
    assert feature("page_exits", [*left, at(2 * HOUR, Kind.PAGE_VIEW, "/a")]) == 0


def test_a_form_begun_and_not_sent_is_abandoned_at_the_end_of_the_session() -> None:
    start, end = at(0, Kind.FORM_START, "/loan", "loan"), at(60, Kind.SESSION_END)
    assert feature("form_abandons", [start, end]) == 1
    assert feature("form_abandons", [start, at(30, Kind.FORM_SUBMIT, "/loan", "loan"), end]) == 0
    assert feature("form_abandons", [start, at(30, Kind.FORM_ABANDON, "/loan", "loan"), end]) == 1


def test_time_since_the_last_success_runs_from_the_first_event_where_there_was_none() -> None:
    assert feature("time_since_last_success", [at(0, Kind.PAGE_VIEW, "/a"), at(60, Kind.FORM_SUBMIT)]) == 60
    events = [at(0, Kind.PAGE_VIEW, "/a"), at(40, Kind.TASK_SUCCESS), at(60, Kind.CLICK)]
    assert feature("time_since_last_success", events) == 20
    assert feature("time_since_last_success", [*events, at(30, Kind.PURCHASE)]) == 20
    assert feature("time_since_last_success", events, 10_000 * DAY) == 365 * DAY


def test_average_time_per_page_divides_by_the_pages_entered() -> None:
    events = [at(0, Kind.PAGE_VIEW, "/a"), at(60, Kind.PAGE_VIEW, "/b"), at(120, Kind.PAGE_VIEW, "/b")]
    assert feature("average_time_per_page", events) == 60
    assert feature("average_time_per_page", [at(0, Kind.CLICK), at(60, Kind.CLICK)]) == 0
    assert feature("average_time_per_page", events, HOUR) == 0


def test_engagement_begins_neutral_and_follows_what_events_are_worth() -> None:
    assert feature("engagement_score", [at(0, Kind.PAGE_VIEW, "/a")]) == NEUTRAL_ENGAGEMENT
    keen = [at(second, Kind.FEATURE_INTERACTION, "/a") for second in range(30)]
    assert 78 < feature("engagement_score", keen) < 80
    assert feature("engagement_score", [*keen, at(31, Kind.ERROR)]) < feature("engagement_score", keen)
    assert feature("engagement_score", [at(0, Kind.INTERVENTION_OUTCOME)]) == NEUTRAL_ENGAGEMENT


def test_engagement_halves_with_every_week_of_absence() -> None:
    once = [at(0, Kind.TASK_SUCCESS)]
    assert feature("engagement_score", once) == 75
    assert feature("engagement_score", once, 7 * DAY) == 37.5
    back = [*once, at(7 * DAY, Kind.PAGE_VIEW, "/a")]
    assert feature("engagement_score", back) > 60


def test_an_outcome_of_ours_is_not_the_users_doing() -> None:
    before = [at(0, Kind.PAGE_VIEW, "/a"), at(60, Kind.TASK_FAILURE)]
    state, _ = applied(before)
    after, _ = applied([*before, at(10 * HOUR, Kind.INTERVENTION_OUTCOME)])
    assert vector(state) == vector(after)
    assert after.event_count == 3


def test_a_bot_is_counted_and_marked() -> None:
    state, _ = applied([at(0, Kind.PAGE_VIEW, "/a", is_bot=True), at(1, Kind.ERROR)])
    assert state.is_bot
    assert vector(state)[0] == 1
