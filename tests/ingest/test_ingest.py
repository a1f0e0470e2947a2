"""Ingest from the RPC to the stream and on through the dispatcher, over memory adapters and real gRPC."""

import asyncio
import contextlib
from typing import Any

import pytest
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.ingest.v1 import ingest_pb2
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from mesh.observability import telemetry
from mesh.stream.port import BEGINNING, Entry
from tests.builders import NOW_US, SECOND_US, event
from tests.ingest.harness import ACCEPTED, DUPLICATE, OWNER, REJECTED, running
from tests.ingest.peers import recording


async def test_every_event_gets_a_verdict_of_its_own() -> None:
    async with running() as harness:
        first = await harness.accept(event("a"), event("b", user_id=""), event("a"), event("c", page=""), event("d"))
        assert first.verdicts == [ACCEPTED, REJECTED, DUPLICATE, REJECTED, ACCEPTED]
        assert [rejection.event_index for rejection in first.rejections] == [1, 3]
        assert first.rejections[0].reason == error_reason_pb2.ERROR_REASON_MISSING_FIELD
        second = await harness.accept(event("d"), event("e"))
        assert second.verdicts == [DUPLICATE, ACCEPTED]
        await harness.dispatch()
        assert sorted(harness.applied()) == ["a", "d", "e"]


OTHERS: dict[str, dict[str, Any]] = {
    "another user": {"user_id": "bob"},
    "another kind": {"kind": "error"},
    "another page": {"page": "/other"},
    "other properties": {"properties": b'{"n": 2}'},
}


@pytest.mark.parametrize("other", OTHERS)
async def test_an_event_that_uses_the_id_of_another_is_told_so(other: str) -> None:
    async with running() as harness:
        again = event("a", **OTHERS[other])
        answer = await harness.accept(event("a"), event("b"), event("a"), again, event("c", time_zone="Mars"))
        assert answer.verdicts == [ACCEPTED, ACCEPTED, DUPLICATE, DUPLICATE, ACCEPTED]
        assert [(one.event_index, one.member) for one in answer.warnings] == [(3, "eventId"), (4, "context.timeZone")]


async def test_a_bad_event_does_not_spend_its_id() -> None:
    async with running() as harness:
        assert (await harness.accept(event("a", page=""), event("a"))).verdicts == [REJECTED, ACCEPTED]


async def test_a_user_s_events_stay_in_order() -> None:
    async with running() as harness:
        for start in range(0, 60, 20):
            await harness.accept(*[event(f"{number:02}", f"user-{number % 5}") for number in range(start, start + 20)])
        await harness.dispatch()
        for user in range(5):
            mine = [one for one in harness.applied() if int(one) % 5 == user]
            assert mine == sorted(mine)
        assert len(harness.applied()) == 60


async def test_events_are_stamped_before_they_are_on_the_stream() -> None:
    async with running() as harness:
        await harness.accept(event("a", platform=event_pb2.PLATFORM_WEB, user_agent="Googlebot/2.1"))
        await harness.dispatch()
        (applied,) = harness.events()
        assert applied.is_bot
        assert applied.received_time_us == NOW_US


async def test_a_batch_goes_through_the_steps_in_order_and_playback_only_where_there_is_some() -> None:
    async with running() as harness:
        beat = event_pb2.Playback(video_id="v", action=event_pb2.PLAYBACK_ACTION_HEARTBEAT, position_seconds=1)
        await harness.accept(event("a"), event("b", kind="video_playback", playback=beat), event("c"))
        await harness.dispatch()
        assert [step for step, _ in harness.steps.log] == ["video", "features", "scoring", "intervention"]
        assert harness.applied("video") == ["b"]
        features = harness.steps.requests[1]
        assert [(update.row, update.score) for update in features.engagements] == [(1, 50.0)]
        decided = harness.steps.requests[3]
        assert list(decided.event_indexes) == [0, 1, 2]
        assert (list(decided.decided_rows), list(decided.decisions)) == ([2], [0, 0, 0])
        assert [assessment.score for assessment in decided.assessments] == [80.0]


async def test_purchases_come_last_without_those_of_bots_and_by_the_ids_of_their_originals() -> None:
    paid = event_pb2.Purchase(
        amount=5, currency="EUR", order_id="o-1", lines=[event_pb2.OrderLine(product_id="p", quantity=1)]
    )
    copied = event("own", kind="purchase", purchase=paid, copied_event_id="b")
    async with running() as harness:
        await harness.accept(
            event("a"),
            event("b", kind="purchase", purchase=paid),
            event("c", kind="purchase", purchase=paid, user_agent="Googlebot/2.1"),
        )
        record = event_pb2.EventRecord(events=[copied]).SerializeToString()
        await harness.stream.append([Entry(harness.stream.ordering_group("ada"), record)])
        await harness.dispatch()
        assert [step for step, _ in harness.steps.log][-2:] == ["intervention", "customers"]
        assert harness.applied("customers") == ["b", "b"]
        (row, _) = harness.steps.requests[-1].purchases
        assert (row.user_id, row.event_time_us, row.purchase) == ("ada", NOW_US, paid)


async def test_a_copy_on_the_stream_is_applied_once_whichever_was_claimed() -> None:
    async with running() as harness:
        await harness.accept(event("a"))
        # A crash between append and claim: the client's retry stands on the stream a second time.
        copy = event_pb2.EventRecord(events=[event("a"), event("b")]).SerializeToString()
        await harness.stream.append([Entry(harness.stream.ordering_group("ada"), copy)])
        await harness.dispatch()
        assert harness.applied() == ["a", "b"]
        assert list(harness.steps.requests[-1].event_indexes) == [0, 1]


async def test_a_repeated_batch_is_sent_again_and_the_checkpoint_comes_last() -> None:
    fails = iter([True])

    def fault(step: str, request: Any) -> None:
        if step == "intervention" and next(fails, False):
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "Gone.")

    async with running(recording(fault)) as harness:
        await harness.accept(event("a"))
        shard = (await harness.receipt("a")).position.shard
        # Retries of the channel may already bring it through; the stream's place is kept in both cases.
        with contextlib.suppress(Unavailable):
            await harness.advance(shard)
        await harness.advance(shard)
        assert set(harness.applied()) == {"a"}
        assert await harness.leases.checkpoint(shard) > BEGINNING
        assert harness.applied("intervention") == ["a"]


async def test_a_service_that_hangs_is_told_of_at_its_first_failure_and_with_how_late_it_is() -> None:
    tries = iter(range(10))
    second = asyncio.Event()

    def fault(step: str, request: Any) -> None:
        if step == "features":
            harness.time.now_us += 20 * SECOND_US
            if next(tries) == 1:
                second.set()
            raise DeadlineExceeded("DEADLINE_TOO_SHORT", "Too late.")

    async with running(recording(fault)) as harness:
        await harness.accept(event("a"))
        shard = (await harness.receipt("a")).position.shard
        lease = await harness.leases.acquire(shard, OWNER)
        assert lease is not None
        following = asyncio.create_task(harness.dispatcher.follow(lease))
        await second.wait()
        standing = (await harness.leases.standings())[shard]
        following.cancel()
        assert standing.trouble == "Too late."
        assert standing.lag_seconds == 20


async def test_a_record_that_cannot_be_applied_is_set_aside_and_the_others_go_on() -> None:
    def fault(step: str, request: Any) -> None:
        if step == "scoring" and "poison" in request.user_ids:
            raise ValueError("poison")

    async with running(recording(fault)) as harness:
        group = harness.stream.ordering_group("poison")
        users = [f"u{number}" for number in range(99) if harness.stream.ordering_group(f"u{number}") == group][:2]
        await harness.accept(event("a", users[0]))
        await harness.accept(event("bad", "poison"))
        await harness.accept(event("b", users[1]))
        await harness.dispatch()
        assert harness.applied("intervention") == ["a", "b"]
        receipt = await harness.receipt("bad")
        assert receipt.state == ingest_pb2.RECEIPT_STATE_FAILED
        assert receipt.reason == error_reason_pb2.ERROR_REASON_POISON


async def test_if_nothing_can_be_applied_it_stops_instead_of_setting_everything_aside() -> None:
    is_broken = True

    def fault(step: str, request: Any) -> None:
        if step == "scoring" and is_broken:
            raise InvalidArgument("INVALID_PARAMETER", "Another schema.")

    async with running(recording(fault)) as harness:
        for number in range(10):
            await harness.accept(event(f"{number}"))
        with pytest.raises(Unavailable, match="Paused: 10 of the last 10 records"):
            await harness.dispatch()
        assert await harness.failed.list(10, "") == ([], "")
        is_broken = False
        await harness.dispatch()
        assert harness.applied("intervention") == [f"{number}" for number in range(10)]


async def test_a_shard_pauses_rather_than_forget_what_was_set_aside_before() -> None:
    def fault(step: str, _request: Any) -> None:
        if step == "scoring":
            raise ValueError("poison")

    async with running(recording(fault)) as harness:
        harness.failed._most_failed = 0
        await harness.accept(event("bad"))
        with pytest.raises(Unavailable, match="Paused: the list of set-aside events is full"):
            await harness.dispatch()
        assert await harness.leases.checkpoint((await harness.receipt("bad")).position.shard) < 0
        harness.failed._most_failed = 1
        await harness.dispatch()
        assert [one.event_id for one in (await harness.failed.list(10, ""))[0]] == ["bad"]


async def test_a_stale_dispatcher_sets_nothing_aside() -> None:
    def fault(step: str, request: Any) -> None:
        raise FailedPrecondition("POSITION_STALE", "Lost.")

    async with running(recording(fault)) as harness:
        await harness.accept(event("a"))
        with pytest.raises(FailedPrecondition):
            await harness.dispatch()
        assert await harness.failed.list(10, "") == ([], "")


async def test_a_record_that_does_not_decode_is_set_aside() -> None:
    async with running() as harness:
        await harness.stream.append([Entry("0", b"\xff\xff\xff"), Entry("1", b"\xff\xff")])
        await harness.dispatch()
        ((failed, other), _) = await harness.failed.list(10, "")
        assert {failed.reason, other.reason} == {"POISON"}
        assert await harness.leases.checkpoint("0") > BEGINNING


async def test_receipts_tell_how_far_an_event_has_come() -> None:
    async with running() as harness:
        await harness.accept(event("a"), event("bad", page=""))
        buffered = await harness.receipt("a")
        assert buffered.state == ingest_pb2.RECEIPT_STATE_BUFFERED
        assert buffered.trace_id == bytes(range(16)).hex()
        assert buffered.received_time.ToMicroseconds() == NOW_US
        await harness.dispatch()
        assert (await harness.receipt("a")).state == ingest_pb2.RECEIPT_STATE_APPLIED
        failed = await harness.receipt("bad")
        assert failed.state == ingest_pb2.RECEIPT_STATE_FAILED
        assert failed.reason == error_reason_pb2.ERROR_REASON_MISSING_FIELD
        with pytest.raises(NotFound, match="EVENT_NOT_FOUND"):
            await harness.receipt("never")


async def test_a_bad_copy_does_not_unmake_a_good_event() -> None:
    async with running() as harness:
        await harness.accept(event("a"))
        await harness.accept(event("a", page=""))
        assert (await harness.receipt("a")).state == ingest_pb2.RECEIPT_STATE_BUFFERED


async def test_what_failed_is_kept_as_it_was_sent_and_can_be_resolved() -> None:
    async with running() as harness:
        unreadable = ingest_pb2.UnreadableEvent(
            reason=error_reason_pb2.ERROR_REASON_MALFORMED_JSON, detail="No JSON.", payload=b'{"userId": "\xff"'
        )
        await harness.accept(event("bad", page="", properties=b'{"k": [1]}', time_zone="UTC"), unreadable=[unreadable])
        listed = await harness.stub.ListFailedEvents(ingest_pb2.ListFailedEventsRequest())
        by_stage = {failed.stage: failed for failed in listed.failed_events}
        assert by_stage["gateway"].payload == '{"userId": "\ufffd"'
        assert by_stage["ingest"].payload == (
            '{"eventId":"bad","userId":"ada","eventType":"page_view","timestamp":"2026-01-02T10:00:00Z",'
            '"properties":{"k": [1]},"context":{"timeZone":"UTC"}}'
        )
        request = ingest_pb2.GetFailedEventRequest(id=by_stage["ingest"].id)
        assert (await harness.stub.GetFailedEvent(request)).failed_event.event_id == "bad"
        await harness.stub.ResolveFailedEvent(ingest_pb2.ResolveFailedEventRequest(id=by_stage["ingest"].id))
        with pytest.raises(NotFound, match="FAILED_EVENT_NOT_FOUND"):
            await harness.stub.GetFailedEvent(request)


async def test_too_large_a_batch_is_refused() -> None:
    async with running() as harness:
        with pytest.raises(InvalidArgument, match="REQUEST_TOO_LARGE"):
            await harness.accept(*[event(str(number)) for number in range(5_001)])


async def test_the_batch_s_span_is_in_the_trace_of_its_producer_or_linked_to_each() -> None:
    exporter = InMemorySpanExporter()
    observed = telemetry.exporting("test", exporter)
    async with running(observed_by=observed) as harness:
        await harness.accept(event("a"))
        await harness.dispatch()
        await harness.accept(event("b", trace_id=b"b" * 16), event("c", trace_id=b"c" * 16))
        await harness.dispatch()
    observed.provider.force_flush()
    alone, joined = [span for span in exporter.get_finished_spans() if span.name == "dispatch batch"]
    assert alone.context is not None
    assert alone.context.trace_id == int.from_bytes(bytes(range(16)), "big")
    assert alone.parent is not None
    assert alone.parent.span_id == int.from_bytes(bytes(range(8)), "big")
    assert joined.parent is None
    assert [link.context.trace_id.to_bytes(16, "big") for link in joined.links] == [b"b" * 16, b"c" * 16]
    served = [span for span in exporter.get_finished_spans() if span.kind.name == "SERVER"]
    assert {span.context.trace_id for span in served if span.context} >= {alone.context.trace_id}


@pytest.mark.parametrize("ratio", [0.0, 1.0])
async def test_a_batch_is_recorded_where_a_request_in_it_is(ratio: float) -> None:
    exporter = InMemorySpanExporter()
    observed = telemetry.exporting("test", exporter, ratio)
    async with running(observed_by=observed) as harness:
        await harness.accept(event("a", span_id=b""))
        await harness.accept(event("b", trace_id=b"b" * 16, span_id=b""))
        await harness.dispatch()
        observed.provider.force_flush()
        assert [span.name for span in exporter.get_finished_spans() if span.name == "dispatch batch"] == []
        await harness.accept(
            event("c", trace_id=b"c" * 16, span_id=b""),
            event("d", trace_id=b"d" * 16),
            event("e", trace_id=b"e" * 16, span_id=b""),
        )
        await harness.dispatch()
        await harness.accept(
            *(event(f"f{number}", trace_id=bytes([number]) * 16, span_id=b"") for number in range(1, 80)),
            event("g", trace_id=b"g" * 16),
            event("h", trace_id=b"h" * 16),
        )
        await harness.dispatch()
    observed.provider.force_flush()
    one, two = [span for span in exporter.get_finished_spans() if span.name == "dispatch batch"]
    assert one.parent is not None
    assert one.parent.trace_id.to_bytes(16, "big") == b"d" * 16
    assert two.parent is None
    assert [link.context.trace_id.to_bytes(16, "big") for link in two.links] == [b"g" * 16, b"h" * 16]
