"""Carrying messages from the outbox to their channels, and what is noted on the way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import pytest

from mesh import webhook
from mesh.errors import Unavailable
from mesh.state.memory import MemoryState
from mesh.state.redis import RedisState
from mesh.store import redis
from services.intervention.decision.domain.facts import Outcome
from services.intervention.delivery.adapters.outbox_memory import MemoryOutbox
from services.intervention.delivery.adapters.outbox_redis import RedisOutbox
from services.intervention.delivery.adapters.silence import SilentDeliveryObserver
from services.intervention.delivery.adapters.webhook import WebhookChannel
from services.intervention.delivery.domain import delivery
from services.intervention.delivery.domain.delivery import (
    Deferred,
    Delivery,
    DeliveryState,
    OutboxEntry,
    Refused,
    Unanswered,
)
from services.intervention.delivery.ports import Channel, Claimed
from services.intervention.delivery.usecases import LEASE_US, AttemptResult, ChannelBackoff, Deliverer, DeliveryWorkers
from services.intervention.language.domain import generated_copy
from services.intervention.language.state import GENERATED_COPY
from tests.intervention.messages import (
    MINUTE,
    NOON_ISH,
    SECOND,
    ManualClock,
    ScriptedChannel,
    message,
    offer,
    reachable,
    undelivered,
    until,
)
from tests.intervention.receiver import Answer, Receiver

ID = "i-3-1-0"


class World:
    """A message that is wanted, and everything it takes to send it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.outbox = MemoryOutbox()
        self.state = MemoryState()
        self.deliverer = Deliverer(self.outbox, self.state, SilentDeliveryObserver(), self.clock, lambda: 1.0)

    async def begin(self) -> None:
        """Offers and adds it."""
        waiting = message()
        await offer(self.state, [waiting])
        await reachable(self.state)
        await self.outbox.add([waiting], self.clock())

    async def deliver(self, channel: Channel) -> list[AttemptResult | None]:
        """Carries what is due."""
        due = await self.outbox.claim("email", self.clock(), 10, LEASE_US)
        return [await self.deliverer.deliver(each, channel) for each in due]

    async def delivery(self) -> Delivery:
        """How far it has come."""
        ((delivered,),) = await self.outbox.deliveries([ID])
        return delivered


@pytest.fixture
async def world() -> World:
    world = World()
    await world.begin()
    return world


@contextlib.asynccontextmanager
async def sending(
    world: World, channels: Mapping[str, Channel], concurrency: int = 4, poll_seconds: float = 60
) -> AsyncIterator[DeliveryWorkers]:
    sender = DeliveryWorkers(
        world.outbox,
        channels,
        world.state,
        SilentDeliveryObserver(),
        world.clock,
        lambda: 1.0,
        concurrency=concurrency,
        poll_seconds=poll_seconds,
    )
    running = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_wanted_message_is_sent_once_to_the_contact(world: World) -> None:
    channel = ScriptedChannel()
    assert await world.deliver(channel) == [AttemptResult(is_good=True)]
    assert channel.calls == [("i-3-1-0.email", message().text, "ada@example.org")]
    assert await world.delivery() == Delivery(
        "email", DeliveryState.SENT, 1, NOON_ISH, "scripted", "m-1", "", "i-3-1-0.email"
    )
    world.clock.now_us += 10 * LEASE_US
    assert await world.deliver(channel) == []
    assert await undelivered(world.state) == ()


@pytest.mark.parametrize("is_used", [True, False])
async def test_a_model_s_words_are_sent_if_they_are_used(world: World, is_used: bool) -> None:  # noqa: FBT001
    words = generated_copy.GeneratedCopy("Better words.", "m", "p", "h", is_used, "", 1, 1, 1.0, NOON_ISH, False)
    await world.state.save({GENERATED_COPY.key(ID): GENERATED_COPY.encode(words)}, None)
    channel = ScriptedChannel()
    await world.deliver(channel)
    assert channel.calls[0][1] == ("Better words." if is_used else message().text)


@pytest.mark.parametrize(
    ("reached", "reason"),
    [
        (Outcome.ACCEPTED, "answered"),
        (Outcome.DECLINED, "answered"),
        (Outcome.CONVERTED, "answered"),
        (Outcome.EXPIRED, "expired"),
    ],
)
async def test_what_has_an_outcome_is_not_sent(world: World, reached: Outcome, reason: str) -> None:
    await offer(world.state, [message()], reached)
    await assert_cancelled(world, reason)


async def test_what_was_seen_and_not_answered_is_sent(world: World) -> None:
    await offer(world.state, [message()], Outcome.SHOWN)
    channel = ScriptedChannel()
    await world.deliver(channel)
    assert len(channel.taken) == 1


async def test_what_has_expired_is_not_sent(world: World) -> None:
    world.clock.now_us = message().expires_us
    await assert_cancelled(world, "expired")


async def test_what_was_taken_back_is_not_sent(world: World) -> None:
    await offer(world.state, [message(2)])
    await assert_cancelled(world, "taken_back")


async def assert_cancelled(world: World, reason: str) -> None:
    channel = ScriptedChannel()
    assert await world.deliver(channel) == [None]
    assert channel.calls == []
    delivered = await world.delivery()
    assert (delivered.state, delivered.reason, delivered.attempt_count) == (DeliveryState.CANCELLED, reason, 0)
    assert await undelivered(world.state) == ((ID, "email"),)


async def test_what_the_outbox_cancelled_is_filed_and_not_sent(world: World) -> None:
    await world.outbox.cancel([ID], NOON_ISH, "answered")
    await assert_cancelled(world, "answered")
    assert await world.outbox.claim("email", NOON_ISH + 10 * LEASE_US, 10, LEASE_US) == []


async def test_a_message_put_off_waits_longer_each_time_and_then_goes(world: World) -> None:
    channel = ScriptedChannel(Deferred("throttled"), Deferred("throttled", 30 * SECOND), Deferred("unreachable"))
    waits = []
    while (delivered := await world.delivery()).state is DeliveryState.WAITING:
        waits.append(delivered.update_us - world.clock.now_us)
        world.clock.now_us = delivered.update_us
        assert len(await world.deliver(channel)) == 1
    assert waits == [0, SECOND, 30 * SECOND, 4 * SECOND]
    assert (delivered.state, delivered.attempt_count, delivered.reason) == (DeliveryState.SENT, 4, "")


async def test_a_message_that_cannot_go_before_it_expires_has_failed(world: World) -> None:
    world.clock.now_us = message().expires_us - SECOND
    assert await world.deliver(ScriptedChannel(Deferred("unreachable"))) == [AttemptResult(is_good=False)]
    delivered = await world.delivery()
    assert (delivered.state, delivered.reason) == (DeliveryState.FAILED, "unreachable")
    assert await undelivered(world.state) == ((ID, "email"),)


async def test_a_refused_message_has_failed_and_says_nothing_against_its_channel(world: World) -> None:
    assert await world.deliver(ScriptedChannel(Refused("no_address"))) == [AttemptResult(is_good=True)]
    delivered = await world.delivery()
    assert (delivered.state, delivered.reason, delivered.provider) == (DeliveryState.FAILED, "no_address", "scripted")
    assert await undelivered(world.state) == ((ID, "email"),)


async def test_without_an_answer_it_is_not_sent_again_and_counts_as_sent(world: World) -> None:
    channel = ScriptedChannel(Unanswered("no_answer"))
    await world.deliver(channel)
    world.clock.now_us += 10 * LEASE_US
    assert await world.deliver(channel) == []
    delivered = await world.delivery()
    assert (delivered.state, delivered.reason) == (DeliveryState.UNKNOWN, "no_answer")
    assert await undelivered(world.state) == ()


async def test_without_an_answer_what_may_be_repeated_is_repeated_with_the_same_key(world: World) -> None:
    channel = ScriptedChannel(Unanswered("no_answer"), TimeoutError(), is_repeatable=True)
    for _ in range(3):
        await world.deliver(channel)
        world.clock.now_us += 10 * SECOND
    assert [key for key, _, _ in channel.calls] == ["i-3-1-0.email"] * 3
    assert (await world.delivery()).state is DeliveryState.SENT


@pytest.mark.parametrize("trouble", [Refused("http_404"), Deferred("unreachable")])
async def test_what_is_in_doubt_is_not_said_to_have_failed(world: World, trouble: Exception) -> None:
    channel = ScriptedChannel(Unanswered("no_answer"), trouble, is_repeatable=True)
    await world.deliver(channel)
    world.clock.now_us = message().expires_us - SECOND
    await world.deliver(channel)
    delivered = await world.delivery()
    assert (delivered.state, delivered.attempt_count) == (DeliveryState.UNKNOWN, 2)
    assert await undelivered(world.state) == ()


async def test_what_is_in_doubt_and_no_longer_wanted_is_unknown(world: World) -> None:
    channel = ScriptedChannel(Unanswered("no_answer"), is_repeatable=True)
    await world.deliver(channel)
    await offer(world.state, [message()], Outcome.ACCEPTED)
    world.clock.now_us += 10 * SECOND
    await world.deliver(channel)
    assert len(channel.calls) == 1
    assert (await world.delivery()).state is DeliveryState.UNKNOWN


@pytest.mark.parametrize("step_us", [0, 7_200 * SECOND, -7_200 * SECOND])
async def test_a_store_that_is_away_for_a_moment_loses_no_note(
    world: World, monkeypatch: pytest.MonkeyPatch, step_us: int
) -> None:
    """Whatever becomes of the machine's clock meanwhile."""
    whole, calls = world.outbox.update, 0

    async def flaky(claimed: Claimed, entry: OutboxEntry, due_us: int | None) -> bool:
        nonlocal calls
        calls += 1
        if calls % 2:
            # Every other call is done, and its answer is lost.
            await whole(claimed, entry, due_us)
            world.clock.now_us += step_us if calls == 1 else 0
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "away")
        return await whole(claimed, entry, due_us)

    monkeypatch.setattr(world.outbox, "update", flaky)
    monkeypatch.setattr("mesh.retry._REST_SECONDS", 0.001)
    channel = ScriptedChannel()
    await world.deliver(channel)
    assert len(channel.taken) == 1
    assert (await world.delivery()).state is DeliveryState.SENT


async def test_the_undelivered_are_the_last_sixty_four_each_once(world: World) -> None:
    await world.outbox.add([message(n, expires_us=NOON_ISH) for n in range(2, 72)], NOON_ISH)
    world.clock.now_us = NOON_ISH + 1
    while await world.deliver(ScriptedChannel(Refused("no_address"))):
        pass
    found = await undelivered(world.state)
    assert len(found) == len(set(found)) == 64


async def test_a_worker_sends_at_once_when_it_is_woken(world: World) -> None:
    channel = ScriptedChannel()
    async with sending(world, {"email": channel}) as sender:
        await until(lambda: len(channel.taken) == 1)
        other = message(2, user_id="bob")
        await offer(world.state, [other])
        await world.outbox.add([other], NOON_ISH)
        sender.notice()
        await until(lambda: len(channel.taken) == 2)


async def test_the_sender_finds_by_itself_what_has_become_due(world: World) -> None:
    channel = ScriptedChannel()
    held = message(2, due_us=NOON_ISH + 5 * MINUTE, user_id="bob")
    await offer(world.state, [held])
    await world.outbox.add([held], NOON_ISH)
    async with sending(world, {"email": channel}, poll_seconds=0.01):
        await until(lambda: len(channel.taken) == 1)
        world.clock.now_us = held.due_us
        await until(lambda: channel.taken == ["i-3-1-0.email", "i-3-2-0.email"])


async def test_no_more_than_allowed_are_under_way_and_a_slow_channel_holds_back_no_other(world: World) -> None:
    gate = asyncio.Event()
    slow, quick = ScriptedChannel(), ScriptedChannel()
    slow.gate = gate.wait
    messages = [message(n, channel, user_id=f"u{n}") for n in range(2, 32) for channel in ("email", "chat")]
    await offer(world.state, messages)
    await world.outbox.add(messages, NOON_ISH)
    async with sending(world, {"email": slow, "chat": quick}, concurrency=3) as sender:
        await until(lambda: len(quick.taken) == 30)
        assert slow.most_at_once == 3
        assert len(slow.calls) == 3
        assert sum(len(worker._under_way) for worker in sender._workers) == 3
        gate.set()
        await until(lambda: len(slow.taken) == 31)
        assert slow.most_at_once == 3


async def test_what_is_under_way_ends_before_the_sender_does_however_often_it_is_cancelled(world: World) -> None:
    gate, channel = asyncio.Event(), ScriptedChannel()
    channel.gate = gate.wait
    sender = DeliveryWorkers(
        world.outbox, {"email": channel}, world.state, SilentDeliveryObserver(), world.clock, lambda: 1.0, concurrency=4
    )
    running = asyncio.create_task(sender.run())
    await until(lambda: channel.calls)
    for _ in range(3):
        running.cancel()
        await asyncio.wait([running], timeout=0.01)
    assert not running.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await world.delivery()).state is DeliveryState.SENT


async def test_a_fault_of_one_message_is_logged_and_the_others_go(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    channel = ScriptedChannel(ZeroDivisionError())
    other = message(2, user_id="bob")
    await offer(world.state, [other])
    await world.outbox.add([other], NOON_ISH)
    async with sending(world, {"email": channel}, concurrency=1):
        await until(lambda: len(channel.taken) == 1)
    assert "ZeroDivisionError" in caplog.text


async def test_the_sender_outlives_a_store_that_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, away = world.outbox.claim, 3

    async def claim(channel: str, now_us: int, limit: int, lease_us: int) -> list[Claimed]:
        nonlocal away
        away -= 1
        if away >= 0:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "away")
        return await whole(channel, now_us, limit, lease_us)

    monkeypatch.setattr(world.outbox, "claim", claim)
    channel = ScriptedChannel()
    async with sending(world, {"email": channel}, poll_seconds=0.01):
        await until(lambda: len(channel.taken) == 1)


async def test_a_fault_of_the_outbox_ends_the_sender(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def claim(channel: str, now_us: int, limit: int, lease_us: int) -> list[Claimed]:
        raise ZeroDivisionError

    channels = {"email": ScriptedChannel(), "chat": ScriptedChannel()}
    sender = DeliveryWorkers(
        world.outbox, channels, world.state, SilentDeliveryObserver(), world.clock, lambda: 1.0, concurrency=1
    )
    monkeypatch.setattr(world.outbox, "claim", claim)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(sender.run(), 10)


async def test_two_senders_over_redis_send_each_message_once(valkey: redis.Client) -> None:
    clock, outbox = ManualClock(), RedisOutbox(valkey, 3600)
    state = RedisState(valkey, "intervention", 3600)
    messages = [message(n, "chat", user_id=f"u{n}") for n in range(60)]
    await offer(state, messages)
    await outbox.add(messages, NOON_ISH)
    channels = [ScriptedChannel() for _ in range(2)]
    senders = [
        DeliveryWorkers(outbox, {"chat": each}, state, SilentDeliveryObserver(), clock, lambda: 0.5, concurrency=4)
        for each in channels
    ]
    running = [asyncio.create_task(each.run()) for each in senders]
    await until(lambda: sum(len(each.taken) for each in channels) >= 60)
    for each in running:
        each.cancel()
    await asyncio.wait(running)
    taken = [key for each in channels for key in each.taken]
    assert sorted(taken) == sorted(each.key for each in messages)
    delivered = await outbox.deliveries([each.intervention_id for each in messages])
    assert {one.state for each in delivered for one in each} == {DeliveryState.SENT}


async def test_a_webhook_that_is_down_and_comes_back_hears_of_every_message_once(world: World) -> None:
    messages = [message(n, "chat", user_id=f"u{n}") for n in range(10)]
    await offer(world.state, messages)
    await world.outbox.add(messages, NOON_ISH)
    async with Receiver().serving() as receiver, webhook.client() as client:
        receiver.script = [Answer(500), Answer(503), Answer(200)]
        channel = WebhookChannel(webhook.Webhook(client, receiver.url, b"s", world.clock))
        deliverer = Deliverer(world.outbox, world.state, SilentDeliveryObserver(), world.clock, lambda: 0.5)
        for _ in range(3):
            for each in await world.outbox.claim("chat", world.clock(), 10, LEASE_US):
                await deliverer.deliver(each, channel)
            world.clock.now_us += 10 * SECOND
    keys = [request.headers["idempotency-key"] for request in receiver.received]
    assert len(keys) == 12
    assert len(set(keys)) == 10


def test_a_channel_rests_after_failures_in_a_row_and_is_then_tried_once() -> None:
    backoff, bad, good = ChannelBackoff(lambda: 1.0), AttemptResult(is_good=False), AttemptResult(is_good=True)
    for _ in range(2):
        backoff.tried(bad, 0)
        assert backoff.room(0, 8) == 8
    for _ in range(6):
        backoff.tried(bad, 0)
    assert (backoff.room(0, 8), backoff.rest_seconds(0)) == (0, 1)
    assert backoff.room(1, 8) == 1
    rests, now = [], 1.0
    for _ in range(8):
        backoff.tried(bad, now)
        rests.append(backoff.rest_seconds(now))
        now += rests[-1]
    assert rests == [2, 4, 8, 16, 32, 60, 60, 60]
    backoff.tried(good, now)
    assert backoff.room(now, 8) == 8


def test_a_channel_is_left_alone_for_as_long_as_it_asks() -> None:
    backoff = ChannelBackoff(lambda: 1.0)
    backoff.tried(AttemptResult(is_good=False, retry_after_us=30 * SECOND), 5)
    assert (backoff.room(34.9, 8), backoff.room(35, 8)) == (0, 8)


def test_waiting_times_double_to_five_minutes_and_are_drawn_from_their_later_half() -> None:
    assert [delivery.wait_us(n, 1.0) // SECOND for n in (1, 2, 3, 9, 10, 100)] == [1, 2, 4, 256, 300, 300]
    assert delivery.wait_us(3, 0.0) == 2 * SECOND
