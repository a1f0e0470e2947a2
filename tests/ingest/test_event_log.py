"""How events become records: `services.ingest.events.adapters.event_log`."""

from collections.abc import Sequence
from typing import Final

from journeymesh.common.v1 import event_pb2, event_table_pb2

from mesh.stream.memory import MemoryStream
from mesh.stream.port import BEGINNING, MAX_RECORD_BYTES
from records import wire
from records.table import of_events
from records.tenants import qualified
from services.ingest.events.adapters.event_log import StreamEventLog
from services.ingest.events.ports import AppendedRecord
from tests.builders import event

LARGE: Final = b'{"text": "%b"}' % (b"x" * 32_000)


async def append(stream: MemoryStream, events: Sequence[event_pb2.Event]) -> list[AppendedRecord]:
    return await StreamEventLog(stream).append(of_events(events))


def held(payload: bytes) -> list[event_pb2.Event]:
    return wire.decoded(event_table_pb2.StreamRecord.FromString(payload).table).events()


async def test_an_ordering_group_s_events_share_a_record_and_keep_their_order() -> None:
    stream = MemoryStream(shard_count=1)
    (written,) = await append(stream, [event(str(number)) for number in range(50)])
    (record,) = (await stream.read("0", BEGINNING, 10, 1)).records
    assert held(record.payload) == [event(str(number)) for number in range(50)]
    assert written == AppendedRecord("0", record.sequence, [*range(50)])


async def test_no_record_grows_too_large_and_every_event_is_where_it_is_said_to_be() -> None:
    stream = MemoryStream(shard_count=1)
    events = [event(str(number), f"user-{number % 3}", properties=LARGE) for number in range(120)]
    written = await append(stream, events)
    records = (await stream.read("0", BEGINNING, 100, 1)).records
    assert len(records) >= 120 * len(LARGE) / MAX_RECORD_BYTES
    assert all(len(record.payload) <= MAX_RECORD_BYTES for record in records)
    kept = {record.sequence: held(record.payload) for record in records}
    assert all(kept[each.sequence] == [events[row] for row in each.rows] for each in written)
    assert sorted(row for each in written for row in each.rows) == [*range(120)]
    for user in range(3):
        mine = [int(one.event_id) for some in kept.values() for one in some if one.user_id == f"user-{user}"]
        assert mine == sorted(mine)


async def test_a_record_holds_users_of_one_tenant_and_each_keeps_the_order() -> None:
    stream = MemoryStream(shard_count=1)
    users = [qualified(tenant, "ada") for tenant in ("", "acme", "blue")]
    events = [event(str(number), users[number % 3]) for number in range(30)]
    written = await append(stream, events)
    records = (await stream.read("0", BEGINNING, 100, 1)).records
    assert [[each.user_id for each in held(record.payload)] for record in records] == [[user] * 10 for user in users]
    assert sorted(row for each in written for row in each.rows) == [*range(30)]
