"""What becomes of an event's time on the way through ingest, as docs/time.md says."""

import datetime as dt
from typing import Any

import pytest
from journeymesh.common.v1 import error_reason_pb2, event_pb2

from tests.builders import MINUTE_US, NOW_US, SECOND_US, event
from tests.ingest.harness import ACCEPTED, REJECTED, Harness, running

HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


async def applied(harness: Harness, *events: event_pb2.Event) -> list[tuple[int, int]]:
    """Event time and client time of events that are accepted and applied."""
    assert set((await harness.accept(*events)).verdicts) == {ACCEPTED}
    await harness.dispatch()
    return [(each.event_time_us, each.client_time_us) for each in harness.events()][-len(events) :]


@pytest.mark.parametrize("late_us", [0, SECOND_US, DAY_US, 7 * DAY_US, 8 * DAY_US, 3000 * DAY_US])
async def test_without_a_time_of_sending_the_past_stays_as_it_is(late_us: int) -> None:
    async with running() as harness:
        assert await applied(harness, event(event_time_us=NOW_US - late_us)) == [(NOW_US - late_us, 0)]
        assert await harness.ingest.skews.find(["u:ada"]) == {}


@pytest.mark.parametrize("ahead_us", [1, MINUTE_US, 24 * HOUR_US])
async def test_up_to_a_day_ahead_it_happened_at_its_receipt_and_what_follows_is_not_late(ahead_us: int) -> None:
    async with running() as harness:
        assert await applied(harness, event(event_time_us=NOW_US + ahead_us)) == [(NOW_US, NOW_US + ahead_us)]
        now_us = NOW_US + SECOND_US
        following = event("b", event_time_us=now_us + ahead_us, received_time_us=now_us)
        assert await applied(harness, following) == [(now_us, now_us + ahead_us)]


async def test_more_than_a_day_ahead_is_refused() -> None:
    async with running() as harness:
        answer = await harness.accept(event(event_time_us=NOW_US + DAY_US + 1))
        assert answer.verdicts == [REJECTED]
        assert answer.rejections[0].reason == error_reason_pb2.ERROR_REASON_TIME_IN_FUTURE


def sent(event_id: str, age_us: int, delay_us: int, **members: Any) -> event_pb2.Event:
    """An event of a phone whose clock is an hour behind, in a request that was under way for so long."""
    sent_us = NOW_US - HOUR_US - delay_us
    return event(event_id, device_id="phone", event_time_us=sent_us - age_us, sent_time_us=sent_us, **members)


async def test_with_a_time_of_sending_the_clock_s_error_is_taken_out_and_both_times_are_kept() -> None:
    async with running() as harness:
        times = await applied(harness, sent("a", MINUTE_US, 0), sent("b", 0, 0))
        assert times == [(NOW_US - MINUTE_US, NOW_US - HOUR_US - MINUTE_US), (NOW_US, NOW_US - HOUR_US)]
        stalled = await applied(harness, sent("c", 0, 30 * SECOND_US))
        assert stalled == [(NOW_US - 30 * SECOND_US, NOW_US - HOUR_US - 30 * SECOND_US)]


@pytest.mark.parametrize("hours", [1, 2, 23])
async def test_at_first_contact_the_time_of_sending_alone_tells_the_clock(hours: int) -> None:
    then_us = NOW_US - hours * HOUR_US
    old: dict[str, Any] = {"device_id": "phone", "event_time_us": then_us}
    async with running() as harness:
        assert await applied(harness, event(**old, sent_time_us=then_us)) == [(NOW_US, then_us)]
    async with running() as harness:
        assert await applied(harness, event(**old, sent_time_us=NOW_US)) == [(then_us, 0)]
        assert await applied(harness, event("b", **old, sent_time_us=then_us)) == [(then_us, 0)]


async def test_what_is_known_of_a_clock_serves_its_user_on_that_device_and_no_other() -> None:
    async with running() as harness:
        await applied(harness, sent("a", 0, 0))
        late = (NOW_US - SECOND_US, NOW_US - HOUR_US - SECOND_US)
        assert await applied(harness, sent("b", 0, SECOND_US)) == [late]
        assert await applied(harness, sent("d", 0, SECOND_US, user_id="bob")) == [(NOW_US, late[1])]
        other = event("c", device_id="other", event_time_us=NOW_US - MINUTE_US, sent_time_us=NOW_US - MINUTE_US)
        assert await applied(harness, other) == [(NOW_US, NOW_US - MINUTE_US)]


async def test_a_right_clock_s_history_is_imported_as_it_was() -> None:
    async with running() as harness:
        history = [
            event(f"{days}", event_time_us=NOW_US - days * DAY_US, sent_time_us=NOW_US) for days in range(900, 0, -90)
        ]
        assert await applied(harness, *history) == [(NOW_US - days * DAY_US, 0) for days in range(900, 0, -90)]


async def test_history_that_is_sent_again_with_the_time_it_was_sent_then_stays_as_it_is() -> None:
    async with running() as harness:
        then_us = NOW_US - 90 * DAY_US
        assert await applied(harness, event(event_time_us=then_us, sent_time_us=then_us)) == [(then_us, 0)]


EPOCHS = {"1970": 190 * SECOND_US, "1980": 315_532_800 * SECOND_US, "2000": 946_684_801 * SECOND_US}
AHEAD = {"a week ahead": NOW_US + 7 * DAY_US, "2038": 2_147_483_647 * SECOND_US}


@pytest.mark.parametrize("told_us", (EPOCHS | AHEAD).values(), ids=EPOCHS | AHEAD)
async def test_a_clock_that_began_anew_is_corrected_by_its_own_request(told_us: int) -> None:
    async with running() as harness:
        sent_us = told_us + 2 * SECOND_US
        events = [
            event(f"{age}", device_id="tv", event_time_us=told_us - age * SECOND_US, sent_time_us=sent_us)
            for age in (0, 12, 24)
        ]
        times = await applied(harness, *events)
        assert times == [(NOW_US - (2 + age) * SECOND_US, told_us - age * SECOND_US) for age in (0, 12, 24)]
        # It begins anew again, and then has the right time: nothing was learnt of the wrong one.
        later_us = NOW_US + 5 * HOUR_US
        again = event("again", device_id="tv", event_time_us=told_us, sent_time_us=sent_us, received_time_us=later_us)
        right = event("right", device_id="tv", event_time_us=later_us, sent_time_us=later_us, received_time_us=later_us)
        harness.time.now_us = later_us
        assert await applied(harness, again, right) == [(later_us - 2 * SECOND_US, told_us), (later_us, 0)]


def year(number: int) -> int:
    return int(dt.datetime(number, 6, 1, tzinfo=dt.UTC).timestamp()) * SECOND_US


ODD_SENT = {
    "1970": SECOND_US,
    "1975": year(1975),
    "2009": year(2009),
    "in two days": NOW_US + 2 * DAY_US,
    "2099": year(2099),
}
PLAUSIBLE = {
    "now": NOW_US,
    "just now": NOW_US - SECOND_US,
    "five days ago": NOW_US - 5 * DAY_US,
    "last year": NOW_US - 365 * DAY_US,
    "2012": year(2012),
}


@pytest.mark.parametrize("sent_us", ODD_SENT.values(), ids=ODD_SENT)
@pytest.mark.parametrize("told_us", PLAUSIBLE.values(), ids=PLAUSIBLE)
async def test_a_time_of_sending_that_cannot_be_costs_a_plausible_event_nothing(told_us: int, sent_us: int) -> None:
    async with running() as harness:
        answer = await harness.accept(event(event_time_us=told_us, sent_time_us=sent_us))
        assert answer.verdicts == [ACCEPTED]
        assert [each.member for each in answer.warnings] == ["sentAt"]
        await harness.dispatch()
        (made,) = harness.events()
        assert (made.event_time_us, made.client_time_us, made.sent_time_us) == (told_us, 0, 0)


TWO_CLOCKS = {
    "1970, sent in 2099": (SECOND_US, year(2099), "INVALID_TIME"),
    "1970, sent in 1990": (SECOND_US, year(1990), "INVALID_TIME"),
    "1990, sent in 1970": (year(1990), SECOND_US, "INVALID_TIME"),
    "in two days, sent in 1975": (NOW_US + 2 * DAY_US, year(1975), "TIME_IN_FUTURE"),
    "in two days, sent in 2099": (NOW_US + 2 * DAY_US, year(2099), "TIME_IN_FUTURE"),
    "2099, sent in two days": (year(2099), NOW_US + 2 * DAY_US, "TIME_IN_FUTURE"),
}


@pytest.mark.parametrize(("told_us", "sent_us", "reason"), TWO_CLOCKS.values(), ids=TWO_CLOCKS)
async def test_two_odd_times_of_two_clocks_are_refused_by_the_event_s_own(
    told_us: int, sent_us: int, reason: str
) -> None:
    async with running() as harness:
        answer = await harness.accept(event("a", event_time_us=told_us, sent_time_us=sent_us))
        assert answer.rejections[0].reason == error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
        assert [one.event_id for one in (await harness.failed.list(10, ""))[0]] == ["a"]


@pytest.mark.parametrize("sent_us", [SECOND_US, year(1975), year(2005) - DAY_US, year(2006), year(2099)])
async def test_history_of_before_2010_is_kept_where_another_clock_sent_it(sent_us: int) -> None:
    async with running() as harness:
        assert await applied(harness, event(event_time_us=year(2005), sent_time_us=sent_us)) == [(year(2005), 0)]


async def test_a_clock_of_1970_that_tells_no_time_of_sending_is_refused_and_kept() -> None:
    async with running() as harness:
        answer = await harness.accept(event("a", event_time_us=190 * SECOND_US))
        assert answer.rejections[0].reason == error_reason_pb2.ERROR_REASON_INVALID_TIME
        assert [one.event_id for one in (await harness.failed.list(10, ""))[0]] == ["a"]


async def test_an_event_of_1970_that_a_right_clock_sent_is_refused() -> None:
    async with running() as harness:
        answer = await harness.accept(event("a", event_time_us=190 * SECOND_US, sent_time_us=NOW_US))
        assert answer.rejections[0].reason == error_reason_pb2.ERROR_REASON_INVALID_TIME


async def test_history_that_was_sent_years_ago_stays_as_it_is() -> None:
    async with running() as harness:
        then_us = NOW_US - 1000 * DAY_US
        times = event("a", event_time_us=then_us, sent_time_us=then_us + SECOND_US)
        assert await applied(harness, times) == [(then_us, 0)]


@pytest.mark.parametrize("name", ["device_id", "anonymous_id"])
@pytest.mark.parametrize("lie_us", [10 * MINUTE_US, HOUR_US, 2 * HOUR_US, 23 * HOUR_US])
@pytest.mark.parametrize("is_sent", [True, False])
@pytest.mark.parametrize("liar", ["mallory", "ada"])
async def test_one_wrong_clock_makes_nobody_late(liar: str, lie_us: int, name: str, *, is_sent: bool) -> None:
    async with running() as harness:
        ahead_us = NOW_US + lie_us
        shared: dict[str, Any] = {name: "webview"}
        lie: dict[str, Any] = {"event_time_us": ahead_us, "sent_time_us": ahead_us if is_sent else 0}
        assert await applied(harness, event("lie", liar, **shared, **lie)) == [(NOW_US, ahead_us)]
        now_us = harness.time.now_us = NOW_US + MINUTE_US
        users = ["ada", "bob", "cy"] if name == "device_id" else ["ada"]
        sends: dict[str, Any] = {
            "event_time_us": now_us - SECOND_US,
            "sent_time_us": now_us,
            "received_time_us": now_us,
        }
        events = [event(f"{user}-{number}", user, **shared, **sends) for user in users for number in range(3)]
        assert {time_us for time_us, _ in await applied(harness, *events)} == {now_us - SECOND_US}
