"""What happens to events when they are accepted: whose they are, who made them, and when there are too many."""

import asyncio
from typing import Any, cast

import pytest
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import ResourceExhausted, Unavailable
from mesh.leases.memory import MemoryLeases
from mesh.stream.port import END
from records.table import Table, of_events
from services.ingest.accept.adapters.progress import LeasePipeline, LeaseProgress
from services.ingest.accept.domain.rate_limit import UserRateLimiter
from services.ingest.accept.usecases import RETRY_SECONDS
from services.ingest.events.adapters.memory import MemoryFailedEvents
from services.ingest.events.domain.event import Event
from services.ingest.events.domain.own_ids import link_id
from tests.builders import MINUTE_US, NOW_US, SECOND_US, event
from tests.ingest.harness import ACCEPTED, DUPLICATE, OWNER, REJECTED, Harness, Time, running
from tests.ingest.test_replay import Broken, Fuse, around


def visit(event_id: str, user_id: str = "", kind: str = "page_view", **members: Any) -> event_pb2.Event:
    """An event with an anonymous id, as the gateway makes it: the id stands for the user where none was given."""
    return event(event_id, user_id or "a-1", kind, anonymous_id="a-1", **members)


def linked(event_id: str, user_id: str = "ada") -> str:
    """The id of the event that links the journey to a user, as an event gives it."""
    return link_id(cast("Event", visit(event_id, user_id)))


async def journeys(harness: Harness) -> dict[str, list[str]]:
    """The ids of all applied events by user."""
    await harness.dispatch()
    by_user: dict[str, list[str]] = {}
    for each in harness.events():
        by_user.setdefault(each.user_id, []).append(each.event_id)
    return by_user


async def test_an_anonymous_journey_ends_with_a_link_and_goes_on_as_the_user_s() -> None:
    async with running() as harness:
        await harness.accept(visit("1"), visit("2"))
        await harness.accept(visit("3"), visit("4", "ada", "identify"), visit("5"))
        await harness.accept(visit("6"))
        assert await journeys(harness) == {
            "a-1": ["1", "2", "3", linked("4")],
            "ada": ["4", "5", "6"],
        }
        later = {each.event_id: each for each in harness.events()}
        assert later["6"].anonymous_id == "a-1"
        linking = later[linked("4")]
        assert (linking.linked_user_id, linking.event_type) == ("ada", event_pb2.EVENT_TYPE_IDENTIFY)
        assert (linking.received_time_us, linking.trace_id) == (NOW_US, bytes(range(16)))


async def test_any_event_with_both_ids_links_and_a_known_pair_links_no_more() -> None:
    async with running() as harness:
        await harness.accept(visit("1", "ada"))
        await harness.accept(visit("2", "ada"), visit("3", "ada", "identify"))
        assert await journeys(harness) == {"a-1": [linked("1")], "ada": ["1", "2", "3"]}


async def test_on_a_shared_device_the_last_who_identified_counts() -> None:
    async with running() as harness:
        await harness.accept(visit("1", "ada", "identify"), visit("2"))
        await harness.accept(visit("3", "bob", "identify"), visit("4"))
        by_user = await journeys(harness)
        assert by_user["ada"] == ["1", "2"]
        assert by_user["bob"] == ["3", "4"]
        assert set(by_user["a-1"]) == {linked("1"), linked("3", "bob")}


async def test_a_refused_or_repeated_event_links_nothing() -> None:
    async with running() as harness:
        await harness.accept(visit("1"))
        await harness.accept(visit("1", "ada"), visit("2", "ada", page=""))
        assert await journeys(harness) == {"a-1": ["1"]}


async def test_an_accept_that_breaks_off_anywhere_links_and_applies_once_when_it_is_sent_again() -> None:
    for breaks_at in range(1, 20):
        for is_after in (False, True):
            fuse = Fuse()
            async with running(around=around(fuse.meet)) as harness:
                await harness.accept(visit("1"))
                fuse.calls, fuse.breaks_at, fuse.is_after = 0, breaks_at, is_after
                sent_us = NOW_US - SECOND_US

                def identify(sent_us: int = sent_us) -> Table:
                    return of_events([visit("2", "ada", "identify", sent_time_us=sent_us)])

                try:
                    await harness.ingest.accept(identify())
                except Broken:
                    await harness.ingest.accept(identify())
                    await harness.accept(visit("3"))
                    by_user = await journeys(harness)
                    assert by_user == {"a-1": ["1", linked("2")], "ada": ["2", "3"]}
                else:
                    assert breaks_at > 6  # there are no more calls to break off at
                    return


async def test_the_dispatcher_copies_the_last_session_into_the_user_s_journey_once() -> None:
    async with running() as harness:
        seen = [visit("1", event_time_us=NOW_US - MINUTE_US), visit("2", event_time_us=NOW_US - 5)]
        await harness.accept(*seen)
        await harness.dispatch()
        link = visit(linked("3"), "a-1", "identify", linked_user_id="ada")
        harness.steps.recent["a-1"] = [link, *seen[::-1]]
        await harness.accept(visit("3", "ada", "identify"))
        for _ in range(3):
            await harness.dispatch()
        copied = [each for each in harness.events() if each.copied_event_id]
        assert [(each.copied_event_id, each.user_id) for each in copied] == [("2", "ada"), ("1", "ada")]


async def test_scripts_are_marked_with_what_told_them_and_never_dropped() -> None:
    async with running(limiter=UserRateLimiter(200, 2_000)) as harness:
        web = event_pb2.PLATFORM_WEB
        await harness.accept(
            event("a", platform=web, user_agent="Googlebot/2.1"),
            event("b", platform=web, user_agent="Firefox", is_automated=True),
            event("c", platform=event_pb2.PLATFORM_BACKEND, is_automated=True),
            event("d", platform=web, user_agent="CUBOT X19", is_bot=True, bot_evidence="told"),
        )
        await harness.accept(*[event(f"{number}", "fast") for number in range(250)])
        await harness.dispatch()
        marks = {each.event_id: (each.is_bot, each.bot_evidence) for each in harness.events()}
        assert marks["a"] == (True, "user_agent:googlebot")
        assert marks["b"] == marks["c"] == (True, "client:automated")
        assert marks["d"] == marks["0"] == (False, "")
        assert marks["249"] == (True, "rate")
        assert len(marks) == 254


async def test_a_flood_is_refused_from_one_event_on_and_kept_nowhere() -> None:
    async with running(limiter=UserRateLimiter(10, 5)) as harness:
        flood = [event(f"{number}", "flood") for number in range(8)]
        answer = await harness.accept(*flood[:4], event("a"), *flood[4:], event("bad", page=""))
        assert answer.verdicts == [ACCEPTED] * 6 + [REJECTED] * 4
        reasons = [rejection.reason for rejection in answer.rejections]
        assert reasons == [error_reason_pb2.ERROR_REASON_RATE_LIMITED] * 3 + [
            error_reason_pb2.ERROR_REASON_MISSING_FIELD
        ]
        assert [one.event_id for one in (await harness.failed.list(10, ""))[0]] == ["bad"]
        again = await harness.accept(*flood)
        assert again.verdicts == [DUPLICATE] * 5 + [REJECTED] * 3
        harness.time.now_us += 300_000
        assert (await harness.accept(*flood)).verdicts == [DUPLICATE] * 5 + [ACCEPTED] * 3


async def test_what_repeats_an_event_of_a_flood_is_refused_as_well_and_not_told_to_be_there() -> None:
    async with running(limiter=UserRateLimiter(10, 2)) as harness:
        answer = await harness.accept(*(event(name, "flood") for name in ("1", "2", "3", "1", "3")))
        assert answer.verdicts == [ACCEPTED, ACCEPTED, REJECTED, DUPLICATE, REJECTED]
        assert [each.event_index for each in answer.rejections] == [2, 4]
        assert (await harness.receipt("1")).duplicate_count == 1


async def test_a_receipt_tells_when_it_was_applied_and_how_often_it_came_again() -> None:
    async with running() as harness:
        await harness.accept(event("a"), event("a"))
        buffered = await harness.receipt("a")
        assert not buffered.HasField("applied_time")
        assert buffered.duplicate_count == 1
        harness.time.now_us += 7
        await harness.dispatch()
        harness.time.now_us += MINUTE_US
        await harness.accept(event("b"))
        await harness.dispatch()
        await harness.accept(event("a"))
        applied = await harness.receipt("a")
        assert applied.applied_time.ToMicroseconds() == NOW_US + 7
        assert applied.duplicate_count == 2
        assert (await harness.receipt("b")).applied_time.ToMicroseconds() == NOW_US + 7 + MINUTE_US


async def lag(leases: MemoryLeases, shard: str, seconds: float) -> None:
    lease = await leases.acquire(shard, OWNER)
    assert lease is not None
    await leases.save(lease, 1, seconds)


async def until_read(progress: LeaseProgress) -> None:
    assert progress._reading is not None
    await progress._reading


async def test_what_the_dispatcher_cannot_keep_up_with_is_refused_before_anything_is_done() -> None:
    time = Time()
    leases = MemoryLeases(time)
    progress = LeaseProgress(leases, MemoryFailedEvents(), time)
    async with running(progress=progress) as harness:
        await lag(leases, "0", 11.0)
        await lag(leases, "1", 0.0)
        assert (await harness.accept(event("a"))).verdicts == [ACCEPTED]  # nothing is known yet
        await until_read(progress)
        time.now_us = harness.time.now_us = time.now_us + SECOND_US
        assert (await harness.accept(event("a2"))).verdicts == [ACCEPTED]  # nothing to compare with
        await until_read(progress)
        with pytest.raises(ResourceExhausted) as refused:
            await harness.accept(event("b"))
        assert (refused.value.reason, refused.value.retry_after_seconds) == ("BUFFER_FULL", RETRY_SECONDS)
        await lag(leases, "0", 9.0)
        time.now_us += SECOND_US
        harness.time.now_us = time.now_us
        with pytest.raises(ResourceExhausted):
            await harness.accept(event("b"))  # it is found out behind this one
        await until_read(progress)
        assert (await harness.accept(event("b"))).verdicts == [ACCEPTED]


async def test_a_dispatcher_that_catches_up_after_an_outage_does_not_stop_the_intake() -> None:
    time = Time()
    leases = MemoryLeases(time, time_to_live_seconds=60)
    progress = LeaseProgress(leases, MemoryFailedEvents(), time)
    by_user = []
    for seconds in (0.0, 600.0, 640.0, 500.0, 300.0, 20.0, 30.0, 40.0):
        await lag(leases, "0", seconds)
        progress.lag_seconds()
        await until_read(progress)
        by_user.append(progress.lag_seconds())
        time.now_us += SECOND_US
    assert by_user == [None, 600.0, 640.0, None, None, None, 30.0, 40.0]


async def test_what_an_outage_left_does_not_stop_the_intake_of_an_ingest_that_comes_back() -> None:
    time = Time()
    leases = MemoryLeases(time, time_to_live_seconds=600)
    progress = LeaseProgress(leases, MemoryFailedEvents(), time)
    await lag(leases, "0", 3600.0)  # the last batch that waited is applied, and nobody has looked again
    for _ in range(4):
        progress.lag_seconds()
        await until_read(progress)
        assert progress.lag_seconds() is None
        time.now_us += SECOND_US // 4


async def test_lag_is_read_four_times_a_second_and_not_told_when_it_is_old_or_nobody_dispatches() -> None:
    time, reads = Time(), 0
    leases = MemoryLeases(time, time_to_live_seconds=60)

    class Counted:
        def __getattr__(self, name: str) -> Any:
            return getattr(leases, name)

        async def standings(self) -> Any:
            nonlocal reads
            reads += 1
            if is_away:
                raise Unavailable("DEPENDENCY_UNAVAILABLE", "Gone.")
            return await leases.standings()

    is_away = False
    progress = LeaseProgress(cast("Any", Counted()), MemoryFailedEvents(), time)
    await lag(leases, "0", 3.0)
    for _ in range(2):
        assert progress.lag_seconds() is None
        await until_read(progress)
        time.now_us += SECOND_US
    reads = 1
    time.now_us -= SECOND_US
    for _ in range(100):
        assert progress.lag_seconds() == 3.0
        time.now_us += 10_000
        await asyncio.sleep(0)
    assert 4 <= reads <= 5
    is_away = True
    assert progress.lag_seconds() == 3.0
    await until_read(progress)
    time.now_us += 2 * SECOND_US
    assert progress.lag_seconds() is None
    await until_read(progress)
    is_away = False
    time.now_us += 60 * SECOND_US  # the lease has run out
    assert progress.lag_seconds() is None
    await until_read(progress)
    assert progress.lag_seconds() is None


async def test_the_pipeline_is_told_by_reader_and_shard() -> None:
    time = Time()
    dispatcher, archiver = MemoryLeases(time), MemoryLeases(time)
    await lag(dispatcher, "1", 2.5)
    for leases, checkpoint in ((dispatcher, END), (archiver, -1)):
        lease = await leases.acquire("0", "pod")
        assert lease is not None
        await leases.save(lease, checkpoint, 0.0)
        await leases.complain(lease, "Paused." if leases is archiver else "", 4.0)
    by_user = await LeasePipeline({"dispatcher": dispatcher, "archiver": archiver}).standings()
    assert [(each.consumer, each.shard) for each in by_user] == [
        ("archiver", "0"),
        ("dispatcher", "0"),
        ("dispatcher", "1"),
    ]
    async with running() as harness:
        await harness.accept(event("a"))
        await harness.dispatch()
        answer = await harness.stub.GetPipeline(ingest_pb2.GetPipelineRequest())
        shards = {each.shard: each for each in answer.standings}
        shard = (await harness.receipt("a")).position.shard
        assert shards[shard] == ingest_pb2.ShardStanding(
            reader="dispatcher", shard=shard, owner=OWNER, lease_epoch=1, checkpoint="0"
        )


async def test_a_closed_shard_is_told_as_ended_and_one_that_begins_without_a_checkpoint() -> None:
    async with running() as harness:
        ended, begun = await harness.leases.acquire("8", "x"), await harness.leases.acquire("9", "y")
        assert ended is not None
        assert begun is not None
        await harness.leases.save(ended, END, 0.0)
        await harness.leases.complain(begun, "Paused.", 5.0)
        by_user = (await harness.stub.GetPipeline(ingest_pb2.GetPipelineRequest())).standings
        assert list(by_user) == [
            ingest_pb2.ShardStanding(reader="dispatcher", shard="8", owner="x", lease_epoch=1, is_ended=True),
            ingest_pb2.ShardStanding(
                reader="dispatcher", shard="9", owner="y", lease_epoch=1, lag_seconds=5, trouble="Paused."
            ),
        ]


async def test_failed_events_are_listed_by_reason() -> None:
    async with running() as harness:
        await harness.accept(event("a", page=""), event("b", user_id="x" * 200), event("c", page="\n"))
        request = ingest_pb2.ListFailedEventsRequest(reason=error_reason_pb2.ERROR_REASON_MISSING_FIELD)
        listed = await harness.stub.ListFailedEvents(request)
        assert {one.event_id for one in listed.failed_events} == {"a", "c"}
        other = ingest_pb2.ListFailedEventsRequest(reason=error_reason_pb2.ERROR_REASON_POISON)
        assert not (await harness.stub.ListFailedEvents(other)).failed_events
