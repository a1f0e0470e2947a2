"""The stream port: `mesh.stream` over every adapter, Kinesis on two emulators.

What an adapter or emulator does otherwise is excepted where it is, with the reason:
- the bound in bytes: Kinesis has none of its own; it throttles, and forgets by age;
- resharding: Redis streams have a fixed number of shards; moto goes on appending to a shard that was split or merged,
  never lets its reading end, and numbers the records it copies anew.
"""

import asyncio
import random
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from mesh.clock import system_clock
from mesh.errors import ResourceExhausted, Unavailable
from mesh.settings import SettingError
from mesh.store import redis
from mesh.stream.kinesis import connect
from mesh.stream.memory import MemoryStream
from mesh.stream.port import BEGINNING, MAX_RECORD_BYTES, Entry, Record, StreamReader, StreamWriter
from mesh.stream.redis import RedisStream
from tests.kinesis import Faulty, KinesisStream, point_at

KINESIS = ["kinesis on moto", "kinesis on kinesalite"]
MAX_WAITING_BYTES = 300_000
PATIENCE = "mesh.stream.kinesis.writer._PATIENCE_SECONDS"


class Stream(StreamReader, StreamWriter, Protocol):
    """Both faces."""


class Resharded(Stream, Protocol):
    """A stream whose shards may be split and merged."""

    async def split(self, shard: str) -> Any: ...

    async def merge(self, shard: str, other: str) -> Any: ...


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator on a busy machine may take longer than Kinesis may."""
    monkeypatch.setattr(PATIENCE, 30.0)
    monkeypatch.setattr("mesh.stream.kinesis.client._ANSWER_SECONDS", 30.0)


@pytest.fixture
async def kinesis(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A client of the emulator that the test was given as parameter."""
    point_at(monkeypatch, request.getfixturevalue(f"{request.param.rpartition(' ')[2]}_url"))
    async with connect() as client:
        yield client


@pytest.fixture(params=["memory", "redis", *KINESIS])
async def stream(
    request: pytest.FixtureRequest, valkey: redis.Client, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stream]:
    if request.param == "memory":
        yield MemoryStream(shard_count=2, clock=system_clock)
    elif request.param == "redis":
        yield RedisStream(valkey, "events", shard_count=2, max_waiting_bytes=1 << 30)
    else:
        point_at(monkeypatch, request.getfixturevalue(f"{request.param.rpartition(' ')[2]}_url"))
        async with connect() as client:
            yield await KinesisStream.made(client, shard_count=2)


@pytest.fixture(params=["memory", "redis"])
def bounded(request: pytest.FixtureRequest, valkey: redis.Client) -> Stream:
    if request.param == "memory":
        return MemoryStream(shard_count=2, max_waiting_bytes=MAX_WAITING_BYTES)
    return RedisStream(valkey, "events", shard_count=2, max_waiting_bytes=MAX_WAITING_BYTES)


@pytest.fixture(params=["memory", "kinesis on kinesalite"])
async def resharded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Resharded]:
    if request.param == "memory":
        yield MemoryStream(shard_count=2)
    else:
        point_at(monkeypatch, request.getfixturevalue("kinesalite_url"))
        async with connect() as client:
            yield await KinesisStream.made(client, shard_count=2)


async def read(stream: StreamReader, shard: str, after: int, count: int) -> list[Record]:
    """As many records of a shard, however many reads it takes."""
    records: list[Record] = []
    async with asyncio.timeout(10):
        while len(records) < count:
            records += (await stream.read(shard, records[-1].sequence if records else after, count, 1)).records
    return records


async def read_all(stream: StreamReader, count: int) -> list[bytes]:
    """Payloads of the whole stream, parents before their children and those to their end."""
    payloads: list[bytes] = []
    shards = await stream.shards()
    closed = {parent for shard in shards for parent in shard.parents}
    async with asyncio.timeout(20):
        for shard in shards:
            after, is_end, is_empty = BEGINNING, False, False
            while not is_end and (shard.name in closed or not is_empty):
                try:
                    records, is_end = await stream.read(shard.name, after, 7, 0.1)
                except Unavailable:  # throttled
                    continue
                payloads += [record.payload for record in records]
                after = records[-1].sequence if records else after
                is_empty = not records
    assert len(payloads) == count
    return payloads


def by_group(payloads: list[bytes]) -> dict[str, list[int]]:
    """The numbers of each group in the order they were read, of payloads `<group>:<number>`."""
    groups = defaultdict(list)
    for payload in payloads:
        group, _, number = payload.decode().partition(":")
        groups[group].append(int(number))
    return groups


def groups_of(stream: StreamWriter, count: int = 40) -> list[str]:
    """The groups of some users."""
    return sorted({stream.ordering_group(f"user-{number}") for number in range(count)})


async def test_records_are_read_in_the_order_they_were_appended(stream: Stream) -> None:
    group = stream.ordering_group("user")
    positions = await stream.append([Entry(group, b"1"), Entry(group, b"2")])
    positions += await stream.append([Entry(group, b"3")])
    records = await read(stream, positions[0].shard, BEGINNING, 3)
    assert [record.payload for record in records] == [b"1", b"2", b"3"]
    assert [record.sequence for record in records] == [position.sequence for position in positions]
    assert positions == sorted(positions)
    assert len({position.shard for position in positions}) == 1


async def test_a_key_keeps_its_group_and_groups_are_spread_over_the_shards(stream: Stream) -> None:
    groups = {f"user-{number}": stream.ordering_group(f"user-{number}") for number in range(200)}
    assert groups == {key: stream.ordering_group(key) for key in groups}
    positions = await stream.append([Entry(group, b"") for group in set(groups.values())])
    shards = await stream.shards()
    assert {position.shard for position in positions} == {shard.name for shard in shards}
    assert [shard.parents for shard in shards] == [(), ()]


async def test_positions_come_in_the_order_of_the_entries(stream: Stream) -> None:
    entries = [Entry(group, f"{group}:{number}".encode()) for number in range(3) for group in groups_of(stream)]
    positions = await stream.append(entries)
    expected = dict(zip(map(tuple, positions), [entry.payload for entry in entries], strict=True))
    for shard in {position.shard for position in positions}:
        count = sum(position.shard == shard for position in positions)
        for record in await read(stream, shard, BEGINNING, count):
            assert record.payload == expected.pop((shard, record.sequence))
    assert expected == {}


async def test_nothing_appended_is_nothing_answered(stream: Stream) -> None:
    assert await stream.append([]) == []


async def test_reading_goes_on_after_a_sequence_number_and_is_bounded(stream: Stream) -> None:
    positions = await stream.append([Entry(stream.ordering_group("user"), b"%d" % number) for number in range(3)])
    shard = positions[0].shard
    ((record,), is_end) = await stream.read(shard, positions[0].sequence, max_records=1, wait_seconds=1)
    assert record.payload == b"1"
    assert not is_end
    assert await stream.read(shard, positions[2].sequence, max_records=1, wait_seconds=0.01) == ([], False)


async def test_an_idle_shard_makes_the_reader_wait_no_longer_than_it_wants(stream: Stream) -> None:
    (shard, _) = await stream.shards()
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await stream.read(shard.name, BEGINNING, max_records=5, wait_seconds=0.2) == ([], False)
    assert 0.19 <= loop.time() - began < 2


async def test_a_shard_that_is_read_again_gives_the_same(stream: Stream) -> None:
    positions = await stream.append([Entry(stream.ordering_group("user"), b"%d" % number) for number in range(5)])
    shard = positions[0].shard
    first = await read(stream, shard, BEGINNING, 5)
    assert await read(stream, shard, BEGINNING, 5) == first
    assert await read(stream, shard, positions[2].sequence, 2) == first[3:]
    assert await read(stream, shard, positions[1].sequence, 3) == first[2:]


async def test_a_waiting_reader_is_woken(stream: Stream) -> None:
    group = stream.ordering_group("user")
    (first,) = await stream.append([Entry(group, b"1")])
    reading = asyncio.create_task(stream.read(first.shard, first.sequence, max_records=5, wait_seconds=8))
    await asyncio.sleep(0)
    await stream.append([Entry(group, b"2")])
    async with asyncio.timeout(5):
        assert [record.payload for record in (await reading).records] == [b"2"]


@pytest.mark.parametrize("payload", [b"", b"\xff\x00\xfe", b"\n" * 100], ids=["empty", "no text", "white space"])
async def test_what_nobody_can_decode_comes_through_as_it_is(stream: Stream, payload: bytes) -> None:
    (position,) = await stream.append([Entry(stream.ordering_group("user"), payload)])
    (record,) = await read(stream, position.shard, BEGINNING, 1)
    assert record.payload == payload


# The HTTP client warns of every body above 1 MiB, which one record may be already.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_the_largest_records_pass_many_at_once(stream: Stream) -> None:
    chance = random.Random(1)  # noqa: S311 - a story that repeats
    entries = [
        Entry(group, chance.randbytes(MAX_RECORD_BYTES))
        for group in [*groups_of(stream)[:6], stream.ordering_group("user")]
    ]
    positions = await stream.append(entries)
    expected = dict(zip(map(tuple, positions), [entry.payload for entry in entries], strict=True))
    for shard in {position.shard for position in positions}:
        for record in await read(stream, shard, BEGINNING, sum(position.shard == shard for position in positions)):
            assert record.payload == expected.pop((shard, record.sequence))
    assert expected == {}


async def test_a_record_has_the_time_of_its_append(stream: Stream) -> None:
    before_us = system_clock()
    (position,) = await stream.append([Entry(stream.ordering_group("user"), b"")])
    (record,) = await read(stream, position.shard, BEGINNING, 1)
    # To the millisecond; and kinesalite dates a new shard, and what is appended to it meanwhile, a second ahead.
    assert before_us - 1_000 <= record.appended_us <= system_clock() + 1_000_000


async def test_after_a_read_the_time_is_known_by_the_clock_of_the_records(stream: Stream) -> None:
    (position,) = await stream.append([Entry(stream.ordering_group("user"), b"")])
    async with asyncio.timeout(10):
        while not (read := await stream.read(position.shard, BEGINNING, 1, 1)).records:
            pass
    assert 0 <= stream.now_us() - read.records[0].appended_us < 10_000_000


async def test_the_age_of_the_oldest_waiting_record_is_known_or_none(stream: Stream) -> None:
    group = stream.ordering_group("user")
    first, second = await stream.append([Entry(group, b"1"), Entry(group, b"2")])
    async with asyncio.timeout(10):
        while (waiting := await stream.waiting_seconds(first.shard, BEGINNING)) is None:
            pass
    assert 0 <= waiting < 10
    assert await stream.waiting_seconds(first.shard, first.sequence) is not None
    assert await stream.waiting_seconds(first.shard, second.sequence) is None


async def test_redis_measures_how_long_a_record_waits_by_its_own_clock(server: redis.Client) -> None:
    stream = RedisStream(server, "events", shard_count=1, max_waiting_bytes=1 << 30)
    seconds, _ = await server.time()
    await server.xadd(stream._key("0"), {b"p": b""}, id=f"{(seconds - 7_200) * 1000}-0")
    assert 7_199 < (await stream.waiting_seconds("0", BEGINNING) or 0) < 7_300
    # A clock that was set back: the record is of the future.
    await server.xadd(stream._key("0"), {b"p": b""}, id=f"{(seconds + 7_200) * 1000}-0")
    first = (await stream.read("0", BEGINNING, 1, 0.001)).records[0]
    assert await stream.waiting_seconds("0", first.sequence) == 0


async def test_appends_at_once_keep_the_order_of_their_beginning(stream: Stream) -> None:
    groups = groups_of(stream)[:5]
    chance = random.Random(2)  # noqa: S311 - a story that repeats
    next_number = dict.fromkeys(groups, 0)
    appends = []
    for _ in range(40):
        entries = []
        for group in chance.choices(groups, k=4):
            entries.append(Entry(group, f"{group}:{next_number[group]}".encode()))
            next_number[group] += 1
        appends.append(stream.append(entries))
    if isinstance(stream, RedisStream):  # its connections do not know of each other: an order is that of the answers
        for append in appends:
            await append
    else:
        await asyncio.gather(*appends)
    assert by_group(await read_all(stream, 160)) == {group: list(range(count)) for group, count in next_number.items()}


async def test_a_full_stream_refuses_until_it_is_trimmed(bounded: Stream) -> None:
    group = bounded.ordering_group("user")
    payloads = [b"%d" % number * 100_000 for number in range(4)]
    positions = await bounded.append([Entry(group, payload) for payload in payloads[:3]])
    with pytest.raises(ResourceExhausted, match="BUFFER_FULL") as caught:
        await bounded.append([Entry(group, payloads[3])])
    assert caught.value.retry_after_seconds == 1
    await bounded.trim(positions[0].shard, positions[1].sequence)
    (last,) = await bounded.append([Entry(group, payloads[3])])
    records = await read(bounded, last.shard, BEGINNING, 2)
    assert [record.payload for record in records] == payloads[2:]


async def test_small_records_fill_a_stream_too(bounded: Stream) -> None:
    group = bounded.ordering_group("user")
    appended = 0
    with pytest.raises(ResourceExhausted, match="BUFFER_FULL"):
        while appended < 2 * MAX_WAITING_BYTES:
            await bounded.append([Entry(group, b"x" * 500)] * 20)
            appended += 20 * 500
    assert 0.8 * MAX_WAITING_BYTES <= appended <= 1.1 * MAX_WAITING_BYTES


async def test_a_stream_keeps_its_number_of_shards(valkey: redis.Client) -> None:
    for _ in range(2):
        await RedisStream(valkey, "events", shard_count=2, max_waiting_bytes=1).keep_shard_count()
    with pytest.raises(SettingError, match="has 2 shards; JOURNEYMESH_SHARD_COUNT says 4"):
        await RedisStream(valkey, "events", shard_count=4, max_waiting_bytes=1).keep_shard_count()


async def test_a_stream_keeps_its_number_of_ordering_groups(valkey: redis.Client) -> None:
    for _ in range(2):
        await KinesisStream(None, "events", group_count=32).keep_lane_count(valkey)
    with pytest.raises(SettingError, match="has 32 lanes; JOURNEYMESH_LANE_COUNT says 64"):
        await KinesisStream(None, "events", group_count=64).keep_lane_count(valkey)


async def test_resharding_under_load_loses_nothing_and_keeps_every_group_s_order(resharded: Resharded) -> None:
    groups = groups_of(resharded)
    appended = 0
    is_over = asyncio.Event()

    async def keep_appending() -> None:
        nonlocal appended
        while not is_over.is_set():
            await resharded.append([Entry(group, f"{group}:{appended}".encode()) for group in groups])
            appended += 1
            await asyncio.sleep(0)

    async def appended_some() -> None:
        async with asyncio.timeout(10):
            seen = appended
            while appended < seen + 3:  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(0.001)

    first, second = [shard.name for shard in await resharded.shards()]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_appending())
        await appended_some()
        await resharded.split(first)
        await appended_some()
        upper = (await resharded.shards())[-1].name
        await resharded.merge(upper, second)
        await appended_some()
        is_over.set()
    shards = await resharded.shards()
    assert [shard.parents for shard in shards] == [(), (), (first,), (first,), (upper, second)]
    assert by_group(await read_all(resharded, appended * len(groups))) == {
        group: [*range(appended)] for group in groups
    }


async def test_the_end_of_a_closed_shard_comes_with_or_after_its_last_record(resharded: Resharded) -> None:
    group = resharded.ordering_group("user")
    (position,) = await resharded.append([Entry(group, b"1")])
    assert not (await resharded.read(position.shard, BEGINNING, 1, 1)).is_end
    await resharded.split(position.shard)
    (child,) = await resharded.append([Entry(group, b"2")])
    assert child.shard != position.shard
    assert child.sequence > position.sequence
    async with asyncio.timeout(5):
        while not (tail := await resharded.read(position.shard, position.sequence, 1, 1)).is_end:
            assert tail.records == []
    assert tail.records == []
    assert [record.payload for record in await read(resharded, child.shard, BEGINNING, 1)] == [b"2"]


@pytest.mark.parametrize("kinesis", KINESIS, indirect=True)
async def test_throttled_writing_and_reading_keep_order_and_lose_nothing(kinesis: Any) -> None:
    client = Faulty(kinesis, 0.0, random.Random(3))  # noqa: S311 - a story that repeats
    stream = await KinesisStream.made(client, shard_count=2)
    groups = groups_of(stream)
    client.share = 0.2
    await asyncio.gather(
        *[stream.append([Entry(group, f"{group}:{number}".encode()) for group in groups]) for number in range(10)]
    )
    assert client.refused > 10
    assert by_group(await read_all(stream, 10 * len(groups))) == {group: [*range(10)] for group in groups}


@pytest.mark.parametrize("kinesis", KINESIS, indirect=True)
async def test_lasting_throttling_is_a_full_buffer_to_writers_and_unavailable_to_readers(
    kinesis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PATIENCE, 2.0)
    client = Faulty(kinesis, 0.0, random.Random(4))  # noqa: S311 - a story that repeats
    stream = await KinesisStream.made(client, shard_count=1)
    client.share = 1.0
    with pytest.raises(ResourceExhausted, match="BUFFER_FULL") as caught:
        await stream.append([Entry(stream.ordering_group("user"), b"1")])
    assert caught.value.retry_after_seconds == 1
    with pytest.raises(Unavailable, match="DEPENDENCY_UNAVAILABLE"):
        await stream.read("shardId-000000000000", BEGINNING, 1, 0.5)
    client.share = 0.0
    await stream.append([Entry(stream.ordering_group("user"), b"2")])
    assert await read_all(stream, 1) == [b"2"]


@pytest.mark.parametrize("kinesis", KINESIS, indirect=True)
async def test_a_stream_that_is_not_there_is_unavailable(kinesis: Any) -> None:
    stream = KinesisStream(kinesis, "nowhere")
    for call in (stream.ping(), stream.shards(), stream.append([Entry("0", b"")]), stream.read("shardId-0", -1, 1, 1)):
        with pytest.raises(Unavailable, match="ResourceNotFoundException"):
            await call


@pytest.mark.parametrize("kinesis", KINESIS, indirect=True)
async def test_health_asks_the_stream(kinesis: Any) -> None:
    await (await KinesisStream.made(kinesis, shard_count=1)).ping()


async def test_a_server_that_is_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    point_at(monkeypatch, "http://127.0.0.1:1")
    async with connect() as client:
        stream = KinesisStream(client, "events")
        for call in (stream.ping(), stream.shards(), stream.append([Entry("0", b"")]), stream.read("0", -1, 1, 0.3)):
            with pytest.raises(Unavailable, match="cannot be reached"):
                await call


async def test_without_a_region_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    point_at(monkeypatch, "http://127.0.0.1:1")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(SettingError, match="region"):
        async with connect():
            sys.exit("not reached")
