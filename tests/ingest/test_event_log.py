"""How events become records: `services.ingest.adapters.event_log`."""

from collections.abc import Sequence
from typing import Final, cast

from journeymesh.common.v1 import event_pb2

from mesh.stream import BEGINNING, MAX_RECORD_BYTES
from mesh.streams.memory import MemoryStream
from services.ingest.adapters.event_log import StreamEventLog
from services.ingest.domain.event import Event, Place
from tests.builders import event

LARGE: Final = b'{"text": "%b"}' % (b"x" * 32_000)


async def append(stream: MemoryStream, events: Sequence[event_pb2.Event]) -> list[Place]:
    return await StreamEventLog(stream).append(cast("Sequence[Event]", events))


async def test_a_lane_s_events_share_a_record_and_keep_their_order() -> None:
    stream = MemoryStream(shard_count=1)
    places = await append(stream, [event(str(number)) for number in range(50)])
    (record,) = (await stream.read("0", BEGINNING, 10, 1)).records
    assert [one.event_id for one in event_pb2.EventRecord.FromString(record.payload).events] == [
        str(number) for number in range(50)
    ]
    assert [(place.sequence, place.event_index) for place in places] == [
        (record.sequence, number) for number in range(50)
    ]


async def test_no_record_grows_too_large_and_every_event_is_where_it_is_said_to_be() -> None:
    stream = MemoryStream(shard_count=1)
    events = [event(str(number), f"user-{number % 3}", properties=LARGE) for number in range(120)]
    places = await append(stream, events)
    records = (await stream.read("0", BEGINNING, 100, 1)).records
    assert len(records) >= 120 * len(LARGE) / MAX_RECORD_BYTES
    assert all(len(record.payload) <= MAX_RECORD_BYTES for record in records)
    kept = {record.sequence: event_pb2.EventRecord.FromString(record.payload).events for record in records}
    assert [kept[place.sequence][place.event_index].event_id for place in places] == [one.event_id for one in events]
    for user in range(3):
        mine = [int(one.event_id) for some in kept.values() for one in some if one.user_id == f"user-{user}"]
        assert mine == sorted(mine)
