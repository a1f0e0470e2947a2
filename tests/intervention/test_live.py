"""Those who watch are told what happens, a moment after it is recorded; nobody waits for them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from journeymesh.features.v1 import features_pb2
from journeymesh.intervention.v1 import intervention_pb2 as wire
from journeymesh.intervention.v1.intervention_pb2_grpc import (
    InterventionServiceStub,
    add_InterventionServiceServicer_to_server,
)

from mesh.errors import ResourceExhausted, Unavailable
from mesh.process.lifecycle import in_background
from mesh.store import redis
from records.tenants import qualified
from services.intervention.decision.domain.facts import Level, Outcome, OutcomeReport
from services.intervention.live.adapters.memory import MemoryFeed
from services.intervention.live.adapters.redis import RedisFeed
from services.intervention.live.domain import happening
from services.intervention.live.domain.happening import MOST, Happening, Happenings, Kind
from services.intervention.live.ports import Feed
from services.intervention.live.usecases import Live
from tests.intervention.builders import NOON_ISH, Row, World, batch
from tests.intervention.test_servicer import request
from tests.serving import serving


def struggle(number: int = 0, user_id: str = "ada") -> Happening:
    return Happening(Kind.STRUGGLE, NOON_ISH + number, user_id, f"d-3-{number}-0", "/calculator", 20.0, Level.LOW)


@pytest.fixture(params=["memory", "redis"])
async def feeds(request: pytest.FixtureRequest, valkey: redis.Client) -> tuple[Feed, Feed]:
    """A feed as two replicas have it."""
    if request.param == "memory":
        feed = MemoryFeed()
        return feed, feed
    return RedisFeed(valkey), RedisFeed(valkey)


async def next_message(messages: AsyncIterator[bytes]) -> bytes:
    return await asyncio.wait_for(anext(messages), 5)


async def test_a_follower_gets_the_messages_of_all_replicas_in_order(feeds: tuple[Feed, Feed]) -> None:
    here, there = feeds
    async with here.follow("") as messages, there.follow("") as others:
        for number in range(3):
            await there.publish({"": b"%d" % number})
        assert [await next_message(messages) for _ in range(3)] == [b"0", b"1", b"2"]
        await here.publish({"": b"3"})
        assert await next_message(messages) == b"3"
        assert [await next_message(others) for _ in range(4)] == [b"0", b"1", b"2", b"3"]


async def test_a_follower_gets_its_own_tenants_messages_alone(feeds: tuple[Feed, Feed]) -> None:
    here, there = feeds
    async with here.follow("acme") as messages:
        await there.publish({"": b"mine", "zeta": b"another's"})
        await there.publish({"": b"again", "acme": b"theirs"})
        assert await next_message(messages) == b"theirs"


async def test_nothing_is_kept_for_whoever_follows_later(feeds: tuple[Feed, Feed]) -> None:
    here, there = feeds
    await there.publish({"": b"before"})
    await there.publish({})
    async with here.follow("") as messages:
        await there.publish({"": b"after"})
        first = await next_message(messages)
        if first == b"before":  # the cluster was still passing it on
            first = await next_message(messages)
        assert first == b"after"
    async with here.follow("") as messages:
        await there.publish({"": b"last"})
        assert await next_message(messages) == b"last"


async def test_nothing_of_it_is_stored(valkey: redis.Client) -> None:
    await RedisFeed(valkey).publish({"": b"ada"})
    assert [key async for keys in redis.scan(valkey, "*") for key in keys] == []


@contextlib.asynccontextmanager
async def watching(live: Live, tenant: str = "") -> AsyncIterator[AsyncIterator[Happenings]]:
    """What is told from now on, while the teller runs."""
    async with in_background(live.run()), contextlib.aclosing(live.watch(tenant)) as watched:  # type: ignore[type-var]
        assert await anext(watched) == Happenings()
        yield watched


async def told(watched: AsyncIterator[Happenings], count: int) -> list[Happening]:
    found: list[Happening] = []
    while len(found) < count:
        found += (await asyncio.wait_for(anext(watched), 5)).happenings
    return found


async def test_struggle_decisions_help_and_outcomes_are_told() -> None:
    world = World()
    async with watching(world.live) as watched:
        at, rows = batch(1, [[Row(score=78, indicators=("form_errors",)), Row(score=10, user_id="bob")]])
        (made,) = (await world.deciding.decide(at, rows)).made
        (offered,) = await told(watched, 1)
        assert (offered.kind, offered.user_id, offered.level) == (Kind.DECISION, "ada", Level.HIGH)
        assert offered.intervention_id == made.intervention.id
        assert offered.action == made.intervention.action
        report = OutcomeReport(made.intervention.id, Outcome.ACCEPTED, "in_app")
        await world.deliver(2, [[Row(outcome=report)]])
        (answered,) = await told(watched, 1)
        assert (answered.kind, answered.intervention_id) == (Kind.OUTCOME, made.intervention.id)
        assert (answered.outcome, answered.decision_id) == (Outcome.ACCEPTED, offered.decision_id)


async def test_signals_of_the_batch_are_told_and_decide_nothing() -> None:
    world = World()
    asked = request(1, Row(score=10))
    found = features_pb2.Signal(
        type=features_pb2.SIGNAL_TYPE_RAGE_CLICKS, strength=80, reason="4 clicks on Pay", target="Pay"
    )
    asked.signals.add(row=0, signal=found)
    add = add_InterventionServiceServicer_to_server
    async with serving(lambda server: add(world.servicer(), server)) as channel, in_background(world.live.run()):
        stub = InterventionServiceStub(channel)
        call: Any = stub.WatchHappenings(wire.WatchHappeningsRequest())
        assert not (await call.read()).happenings
        assert not (await stub.DecideInterventions(asked)).interventions
        (one,) = (await asyncio.wait_for(call.read(), 5)).happenings
        call.cancel()
    assert (one.kind, one.user_id, one.signal) == (
        wire.HAPPENING_KIND_STRUGGLE,
        "ada",
        features_pb2.SIGNAL_TYPE_RAGE_CLICKS,
    )
    assert (one.strength, one.target, one.why, one.page) == (80, "Pay", "4 clicks on Pay", "/calculator")


async def test_copies_of_an_anonymous_journey_are_not_told_again() -> None:
    world = World()
    async with watching(world.live) as watched:
        await world.deliver(1, [[Row(score=80, is_copy=True)], [Row(score=50, user_id="bob")]])
        (one,) = await told(watched, 1)
        assert one.user_id == "bob"


async def test_tenants_are_told_of_their_own_users() -> None:
    live = Live(MemoryFeed(), 2, pause_seconds=0.01)
    async with watching(live, "acme") as watched:
        mine = struggle(1, qualified("acme", "ada"))
        live.tell([struggle(), mine])
        assert await told(watched, 1) == [mine]


async def test_a_slow_reader_is_told_how_much_was_left_out() -> None:
    live = Live(MemoryFeed(), 2, pause_seconds=0.01)
    async with watching(live) as watched:
        many: Sequence[Happening] = [struggle(number) for number in range(MOST + 30)]
        live.tell(many)
        found = await asyncio.wait_for(anext(watched), 5)
        assert found == Happenings(tuple(many[:MOST]), 30)


async def test_more_watchers_than_there_are_places_are_refused() -> None:
    live = Live(MemoryFeed(), 1)
    async with watching(live):
        with pytest.raises(ResourceExhausted, match="Too many"):
            await anext(live.watch(""))
    async with watching(live):
        pass


class Away:
    """A feed whose store is away."""

    def __init__(self) -> None:
        self.publish_count = 0
        self._come = asyncio.Event()

    async def published(self) -> None:
        """Returns once more was to be published."""
        await asyncio.wait_for(self._come.wait(), 5)
        self._come.clear()

    async def publish(self, messages: object) -> None:
        self.publish_count += 1
        self._come.set()
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store cannot be reached.")

    @contextlib.asynccontextmanager
    async def follow(self, _: str) -> AsyncIterator[AsyncIterator[bytes]]:
        yield self._messages()

    async def _messages(self) -> AsyncIterator[bytes]:
        yield happening.encode(Happenings((struggle(),)))
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store cannot be reached.")


async def test_without_the_store_telling_goes_on_and_watching_ends(caplog: pytest.LogCaptureFixture) -> None:
    feed = Away()
    live = Live(feed, 1, pause_seconds=0.01)
    async with in_background(live.run()):
        while feed.publish_count < 3:
            live.tell([struggle()])
            await feed.published()
        with pytest.raises(Unavailable):
            [each async for each in live.watch("")]
    assert len(caplog.records) == 1


def test_a_message_of_a_later_version_is_counted_as_left_out() -> None:
    longer = happening.encode(Happenings((struggle(),)))
    assert happening.decode(longer) == Happenings((struggle(),))
    assert happening.decode(b"\xff") == Happenings(left_out=1)
