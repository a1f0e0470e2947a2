"""Changes of segments as events: each customer is told once, whatever is ended, and only what is new."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from journeymesh.common.v1 import event_pb2
from journeymesh.ingest.v1 import ingest_pb2_grpc

from mesh.errors import ResourceExhausted
from mesh.observability import telemetry
from mesh.process.server import serving
from mesh.state.applied import Batch
from mesh.state.memory import MemoryState
from mesh.store import redis
from offline.customers.publishing import Change, publish
from offline.customers.sending import IngestStream
from records.tenants import plain, qualified, tenant_of
from services.analytics.adapters.children import LEAN
from services.customers.adapters.fits import RedisFits
from services.customers.adapters.memory import MemoryFits
from services.customers.domain.publishing import Published, is_change, is_due
from services.customers.domain.segments import SEGMENTS
from services.customers.ports import FitStore
from services.customers.usecases import Purchases
from tests.customers.builders import line, paid
from tests.customers.fits import DAY_MS, NOW_MS, TODAY, learnt, shop
from tests.ingest.harness import Harness, running
from tests.ingest.test_erasure import suppressing
from tests.offline.test_customers_archived import archive_of
from tests.offline.test_customers_fit import purchase

REFIT = learnt()
WEEK_MS = 7 * DAY_MS


class Taking:
    """A stream that keeps what it takes, and refuses some users."""

    def __init__(self, *refused: str) -> None:
        self.changes: list[Change] = []
        self.refused = refused

    async def accept(self, changes: Sequence[Change]) -> Sequence[bool]:
        self.changes += [each for each in changes if each.user_id not in self.refused]
        return [each.user_id not in self.refused for each in changes]


class Shop(NamedTuple):
    """What is kept of a tenant's customers, and where it is published."""

    kept: MemoryFits
    bought: MemoryState
    stream: Any
    tenant: str = "acme"

    async def fit(self, members: dict[str, str], groups: dict[str, str], fitted_ms: int = NOW_MS) -> None:
        """Keeps a fit with these customers, by plain ids."""
        fit = REFIT.fit._replace(fitted_ms=fitted_ms, customers=len(members))
        ours, theirs = ({qualified(self.tenant, name): of for name, of in each.items()} for each in (members, groups))
        standing = await self.kept.standing(self.tenant)
        assert await self.kept.replace(self.tenant, fit, ours, theirs, standing.erasures)

    async def publish(self, pauses: list[float] | None = None) -> int:
        """Publishes without waiting; adds the pauses that it would have made."""
        told = [] if pauses is None else pauses

        async def pause(seconds: float) -> None:
            told.append(seconds)

        found = await publish(self.kept, self.bought, self.stream, self.tenant, lambda _: None, pause)
        assert found.refused == (1 if self.stream.refused else 0)
        return found.published

    def told(self) -> dict[str, tuple[str, str, str, str]]:
        """What was published since, by plain id."""
        changes = {
            plain(each.user_id): (each.previous_segment, each.segment, each.previous_group, each.group)
            for each in self.stream.changes
        }
        assert len(changes) == len(self.stream.changes)
        self.stream.changes.clear()
        return changes


def a_shop(*refused: str) -> Shop:
    return Shop(MemoryFits(), MemoryState(), Taking(*refused))


async def test_everybody_is_told_at_first_and_then_who_moved_or_left() -> None:
    of = a_shop()
    assert await of.publish() == 0
    await of.fit({"ada": "New", "bob": "Loyal", "eve": "Loyal"}, {"ada": "Group 1"})
    assert await of.publish() == 3
    assert all(0 < len(each.products) <= 5 for each in of.stream.changes)
    assert {tenant_of(each.user_id) for each in of.stream.changes} == {"acme"}
    assert of.told() == {"ada": ("", "New", "", "Group 1"), "bob": ("", "Loyal", "", ""), "eve": ("", "Loyal", "", "")}
    assert await of.publish() == 0

    await of.fit({"ada": "Loyal", "bob": "Loyal", "zoe": "New"}, {"ada": "Group 1", "bob": "Group 2"}, NOW_MS + DAY_MS)
    assert await of.publish() == 4
    assert of.told() == {
        "ada": ("New", "Loyal", "Group 1", "Group 1"),
        "bob": ("Loyal", "Loyal", "", "Group 2"),
        "eve": ("Loyal", "", "", ""),
        "zoe": ("", "New", "", ""),
    }
    assert await of.publish() == 0


async def test_who_was_erased_is_not_told_and_nothing_is_kept_of_them() -> None:
    of = a_shop()
    await of.fit({"ada": "New", "bob": "New"}, {})
    await of.kept.erase([qualified("acme", "ada")])
    assert await of.publish() == 1
    assert [*of.told()] == ["bob"]
    await of.kept.erase([qualified("acme", "bob")])
    assert await of.publish() == 0
    assert await of.kept.published("acme", [qualified("acme", "bob")]) == [None]


async def test_what_was_not_taken_is_told_the_next_time() -> None:
    of = a_shop(qualified("acme", "ada"))
    await of.fit({"ada": "New", "bob": "New"}, {})
    assert await of.publish() == 1
    of.stream.refused = ()
    of.told()
    assert await of.publish() == 1
    assert of.told() == {"ada": ("", "New", "", "")}


async def test_what_is_recommended_is_told_anew_at_most_once_a_week_and_if_it_differs() -> None:
    of = a_shop()
    await of.fit({"ada": "New"}, {})
    await of.publish()
    (first,) = of.stream.changes
    of.told()
    bought = [line(f"p{number}") for number in range(10, 20)]
    for day in range(5):
        batch = Batch("events", "1", (day + 1,))
        order = paid(f"e-{day}", (TODAY - 50 + 10 * day) * DAY_MS, "", 5.0, "EUR", *bought)
        await Purchases(of.bought, of.kept).apply(batch, [(qualified("acme", "ada"), order)])
    await of.fit({"ada": "New"}, {}, NOW_MS + WEEK_MS - 1)
    assert await of.publish() == 0
    await of.fit({"ada": "New"}, {}, NOW_MS + WEEK_MS)
    assert await of.publish() == 1
    (again,) = of.stream.changes
    assert (again.previous_segment, again.segment) == ("New", "New")
    both = {each.product for each in first.products} & {each.product for each in again.products}
    assert 2 * len(both) < 5
    await of.fit({"ada": "New"}, {}, NOW_MS + 2 * WEEK_MS)
    assert await of.publish() == 0
    (kept,) = await of.kept.published("acme", [qualified("acme", "ada")])
    assert kept
    assert (kept.compared_ms, kept.told_ms) == (NOW_MS + 2 * WEEK_MS, NOW_MS + WEEK_MS)


async def test_all_is_told_again_after_three_weeks_before_it_is_forgotten() -> None:
    of = a_shop()
    await of.fit({"ada": "New"}, {})
    await of.publish()
    of.told()
    for weeks, count in ((1, 0), (2, 0), (3, 1), (4, 0), (6, 1)):
        await of.fit({"ada": "New"}, {}, NOW_MS + weeks * WEEK_MS)
        assert await of.publish() == count
    assert of.stream.changes[0]._replace(products=()) == Change(
        qualified("acme", "ada"), NOW_MS + 3 * WEEK_MS, "New", "New", "", "", ()
    )


@pytest.mark.parametrize(
    ("now", "is_told"),
    [("abcde", False), ("edcba", False), ("abcxy", False), ("abwxy", True), ("", True), ("abc", False), ("ab", True)],
)
def test_products_differ_if_fewer_than_half_are_those_that_were_told(now: str, is_told: bool) -> None:  # noqa: FBT001
    known = Published("New", "", tuple("abcde"), 0, 0)
    assert is_change(known, known._replace(products=tuple(now))) == is_told
    assert is_change(known, known._replace(group="Group 1"))
    assert not is_due(known, "New", "", WEEK_MS - 1)
    assert is_due(known, "New", "", WEEK_MS)
    assert is_due(known, "Loyal", "", 1)


async def test_a_fit_publishes_one_event_per_customer_at_most_500_a_second() -> None:
    of = a_shop()
    members = {f"user-{number:04}": SEGMENTS[number % 8] for number in range(1_203)}
    await of.fit(members, {})
    pauses: list[float] = []
    assert await of.publish(pauses) == len(members)
    assert {name: segment for name, (_, segment, _, _) in of.told().items()} == members
    assert sum(pauses) == pytest.approx(len(members) / 500, rel=0.1)


class Full(Taking):
    """Takes nothing a few times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def accept(self, changes: Sequence[Change]) -> Sequence[bool]:
        self.times -= 1
        if self.times >= 0:
            raise ResourceExhausted("BUFFER_FULL", "Decisions are too far behind.", retry_after_seconds=7)
        return await super().accept(changes)


async def test_it_waits_while_ingest_takes_nothing_and_gives_up_after_a_while() -> None:
    of = Shop(MemoryFits(), MemoryState(), Full(3))
    await of.fit({"ada": "New"}, {})
    pauses: list[float] = []
    assert await of.publish(pauses) == 1
    assert pauses[:3] == [7, 7, 7]
    of = of._replace(kept=MemoryFits(), stream=Full(10_000))
    await of.fit({"ada": "New"}, {})
    with pytest.raises(ResourceExhausted):
        await of.publish()
    of.stream.times = 0
    assert await of.publish() == 1


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> FitStore:
    return MemoryFits() if request.param == "memory" else RedisFits(valkey)


async def test_what_was_published_is_kept_of_members_alone(store: FitStore) -> None:
    ada, bob, eve = (qualified("acme", name) for name in ("ada", "bob", "eve"))
    await store.replace("acme", REFIT.fit, {ada: "New", bob: "New"}, {}, 0)
    told = Published("New", "Group 1", ("p-1", "p-2"), NOW_MS, NOW_MS)
    await store.publish("acme", "New", dict.fromkeys((ada, bob, eve), told))
    await store.publish("acme", "Loyal", {ada: told._replace(segment="Loyal")})
    assert list(await store.published("acme", [ada, eve, bob])) == [told, None, told]
    assert list(await store.published("acme", [])) == []
    assert list(await store.published("", [ada])) == [None]
    assert [each async for each in store.departed("acme")] == []

    await store.replace("acme", REFIT.fit, {ada: "Loyal"}, {}, 0)
    gone = [each async for each in store.departed("acme")]
    assert gone == [{bob: told}]
    await store.unpublish("acme", [bob])
    await store.unpublish("acme", [])
    assert [each async for each in store.departed("acme")] == []
    await store.erase([ada])
    assert list(await store.published("acme", [ada])) == [None]


async def test_ingest_takes_the_events_of_the_mesh_itself_once(harness: Harness) -> None:
    stream = IngestStream(harness.stub, harness.time)
    change = Change(qualified("acme", "ada"), NOW_MS, "New", "", "Group 1", "", ())
    assert list(await stream.accept([change, change._replace(user_id="ada")])) == [True, True]
    assert list(await stream.accept([change])) == [True]
    await harness.dispatch()
    told = {each.user_id: each for each in harness.events()}
    assert len(harness.events()) == 2
    assert {tenant_of(each.event_id) for each in told.values()} == {"acme", ""}
    its = told[qualified("acme", "ada")]
    assert (its.is_system, its.segment_change.segment, its.segment_change.group) == (True, "New", "Group 1")


async def test_ingest_takes_none_of_who_is_suppressed(harness: Harness) -> None:
    harness.ingest.suppressing.now = suppressing("ada")
    stream = IngestStream(harness.stub, harness.time)
    changes = [Change(name, NOW_MS, "New", "", "", "", ()) for name in ("ada", "bob")]
    assert list(await stream.accept(changes)) == [False, True]


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    async with running() as made:
        yield made


class Ingest(ingest_pb2_grpc.IngestServiceServicer):
    """Ingest that takes events; while it is stuck, it does not answer."""

    GetReceipt: Any = None
    ListFailedEvents: Any = None
    GetFailedEvent: Any = None
    ResolveFailedEvent: Any = None
    ReplayFailedEvent: Any = None
    GetPipeline: Any = None

    def __init__(self, harness: Harness) -> None:
        self._ingest = harness.stub
        self.is_stuck = False
        self.has_taken = asyncio.Event()

    async def AcceptEvents(self, request: Any, _context: Any) -> Any:
        answer = await self._ingest.AcceptEvents(request)
        self.has_taken.set()
        if self.is_stuck:
            await asyncio.Event().wait()
        return answer


def began(archive_url: str, now_ms: int) -> "subprocess.Popen[bytes]":
    """The job, as analytics begins it."""
    arguments = (archive_url, "acme", str(now_ms), "384", "j-1", "{}")
    command = [sys.executable, "-m", "offline.customers.job", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **LEAN})


@contextlib.asynccontextmanager
async def listening(servicer: Ingest) -> AsyncIterator[str]:
    traced = telemetry.off()
    served = [lambda to: ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, to)]
    async with serving("127.0.0.1:0", served, [], {}, traced) as port:
        yield f"127.0.0.1:{port}"


async def test_killed_while_it_publishes_the_job_goes_on_and_every_change_counts_once(
    harness: Harness, tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories = shop(40)
    orders = [[purchase(user, order) for user, of in histories.items() for order in of]]
    await asyncio.to_thread(archive_of, tmp_path, orders)
    servicer = Ingest(harness)
    servicer.is_stuck = True
    async with listening(servicer) as target, contextlib.aclosing(redis.connect(valkey_url)) as client:
        await client.flushall()
        monkeypatch.setenv("JOURNEYMESH_REDIS_URL", valkey_url)
        monkeypatch.setenv("JOURNEYMESH_INGEST_TARGET", target)
        with began(tmp_path.as_uri(), NOW_MS) as killed:
            async with asyncio.timeout(120):
                await servicer.has_taken.wait()
            killed.kill()
        servicer.is_stuck = False
        with began(tmp_path.as_uri(), NOW_MS) as again:
            assert again.stdout is not None
            said = await asyncio.to_thread(again.stdout.read)
        last = json.loads(said.splitlines()[-1])
        fit = await RedisFits(client).fit("acme")
        assert fit
        assert last == {"counts": {"customers": 40, "products": len(fit.products), "published": 40, "refused": 0}}

        members = (await RedisFits(client).standing("acme")).members
        await harness.dispatch()
        events = [each for each in harness.events() if each.event_type == event_pb2.EVENT_TYPE_SEGMENT_CHANGE]
        assert {each.user_id: each.segment_change.segment for each in events} == members
        assert len(events) == len({each.event_id for each in events}) == 40
        published = await RedisFits(client).published("acme", [*members])
        assert all(published)
