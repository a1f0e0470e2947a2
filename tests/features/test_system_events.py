"""What a system did is not what the user did; and what is known of the user's own zone and time."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.features.domain import money
from services.features.domain.event import Click, Event, Kind, Platform
from services.features.domain.journey import NOTHING, apply
from services.features.domain.recents import Kept, session_starts
from services.features.domain.sessions import session_start
from services.features.domain.state import DAY_US, SESSION_GAP_US, State
from services.features.domain.vector import FEATURE_NAMES, vector
from tests.features.stored import decode, encode
from tests.features.stories import DAY, HOUR, MINUTE, START_US, applied, at

STORY = [at(0, Kind.PAGE_VIEW, "/a"), at(20, Kind.ERROR, "/a", "x"), at(30, Kind.FORM_START, "/a", "loan")]

BY_SYSTEMS = [
    at(40, Kind.FEATURE_INTERACTION, target="Push Notification Received", is_system=True),
    at(40, Kind.SESSION_END, is_system=True),
    at(40, Kind.ERROR, "/a", "x", is_system=True),
    at(40, Kind.TASK_SUCCESS, "/a", "x", is_system=True, time_zone="UTC", platform=3, is_bot=True),
    at(40, Kind.CLICK, "/a", "x", is_system=True, click=Click(effect_observed=False)),
    at(2 * DAY, Kind.PAGE_VIEW, "/b", is_system=True),
    at(2 * DAY, Kind.SEGMENT_CHANGE, target="Champions", is_system=True),
    at(-2 * DAY, Kind.FORM_SUBMIT, "/b", is_system=True),
]


@pytest.mark.parametrize("event", BY_SYSTEMS)
def test_it_counts_as_an_event_and_nothing_else(event: Event) -> None:
    state = applied(STORY)[0]
    before = decode(encode(state))
    assert apply(state, event) is NOTHING
    assert state.event_count == before.event_count + 1
    before.event_count = state.event_count
    assert state == before


def test_what_it_bought_counts_as_money_and_in_no_feature() -> None:
    state = applied(STORY)[0]
    before = vector(state)
    apply(state, at(9 * DAY, Kind.PURCHASE, amount=9.0, currency="EUR", is_system=True))
    apply(state, at(39 * DAY, Kind.PURCHASE, amount=-2.0, currency="EUR", is_system=True))
    assert vector(state) == before
    assert (state.purchase_count, money.amounts(state), state.last_success_us) == (1, {"EUR": 7.0}, 0)


def test_a_user_of_system_events_only_was_never_seen() -> None:
    state = applied([at(DAY, Kind.FEATURE_INTERACTION, is_system=True)])[0]
    assert (state.first_us, state.last_us, state.event_count) == (0, 0, 1)
    assert vector(state) == vector(State())
    assert vector(state, START_US) == vector(State(), START_US)
    # The user's own first event may be older.
    apply(state, at(0, Kind.PAGE_VIEW, "/a"))
    assert (state.first_us, state.last_us, state.session_count, state.page) == (START_US, START_US, 1, "/a")


def test_its_events_are_read_back_with_the_session_they_fell_into_or_none() -> None:
    state, kept = State(), []
    for event in (
        at(-HOUR, Kind.FEATURE_INTERACTION, is_system=True),
        *STORY,
        at(60, Kind.FEATURE_INTERACTION, is_system=True),
        at(30 + 30 * MINUTE, Kind.FEATURE_INTERACTION, is_system=True),
        at(31 + 30 * MINUTE, Kind.FEATURE_INTERACTION, is_system=True),
        at(40 * MINUTE, Kind.PAGE_VIEW, "/b"),
    ):
        apply(state, event)
        kept.append(Kept(session_start(state, event), b""))
    on_page = [start_us and (start_us - START_US) // 1_000_000 for start_us in session_starts(kept, SESSION_GAP_US)]
    assert on_page == [0, 0, 0, 0, 0, 0, 0, 40 * MINUTE]
    assert [each.session_start_us > 0 for each in kept] == [False, True, True, True, True, True, False, True]


# What servers report of a user who is away.

SHOWN = {
    "a browser": [at(0, Kind.PAGE_VIEW, "/a", platform=Platform.WEB), at(9, Kind.ERROR, "/a", platform=Platform.WEB)],
    "a phone": [at(0, Kind.PAGE_VIEW, "/a", platform=Platform.MOBILE)],
    "a browser, and a server after it": [
        at(0, Kind.PAGE_VIEW, "/a", platform=Platform.WEB),
        at(60, Kind.TASK_SUCCESS, "/a", platform=Platform.BACKEND),
    ],
}
NIGHTLY = {
    "a renewal": [at(DAY * n, Kind.FEATURE_INTERACTION, "", "renewal", platform=3) for n in range(1, 6)],
    "a success": [at(DAY * n, Kind.TASK_SUCCESS, "", "report", platform=3) for n in range(1, 28)],
    "failures": [at(DAY + n, Kind.TASK_FAILURE, "", "charge", platform=3) for n in range(5)],
    "page views": [at(HOUR * n, Kind.PAGE_VIEW, f"/{n}", platform=3) for n in range(1, 9)],
}


@pytest.mark.parametrize("job", NIGHTLY.values(), ids=NIGHTLY.keys())
@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN.keys())
def test_server_events_of_an_absent_user_are_system_events(shown: list[Event], job: list[Event]) -> None:
    state = applied(shown)[0]
    before = decode(encode(state))
    for event in job:
        assert apply(state, event) is NOTHING
        assert session_start(state, event) == 0
    before.event_count = state.event_count
    assert state == before
    assert vector(state, job[-1].at_us) == vector(before, job[-1].at_us)


def test_a_purchase_reported_by_a_server_counts() -> None:
    state = applied([*SHOWN["a phone"], at(DAY, Kind.PURCHASE, amount=9.0, currency="EUR", platform=3)])[0]
    assert (state.purchase_count, money.amounts(state), state.session_count) == (1, {"EUR": 9.0}, 1)


def test_server_events_within_a_session_belong_to_it() -> None:
    by_server, by_browser = (
        applied([*SHOWN["a phone"], at(20 * MINUTE, Kind.TASK_FAILURE, "/a", "pay", platform=each)])[0]
        for each in (3, 1)
    )
    assert vector(by_server) == vector(by_browser)
    assert by_server.last_us == by_browser.last_us


@pytest.mark.parametrize("platform", [0, 3])
def test_server_events_count_for_a_user_known_to_servers_only(platform: int) -> None:
    nights = [at(DAY * n, Kind.FEATURE_INTERACTION, "", "lesson", platform=platform) for n in range(5)]
    assert applied(nights)[0].session_count == 5
    later = [at(DAY * n, Kind.FEATURE_INTERACTION, "", "lesson", platform=3) for n in (27, 29, 30)]
    assert applied([*SHOWN["a phone"], *later])[0].session_count == 3, "nor whom no phone has shown for 28 days"


def test_a_login_reported_by_a_server_moves_purchases() -> None:
    state = applied([*SHOWN["a phone"], at(1, Kind.PURCHASE, amount=9.0, platform=2)])[0]
    carried = apply(state, at(DAY, Kind.IDENTIFY, platform=3, is_link=True)).carried
    assert carried is not None
    assert carried.purchase_count == 1


# The zone.


def zone(*events: Event) -> str:
    return applied(events)[0].time_zone


def test_the_zone_last_reported_stays_known() -> None:
    tokyo = at(0, Kind.PAGE_VIEW, "/a", time_zone="Asia/Tokyo")
    assert zone(tokyo, at(1, Kind.ERROR, "/a")) == "Asia/Tokyo"
    assert zone(tokyo, at(2 * DAY, Kind.ERROR, "/a", platform=3)) == "Asia/Tokyo"
    assert zone(tokyo, at(9, Kind.CLICK, time_zone="Europe/Berlin")) == "Europe/Berlin"
    assert zone(tokyo, at(9, Kind.CLICK, is_system=True, time_zone="UTC")) == "Asia/Tokyo"


def test_an_identification_reports_the_zone_too() -> None:
    assert zone(at(0, Kind.IDENTIFY, time_zone="Asia/Tokyo"), at(1, Kind.ERROR)) == "Asia/Tokyo"
    assert zone(at(0, Kind.ERROR), at(5, Kind.INTERVENTION_OUTCOME, time_zone="Asia/Tokyo")) == "Asia/Tokyo"


def test_a_late_event_does_not_change_it() -> None:
    now = at(0, Kind.PAGE_VIEW, "/a", time_zone="Asia/Tokyo")
    late = at(-HOUR, Kind.PAGE_VIEW, "/a", time_zone="Europe/Berlin")
    assert zone(now, late) == "Asia/Tokyo"
    assert zone(at(0, Kind.PAGE_VIEW, "/a"), late) == "Europe/Berlin", "better than none"


WEB, MOBILE, BACKEND = 1, 2, 3


@pytest.mark.parametrize("platform", [0, WEB, MOBILE])
def test_a_server_s_zone_never_replaces_that_of_the_user_s_device(platform: int) -> None:
    phone = at(0, Kind.PAGE_VIEW, "/a", time_zone="Asia/Tokyo", platform=platform)
    server = at(60, Kind.FEATURE_INTERACTION, target="invoice", time_zone="Etc/UTC", platform=BACKEND)
    assert zone(phone, server) == "Asia/Tokyo"
    assert zone(phone, server, at(70, Kind.IDENTIFY, time_zone="Etc/UTC", platform=BACKEND)) == "Asia/Tokyo"
    assert zone(server, at(70, Kind.PAGE_VIEW, "/a", time_zone="Asia/Tokyo", platform=platform)) == "Asia/Tokyo"
    late = at(-HOUR, Kind.PAGE_VIEW, "/a", time_zone="Asia/Tokyo", platform=platform)
    assert zone(server, late) == "Asia/Tokyo", "better than a server's"
    berlin = at(90, Kind.CLICK, time_zone="Europe/Berlin", platform=WEB)
    assert zone(phone, server, berlin) == "Europe/Berlin"


def test_if_only_servers_report_a_zone_the_last_counts() -> None:
    first = at(0, Kind.PAGE_VIEW, "/a", time_zone="Asia/Tokyo", platform=BACKEND)
    assert zone(first, at(9, Kind.ERROR, platform=WEB)) == "Asia/Tokyo"
    assert zone(first, at(9, Kind.ERROR, time_zone="Europe/Rome", platform=BACKEND)) == "Europe/Rome"
    assert zone(first, at(-9, Kind.ERROR, time_zone="Europe/Rome", platform=BACKEND)) == "Asia/Tokyo"


# A time that never was.


def received(event: Event, seconds: float) -> Event:
    return msgspec.structs.replace(event, received_us=START_US + round(seconds * 1_000_000))


def test_a_clock_that_was_years_ahead_does_not_make_a_user_late_for_years() -> None:
    wrong = [
        received(at(3650 * DAY + n, kind, "/wrong", "x"), 3650 * DAY + n)
        for n, kind in enumerate([Kind.PAGE_VIEW, Kind.ERROR, Kind.ERROR, Kind.FORM_START, Kind.TASK_SUCCESS])
    ]
    state = applied([received(at(-HOUR, Kind.PAGE_VIEW, "/a"), -HOUR), *wrong])[0]
    right = [received(event, 40) for event in STORY]
    for event in right:
        apply(state, event)
    expected = dict(zip(FEATURE_NAMES, vector(applied(right)[0]), strict=True))
    values = dict(zip(FEATURE_NAMES, vector(state), strict=True))
    for name in ("error_count", "session_duration", "success_rate", "session_count", "unique_pages_visited"):
        assert values[name] == expected[name]
    assert (state.page, state.form, state.last_us) == ("/a", "loan", START_US + 30_000_000)
    assert state.open_signals == []
    assert vector(state)[FEATURE_NAMES.index("time_since_last_success")] <= HOUR + 30


def test_events_of_a_day_s_delay_and_histories_are_only_late() -> None:
    now = received(at(0, Kind.PAGE_VIEW, "/now"), 0)
    for late in (
        received(at(-9 * DAY, Kind.PAGE_VIEW, "/old"), 60),
        received(at(-MINUTE, Kind.PAGE_VIEW, "/old"), -DAY),
        at(-9 * DAY, Kind.PAGE_VIEW, "/old"),
    ):
        assert applied([now, late])[0].page == "/now"


@given(st.lists(st.tuples(st.integers(-400, 400), st.integers(-400, 400)), max_size=20))
def test_a_later_right_clock_corrects_any_wrong_one(days: list[tuple[int, int]]) -> None:
    state = State()
    for number, (happened, came) in enumerate(days):
        us = [START_US + day * DAY_US for day in (happened, came)]
        apply(state, Event(f"e{number}", Kind.PAGE_VIEW, us[0], "/x", received_us=us[1]))
    now_us = START_US - 500 * DAY_US
    apply(state, Event("now", Kind.PAGE_VIEW, now_us, "/now", received_us=now_us))
    assert (state.last_us, state.page) == (now_us, "/now")
