"""The outbox port over every adapter."""

import asyncio

import pytest

from mesh.errors import Unavailable
from mesh.store import redis
from services.intervention.delivery.adapters.outbox_memory import MemoryOutbox
from services.intervention.delivery.adapters.outbox_redis import RedisOutbox, _key
from services.intervention.delivery.domain import delivery
from services.intervention.delivery.domain.delivery import DeliveryState
from services.intervention.delivery.ports import Backlog, Claimed, Outbox
from tests.conftest import free_port
from tests.intervention.messages import MINUTE, NOON_ISH, SECOND, message

LEASE = 60 * SECOND
LATER = NOON_ISH + LEASE


@pytest.fixture(params=["memory", "redis"])
async def outbox(request: pytest.FixtureRequest, valkey: redis.Client) -> Outbox:
    return MemoryOutbox() if request.param == "memory" else RedisOutbox(valkey, lifetime_seconds=3600)


async def claim(outbox: Outbox, now_us: int = NOON_ISH, limit: int = 10, channel: str = "email") -> list[Claimed]:
    return await outbox.claim(channel, now_us, limit, LEASE)


def names(claimed: list[Claimed]) -> list[str]:
    return [each.entry.message.intervention_id for each in claimed]


async def test_what_is_added_comes_up_once_when_it_is_due_the_longest_due_first(outbox: Outbox) -> None:
    due = {1: 5, 2: 0, 3: 7, 4: 20}
    await outbox.add([message(n, due_us=NOON_ISH + at * SECOND) for n, at in due.items()], NOON_ISH)
    assert names(await claim(outbox)) == ["i-3-2-0"]
    assert await claim(outbox) == []
    later = await claim(outbox, NOON_ISH + 10 * SECOND)
    assert names(later) == ["i-3-1-0", "i-3-3-0"]
    assert later[0] == Claimed(
        delivery.new_entry(message(1, due_us=NOON_ISH + 5 * SECOND)), NOON_ISH + 10 * SECOND + LEASE
    )


async def test_channels_are_apart_and_a_claim_takes_no_more_than_asked(outbox: Outbox) -> None:
    await outbox.add([message(n, channel) for n in range(1, 6) for channel in ("email", "chat")], NOON_ISH)
    assert names(await claim(outbox, limit=2)) == ["i-3-1-0", "i-3-2-0"]
    assert len(await claim(outbox, channel="chat")) == 5
    assert await claim(outbox, channel="push") == []
    assert len(await claim(outbox)) == 3


async def test_the_backlog_is_what_has_not_come_to_an_end_and_when_it_comes_up(outbox: Outbox) -> None:
    assert await outbox.backlog("email") == Backlog(0, None)
    await outbox.add([message(1, due_us=NOON_ISH), message(2, due_us=LATER + 1), message(3, "chat")], NOON_ISH)
    assert await outbox.backlog("email") == Backlog(2, NOON_ISH)
    (claimed,) = await claim(outbox)
    assert await outbox.backlog("email") == Backlog(2, LATER)
    await outbox.update(claimed, delivery.sent(claimed.entry, "", NOON_ISH), None)
    assert await outbox.backlog("email") == Backlog(1, LATER + 1)


async def test_many_who_claim_at_once_share_what_is_due(outbox: Outbox) -> None:
    await outbox.add([message(n) for n in range(40)], NOON_ISH)
    shares = await asyncio.gather(*(claim(outbox, limit=7) for _ in range(8)))
    found = [name for share in shares for name in names(share)]
    assert len(found) == len(set(found)) == 40


async def test_a_message_that_nobody_can_read_keeps_no_other(valkey: redis.Client) -> None:
    outbox = RedisOutbox(valkey, lifetime_seconds=3600)
    await outbox.add([message(1), message(2)], NOON_ISH)
    await valkey.set(_key("email", "i-3-1-0"), b"\x92\x01")
    assert names(await claim(outbox)) == ["i-3-2-0"]
    assert (await outbox.backlog("email")).message_count == 2  # a newer version may know it
    await outbox.cancel(["i-3-1-0"], NOON_ISH, "withdrawn")
    assert await outbox.deliveries(["i-3-1-0"]) == [[]]


async def test_adding_again_changes_nothing_before_and_after_the_end(outbox: Outbox) -> None:
    await outbox.add([message()], NOON_ISH)
    (first,) = await claim(outbox)
    await outbox.add([message(text="other")], NOON_ISH)
    assert await claim(outbox) == []
    sent = delivery.sent(delivery.begun(first.entry, "ses", NOON_ISH), "m-1", NOON_ISH)
    assert await outbox.update(first, sent, None)
    await outbox.add([message(text="other")], LATER)
    assert await claim(outbox, LATER) == []
    ((deliveries,),) = await outbox.deliveries(["i-3-1-0"])
    assert deliveries == delivery.Delivery("email", DeliveryState.SENT, 1, NOON_ISH, "ses", "m-1", "", "i-3-1-0.email")


async def test_what_a_claimer_left_comes_up_again_after_the_lease(outbox: Outbox) -> None:
    await outbox.add([message()], NOON_ISH)
    (first,) = await claim(outbox)
    assert await claim(outbox, LATER - 1) == []
    (second,) = await claim(outbox, LATER)
    assert second.entry == first.entry
    begun = delivery.begun(first.entry, "ses", LATER)
    assert not await outbox.update(first, begun, LATER + LEASE)
    assert await outbox.update(second, begun, LATER + LEASE)


async def test_an_update_that_comes_again_answers_as_the_first(outbox: Outbox) -> None:
    await outbox.add([message()], NOON_ISH)
    (first,) = await claim(outbox)
    begun = delivery.begun(first.entry, "ses", NOON_ISH + 1)
    assert [await outbox.update(first, begun, LATER + 1) for _ in range(2)] == [True, True]
    assert await claim(outbox, LATER) == []
    held = Claimed(begun, LATER + 1)
    failed = delivery.failed(begun, "bad_address", NOON_ISH + 2, is_doubtful=False)
    assert [await outbox.update(held, failed, None) for _ in range(2)] == [True, True]
    assert not await outbox.update(held, delivery.sent(begun, "m-1", NOON_ISH + 3), None)
    assert await claim(outbox, NOON_ISH + 100 * LEASE) == []


async def test_what_is_put_off_comes_up_at_its_time(outbox: Outbox) -> None:
    await outbox.add([message()], NOON_ISH)
    (first,) = await claim(outbox)
    put_off = delivery.deferred(first.entry, "throttled", NOON_ISH + SECOND, is_doubtful=False)
    assert await outbox.update(first, put_off, NOON_ISH + SECOND)
    assert await claim(outbox, NOON_ISH + SECOND - 1) == []
    (second,) = await claim(outbox, NOON_ISH + SECOND)
    assert second.entry == put_off
    ((deliveries,),) = await outbox.deliveries(["i-3-1-0"])
    assert (deliveries.state, deliveries.reason, deliveries.update_us) == (
        DeliveryState.WAITING,
        "throttled",
        NOON_ISH + SECOND,
    )


async def test_cancelling_ends_all_channels_at_once_and_brings_them_up_to_be_filed(outbox: Outbox) -> None:
    held_us = NOON_ISH + 20 * MINUTE
    await outbox.add([message(1, "email", due_us=held_us), message(1, "chat"), message(2)], NOON_ISH)
    (chat,) = await claim(outbox, channel="chat")
    await outbox.cancel(["i-3-1-0", "i-3-9-0"], NOON_ISH + 1, "answered")
    assert not await outbox.update(chat, delivery.begun(chat.entry, "webhook", NOON_ISH + 2), LATER)
    for channel in ("email", "chat"):
        found = await claim(outbox, NOON_ISH + 1, channel=channel)
        mine = next(each for each in found if each.entry.message.intervention_id == "i-3-1-0")
        assert (mine.entry.state, mine.entry.reason) == (DeliveryState.CANCELLED, "answered")
        assert await outbox.update(mine, mine.entry, None)
    deliveries = await outbox.deliveries(["i-3-1-0", "i-3-2-0", "i-3-9-0"])
    assert [[(one.channel, one.state) for one in each] for each in deliveries] == [
        [("chat", DeliveryState.CANCELLED), ("email", DeliveryState.CANCELLED)],
        [("email", DeliveryState.WAITING)],
        [],
    ]


async def test_cancelling_leaves_what_is_done_or_in_doubt(outbox: Outbox) -> None:
    await outbox.add([message(1), message(2)], NOON_ISH)
    one, two = await claim(outbox)
    assert await outbox.update(one, delivery.begun(one.entry, "ses", NOON_ISH), LATER)
    sent = delivery.sent(delivery.begun(two.entry, "ses", NOON_ISH), "m", NOON_ISH)
    assert await outbox.update(two, sent, None)
    await outbox.cancel(["i-3-1-0", "i-3-2-0"], NOON_ISH, "answered")
    deliveries = await outbox.deliveries(["i-3-1-0", "i-3-2-0"])
    assert [one.state for each in deliveries for one in each] == [DeliveryState.WAITING, DeliveryState.SENT]
    assert await claim(outbox) == []


async def test_nothing_asked_is_nothing_done(outbox: Outbox) -> None:
    await outbox.add([], NOON_ISH)
    await outbox.cancel([], NOON_ISH, "answered")
    assert await outbox.deliveries([]) == []
    assert await claim(outbox) == []


async def test_in_redis_a_batch_is_one_script_a_channel_and_all_of_it_passes(server: redis.Client) -> None:
    outbox = RedisOutbox(server, lifetime_seconds=3600)
    await outbox.add([message(0)], NOON_ISH)
    before = (await server.info("commandstats"))["cmdstat_evalsha"]["calls"]
    await outbox.add([message(n, channel) for n in range(1, 201) for channel in ("email", "chat")], NOON_ISH)
    assert (await server.info("commandstats"))["cmdstat_evalsha"]["calls"] - before == 2
    keys = [key async for key in server.scan_iter("jm:intervention:{*}:outbox:*")]
    assert len(keys) == 401 + 2
    index = f"jm:intervention:{{{redis.partition('email')}}}:outbox:email"
    lifetime = await server.ttl(f"{index}:i-3-1-0")
    assert 3600 + 1800 - 10 < lifetime <= 3600 + 1800
    (first, *_) = await claim(outbox, limit=1)
    assert await outbox.update(first, delivery.begun(first.entry, "ses", NOON_ISH), LATER)
    assert await server.ttl(f"{index}:{first.entry.message.intervention_id}") > 3600


async def test_in_redis_what_has_passed_leaves_the_index(valkey: redis.Client) -> None:
    outbox = RedisOutbox(valkey, lifetime_seconds=3600)
    await outbox.add([message(1), message(2)], NOON_ISH)
    index = f"jm:intervention:{{{redis.partition('email')}}}:outbox:email"
    await valkey.delete(f"{index}:i-3-1-0")
    assert names(await claim(outbox)) == ["i-3-2-0"]
    assert await valkey.zrange(index, 0, -1) == [b"i-3-2-0"]


async def test_a_store_that_is_away_is_unavailable() -> None:
    client = redis.connect(f"redis://127.0.0.1:{free_port()}/0")
    outbox = RedisOutbox(client, lifetime_seconds=3600)
    gone = Claimed(delivery.new_entry(message()), LATER)
    for call in (
        outbox.add([message()], NOON_ISH),
        outbox.cancel(["i-3-1-0"], NOON_ISH, "answered"),
        outbox.claim("email", NOON_ISH, 1, LEASE),
        outbox.update(gone, gone.entry, None),
        outbox.deliveries(["i-3-1-0"]),
    ):
        with pytest.raises(Unavailable):
            await call
    await client.aclose()


async def test_what_is_removed_never_comes_up_and_is_not_noted(outbox: Outbox) -> None:
    await outbox.add([message(1), message(1, "chat"), message(2)], NOON_ISH)
    (claimed, *_) = await claim(outbox)
    await outbox.remove([claimed.entry.message.intervention_id, "unknown"])
    assert not await outbox.update(claimed, delivery.sent(claimed.entry, "", NOON_ISH), None)
    assert names(await claim(outbox, LATER)) == ["i-3-2-0"]
    assert await claim(outbox, channel="chat") == []
    assert await outbox.deliveries(["i-3-1-0"]) == [[]]
    await outbox.remove([])
