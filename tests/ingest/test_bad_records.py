"""No record ends the dispatcher: what cannot be read or applied is set aside, and the shard goes on."""

import asyncio
import contextlib
import logging
from typing import Any

import pytest
from journeymesh.common.v1 import error_reason_pb2, event_pb2, event_table_pb2

from mesh.store import redis
from mesh.stream.port import BEGINNING, Entry
from mesh.stream.redis import RedisStream
from records import wire
from records.table import of_events
from services.ingest.dispatch import parts
from services.ingest.events.translation.records import decoded
from tests.builders import NOW_US, event
from tests.ingest.harness import OWNER, REJECTED, Harness, running

WORDS = "what ada wrote"


def record(*events: event_pb2.Event) -> bytes:
    return event_pb2.EventRecord(events=events).SerializeToString()


def identify(properties: bytes, **members: Any) -> event_pb2.Event:
    return event("bad", kind="identify", properties=properties, **members)


def table(*events: event_pb2.Event, later_us: int = 0, page: str = "/p") -> bytes:
    """A record as it is written now; the events happened so much later than they tell, all on one page."""
    logged = wire.encoded(of_events(events))
    logged.event_time_us.first_us += later_us
    logged.page.CopyFrom(event_table_pb2.Words(words=[page]))
    return event_table_pb2.StreamRecord(table=logged, format_version=1).SerializeToString()


UNREADABLE = {
    "no protobuf": b"\xff\xff",
    "empty, as an entry without the field": b"",
    "without events": record(),
    "received before 1970": record(event("bad", received_time_us=-1)),
    "received before 1970 among others": record(event("good"), event("bad", received_time_us=-(1 << 63))),
    "received in the year 2300": record(event("bad", received_time_us=1 << 60)),
    "a time of more than 64 bits": table(
        event("1"), event("2", event_time_us=NOW_US + 1), later_us=(1 << 63) - 1 - NOW_US
    ),
    "a word of 50 KB in 10,000 rows": table(*(event(str(number)) for number in range(10_000)), page="p" * 50_000),
    "70,000 events": record(*(event_pb2.Event(event_id=str(number), user_id="n") for number in range(70_000))),
}


@pytest.mark.parametrize("payload", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_record_that_cannot_be_read_is_set_aside_and_the_shard_goes_on(payload: bytes) -> None:
    async with running() as harness:
        await harness.accept(event("before"))
        group = harness.stream.ordering_group("ada")
        await harness.stream.append([Entry(group, payload)])
        await harness.accept(event("after"))
        await harness.dispatch()
        assert harness.applied("intervention") == ["before", "after"]
        ((failed,), _) = await harness.failed.list(10, "")
        assert (failed.reason, failed.payload) == ("POISON", payload)


APPLIED = {
    "a contact that is no UTF-8": identify(b'{"email":"\xff\xfe"}'),
    "a name that is no UTF-8": identify(b'{"\xff":"a"}'),
    "half a letter": identify(b'{"email":"\xc3"}'),
    "no JSON": identify(b"\xff"),
    "in the year -2000": event("bad", event_time_us=-(10**17)),
    "in the year 300000": event("bad", event_time_us=1 << 63 - 1),
}


@pytest.mark.parametrize("odd", APPLIED.values(), ids=APPLIED)
async def test_an_odd_event_on_the_stream_ends_nobody(odd: event_pb2.Event) -> None:
    async with running() as harness:
        await harness.stream.append([Entry(harness.stream.ordering_group("ada"), record(odd)) for _ in range(1)])
        await harness.accept(event("after"))
        await harness.dispatch()
        assert harness.applied("intervention") == ["bad", "after"]


@pytest.mark.parametrize(
    "properties", [b'{"email":"\xff\xfe"}', b'{"\xff":1}', b'{"a":"\xc3"}', b'{"a":{"b":["\xed\xa0\x80"]}}', b'"\xff"']
)
async def test_properties_that_are_no_utf_8_are_refused_at_the_face(properties: bytes) -> None:
    async with running() as harness:
        answer = await harness.accept(identify(properties))
        assert answer.verdicts == [REJECTED]
        assert answer.rejections[0].reason == error_reason_pb2.ERROR_REASON_MALFORMED_JSON


async def test_a_fault_of_the_dispatcher_itself_sets_the_record_aside_and_is_logged_without_the_user_s_words(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def decide_request(_position: Any, rows: Any, *_: Any) -> Any:
        if any(each.event_id == "bad" for each in rows.events):
            raise LookupError(WORDS)
        return real(_position, rows, *_)

    real = parts.__dict__["Steps"].apply.__globals__["decide_request"]
    async with running() as harness:
        monkeypatch.setitem(parts.__dict__["Steps"].apply.__globals__, "decide_request", decide_request)
        for name in ("a", "bad", "b"):
            await harness.accept(event(name))
        await harness.dispatch()
        assert harness.applied("intervention") == ["a", "b"]
        ((failed,), _) = await harness.failed.list(10, "")
        assert failed.event_id == "bad"
    logged = [one.getMessage() for one in caplog.records if "LookupError" in one.getMessage()]
    assert len(logged) == 1
    assert "decide_request" in logged[0]
    assert WORDS not in caplog.text


async def test_a_fault_outside_the_steps_is_told_and_ends_no_other_shard(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as harness, following(harness) as shard:
        harness.dispatcher.applied.note = broken  # type: ignore[method-assign, assignment]
        await harness.accept(event("a"))
        async with asyncio.timeout(5):
            while not (logged := (await harness.leases.standings())[shard].trouble):  # noqa: ASYNC110 - another's standing
                await asyncio.sleep(0.005)
        assert logged == "A fault of the dispatcher; see its log."
    faults = [one for one in caplog.records if "LookupError" in one.getMessage() and one.levelno >= logging.ERROR]
    assert len(faults) == 1
    assert WORDS not in caplog.text


async def broken(*_: Any) -> None:
    raise LookupError(WORDS)


@contextlib.asynccontextmanager
async def following(harness: Harness) -> Any:
    await harness.accept(event("first"))
    shard = (await harness.receipt("first")).position.shard
    lease = await harness.leases.acquire(shard, OWNER)
    assert lease is not None
    task = asyncio.create_task(harness.dispatcher.follow(lease))
    try:
        yield shard
    finally:
        task.cancel()


async def test_an_entry_of_the_stream_without_the_field_is_a_record_that_cannot_be_read(valkey: redis.Client) -> None:
    stream = RedisStream(valkey, "events", shard_count=1, max_waiting_bytes=1 << 30)
    payloads: list[dict[Any, Any]] = [{"q": b"x"}, {"p": record(event("a"))}, {"": b""}]
    for fields in payloads:
        await valkey.xadd("jm:stream:{events-0}", fields)
    read = [decoded(each) for each in (await stream.read("0", BEGINNING, 10, 0.01)).records]
    assert [each.broken for each in read] == [b"", None, b""]
    assert read[1].table.event_id == ["a"]
    assert read[1].table.received_time_us == [NOW_US]
