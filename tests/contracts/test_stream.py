"""The stream port: `mesh.stream` over every adapter."""

import asyncio
from typing import Protocol

import pytest

from mesh import redis
from mesh.errors import ResourceExhausted
from mesh.settings import SettingError
from mesh.stream import BEGINNING, Checkpoints, Entry, StreamReader, StreamWriter
from mesh.streams.memory import MemoryCheckpoints, MemoryStream
from mesh.streams.redis import RedisCheckpoints, RedisStream


class Stream(StreamReader, StreamWriter, Protocol):
    """Both faces."""


@pytest.fixture(params=["memory", "redis"])
async def stream(request: pytest.FixtureRequest, valkey: redis.Client) -> Stream:
    if request.param == "memory":
        return MemoryStream(shard_count=2, max_records=3)
    return RedisStream(valkey, "events", shard_count=2, max_records=3)


@pytest.fixture(params=["memory", "redis"])
async def checkpoints(request: pytest.FixtureRequest, valkey: redis.Client) -> Checkpoints:
    if request.param == "memory":
        return MemoryCheckpoints()
    return RedisCheckpoints(valkey, "events", "dispatcher")


async def test_records_are_read_in_the_order_they_were_appended(stream: Stream) -> None:
    lane = stream.lane("user")
    positions = await stream.append([Entry(lane, b"1"), Entry(lane, b"2")])
    positions += await stream.append([Entry(lane, b"3")])
    records = await stream.read(positions[0].shard, BEGINNING, max_records=10, wait_seconds=1)
    assert [record.payload for record in records] == [b"1", b"2", b"3"]
    assert [record.sequence for record in records] == [position.sequence for position in positions]
    assert positions == sorted(positions)


async def test_a_key_keeps_its_lane_and_lanes_are_spread(stream: Stream) -> None:
    lanes = {f"user-{number}": stream.lane(f"user-{number}") for number in range(50)}
    assert lanes == {key: stream.lane(key) for key in lanes}
    assert len(set(lanes.values())) == 2
    for lane in set(lanes.values()):
        (position,) = await stream.append([Entry(lane, b"")])
        assert position.shard in await stream.shards()


async def test_reading_goes_on_after_a_sequence_number_and_is_bounded(stream: Stream) -> None:
    positions = await stream.append([Entry(stream.lane("user"), b"%d" % number) for number in range(3)])
    shard = positions[0].shard
    (record,) = await stream.read(shard, positions[0].sequence, max_records=1, wait_seconds=1)
    assert record.payload == b"1"
    assert await stream.read(shard, positions[2].sequence, max_records=1, wait_seconds=0.01) == []


async def test_a_waiting_reader_is_woken(stream: Stream) -> None:
    lane = stream.lane("user")
    (first,) = await stream.append([Entry(lane, b"1")])
    reading = asyncio.create_task(stream.read(first.shard, first.sequence, max_records=5, wait_seconds=5))
    await stream.append([Entry(lane, b"2")])
    assert [record.payload for record in await reading] == [b"2"]


async def test_a_full_stream_refuses_until_it_is_trimmed(stream: Stream) -> None:
    lane = stream.lane("user")
    positions = await stream.append([Entry(lane, b"%d" % number) for number in range(3)])
    with pytest.raises(ResourceExhausted, match="BUFFER_FULL"):
        await stream.append([Entry(lane, b"3")])
    await stream.trim(positions[0].shard, positions[1].sequence)
    (last,) = await stream.append([Entry(lane, b"3")])
    records = await stream.read(last.shard, BEGINNING, max_records=10, wait_seconds=1)
    assert [record.payload for record in records] == [b"2", b"3"]


async def test_a_stream_keeps_its_number_of_shards(valkey: redis.Client) -> None:
    await RedisStream(valkey, "events", shard_count=2, max_records=3).keep_shard_count()
    await RedisStream(valkey, "events", shard_count=2, max_records=3).keep_shard_count()
    with pytest.raises(SettingError, match="has 2 shards; JOURNEYMESH_SHARD_COUNT says 4"):
        await RedisStream(valkey, "events", shard_count=4, max_records=3).keep_shard_count()


async def test_a_checkpoint_is_kept_per_shard(checkpoints: Checkpoints) -> None:
    assert await checkpoints.load("0") == BEGINNING
    await checkpoints.save("0", 2**180)
    assert await checkpoints.load("0") == 2**180
    assert await checkpoints.load("1") == BEGINNING
