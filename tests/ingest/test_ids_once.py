"""Of two copies of an event one counts, however ingest and dispatchers come between each other."""

import asyncio
import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import Unavailable
from mesh.store import redis
from mesh.stream.port import BEGINNING
from records.table import of_events
from services.ingest.events.adapters.memory import MemorySeenEvents
from services.ingest.events.adapters.redis_seen import RedisSeenEvents
from services.ingest.events.claims import claimed
from services.ingest.events.domain.event import EventPosition, Seen
from services.ingest.events.ports import AppendedEvents, Claim, SeenEvents
from services.ingest.events.translation.records import Decoded, decoded
from tests.builders import NOW_US, event
from tests.ingest.harness import running

USERS = ("ada", "bob", "eve")
SHARDS = ("0", "1")
MIDNIGHT_US = NOW_US // 86_400_000_000 * 86_400_000_000


class Copy(NamedTuple):
    """A record of a shard: ids of events, and when they were received, in turns."""

    shard: str
    ids: list[str]
    received_us: tuple[int, ...]


class Turns:
    """Lets several tasks go on one call of the store at a time, in an order that is given."""

    def __init__(self, seen: SeenEvents, order: Iterator[int]) -> None:
        self._seen = seen
        self._order = order
        self._waiting: list[asyncio.Future[None]] = []

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any) -> Any:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
            return await getattr(self._seen, name)(*args)

        return call

    async def run(self, *tasks: Any) -> list[Any]:
        """Runs all of them to their ends."""
        running = asyncio.gather(*tasks)
        while not running.done():
            await asyncio.sleep(0)
            if self._waiting:
                self._waiting.pop(next(self._order) % len(self._waiting)).set_result(None)
        return await running


class Older:
    """A store as a dispatcher of the version before uses it: of no record it knows that it is clean."""

    def __init__(self, seen: Turns) -> None:
        self.find, self.claim = seen.find, seen.claim

    async def clean(self, shard: str, event_counts: Mapping[int, int]) -> set[int]:
        return set()


copies = st.lists(
    st.builds(
        Copy,
        st.sampled_from(SHARDS),
        st.lists(st.sampled_from([f"e-{number}" for number in range(6)]), min_size=1, max_size=4, unique=True),
        st.sampled_from([(NOW_US,), (MIDNIGHT_US - 1,), (MIDNIGHT_US - 1, NOW_US)]),
    ),
    min_size=1,
    max_size=5,
)


async def settled(seen: SeenEvents, records: Sequence[Copy], order: Iterator[int], dies: set[int]) -> Counter[str]:
    """How often each id counts. Ingest remembers each record, but for those it dies before.

    An ingest of the version before notes every second of those. Two dispatchers read each shard at the same time. One
    is of the version before: it has lost the shard and does not know it yet.
    """
    turns = Turns(seen, order)
    decoded: dict[str, list[Decoded]] = {shard: [] for shard in SHARDS}
    appended = []
    for sequence, record in enumerate(records):
        times_us = itertools.cycle(record.received_us)
        table = of_events([event(name, received_time_us=next(times_us)) for name in record.ids])
        decoded[record.shard].append(Decoded(sequence, table))
        its = (record.ids, range(len(table)), table.received_time_us, table.trace_id)
        appended.append(AppendedEvents(record.shard, sequence, *its))
    ingest = [turns.remember([each]) for number, each in enumerate(appended) if number not in dies]
    batches = [(shard, [record]) for shard in SHARDS for record in decoded[shard]] + [*decoded.items()]
    older = [turns.claim(_claims(each)) for number, each in enumerate(appended) if number in dies and number % 2]
    stores = [turns] * len(records) + [Older(turns)] * len(decoded)
    reads = [claimed(cast("SeenEvents", store), *batch) for store, batch in zip(stores, batches, strict=True)]
    rows = await turns.run(*ingest, *reads, *older)
    rows = rows[: len(ingest) + len(reads)]
    found = [
        {(shard, batch[at].sequence, index) for at, index in zip(its.record_indexes, its.event_indexes, strict=True)}
        for (shard, batch), its in zip(batches, rows[len(ingest) :], strict=True)
    ]
    alone = set().union(*found[: len(records)])
    assert alone == set().union(*found[len(records) :])
    remembered = [number for number in range(len(records)) if number not in dies]
    for sequence, known in zip(remembered, rows, strict=False):
        shard, ids, _ = records[sequence]
        assert known == {name for index, name in enumerate(ids) if (shard, sequence, index) not in alone}
    return Counter(records[sequence].ids[index] for _, sequence, index in alone)


def _claims(appended: AppendedEvents) -> list[Claim]:
    its = zip(appended.event_ids, appended.event_indexes, appended.received_times_us, appended.trace_ids, strict=True)
    return [
        Claim(name, Seen(EventPosition(appended.shard, appended.sequence, index), at_us, trace))
        for name, index, at_us, trace in its
    ]


@given(copies, st.lists(st.integers(0, 50), max_size=40), st.sets(st.integers(0, 4)))
@settings(max_examples=400, deadline=None)
async def test_exactly_one_of_all_copies_counts_in_whatever_order_they_meet(
    records: list[Copy], order: list[int], dies: set[int]
) -> None:
    counted = await settled(MemorySeenEvents(), records, _then_zeros(order), dies)
    assert counted == dict.fromkeys((name for record in records for name in record.ids), 1)


@given(copies, st.lists(st.integers(0, 50), max_size=40), st.sets(st.integers(0, 4)))
@settings(max_examples=60, deadline=None)
def test_exactly_one_of_all_copies_counts_on_a_real_store(
    valkey_url: str, records: list[Copy], order: list[int], dies: set[int]
) -> None:

    async def run() -> Counter[str]:
        client = redis.connect(valkey_url)
        await client.flushall()
        try:
            return await settled(RedisSeenEvents(client), records, _then_zeros(order), dies)
        finally:
            await client.aclose()

    assert asyncio.run(run()) == dict.fromkeys((name for record in records for name in record.ids), 1)


def _then_zeros(order: Sequence[int]) -> Iterator[int]:
    yield from order
    while True:
        yield 0


async def test_of_a_clean_record_no_id_is_looked_up() -> None:
    seen = MemorySeenEvents()
    table = of_events([event(f"{number}", USERS[number % 3]) for number in range(9)])
    await seen.remember([AppendedEvents("0", 7, table.event_id, range(9), table.received_time_us, table.trace_id)])
    asked: list[str] = []

    class Watched:
        async def clean(self, *args: Any) -> set[int]:
            return await seen.clean(*args)

        async def find(self, ids: Sequence[str], now_us: int) -> list[Any]:
            asked.extend(ids)
            return await seen.find(ids, now_us)

        async def claim(self, claims: Sequence[Claim]) -> list[Any]:
            return await seen.claim(claims)

    events = table.events()
    batch = [Decoded(7, table)]
    rows = await claimed(Watched(), "0", batch)  # type: ignore[arg-type]
    assert (rows.events, asked) == (events, [])
    only = [dataclasses.replace(batch[0], users=frozenset({"bob"}))]
    assert (await claimed(Watched(), "0", only)).event_indexes == [1, 4, 7]  # type: ignore[arg-type]
    await seen.forget_records("0", 7)
    assert (await claimed(Watched(), "0", batch)).events == events  # type: ignore[arg-type]
    assert asked == table.event_id


async def test_a_store_of_ids_that_is_away_for_a_moment_makes_nobody_send_again() -> None:
    """What was sent again would stand behind events of the same user whose ids were remembered."""
    seen = MemorySeenEvents()

    class Away:
        """It is, at first."""

        def __init__(self) -> None:
            self.find, self.faults = seen.find, [Unavailable("DEPENDENCY_UNAVAILABLE", "It is away.")] * 2

        async def remember(self, records: Sequence[AppendedEvents]) -> set[str]:
            if self.faults:
                raise self.faults.pop()
            return await seen.remember(records)

    async with running(seen=cast("SeenEvents", Away())) as harness:
        accepted = await harness.accept(event("a"), event("b"))
        assert [*accepted.verdicts] == [ingest_pb2.VERDICT_ACCEPTED] * 2
        (record,) = [
            record
            for shard in await harness.stream.shards()
            for record in (await harness.stream.read(shard.name, BEGINNING, 100, 0.001)).records
        ]
        assert decoded(record).table.event_id == ["a", "b"]
        assert None not in await seen.find(["a", "b"], NOW_US)
