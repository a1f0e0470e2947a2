"""Reads from Kinesis within the limit that all consumers of a shard share.

A shard answers five reads per second in total, each with up to 10,000 records. So the reader asks rarely, fetches much,
and returns it in the portions requested.
"""

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from mesh.clock import monotonic_clock
from mesh.stream.kinesis import client as kinesis
from mesh.stream.port import BEGINNING, Read, Record, Shard

_ANSWER_RECORDS: Final = 2000
"""At four reads per second this is eight times a shard's write limit; an answer ends at 10 MiB in any case."""
_BYTES_PER_SECOND: Final = 2 * 1024 * 1024
_PAGE_SHARDS: Final = 1000
_IDLE_SECONDS: Final = 300
"""The lifetime of an iterator."""


@dataclasses.dataclass
class _Cursor:
    """The progress of reading a shard: `fetched` are the records after `after`; `iterator` continues behind them."""

    after: int
    iterator: str | None
    """None: the shard is closed, and `fetched` are its last."""
    used: float
    """When, in the loop's time."""
    fetched: deque[Record] = dataclasses.field(default_factory=deque)


class KinesisReader:
    """Reads one stream, each shard at most `reads_per_second` times; all consumers together may do so five times."""

    def __init__(self, client: Any, name: str, reads_per_second: float, chance: Callable[[], float]) -> None:  # noqa: ANN401 - the client has no type
        self._client = client
        self._name = name
        self._interval = 1 / reads_per_second
        self._chance = chance
        self._cursors: dict[str, _Cursor] = {}
        self._next_times: dict[str, float] = {}
        # How far the clock of Kinesis is ahead of the monotonic one, at least.
        self._ahead_us = 0

    async def shards(self) -> list[Shard]:
        """See `mesh.stream.port.StreamReader`."""
        found: list[dict[str, Any]] = []
        ask: dict[str, Any] = {"StreamName": self._name}
        while ask:
            try:
                page = await self._client.list_shards(MaxResults=_PAGE_SHARDS, **ask)
            except Exception as error:
                raise kinesis.unavailable(kinesis.understood(error)) from error
            found += page["Shards"]
            ask = {"NextToken": page["NextToken"]} if page.get("NextToken") else {}
        known = {shard["ShardId"] for shard in found}
        return sorted(  # a child's number is larger than its parents', and numbers have as many digits
            Shard(shard["ShardId"], tuple(parent for parent in _parents(shard) if parent in known)) for shard in found
        )

    async def read(self, shard: str, after: int, max_records: int, wait_seconds: float) -> Read:
        """See `mesh.stream.port.StreamReader`."""
        now = asyncio.get_running_loop().time()
        deadline = now + wait_seconds
        cursor = self._cursors.get(shard)
        if cursor is None or cursor.after != after:
            self._forget_idle(now)
            cursor = self._cursors[shard] = _Cursor(after, "", now)
        cursor.used = now
        while not cursor.fetched and cursor.iterator is not None:
            if not await self._turn(shard, deadline):
                return Read([])
            await self._fetch(shard, cursor, deadline)
        records = [cursor.fetched.popleft() for _ in range(min(max_records, len(cursor.fetched)))]
        if records:
            cursor.after = records[-1].sequence
        return Read(records, is_end=cursor.iterator is None and not cursor.fetched)

    def now_us(self) -> int:
        """See `mesh.stream.port.StreamReader`."""
        return self._ahead_us + monotonic_clock()

    async def waiting_seconds(self, shard: str, after: int) -> float | None:
        """See `mesh.stream.port.StreamReader`. Kinesis does not report the age of the last record: 0."""
        try:
            iterator = await self._iterator(shard, after)
            answer = await self._client.get_records(ShardIterator=iterator, Limit=1)
        except Exception as error:
            raise kinesis.unavailable(kinesis.understood(error)) from error
        behind_ms = answer.get("MillisBehindLatest") or 0
        return behind_ms / 1000 if answer["Records"] or behind_ms else None

    async def trim(self, shard: str, through: int) -> None:
        """Does nothing: Kinesis forgets records by their age."""

    async def _turn(self, shard: str, deadline: float) -> bool:
        """Waits until the shard may be read again; False if that is after the deadline."""
        loop = asyncio.get_running_loop()
        turn = self._next_times.get(shard, 0.0)
        if turn > deadline:
            await asyncio.sleep(max(0.0, deadline - loop.time()))
            return False
        await asyncio.sleep(max(0.0, turn - loop.time()))
        return True

    def _forget_idle(self, now: float) -> None:
        """Forgets shards that other processes read now, with what was fetched of them."""
        for shard in [name for name, cursor in self._cursors.items() if cursor.used < now - _IDLE_SECONDS]:
            del self._cursors[shard]
            self._next_times.pop(shard, None)

    async def _fetch(self, shard: str, cursor: _Cursor, deadline: float) -> None:
        """Fetches the next records, until Kinesis answers or the deadline has passed."""
        loop = asyncio.get_running_loop()
        tries = 0
        while True:
            is_fresh = not cursor.iterator
            self._next_times[shard] = loop.time() + self._interval
            try:
                cursor.iterator = cursor.iterator or await self._iterator(shard, cursor.after)
                answer = await self._client.get_records(ShardIterator=cursor.iterator, Limit=_ANSWER_RECORDS)
            except Exception as error:
                if kinesis.code(error) == "ExpiredIteratorException" and not is_fresh:
                    cursor.iterator = ""
                    continue
                tries += 1
                why = kinesis.understood(error)
                pause = self._interval + kinesis.pause_seconds(tries, self._chance())
                if not why.is_passing or loop.time() + pause > deadline:
                    raise kinesis.unavailable(why) from error
                await asyncio.sleep(pause)
            else:
                cursor.fetched.extend(_records(answer["Records"]))
                if cursor.fetched:
                    tip_us = cursor.fetched[-1].appended_us + 1000 * (answer.get("MillisBehindLatest") or 0)
                    self._ahead_us = tip_us - monotonic_clock()
                cursor.iterator = answer.get("NextShardIterator")
                size = sum(len(record.payload) for record in cursor.fetched)
                self._next_times[shard] = loop.time() + max(self._interval, size / _BYTES_PER_SECOND)
                return

    async def _iterator(self, shard: str, after: int) -> str:
        start = (
            {"ShardIteratorType": "TRIM_HORIZON"}
            if after == BEGINNING
            else {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": str(after)}
        )
        answer = await self._client.get_shard_iterator(StreamName=self._name, ShardId=shard, **start)
        iterator: str = answer["ShardIterator"]
        return iterator


def _parents(shard: dict[str, Any]) -> tuple[str, ...]:
    return tuple(shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if shard.get(name))


def _records(records: Iterable[dict[str, Any]]) -> Iterable[Record]:
    for record in records:
        arrived_us = round(record["ApproximateArrivalTimestamp"].timestamp() * 1000) * 1000
        yield Record(int(record["SequenceNumber"]), record["Data"], arrived_us)
