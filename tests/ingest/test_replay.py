"""Failed events that are sent again: once, whatever breaks off and whoever calls twice."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import NotFound, Unavailable
from services.ingest.accept.domain.acceptance import Verdict
from services.ingest.accept.replaying import Replays
from services.ingest.events.domain.event import Event, failed_event_id, refused_event_id
from services.ingest.events.ports import Claim
from tests.builders import NOW_US, event
from tests.ingest.harness import ACCEPTED, DUPLICATE, OWNER, REJECTED, Harness, running
from tests.ingest.peers import applied_events, recording

Wrapped = Callable[[Any], Any]


def around(meet: Callable[[str, Callable[[], Any]], Any]) -> Wrapped:
    """Wraps ports so that every call of theirs goes through `meet`, with its name and what it does."""

    def wrap(port: Any) -> Any:
        class Met:
            def __getattr__(self, name: str) -> Any:
                async def call(*arguments: Any, **named: Any) -> Any:
                    return await meet(name, lambda: getattr(port, name)(*arguments, **named))

                return call

        return Met()

    return wrap


class Broken(Exception):
    """The process ended here."""


class Fuse:
    """Breaks off at one call of a port, before or after what it does."""

    def __init__(self) -> None:
        self.calls = 0
        self.breaks_at: int | None = None
        self.is_after = False

    async def meet(self, _name: str, do: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.calls != self.breaks_at:
            return await do()
        if self.is_after:
            await do()
        raise Broken


async def replay(harness: Harness, failed_id: str, again: event_pb2.Event | None = None) -> Verdict | None:
    """What is said of it; None where it is no longer on the list."""
    try:
        return (await Replays(harness.ingest).replay(failed_id, cast("Event", again or event("x")))).verdict
    except NotFound:
        return None


async def assert_applied_once(harness: Harness) -> None:
    await harness.dispatch()
    assert harness.applied().count("x") == 1
    assert await harness.failed.list(10, "") == ([], "")
    receipt = await harness.receipt("x")
    assert receipt.state == ingest_pb2.RECEIPT_STATE_APPLIED


async def count_calls() -> int:
    fuse = Fuse()
    async with running(around=around(fuse.meet)) as harness:
        await harness.accept(event("x"))
        failed_id = await harness.set_aside("x")
        fuse.calls = 0
        assert await replay(harness, failed_id) == Verdict.ACCEPTED
        return fuse.calls


@pytest.mark.parametrize("meanwhile", ["nothing", "the dispatcher goes on", "the client sends it again"])
async def test_a_replay_that_breaks_off_anywhere_is_applied_once_when_it_is_called_again(meanwhile: str) -> None:
    calls = await count_calls()
    assert calls >= 6
    for breaks_at in range(1, calls + 1):
        for is_after in (False, True):
            fuse = Fuse()
            async with running(around=around(fuse.meet)) as harness:
                await harness.accept(event("x"))
                failed_id = await harness.set_aside("x")
                fuse.calls, fuse.breaks_at, fuse.is_after = 0, breaks_at, is_after
                with pytest.raises(Broken):
                    await replay(harness, failed_id)
                if meanwhile == "the dispatcher goes on":
                    await harness.dispatch()
                elif meanwhile == "the client sends it again":
                    assert (await harness.accept(event("x"))).verdicts[0] in {ACCEPTED, DUPLICATE}
                is_on_list = bool((await harness.failed.list(10, ""))[0])
                assert (await replay(harness, failed_id) is not None) == is_on_list
                await assert_applied_once(harness)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(2, 3))
@settings(max_examples=40)
def test_replays_at_the_same_time_are_applied_once(pauses: list[int], callers: int) -> None:
    async def story() -> None:
        number = 0

        async def meet(_name: str, do: Callable[[], Any]) -> Any:
            nonlocal number
            number += 1
            for _ in range(pauses[number % len(pauses)]):
                await asyncio.sleep(0)
            answer = await do()
            for _ in range(pauses[-number % len(pauses)]):
                await asyncio.sleep(0)
            return answer

        async with running(around=around(meet)) as harness:
            await harness.accept(event("x"))
            failed_id = await harness.set_aside("x")
            verdicts = await asyncio.gather(*(replay(harness, failed_id) for _ in range(callers)))
            assert Verdict.ACCEPTED in verdicts
            await assert_applied_once(harness)

    asyncio.run(story())


async def test_a_claim_of_a_dispatcher_that_lost_its_shard_does_not_lose_the_event() -> None:
    is_late = True
    harness: Harness

    async def meet(name: str, do: Callable[[], Any]) -> Any:
        nonlocal is_late
        seen = (await harness.seen.find(["x"], NOW_US))[0] if name == "release" else None
        answer = await do()
        if seen is not None and is_late:
            is_late = False
            await harness.seen.claim([Claim("x", seen)])
        return answer

    async with running(around=around(meet)) as harness:
        await harness.accept(event("x"))
        failed_id = await harness.set_aside("x")
        with pytest.raises(Unavailable):
            await replay(harness, failed_id)
        assert await replay(harness, failed_id) == Verdict.ACCEPTED
        await assert_applied_once(harness)


async def test_what_fails_anew_before_it_is_struck_off_stays_on_the_list() -> None:
    harness: Harness

    async def meet(name: str, do: Callable[[], Any]) -> Any:
        if name == "strike_off":
            await harness.set_aside("x")
        return await do()

    async with running(around=around(meet)) as harness:
        await harness.accept(event("x"))
        failed_id = await harness.set_aside("x")
        assert await replay(harness, failed_id) == Verdict.ACCEPTED
        assert (await harness.receipt("x")).state == ingest_pb2.RECEIPT_STATE_FAILED
        assert len((await harness.failed.list(10, ""))[0]) == 1


async def test_before_the_dispatcher_has_gone_on_nothing_is_sent_again() -> None:
    async with running() as harness:
        await harness.accept(event("x"))
        failed_id = await harness.set_aside("x")
        lease = await harness.leases.acquire((await harness.receipt("x")).position.shard, OWNER)
        assert lease is not None
        await harness.leases.save(lease, -1, 0.0)
        with pytest.raises(Unavailable, match="still being dispatched"):
            await replay(harness, failed_id)
        assert (await harness.failed.find([failed_id]))[0] is not None


async def test_a_poison_event_is_replayed_over_the_wire_and_its_receipt_shows_the_new_place() -> None:
    is_broken = True

    def fault(step: str, request: Any) -> None:
        if step == "features" and is_broken and "x" in [each.event_id for each in applied_events(request)]:
            raise ValueError("poison")

    async with running(recording(fault)) as harness:
        await harness.accept(event("x"))
        await harness.dispatch()
        failed = await harness.receipt("x")
        assert failed.state == ingest_pb2.RECEIPT_STATE_FAILED
        is_broken = False
        request = ingest_pb2.ReplayFailedEventRequest(id=failed.failed_event_id, event=event("x"))
        assert (await harness.stub.ReplayFailedEvent(request)).verdict == ACCEPTED
        buffered = await harness.receipt("x")
        assert buffered.state == ingest_pb2.RECEIPT_STATE_BUFFERED
        assert int(buffered.position.sequence) > int(failed.position.sequence)
        await assert_applied_once(harness)
        with pytest.raises(NotFound, match="FAILED_EVENT_NOT_FOUND"):
            await harness.stub.ReplayFailedEvent(request)


async def test_a_refused_replay_stays_on_the_list_and_adds_nothing_to_it() -> None:
    async with running() as harness:
        await harness.accept(event("x", page=""))
        failed_id = refused_event_id("x", b"")
        request = ingest_pb2.ReplayFailedEventRequest(id=failed_id, event=event("x", user_id="u" * 129))
        answer = await harness.stub.ReplayFailedEvent(request)
        assert answer.verdict == REJECTED
        assert answer.rejection.reason == error_reason_pb2.ERROR_REASON_INVALID_IDENTIFIER
        (listed,) = (await harness.stub.ListFailedEvents(ingest_pb2.ListFailedEventsRequest())).failed_events
        assert (listed.id, listed.reason) == (failed_id, error_reason_pb2.ERROR_REASON_MISSING_FIELD)
        assert await replay(harness, failed_id) == Verdict.ACCEPTED
        await assert_applied_once(harness)


async def test_a_set_aside_event_that_is_mended_badly_keeps_its_place_and_receipt() -> None:
    async with running() as harness:
        await harness.accept(event("x"))
        failed_id = await harness.set_aside("x")
        before = await harness.receipt("x")
        assert await replay(harness, failed_id, event("x", page="")) == Verdict.REJECTED
        assert await harness.receipt("x") == before


async def test_what_had_no_id_gets_one_that_stays() -> None:
    async with running() as harness:
        payload = [
            ingest_pb2.UnreadableEvent(reason=error_reason_pb2.ERROR_REASON_INVALID_TYPE, payload=text)
            for text in (b"{", b"[")
        ]
        await harness.accept(unreadable=payload)
        listed, _ = await harness.failed.list(10, "")
        assert len({one.id for one in listed}) == 2
        nameless = event("", sent_time_us=NOW_US - 1)
        assert await replay(harness, listed[0].id, nameless) == Verdict.ACCEPTED
        assert (await harness.receipt(listed[0].id)).state == ingest_pb2.RECEIPT_STATE_BUFFERED


async def test_a_replay_does_not_take_the_delay_for_the_clock_s_error() -> None:
    async with running() as harness:
        await harness.accept(event("x", page=""))
        three_days_us = 3 * 24 * 3600 * 1_000_000
        old = event("x", event_time_us=NOW_US - three_days_us, sent_time_us=NOW_US - three_days_us)
        assert await replay(harness, refused_event_id("x", b""), old) == Verdict.ACCEPTED
        await harness.dispatch()
        assert harness.events()[0].event_time_us == NOW_US - three_days_us


async def test_a_refused_copy_does_not_replace_the_event_that_was_set_aside() -> None:
    async with running() as harness:
        await harness.accept(event("x"))
        failed_id = await harness.set_aside("x")
        await harness.accept(event("x", page=""))
        assert failed_id == failed_event_id("x", b"") != refused_event_id("x", b"")
        assert (await harness.receipt("x")).failed_event_id == failed_id
        assert len((await harness.failed.list(10, ""))[0]) == 2
