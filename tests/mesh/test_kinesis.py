"""Kinesis against a fake that refuses, loses and reshards as a story says: what no emulator can be made to do."""

import asyncio
import datetime as dt
import itertools
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, ParamValidationError
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import ResourceExhausted, Unavailable
from mesh.stream.kinesis import KinesisReader, KinesisWriter
from mesh.stream.port import BEGINNING, MAX_RECORD_BYTES, Entry
from tests.kinesis import refused

GROUPS = 4
ARRIVED = dt.datetime(2026, 1, 2, 10, 0, 0, 123_456, tzinfo=dt.UTC)
THROTTLED = "ProvisionedThroughputExceededException"


class Chancy:
    """Kinesis's side of PutRecords: of a call, and of each record of it, chance decides what becomes."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._numbers = itertools.count()
        self.shards: dict[str, list[str]] = defaultdict(list)
        self.split_at = 1 << 200

    async def put_records(self, StreamName: str, Records: Sequence[Any]) -> dict[str, Any]:  # noqa: N803 - Kinesis's
        keys = [record["PartitionKey"] for record in Records]
        assert len(keys) == len(set(keys))
        await self._pass_time()
        fate = self._chance.random()
        if fate < 0.1:
            raise refused(THROTTLED)
        if fate < 0.2:
            raise ConnectionClosedError(endpoint_url="")
        shuffled = list(range(len(Records)))
        self._chance.shuffle(shuffled)
        answers = {place: self._take(Records[place]) for place in shuffled}
        await self._pass_time()
        if fate < 0.3:  # it is done, and the answer is lost
            raise ConnectionClosedError(endpoint_url="")
        return {"Records": [answers[place] for place in range(len(Records))]}

    def _take(self, record: Any) -> dict[str, Any]:
        fate = self._chance.random()
        if fate < 0.4:
            return {"ErrorCode": THROTTLED if fate < 0.2 else "InternalFailure", "ErrorMessage": ""}
        number = next(self._numbers)
        half = int(record["ExplicitHashKey"]) >> 127
        shard = f"half-{half}" if number < self.split_at else f"quarter-{int(record['ExplicitHashKey']) >> 126}"
        self.shards[shard].append(record["Data"].decode())
        return {"ShardId": shard, "SequenceNumber": str(number)}

    async def _pass_time(self) -> None:
        for _ in range(self._chance.randrange(4)):
            await asyncio.sleep(0)


@given(
    story=st.lists(st.lists(st.integers(0, GROUPS - 1), min_size=1, max_size=6), max_size=12),
    seed=st.integers(0, 1 << 32),
    split_at=st.integers(0, 30),
)
def test_whatever_is_refused_or_lost_every_group_stands_in_its_order(
    story: list[list[int]], seed: int, split_at: int
) -> None:
    async def tell() -> None:
        server = Chancy(random.Random(seed))  # noqa: S311 - a story that repeats
        server.split_at = split_at
        writer = KinesisWriter(server, "events", GROUPS, lambda: 0.0)
        numbers = itertools.count()
        appends = [[Entry(str(group), f"{group}:{next(numbers)}".encode()) for group in groups] for groups in story]
        answers = await asyncio.gather(*[writer.append(entries) for entries in appends])
        read = [
            payload for shard in sorted(server.shards) for payload in server.shards[shard]
        ]  # halves before quarters
        for group in map(str, range(GROUPS)):
            wanted = [entry.payload.decode() for entry in itertools.chain(*appends) if entry.group == group]
            found = [payload for payload in read if payload.startswith(f"{group}:")]
            assert [payload for payload, _ in itertools.groupby(found)] == wanted  # a lost answer repeats a record
        for entries, positions in zip(appends, answers, strict=True):
            for entry, position in zip(entries, positions, strict=True):
                assert entry.payload.decode() in server.shards[position.shard]

    asyncio.run(tell())


class Scripted:
    """A client that answers each call with what comes next, and keeps what it was asked."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        async def call(**members: Any) -> Any:
            self.asked.append((name, members))
            answer = self.answers[name].pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


class Picky:
    """Takes every record but one, which it refuses so often."""

    def __init__(self, refused_payload: bytes, times: int) -> None:
        self._refused, self._times = refused_payload, times
        self.sent: list[list[bytes]] = []
        self.stood: list[bytes] = []

    async def put_records(self, StreamName: str, Records: Sequence[Any]) -> dict[str, Any]:  # noqa: N803 - Kinesis's
        self.sent.append([record["Data"] for record in Records])
        verdicts: list[int | str] = []
        for payload in self.sent[-1]:
            if payload == self._refused and self._times:
                self._times -= 1
                verdicts.append(THROTTLED)
            else:
                self.stood.append(payload)
                verdicts.append(len(self.stood) - 1)
        return stood(*verdicts)


def stood(*verdicts: int | str) -> dict[str, Any]:
    """An answer of PutRecords: sequence numbers, or error codes."""
    return {
        "Records": [
            {"ErrorCode": verdict}
            if isinstance(verdict, str)
            else {"ShardId": "shardId-000000000000", "SequenceNumber": str(verdict)}
            for verdict in verdicts
        ]
    }


def put(client: Scripted) -> list[list[bytes]]:
    """What each PutRecords was given."""
    return [
        [record["Data"] for record in members["Records"]] for name, members in client.asked if name == "put_records"
    ]


def writer(client: Any, group_count: int = 4) -> KinesisWriter:
    return KinesisWriter(client, "events", group_count, lambda: 0.0)


async def test_only_the_refused_record_is_sent_again_and_before_what_follows_it() -> None:
    client = Picky(b"b", 2)
    entries = [Entry("0", b"a"), Entry("1", b"b"), Entry("0", b"c"), Entry("1", b"d")]
    positions = await writer(client).append(entries)
    assert client.sent[0] == [b"a", b"b"]
    assert [payload for payloads in client.sent for payload in payloads if payload in {b"b", b"d"}] == [
        *[b"b"] * 3,
        b"d",
    ]
    assert [payload for payloads in client.sent for payload in payloads if payload in {b"a", b"c"}] == [b"a", b"c"]
    assert [position.sequence for position in positions] == [client.stood.index(entry.payload) for entry in entries]


async def test_a_lane_that_is_refused_does_not_hold_up_others() -> None:
    client = Scripted(put_records=[stood(THROTTLED), stood(1), stood(2)])
    slow = KinesisWriter(client, "events", 4, lambda: 1.0)
    refused_first = asyncio.create_task(slow.append([Entry("0", b"a")]))
    while not client.asked:  # noqa: ASYNC110 - until its call is under way
        await asyncio.sleep(0)
    assert (await slow.append([Entry("1", b"b")]))[0].sequence == 1
    assert not refused_first.done()
    assert (await refused_first)[0].sequence == 2


async def test_a_lane_s_next_record_waits_until_the_one_before_is_there_and_no_call_holds_two() -> None:
    client = Scripted(put_records=[stood(1), stood(2), stood(3)])
    one = writer(client)
    await asyncio.gather(one.append([Entry("0", b"a"), Entry("0", b"b")]), one.append([Entry("0", b"c")]))
    assert put(client) == [[b"a"], [b"b"], [b"c"]]


async def test_a_call_holds_500_records_and_five_mebibytes_at_most() -> None:
    client = Scripted(put_records=[stood(*range(500)), stood(*range(500, 600))])
    await writer(client, 600).append([Entry(str(group), b"") for group in range(600)])
    assert [len(payloads) for payloads in put(client)] == [500, 100]
    client = Scripted(put_records=[stood(*range(5)), stood(5, 6)])
    await writer(client, 7).append([Entry(str(group), bytes(MAX_RECORD_BYTES)) for group in range(7)])
    assert [len(payloads) for payloads in put(client)] == [5, 2]


async def test_a_payload_that_is_too_large_is_the_caller_s_fault_and_disturbs_nobody() -> None:
    client = Scripted(put_records=[stood(1)])
    one = writer(client)
    with pytest.raises(ValueError, match="larger"):
        await one.append([Entry("0", bytes(MAX_RECORD_BYTES + 1))])
    await one.append([Entry("0", b"a")])
    assert put(client) == [[b"a"]]


async def test_what_will_not_pass_is_not_tried_again_and_takes_the_rest_of_its_append_with_it() -> None:
    client = Scripted(put_records=[refused("AccessDeniedException"), stood(1)])
    one = writer(client)
    failing = asyncio.create_task(one.append([Entry("0", b"a"), Entry("0", b"b")]))
    other = asyncio.create_task(one.append([Entry("0", b"c")]))
    with pytest.raises(Unavailable, match="AccessDeniedException"):
        await failing
    await other
    assert put(client) == [[b"a"], [b"c"]]


@pytest.mark.parametrize("answer", [stood(), stood(1, 2), {}], ids=["too few", "too many", "none"])
async def test_an_answer_that_is_none_fails_the_append_instead_of_leaving_it_waiting(answer: dict[str, Any]) -> None:
    async with asyncio.timeout(5):
        with pytest.raises((ValueError, KeyError)):
            await writer(Scripted(put_records=[answer])).append([Entry("0", b"a")])


async def test_a_bug_of_ours_is_raised_unchanged() -> None:
    with pytest.raises(ParamValidationError):
        await writer(Scripted(put_records=[ParamValidationError(report="")])).append([Entry("0", b"a")])


async def test_an_append_nobody_waits_for_any_more_is_not_sent() -> None:
    client = Scripted(put_records=[stood(1), stood(2)])
    one = writer(client)
    first = asyncio.create_task(one.append([Entry("0", b"a")]))
    left = asyncio.create_task(one.append([Entry("0", b"b")]))
    last = asyncio.create_task(one.append([Entry("0", b"c")]))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.gather(first, last)
    assert put(client) == [[b"a"], [b"c"]]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [(refused(THROTTLED), ResourceExhausted), (ConnectionClosedError(endpoint_url=""), Unavailable)],
)
async def test_what_waits_too_long_behind_another_is_refused_unsent_and_for_the_same_reason(
    monkeypatch: pytest.MonkeyPatch, fault: Exception, expected: type[Exception]
) -> None:
    monkeypatch.setattr("mesh.stream.kinesis.writer._PATIENCE_SECONDS", 0.02)
    sent = []

    class Slow:
        async def put_records(self, StreamName: str, Records: Sequence[Any]) -> dict[str, Any]:  # noqa: N803 - Kinesis's
            sent.append([record["Data"] for record in Records])
            await asyncio.sleep(0.05)
            raise fault

    one = writer(Slow())
    appends = [one.append([Entry("0", payload)]) for payload in (b"a", b"b", b"c")]
    assert [type(answer) for answer in await asyncio.gather(*appends, return_exceptions=True)] == [expected] * 3
    assert sent == [[b"a"]]


async def test_a_lane_is_the_middle_of_its_part_of_the_hash_keys() -> None:
    client = Scripted(put_records=[stood(1, 2, 3, 4)])
    await writer(client, 4).append([Entry(str(group), b"") for group in range(4)])
    keys = [int(record["ExplicitHashKey"]) for record in client.asked[0][1]["Records"]]
    assert keys == [1 << 125, 3 << 125, 5 << 125, 7 << 125]


def stands(*numbers: int, then: str | None, behind: int = 0) -> dict[str, Any]:
    """An answer of GetRecords."""
    return {
        "Records": [
            {"SequenceNumber": str(number), "Data": b"%d" % number, "ApproximateArrivalTimestamp": ARRIVED}
            for number in numbers
        ],
        "NextShardIterator": then,
        "MillisBehindLatest": behind,
    }


def reader(client: Any, reads_per_second: float = 1000) -> KinesisReader:
    return KinesisReader(client, "events", reads_per_second, lambda: 0.0)


def iterators(*names: str) -> list[dict[str, str]]:
    return [{"ShardIterator": name} for name in names]


async def test_shards_come_page_by_page_parents_first_and_without_forgotten_parents() -> None:
    client = Scripted(
        list_shards=[
            {
                "Shards": [{"ShardId": "shard-3", "ParentShardId": "shard-1", "AdjacentParentShardId": "shard-2"}],
                "NextToken": "x",
            },
            {"Shards": [{"ShardId": "shard-2"}, {"ShardId": "shard-1", "ParentShardId": "shard-0"}], "NextToken": None},
        ]
    )
    assert await reader(client).shards() == [("shard-1", ()), ("shard-2", ()), ("shard-3", ("shard-1", "shard-2"))]
    assert [members for _, members in client.asked] == [
        {"StreamName": "events", "MaxResults": 1000},
        {"NextToken": "x", "MaxResults": 1000},
    ]


async def test_one_answer_is_handed_out_in_pieces_and_its_end_with_the_last() -> None:
    client = Scripted(get_shard_iterator=iterators("a"), get_records=[stands(1, 2, 3, then=None)])
    one = reader(client)
    first = await one.read("s", BEGINNING, 2, 1)
    assert ([record.sequence for record in first.records], first.is_end) == ([1, 2], False)
    last = await one.read("s", 2, 2, 1)
    assert ([record.sequence for record in last.records], last.is_end) == ([3], True)
    assert await one.read("s", 3, 2, 1) == ([], True)
    assert last.records[0].appended_us == 1_767_348_000_123_000
    assert client.asked[0][1] == {"StreamName": "events", "ShardId": "s", "ShardIteratorType": "TRIM_HORIZON"}


async def test_reading_goes_on_where_it_stood_and_starts_anew_from_elsewhere() -> None:
    client = Scripted(
        get_shard_iterator=iterators("a", "x"),
        get_records=[stands(1, 2, then="b"), stands(3, then="c"), stands(2, 3, then="y")],
    )
    one = reader(client)
    await one.read("s", BEGINNING, 9, 1)
    await one.read("s", 2, 9, 1)
    assert [record.sequence for record in (await one.read("s", 1, 9, 1)).records] == [2, 3]
    asked = [members for name, members in client.asked if name == "get_shard_iterator"]
    assert (asked[1]["ShardIteratorType"], asked[1]["StartingSequenceNumber"]) == ("AFTER_SEQUENCE_NUMBER", "1")
    assert [members["ShardIterator"] for name, members in client.asked if name == "get_records"] == ["a", "b", "x"]


async def test_answers_without_records_are_read_on_until_some_come() -> None:
    client = Scripted(
        get_shard_iterator=iterators("a"),
        get_records=[stands(then="b", behind=9), stands(then="c", behind=5), stands(7, then="d")],
    )
    assert [record.sequence for record in (await reader(client).read("s", BEGINNING, 9, 5)).records] == [7]


async def test_an_expired_iterator_is_replaced_by_one_of_the_same_place() -> None:
    client = Scripted(
        get_shard_iterator=iterators("a", "x"),
        get_records=[stands(1, then="b"), refused("ExpiredIteratorException"), stands(2, then="y")],
    )
    one = reader(client)
    await one.read("s", BEGINNING, 9, 1)
    assert [record.sequence for record in (await one.read("s", 1, 9, 1)).records] == [2]
    assert client.asked[-2][1]["StartingSequenceNumber"] == "1"


async def test_throttled_reading_waits_and_goes_on() -> None:
    client = Scripted(
        get_shard_iterator=iterators("a"),
        get_records=[refused(THROTTLED), refused("InternalFailure", 500), stands(1, then="b")],
    )
    assert [record.sequence for record in (await reader(client).read("s", BEGINNING, 9, 5)).records] == [1]


async def test_a_shard_is_asked_no_oftener_than_it_may_be() -> None:
    client = Scripted(get_shard_iterator=iterators("a"), get_records=[stands(then="b") for _ in range(100)])
    one = reader(client, reads_per_second=20)
    for _ in range(10):
        await one.read("s", BEGINNING, 9, 0.03)
    assert 100 - len(client.answers["get_records"]) <= 8  # 0.3 s of 20 a second, and the first


async def test_an_answer_of_many_bytes_is_followed_by_a_rest() -> None:
    large = stands(1, then="b")
    large["Records"][0]["Data"] = bytes(MAX_RECORD_BYTES)
    client = Scripted(get_shard_iterator=iterators("a"), get_records=[large, stands(2, then="c")])
    one = reader(client)
    await one.read("s", BEGINNING, 9, 1)
    assert await one.read("s", 1, 9, 0.1) == ([], False)
    assert [record.sequence for record in (await one.read("s", 1, 9, 1)).records] == [2]


async def test_what_was_fetched_of_a_shard_that_others_read_now_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Scripted(
        get_shard_iterator=iterators("a", "b", "c"),
        get_records=[stands(1, 2, then="d"), stands(5, then="e"), stands(2, then="f")],
    )
    one = reader(client)
    await one.read("s", BEGINNING, 1, 1)
    monkeypatch.setattr("mesh.stream.kinesis.reader._IDLE_SECONDS", -1)
    await one.read("other", BEGINNING, 1, 1)
    assert [record.sequence for record in (await one.read("s", 1, 1, 1)).records] == [2]
    assert client.answers["get_shard_iterator"] == []
