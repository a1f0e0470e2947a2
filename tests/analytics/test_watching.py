"""Key figures watched: what is told, when, to whom, and what people did about it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.analytics.v1 import insights_pb2 as wire
from journeymesh.analytics.v1.insights_pb2_grpc import InsightsServiceStub, add_InsightsServiceServicer_to_server

from mesh.errors import Damaged, InvalidArgument, NotFound, ResourceExhausted, Unavailable, VersionMismatch
from mesh.rpc.timestamps import timestamp
from mesh.store import redis
from services.analytics.adapters.watched import MemoryWatches, RedisWatches
from services.analytics.domain import watched as watch
from services.analytics.domain.answer import Insight, InsightPart, Insights, InsightSlice, Money, Receipt
from services.analytics.domain.answer import Slices as Explained
from services.analytics.domain.changes import Change
from services.analytics.domain.insights import METRICS, insights
from services.analytics.domain.question import DAY_US, HOUR_US, Question, Slices
from services.analytics.domain.question import Insights as Asked
from services.analytics.domain.watched import Watched, WatchedInsight
from services.analytics.insights import InsightsServicer
from services.analytics.ports import KeptWatch, WatchStore
from services.analytics.usecases import Answered, Known
from services.analytics.watching import Plan, Update, Watching
from tests.analytics.test_insights import MONDAY_US, drawn
from tests.builders import NOW_US
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.analytics.v1.insights_pb2_grpc import InsightsServiceAsyncStub

DROP: Final = 9 * 168 + 12
PART: Final = InsightPart("users", 10 * HOUR_US, None, "below", 10 * HOUR_US, 5.0, 50.5, 40.0, 60.0, 9.5, ())
ONE: Final = WatchedInsight(
    "20261129T1300-users",
    10 * HOUR_US,
    None,
    "high",
    45.5,
    (PART,),
    NOW_US,
    1,
    "k",
    5,
    "p",
    7,
    "Größe 😀",
    (),
    (InsightSlice("users", "page", "/größe", 1.0, 9.5, 0.9, 0.1),),
    (Money("EUR", 9.5),),
    (Change(5, "deploy", "web 1", "", "k"),),
    True,
)
OLDER: Final = ONE._replace(insight_id="older", closed_us=9, acknowledged_by="", acknowledged_us=None)
RECEIPT: Final = Receipt("", 0, 0, 0, False, 0, "", "", False)
KNOWN: Final = Watched(
    (ONE, OLDER), 4, 1, 2, 3, 5, (Change(5, "other", "sale"),), watch.Message("2026-01-01", "sent", 1, 5, "")
)


class Figures:
    """Ten weeks of hours with a drop, of which those up to a time are known."""

    def __init__(self, *tenants: str) -> None:
        self.counts = drawn(np.random.default_rng(7), 1_000)
        for each in self.counts.values():
            each[DROP : DROP + 6] //= 3
        self.tenants = frozenset(tenants)
        self.until = DROP
        self.asked: list[str] = []
        self.is_away = False

    def known(self) -> Known:
        return Known(MONDAY_US + self.until * HOUR_US + 1, self.tenants)

    async def ask(self, tenant: str, question: Question) -> Answered:
        if isinstance(question, Slices):
            return Answered(Explained((), (), 0.0), RECEIPT)
        if self.is_away:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "Nothing can be counted.")
        self.asked.append(tenant)
        its = cast("Asked", question)
        counts = {metric: [*map(float, self.counts[metric][: self.until])] for metric in METRICS}
        found = insights(counts, MONDAY_US, its.window, its.limit)
        return Answered(found, RECEIPT)


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> WatchStore:
    return MemoryWatches() if request.param == "memory" else RedisWatches(valkey)


def watching(
    store: WatchStore | None = None, figures: Figures | None = None, *, is_for_all: bool = False, limit: int = 100
) -> Watching:
    plan = Plan(is_for_all=is_for_all, most_watching=limit)
    return Watching(figures or Figures(), store or MemoryWatches(), lambda: NOW_US, plan)


async def test_what_replaces_is_read(store: WatchStore) -> None:
    assert await store.read("") == KeptWatch(0, Watched())
    assert await store.replace("", KNOWN, 0)
    assert await store.read("") == KeptWatch(1, KNOWN)
    assert not await store.replace("", Watched(), 0)
    assert await store.read("acme") == KeptWatch(0, Watched())
    assert (await store.change_count(""), await store.change_count("acme")) == (1, 0)


async def test_what_one_tenant_has_lost_keeps_no_other_from_being_watched(valkey: redis.Client) -> None:
    its = watching(RedisWatches(valkey), Figures("acme", "globex"), is_for_all=True)
    await valkey.hset("jm:{analytics}:insights:acme", "watched", b"\x95\x01")
    with pytest.raises(Damaged):
        await its.judge()
    assert (await its.listed("globex")).judged_us
    with pytest.raises(Damaged):
        await its.listed("acme")


async def test_tenants_that_were_asked_about_long_ago_are_forgotten(store: WatchStore) -> None:
    await store.note_asked("acme", 20)
    await store.note_asked("globex", 10)
    await store.note_asked("acme", 5)
    assert sorted(await store.asked_since(10)) == ["acme", "globex"]
    assert await store.asked_since(11) == ["acme"]


async def test_what_a_newer_build_wrote_is_not_misread(valkey: redis.Client) -> None:
    blob = msgspec.msgpack.encode([2, {"new": "form"}])
    await valkey.hset("jm:{analytics}:insights:", mapping={"changes": 1, "watched": blob})
    with pytest.raises(VersionMismatch):
        await RedisWatches(valkey).read("")


async def test_an_incident_opens_grows_and_closes_under_one_id_and_judging_again_changes_nothing() -> None:
    figures, store = Figures(), MemoryWatches()
    watched = watching(store, figures)
    seen: dict[str, list[WatchedInsight]] = {}
    for figures.until in (*range(DROP - 1, DROP + 6), DROP + 12, DROP + 18, DROP + 24):
        await watched.judge()
        after = await watched.listed("")
        for each in after.insights:
            states = seen.setdefault(each.insight_id, [])
            if not states or states[-1] != each:
                states.append(each)
        await watched.judge()
        assert await watched.listed("") == after
    (states,) = [its for its in seen.values() if any(part.metric == "users" for part in its[-1].parts)]
    first, last = states[0], states[-1]
    assert MONDAY_US + DROP * HOUR_US == first.opened_us == last.opened_us
    assert first.closed_us is None
    assert last.closed_us is not None
    assert {part.metric for part in last.parts} > {part.metric for part in first.parts} - {""}
    assert [each.sequence for each in states] == sorted({each.sequence for each in states})
    assert last.severity in {"high", "critical"}


def found(*insights_found: Insight) -> Insights:
    return Insights(insights_found, len(insights_found), (), 0, 0)


def insight(metric: str, opened: int, closed: int | None) -> Insight:
    opened_us, closed_us = opened * HOUR_US, None if closed is None else closed * HOUR_US
    part = PART._replace(metric=metric, opened_us=opened_us, closed_us=closed_us)
    return Insight(opened_us, closed_us, "high", 1.0, (part,))


SPANS = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 5)), max_size=12)


@given(SPANS, SPANS)
def test_what_is_known_follows_what_is_found_and_ids_are_unique(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    def apart(spans: list[tuple[int, int]]) -> Insights:
        end, told = 0, []
        for start, length in sorted(spans):
            if start >= end:
                told.append(insight("users", start, start + length))
                end = start + length
        return found(*told)

    before = watch.judged(Watched(), apart(first), 1, 1)
    after = watch.judged(before, apart(second), 2, 2)
    ids = [each.insight_id for each in after.insights]
    assert len(ids) == len(set(ids))
    assert {each.opened_us for each in apart(second).incidents} <= {each.opened_us for each in after.insights}
    assert all(each.sequence <= after.sequence for each in after.insights)
    assert {each.insight_id for each in before.insights} <= set(ids)
    assert watch.judged(after, apart(second), 2, 2) == after
    assert watch.since(after.insights, before.sequence) == tuple(
        each for each in after.insights if each not in before.insights
    )


def test_what_was_open_and_is_not_found_any_more_is_closed() -> None:
    before = watch.judged(Watched(), found(insight("users", 10, None)), 12 * HOUR_US, 1)
    (gone,) = watch.judged(before, found(), 13 * HOUR_US, 2).insights
    assert gone.closed_us == 13 * HOUR_US


def test_the_latest_are_kept() -> None:
    many = [insight("users", 10 * number, 10 * number + 1) for number in range(2 * watch.MOST_KEPT)]
    kept = watch.judged(Watched(), found(*many), 1, 1).insights
    assert len(kept) == watch.MOST_KEPT
    assert kept[0].opened_us == many[-1].opened_us


async def test_the_default_tenant_is_watched_and_others_once_somebody_asks() -> None:
    figures = Figures("", "acme", "globex")
    watched = watching(figures=figures)
    await watched.judge()
    assert figures.asked == [""]
    await watched.listed("acme")
    await watched.listed("unknown")
    figures.until += 1
    await watched.judge()
    assert figures.asked == ["", "", "acme"]
    everything = Figures("acme", "globex")
    await watching(figures=everything, is_for_all=True).judge()
    assert everything.asked == ["", "acme", "globex"]


async def test_one_tenant_that_cannot_be_counted_holds_no_other_up() -> None:
    class Failing(Figures):
        async def ask(self, tenant: str, question: Question) -> Answered:
            if not tenant:
                raise Unavailable("DEPENDENCY_UNAVAILABLE", "Away.")
            return await super().ask(tenant, question)

    figures = Failing("acme")
    watched = watching(figures=figures, is_for_all=True)
    with pytest.raises(Unavailable):
        await watched.judge()
    assert figures.asked == ["acme"]


async def test_what_people_did_is_kept_when_it_is_judged_again(store: WatchStore) -> None:
    figures = Figures()
    watched = watching(store, figures)
    figures.until = DROP + 3
    await watched.judge()
    insight_id = (await watched.listed("")).insights[0].insight_id
    await watched.acknowledge("", insight_id, "ada")
    assert (await watched.acknowledge("", insight_id, "bob")).acknowledged_by == "ada"
    await watched.snooze("", insight_id, "bob", NOW_US + DAY_US, "a release")
    figures.until = DROP + 20
    await watched.judge()
    its = cast("WatchedInsight", watch.found_in(await watched.listed(""), insight_id))
    assert (its.acknowledged_by, its.acknowledged_us) == ("ada", NOW_US)
    assert (its.snoozed_by, its.snoozed_until_us, its.snooze_reason) == ("bob", NOW_US + DAY_US, "a release")
    assert its.closed_us is not None
    again = await watched.snooze("", insight_id, "bob", None, "")
    assert (again.snoozed_by, again.snoozed_until_us, again.snooze_reason) == ("", None, "")


@pytest.mark.parametrize(
    ("until_us", "reason", "expected"),
    [
        (NOW_US + DAY_US, " ", "MISSING_FIELD"),
        (NOW_US + DAY_US, "r" * 501, "VALUE_OUT_OF_RANGE"),
        (NOW_US, "r", "VALUE_OUT_OF_RANGE"),
        (NOW_US + 90 * DAY_US + 1, "r", "VALUE_OUT_OF_RANGE"),
    ],
)
async def test_what_cannot_be_snoozed_is_refused(until_us: int, reason: str, expected: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        await watching().snooze("", "any", "ada", until_us, reason)
    assert error.value.reason == expected


async def test_what_is_not_known_cannot_be_acknowledged_or_snoozed() -> None:
    for refused in (
        watching().acknowledge("", "any", "ada"),
        watching().snooze("", "any", "ada", NOW_US + DAY_US, "r"),
    ):
        with pytest.raises(NotFound, match="no incident"):
            await refused


@contextlib.asynccontextmanager
async def told(
    watched: Watching, tenant: str = "", sequence: int = 0
) -> AsyncIterator[Callable[[], asyncio.Future[Update]]]:
    async with contextlib.aclosing(watched.watch(tenant, sequence)) as changes:

        async def following() -> Update:
            async with asyncio.timeout(5):
                return await anext(changes)

        yield lambda: asyncio.ensure_future(following())


async def test_who_watches_is_told_all_then_what_changes_also_by_another_replica(store: WatchStore) -> None:
    assert await store.replace("", KNOWN, 0)
    one, other = watching(store), watching(store)
    async with told(one) as following:
        assert await following() == Update(True, KNOWN.insights, KNOWN)
        changed = await other.acknowledge("", "older", "bob")
        change = await following()
        assert (change.is_snapshot, change.insights) == (False, (changed,))
        assert change.watched.sequence == KNOWN.sequence + 1
    async with told(one, sequence=KNOWN.sequence) as following:
        assert await following() == change
    async with told(one, sequence=99) as following:
        assert (await following()).is_snapshot


async def test_who_is_slow_is_told_of_all_changes_at_once() -> None:
    store = MemoryWatches()
    assert await store.replace("", KNOWN, 0)
    watched = watching(store)
    async with told(watched) as slow, told(watched) as quick:
        await slow()
        await quick()
        for number in range(300):
            await watched.snooze("", ONE.insight_id, "ada", NOW_US + DAY_US, f"reason {number}")
            assert (await quick()).insights[0].snooze_reason == f"reason {number}"
        (its,) = (await slow()).insights
        assert its.snooze_reason == "reason 299"


async def test_no_more_watch_than_may_and_who_leaves_makes_room() -> None:
    watched = watching(limit=1)
    async with told(watched) as first:
        await first()
        with pytest.raises(ResourceExhausted, match="watch already"):
            async with told(watched, "acme") as second:
                await second()
        assert (await watched.standing("")).watcher_count == 1
    async with told(watched, "acme") as second:
        await second()


@contextlib.asynccontextmanager
async def stub(watched: Watching) -> AsyncIterator["InsightsServiceAsyncStub"]:
    async with serving(lambda to: add_InsightsServiceServicer_to_server(InsightsServicer(watched), to)) as channel:
        yield InsightsServiceStub(channel)


async def test_over_rpc_incidents_are_told_changed_and_pushed() -> None:
    figures = Figures()
    watched = watching(figures=figures)
    async with stub(watched) as at:
        status = await at.GetInsightsStatus(wire.GetInsightsStatusRequest())
        assert not status.HasField("watching_since")
        figures.until = DROP + 3
        await watched.judge()
        listed = await at.ListInsights(wire.ListInsightsRequest())
        its = listed.incidents[0]
        assert its.parts
        assert not its.parts[0].points
        call = at.WatchInsights(wire.WatchInsightsRequest())
        first = cast("wire.WatchInsightsResponse", await call.read())
        assert (first.is_snapshot, list(first.incidents)) == (True, list(listed.incidents))
        until = timestamp(NOW_US + DAY_US)
        snoozed = await at.SnoozeInsight(
            wire.SnoozeInsightRequest(insight_id=its.insight_id, by="ada", until=until, reason="a release")
        )
        assert (snoozed.incident.snoozed_until, snoozed.incident.snoozed_by) == (until, "ada")
        second = cast("wire.WatchInsightsResponse", await call.read())
        assert (second.is_snapshot, list(second.incidents)) == (False, [snoozed.incident])
        seen = await at.AcknowledgeInsight(wire.AcknowledgeInsightRequest(insight_id=its.insight_id, by="ada"))
        assert seen.incident.acknowledged == timestamp(NOW_US)
        status = await at.GetInsightsStatus(wire.GetInsightsStatusRequest())
        assert status.judged_until == timestamp(MONDAY_US + figures.until * HOUR_US)
        assert (status.open_count, status.watcher_count, status.time_zone) == (1, 1, "UTC")
        assert (await at.ListInsights(wire.ListInsightsRequest(tenant="acme"))).sequence == 0
        call.cancel()
