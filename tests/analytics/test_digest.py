"""What a day brought, and that its message is sent once."""

import dataclasses
import datetime as dt
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.analytics.v1 import insights_pb2 as wire

from mesh import webhook
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import timestamp
from mesh.settings import SettingError, read
from mesh.webhook import Webhook
from services.analytics.adapters.messenger import WebhookMessenger
from services.analytics.adapters.watched import MemoryWatches
from services.analytics.domain import digest
from services.analytics.domain.digest import Digest
from services.analytics.domain.question import DAY_US, HOUR_US
from services.analytics.domain.telling import Sent
from services.analytics.domain.watched import Message, Watched, WatchedInsight
from services.analytics.settings import Settings
from services.analytics.usecases import Known
from services.analytics.watching import Plan, Tellers, Watching
from tests.analytics.test_telling import INSIGHT, MINUTE_US, OPEN, SECRET, Told, found
from tests.analytics.test_watching import stub, watching
from tests.builders import NOW_US
from tests.intervention.receiver import Answer, Receiver

TODAY_US = NOW_US // DAY_US * DAY_US
BERLIN = "Europe/Berlin"


def incident(name: str, opened: float, closed: float | None) -> WatchedInsight:
    """An incident by the hours at which it opened and closed, from the beginning of yesterday in UTC."""
    start_us = TODAY_US - DAY_US
    return INSIGHT._replace(
        insight_id=name,
        opened_us=start_us + int(opened * HOUR_US),
        closed_us=None if closed is None else start_us + int(closed * HOUR_US),
    )


EVERY = (
    incident("today", 25, None),
    incident("late", 23, None),
    incident("whole", 9, 12),
    incident("ended", -3, 4),
    incident("long", -30, 30),
    incident("before", -9, -2),
)


def names(of: tuple[WatchedInsight, ...]) -> list[str]:
    return [each.insight_id for each in of]


def test_a_day_has_those_that_opened_closed_and_were_open_at_its_end() -> None:
    watched = Watched(EVERY, 1, 1, 1, TODAY_US)
    found = digest.digest(watched, digest.yesterday(NOW_US, "UTC"), "UTC")
    assert (found.day, found.start_us, found.end_us, found.is_judged) == (
        "2026-01-01",
        TODAY_US - DAY_US,
        TODAY_US,
        True,
    )
    assert names(found.opened) == ["late", "whole"]
    assert names(found.closed) == ["whole", "ended"]
    assert names(found.open) == ["late", "long"]
    assert not digest.digest(watched._replace(until_us=TODAY_US - 1), dt.date(2026, 1, 1), "UTC").is_judged
    # A day in Berlin begins an hour earlier, and so it ends; on this one clocks go forward.
    assert names(digest.digest(watched, dt.date(2026, 1, 1), BERLIN).open) == ["long"]
    short = digest.digest(watched, dt.date(2026, 3, 29), BERLIN)
    assert short.end_us - short.start_us == 23 * HOUR_US


@given(
    st.integers(0, 3 * 24 * 60),
    st.sampled_from(("UTC", BERLIN, "America/New_York", "Asia/Kolkata")),
    st.integers(0, 23),
)
def test_a_message_is_due_from_the_time_of_day_on_and_about_yesterday(minutes: int, zone: str, hour: int) -> None:
    now_us = NOW_US + minutes * MINUTE_US
    watched = Watched((incident("open", -999, None),), 1, since_us=1, until_us=now_us)
    one = digest.due(watched, now_us, zone, dt.time(hour))
    now = dt.datetime.fromtimestamp(now_us // 1_000_000, ZoneInfo(zone))
    assert (one is not None) == (now.hour >= hour)
    if one is None:
        return
    assert dt.date.fromisoformat(one.digest.day) == now.date() - dt.timedelta(days=1)
    claimed = digest.claimed(watched, one, now_us)
    assert digest.due(claimed, now_us, zone, dt.time(hour)) is None
    sent = digest.settled(claimed, one, Sent("sent"), now_us)
    rest = int((dt.datetime.combine(now.date(), dt.time(23, 59), now.tzinfo) - now).total_seconds()) * 1_000_000
    assert digest.due(sent, now_us + rest, zone, dt.time(hour)) is None
    assert digest.due(sent, now_us + DAY_US + 2 * HOUR_US, zone, dt.time(0)) is not None


def test_nothing_is_due_of_a_day_without_incidents_before_the_watch_or_of_what_is_snoozed() -> None:
    def due(watched: Watched) -> bool:
        one = digest.due(watched, NOW_US, "UTC", dt.time(8))
        return one is not None and not one.digest.is_empty

    told = Watched(EVERY, 1, since_us=1)
    assert due(told)
    assert not due(told._replace(insights=()))
    assert not due(told._replace(insights=(EVERY[0], EVERY[-1])))
    assert not due(told._replace(since_us=TODAY_US))
    assert not due(told._replace(insights=(EVERY[2]._replace(snoozed_until_us=NOW_US + 1),)))


@given(
    st.lists(st.integers(0, 9 * 24 * 60), min_size=1, max_size=40),
    st.sampled_from((dt.time(0), dt.time(8), dt.time(23, 59))),
    st.sampled_from(("UTC", BERLIN, "America/New_York")),
    st.sets(st.integers(0, 8)),
)
def test_every_day_with_incidents_is_told_once_and_in_order_whenever_somebody_is_there(
    looks: list[int], at: dt.time, zone: str, quiet: set[int]
) -> None:
    begun_us = TODAY_US
    first_us = begun_us + DAY_US + 12 * HOUR_US
    insights = tuple(
        INSIGHT._replace(insight_id=f"{day}", opened_us=us, closed_us=us + HOUR_US)
        for day in range(9)
        if day not in quiet
        for us in [begun_us + day * DAY_US + 12 * HOUR_US]
    )
    watched = Watched(insights, 1, since_us=begun_us, until_us=begun_us + 99 * DAY_US)
    watched = watched._replace(digest=Message("2026-01-01", "quiet", 1, 0, ""))
    told: list[str] = []
    # At the end somebody looks once a minute for a while.
    ends_us = begun_us + 10 * DAY_US + 12 * HOUR_US
    for now_us in [
        *sorted(first_us + each * MINUTE_US for each in looks),
        *(ends_us + n * MINUTE_US for n in range(12)),
    ]:
        one = digest.due(watched, now_us, zone, at)
        if one is None:
            continue
        end = dt.datetime.fromtimestamp(one.digest.end_us // 1_000_000, ZoneInfo(zone))
        assert now_us >= one.digest.end_us
        assert now_us >= dt.datetime.combine(end.date(), at, ZoneInfo(zone)).timestamp() * 1_000_000
        sent = digest.QUIET if one.digest.is_empty else Sent("sent")
        told += [] if one.digest.is_empty else [one.digest.day]
        watched = digest.settled(digest.claimed(watched, one, now_us), one, sent, now_us)
    days = [
        dt.datetime.fromtimestamp(each.opened_us // 1_000_000, ZoneInfo(zone)).date().isoformat() for each in insights
    ]
    assert told == sorted({*told})
    assert {*told} <= {*days}
    # Nothing within a week of the end is missing.
    assert [day for day in days if day not in told and day >= "2026-01-05"] == []


def test_a_day_that_cannot_be_told_does_not_hold_up_the_next_for_ever() -> None:
    watched, now_us = Watched(EVERY, 1, since_us=1), NOW_US
    days = []
    for _ in range(6 * 60):
        one = digest.due(watched, now_us, "UTC", dt.time(8))
        if one is not None:
            days.append(one.digest.day)
            watched = digest.settled(digest.claimed(watched, one, now_us), one, Sent("waiting", "unreachable"), now_us)
        now_us += 10 * MINUTE_US
    assert days == ["2026-01-01"] * 5 + ["2026-01-02"] * 5 + ["2026-01-03"] * 5


def test_an_empty_day_is_done_only_once_all_of_it_is_judged() -> None:
    """The copies may be behind in the morning: what they bring later is told then."""
    behind = Watched((), 1, since_us=1, until_us=TODAY_US - 1)
    assert digest.due(behind, NOW_US, "UTC", dt.time(8)) is None
    done = digest.due(behind._replace(until_us=TODAY_US), NOW_US, "UTC", dt.time(8))
    assert done is not None
    assert done.digest.is_empty
    found = digest.due(behind._replace(insights=EVERY[1:2]), NOW_US, "UTC", dt.time(8))
    assert found is not None
    assert names(found.digest.opened) == ["late"]


@dataclasses.dataclass
class Behind(Told):
    """A watch whose copies stand still until a time."""

    until_us: int = 0

    def known(self) -> Known:
        until_us = TODAY_US - 6 * HOUR_US if self.now_us < self.until_us else self.now_us
        return Known(until_us, frozenset({"acme"}))


@pytest.mark.parametrize(("behind", "waits"), [(999, 120), (30, 30), (0, 0)])
async def test_a_digest_waits_for_the_watch_for_two_hours_and_then_says_what_is_missing(
    behind: int, waits: int
) -> None:
    begun_us = TODAY_US + 8 * HOUR_US
    opened = OPEN._replace(opened_us=EVERY[2].opened_us, closed_us=EVERY[2].closed_us)
    its, watches = Behind(found(opened), begun_us, until_us=begun_us + behind * MINUTE_US), MemoryWatches()
    assert await watches.replace("acme", Watched(EVERY[2:3], 1, 1, 1, 1), 0)
    waited = 0
    async with Receiver().serving() as receiver, webhook.client() as client:
        messenger = WebhookMessenger(Webhook(client, receiver.url, SECRET, lambda: its.now_us))
        plan = Plan(is_for_all=True, digest_at=dt.time(8))
        for _ in range(150):
            # Each look is that of another process.
            replica = Watching(its, watches, lambda: its.now_us, plan, tellers=Tellers(of_days=messenger))
            await replica.judge()
            waited += not receiver.received
            its.now_us += MINUTE_US
    (post,) = receiver.received
    assert waited == waits
    body = json.loads(post.body)
    is_behind = behind > waits
    line = "The watch is behind, and has judged until 2026-01-01T18:00:00Z only: incidents after that are missing."
    assert (line in json.dumps(body["blocks"])) == is_behind
    assert body["journeymesh"]["isJudged"] != is_behind


@given(st.integers(0, 400), st.integers(1, 3))
def test_a_clock_that_was_ahead_holds_up_no_day_for_long(ahead: int, looks: int) -> None:
    watched = Watched((incident("open", -999, None),), 1, since_us=1, until_us=NOW_US + 999 * DAY_US)
    for _ in range(looks):
        one = digest.due(watched, NOW_US + ahead * DAY_US, "UTC", dt.time(8))
        if one is not None:
            watched = digest.settled(watched, one, Sent("sent"), NOW_US)
    days = []
    for day in range(4):
        one = digest.due(watched, NOW_US + day * DAY_US, "UTC", dt.time(8))
        if one is not None:
            days.append(one.digest.day)
            watched = digest.settled(watched, one, Sent("sent"), NOW_US)
    assert days[-1:] == ["2026-01-04"]


async def test_a_digest_is_posted_once_by_whichever_replica_and_again_if_it_was_not_taken() -> None:
    figures, watches = Told(), MemoryWatches()
    assert await watches.replace("acme", Watched(EVERY[1:3], 1, 1, 1, NOW_US + DAY_US), 0)
    async with Receiver().serving() as receiver, webhook.client() as client:
        receiver.script = [Answer(503)]
        messenger = WebhookMessenger(Webhook(client, receiver.url, SECRET, lambda: figures.now_us))

        class Slow(WebhookMessenger):
            async def send_digest(self, tenant: str, digest: Digest) -> Sent:
                await one.judge()
                return await super().send_digest(tenant, digest)

        plan = Plan(is_for_all=True, digest_at=dt.time(8))
        slow = Slow(Webhook(client, receiver.url, SECRET, lambda: figures.now_us))
        one, other = (
            Watching(figures, watches, lambda: figures.now_us, plan, tellers=Tellers(of_days=each))
            for each in (messenger, slow)
        )
        await other.judge()
        assert len(receiver.received) == 1
        for _ in range(3):
            figures.now_us += MINUTE_US
            await one.judge()
            await other.judge()
        first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "acme.digest.2026-01-01"
    body = json.loads(second.body)
    assert body["text"] == "Incidents of 2026-01-01: 2 new, 1 closed, 1 open at its end"
    told = body["journeymesh"]
    assert (told["kind"], told["day"], told["tenant"]) == ("insights.digest", "2026-01-01", "acme")
    assert [[each["insightId"] for each in told[of]] for of in ("opened", "closed", "open")] == [
        ["late", "whole"],
        ["whole"],
        ["late"],
    ]


async def test_a_day_is_told_over_rpc() -> None:
    store = MemoryWatches()
    assert await store.replace("", Watched(EVERY, 1, 1, 1, TODAY_US), 0)
    async with stub(watching(store)) as at:
        told = await at.GetInsightsDigest(wire.GetInsightsDigestRequest())
        assert (told.day, told.end, told.is_judged) == ("2026-01-01", timestamp(TODAY_US), True)
        assert [each.insight_id for each in told.open] == ["late", "long"]
        asked = wire.GetInsightsDigestRequest(day="2025-12-31")
        assert [each.insight_id for each in (await at.GetInsightsDigest(asked)).opened] == ["ended", "before"]
        for day in ("2026-02-30", "0001-01-01", "1999-12-31", "2200-01-01", "9999-12-31"):
            with pytest.raises(InvalidArgument) as error:
                await at.GetInsightsDigest(wire.GetInsightsDigestRequest(day=day))
            assert error.value.reason == "INVALID_TIME"
        for day in ("2000-01-01", "2199-12-31"):
            assert (await at.GetInsightsDigest(wire.GetInsightsDigestRequest(day=day))).day == day


@pytest.mark.parametrize(
    ("time", "url", "told"),
    [("8", "", "INSIGHTS_WEBHOOK_URL"), ("25:00", "http://127.0.0.1:1/hook", "time of day")],
)
def test_a_time_of_the_digest_that_is_none_is_refused(time: str, url: str, told: str, tmp_path: Path) -> None:
    (secret := tmp_path / "secret").write_text("s3cret")
    given_settings = {
        "JOURNEYMESH_INSIGHTS_DIGEST_TIME": time,
        "JOURNEYMESH_INSIGHTS_WEBHOOK_URL": url,
        "JOURNEYMESH_WEBHOOK_SECRET_FILE": str(secret),
    }
    with pytest.raises(SettingError, match=told):
        read(Settings, given_settings)
