"""Budgets of days: each threshold is told once, to the tenant and to who operates the mesh, and to no other tenant."""

import asyncio
import dataclasses
import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.analytics.v1 import insights_pb2 as wire

from mesh import webhook
from mesh.errors import Unavailable
from mesh.process.lifecycle import cancel
from mesh.webhook import Webhook
from services.analytics.adapters.budgets import MemoryBudgets
from services.analytics.adapters.messenger import WebhookMessenger
from services.analytics.adapters.watched import MemoryWatches
from services.analytics.domain import alarms
from services.analytics.domain.alarms import BudgetDay
from services.analytics.domain.costs import LEAST_USD, MOST_USD, Budget, OwnBudget, used_usd
from services.analytics.domain.layout import EVENTS, Partition
from services.analytics.domain.manifest import EMPTY, Manifest, Part
from services.analytics.domain.question import DAY_US, HOUR_US, DayOfUse, Price, Prices
from services.analytics.domain.watched import Watched
from services.analytics.translation import budget_message
from services.analytics.usecases import Costing
from services.analytics.watching import Figures, Plan, Tellers, Watching
from tests.analytics.test_telling import MINUTE_US, SECRET, Told
from tests.analytics.test_watching import stub, told
from tests.builders import NOW_US
from tests.intervention.receiver import Answer, Receiver

TODAY_US: Final = NOW_US // DAY_US * DAY_US
Parts: TypeAlias = Mapping[tuple[str, Partition], Part]


@dataclasses.dataclass
class Days:
    """What days have cost tenants, as a test says; away for those of which it says nothing."""

    of: Mapping[str, Sequence[BudgetDay]] = dataclasses.field(default_factory=dict)

    async def budget_days(self, tenant: str) -> Sequence[BudgetDay]:
        if tenant not in self.of:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "away")
        return self.of[tenant]

    def use(self, usd: float, daily_usd: float = 5.0, start_us: int = TODAY_US) -> None:
        """The day of one tenant."""
        self.of = {"": (), "acme": [BudgetDay(start_us, daily_usd, usd)]}


def watching(days: Days, clock: Told, tellers: Tellers, watches: MemoryWatches | None = None) -> Watching:
    plan = Plan(digest_at=dt.time(8))
    return Watching(clock, watches or MemoryWatches(), lambda: clock.now_us, plan, tellers=tellers, budgets=days)


async def test_each_threshold_is_posted_once_and_again_only_for_a_higher_budget() -> None:
    days, clock = Days(), Told()
    async with Receiver().serving() as receiver, webhook.client() as client:
        posting = WebhookMessenger(Webhook(client, receiver.url, SECRET, lambda: clock.now_us))
        its = watching(days, clock, Tellers({}, None, posting))
        for usd, daily_usd, count in (
            (3.99, 5.0, 0),
            (4.0, 5.0, 1),  # 80 %
            (4.5, 5.0, 1),
            (6.0, 5.0, 2),  # 100 %
            (6.0, 1.0, 2),  # a lower budget is told no more
            (6.0, 5.0, 2),
            (7.0, 10.0, 2),
            (8.5, 10.0, 3),
            (90.0, 100.0, 4),
        ):
            days.use(usd, daily_usd)
            for _ in range(2):
                await its.look_at_budgets()
                clock.now_us += MINUTE_US
            assert len(receiver.received) == count, usd
        bodies = [json.loads(each.body)["journeymesh"] for each in receiver.received]
        assert [(each["percent"], each["usedUsd"], each["dailyUsd"]) for each in bodies] == [
            (80, 4.0, 5.0),
            (100, 6.0, 5.0),
            (80, 8.5, 10.0),
            (80, 90.0, 100.0),
        ]
        first = receiver.received[0]
        assert first.headers["webhook-id"] == "acme.budget.20260102-80-of-5.0" == bodies[0]["idempotencyKey"]
        assert json.loads(first.body)["text"] == "Budget of 2026-01-02: 80 % is used, 4 of 5 USD"
        assert (bodies[0]["kind"], bodies[0]["tenant"], bodies[0]["day"]) == ("budget.reached", "acme", "2026-01-02")
        # The next day is another one.
        days.use(5.0, start_us=TODAY_US + DAY_US)
        await its.look_at_budgets()
        assert len(receiver.received) == 5
        assert json.loads(receiver.received[-1].body)["text"] == "Budget of 2026-01-03: all is used, 5 of 5 USD"


async def test_an_alarm_that_was_not_taken_is_posted_again_with_the_same_key() -> None:
    days, clock = Days(), Told()
    async with Receiver().serving() as receiver, webhook.client() as client:
        receiver.script = [Answer(500)]
        posting = WebhookMessenger(Webhook(client, receiver.url, SECRET, lambda: clock.now_us))
        its = watching(days, clock, Tellers({}, None, posting))
        days.use(5.0)
        for _ in range(4):
            await its.look_at_budgets()
            clock.now_us += MINUTE_US
        assert len(receiver.received) == 2
        assert len({each.headers["webhook-id"] for each in receiver.received}) == 1
        (alarm,) = (await its.listed("acme")).alarms
        assert alarm.message is not None
        assert (alarm.message.state, alarm.message.attempt_count) == ("sent", 2)


async def test_only_the_tenant_is_pushed_its_alarms_and_a_watch_that_is_away_keeps_none_from_others() -> None:
    days, clock = Days(), Told()
    its = watching(days, clock, Tellers())
    async with told(its, "acme") as seen, stub(its) as at:
        assert (await seen()).alarms == ()
        days.of = {"acme": [BudgetDay(TODAY_US, 5.0, 4.5)]}
        with pytest.raises(Unavailable):  # of the default tenant
            await its.look_at_budgets()
        update = await seen()
        (alarm,) = update.alarms
        assert (alarm.percent, update.insights) == (80, ())
        listed = await at.ListInsights(wire.ListInsightsRequest(tenant="acme"))
        (message,) = listed.budget_alarms
        assert MessageToDict(message)["day"] == "2026-01-02T00:00:00Z"
        assert (message.percent, message.daily_usd, message.used_usd, message.sequence) == (80, 5.0, 4.5, 1)
        assert not message.HasField("message")
        assert not (await at.ListInsights(wire.ListInsightsRequest())).budget_alarms
        day = await at.GetInsightsDigest(wire.GetInsightsDigestRequest(tenant="acme", day="2026-01-02"))
        assert list(day.budget_alarms) == [message]


async def test_incidents_do_not_wait_for_a_service_that_does_not_say_what_days_cost() -> None:
    class Hanging:
        async def budget_days(self, tenant: str) -> Sequence[BudgetDay]:
            await asyncio.Event().wait()
            return ()

    clock, judged = Told(), asyncio.Queue[Figures]()
    plan = Plan(period_seconds=0.01)
    its = Watching(clock, MemoryWatches(), lambda: clock.now_us, plan, budgets=Hanging(), report=judged.put_nowait)
    running = asyncio.create_task(its.run())
    async with asyncio.timeout(5):
        for _ in range(2):
            await judged.get()
    await cancel(running)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 20), st.sampled_from([1.0, 5.0, 10.0])), max_size=20))
def test_a_threshold_is_told_once_of_a_day_and_budget_whatever_is_used(
    looks: list[tuple[int, float, float]],
) -> None:
    watched = Watched()
    for number, (day, used, daily) in enumerate(looks):
        days = [BudgetDay(TODAY_US + day * DAY_US, daily, used)]
        before, now_us = watched, TODAY_US + 3 * DAY_US + number
        watched = alarms.raised(watched, days, now_us)
        assert watched.sequence == before.sequence + (watched.alarms != before.alarms)
        assert alarms.raised(watched, days, now_us + 1) == watched  # a repeated look adds nothing
        if used >= 0.8 * daily:
            assert any(its.day_us == days[0].start_us and its.daily_usd >= daily for its in watched.alarms)
    assert len({each.alarm_id for each in watched.alarms}) == len(watched.alarms)
    for each in watched.alarms:
        assert each.used_usd >= each.percent / 100 * each.daily_usd
        higher = [its for its in watched.alarms if its.day_us == each.day_us and its.found_us > each.found_us]
        assert all(its.percent > each.percent or its.daily_usd > each.daily_usd for its in higher)


def test_an_alarm_is_kept_for_fourteen_days_also_if_none_comes_after_it() -> None:
    one = alarms.raised(Watched(), [BudgetDay(TODAY_US, 5.0, 5.0)], TODAY_US + 1)
    quiet = [BudgetDay(TODAY_US + 13 * DAY_US, 5.0, 0.0)]
    assert alarms.raised(one, quiet, TODAY_US + 14 * DAY_US - 1) is one
    after = alarms.raised(one, quiet, TODAY_US + 14 * DAY_US)
    assert (after.alarms, after.sequence) == ((), one.sequence)


class Spent:
    """Language models cost two dollars a day."""

    async def usd_by_day(self, tenant: str, day_count: int) -> Mapping[int, float]:
        return {TODAY_US - day * DAY_US: 2.0 for day in range(day_count)}


class Uncopied:
    """Copies without anything in them."""

    def manifest(self) -> Manifest:
        return EMPTY

    async def check(self) -> None:
        pass


class Copied(Uncopied):
    """Copies that have something in them."""

    def __init__(self, parts: Parts) -> None:
        self._manifest = EMPTY._replace(parts=parts)

    def manifest(self) -> Manifest:
        return self._manifest


class Looked(dict[tuple[str, Partition], Part]):
    """Counts how often all of it is read."""

    whole_count = 0

    def items(self) -> Any:
        self.whole_count += 1
        return super().items()


class Free:
    """Language models that cost nothing."""

    async def usd_by_day(self, tenant: str, day_count: int) -> Mapping[int, float]:
        return {}


async def test_yesterday_counts_by_the_budget_that_it_had() -> None:
    kept = MemoryBudgets()
    costing = Costing(Uncopied(), Spent(), Prices((), 4.0), kept, lambda: NOW_US)
    both = [BudgetDay(TODAY_US - DAY_US, 4.0, 2.0), BudgetDay(TODAY_US, 4.0, 2.0)]
    assert await costing.budget_days("acme") == both
    await kept.replace("acme", OwnBudget(2.5, "ada", TODAY_US - 1))
    assert await costing.budget_days("acme") == [each._replace(daily_usd=2.5) for each in both]
    await costing.set_budget("acme", 2.0, "ada")
    assert await costing.budget_days("acme") == [BudgetDay(TODAY_US, 2.0, 2.0)]
    assert await Costing(Uncopied(), Spent(), Prices(), MemoryBudgets(), lambda: NOW_US).budget_days("acme") == ()


async def test_the_first_events_of_a_day_do_not_use_all_that_a_day_costs() -> None:
    prices = Prices((Price("machines", usd_per_day=96.0),), 5.0)
    parts = {(EVENTS, Partition("acme", TODAY_US // DAY_US)): Part("p", 1)}
    clock = [0]
    costing = Costing(Copied(parts), Free(), prices, MemoryBudgets(), lambda: clock[0])
    for hours, used in ((0.0, 0.0), (0.1, 0.0), (0.25, 1.0), (12.2, 48.0), (23.99, 95.0), (24.0, 96.0), (30.0, 96.0)):
        clock[0] = TODAY_US + round(hours * HOUR_US)
        days = {each.start_us: each.used_usd for each in await costing.budget_days("acme")}
        assert days[TODAY_US] == pytest.approx(used)
        assert TODAY_US - DAY_US not in days or days[TODAY_US - DAY_US] == 0.0


async def test_a_look_at_all_budgets_reads_the_copies_once_and_not_once_for_each_tenant() -> None:
    tenants, today = [f"t-{each}" for each in range(20)], TODAY_US // DAY_US
    parts = Looked(
        {(EVENTS, Partition(tenant, day)): Part("p", 1) for tenant in tenants for day in range(today - 30, today + 1)}
    )
    prices = Prices((Price("machines", usd_per_day=20.0),), 5.0)
    costing = Costing(Copied(parts), Free(), prices, MemoryBudgets(), lambda: TODAY_US + DAY_US - 1)
    for tenant in tenants:
        assert [round(each.used_usd, 2) for each in await costing.budget_days(tenant)] == [1.0, 0.99]
    assert parts.whole_count == 1


usd = st.floats(0, MOST_USD)


@given(st.floats(5e-324, MOST_USD) | st.none(), st.floats(5e-324, MOST_USD), usd, usd, usd)
def test_however_small_a_budget_no_share_of_it_is_infinite(
    own: float | None, operator: float, models: float, per_million: float, per_day: float
) -> None:
    day = DayOfUse(0, 1 << 40, 1 << 40, 1.0, models)
    used = used_usd(day, (Price("store", per_million, per_million, per_day),))
    found = budget_message(Budget(None if own is None else OwnBudget(own, "", 1), operator, used))
    assert math.isfinite(found.used_share.value)
    assert found.daily_usd.value >= LEAST_USD
