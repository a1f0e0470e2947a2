"""Appends to Kinesis and keeps the order of every ordering group, whatever is refused, throttled or lost.

Kinesis accepts or refuses each record of a call separately. So a call holds at most one record of a group, and the next
one waits until Kinesis has it or it is given up. Groups do not wait for each other; records that arrive during a call
share the next one.
"""

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from mesh.errors import MeshError, ResourceExhausted
from mesh.store import redis
from mesh.stream import counts
from mesh.stream.kinesis import client as kinesis
from mesh.stream.port import MAX_RECORD_BYTES, Entry, Position

_HASH_KEYS: Final = 1 << 128
_CALL_RECORDS: Final = 500
_CALL_BYTES: Final = 5 * 1024 * 1024
"""Kinesis takes 10 MiB today; compatible servers take less."""
_CALLS: Final = 8
_PATIENCE_SECONDS: Final = 2.0


class _Append:
    """A pending call of `append`."""

    def __init__(self, size: int, deadline: float, loop: asyncio.AbstractEventLoop) -> None:
        self.positions: list[Position | None] = [None] * size
        self.left = size
        self.deadline = deadline
        self.done: asyncio.Future[None] = loop.create_future()

    def keep(self, place: int, position: Position) -> None:
        self.positions[place] = position
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class _Waiting(NamedTuple):
    """An entry to be sent."""

    append: _Append
    place: int
    payload: bytes


class _Group:
    """A group's waiting entries, oldest first; while it is held, the first is being sent or rests before a retry."""

    def __init__(self, hash_key: int) -> None:
        self.hash_key = str(hash_key)
        self.waiting: deque[_Waiting] = deque()
        self.is_held = False
        self.tries = 0
        self.error: MeshError | None = None
        """Why the entry before was given up; None if it was appended."""

    def settle(self, verdict: Position | kinesis.Refusal | Exception) -> None:
        """Completes the first entry of the group, and releases the group."""
        append, place, _ = self.waiting.popleft()
        self.is_held, self.tries, self.error = False, 0, None
        if isinstance(verdict, Position):
            append.keep(place, verdict)
        elif isinstance(verdict, kinesis.Refusal):
            self.error = verdict.error
            append.fail(verdict.error)
        else:
            append.fail(verdict)


class KinesisWriter:
    """Appends to one stream.

    Keys are hashed over `group_count` groups, 1 to 1024. A group is one hash key, the middle of its part of the key
    space: splits and merges of shards move whole groups, and shards beyond the number of groups would stay empty. An
    entry that is not appended within two seconds is given up, and the rest of its `append` with it.
    """

    def __init__(self, client: Any, name: str, group_count: int, chance: Callable[[], float]) -> None:  # noqa: ANN401 - the client has no type
        self._client = client
        self._name = name
        part = _HASH_KEYS // group_count
        self._groups = {str(number): _Group(number * part + part // 2) for number in range(group_count)}
        self._chance = chance
        self._calls: set[asyncio.Task[None]] = set()

    def ordering_group(self, key: str) -> str:
        """See `mesh.stream.port.StreamWriter`."""
        return str(zlib.crc32(key.encode()) % len(self._groups))

    async def append(self, entries: Sequence[Entry]) -> list[Position]:
        """See `mesh.stream.port.StreamWriter`."""
        if not entries:
            return []
        if any(len(entry.payload) > MAX_RECORD_BYTES for entry in entries):
            raise ValueError("a payload is larger than a record may be")
        loop = asyncio.get_running_loop()
        append = _Append(len(entries), loop.time() + _PATIENCE_SECONDS, loop)
        for place, entry in enumerate(entries):
            self._groups[entry.group].waiting.append(_Waiting(append, place, entry.payload))
        self._send()
        await append.done
        return [position for position in append.positions if position]

    async def keep_lane_count(self, store: redis.Client) -> None:
        """See `mesh.stream.counts`; `store` keeps the count."""
        await counts.keep(store, self._name, "lane", len(self._groups))

    async def ping(self) -> None:
        """Returns if the stream is there and answers; raises `Unavailable` if not."""
        await kinesis.ping(self._client, self._name)

    def _send(self) -> None:
        while len(self._calls) < _CALLS and (batch := self._next_batch()):
            call = asyncio.create_task(self._put(batch))
            self._calls.add(call)
            call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled():  # else the loop is ending
            self._send()

    def _next_batch(self) -> dict[str, _Waiting]:
        """Takes the first entry of each free group, as many as fit into a call, and holds their groups."""
        batch: dict[str, _Waiting] = {}
        size = 0
        for name, group in self._groups.items():
            if group.is_held or not self._drop_given_up(group):
                continue
            size += len(group.waiting[0].payload) + len(name)
            if len(batch) == _CALL_RECORDS or size > _CALL_BYTES:
                break
            batch[name] = group.waiting[0]
            group.is_held = True
        return batch

    def _drop_given_up(self, group: _Group) -> bool:
        """Whether an entry of the group still waits. A record is never sent without those before it in its `append`."""
        now = asyncio.get_running_loop().time()
        while group.waiting:
            append = group.waiting[0].append
            if now > append.deadline:
                append.fail(group.error or _full())
            if not append.done.done():
                return True
            group.waiting.popleft()
        return False

    async def _put(self, batch: dict[str, _Waiting]) -> None:
        records = [
            {"Data": waiting.payload, "PartitionKey": name, "ExplicitHashKey": self._groups[name].hash_key}
            for name, waiting in batch.items()
        ]
        verdicts: list[Position | kinesis.Refusal | Exception]
        try:
            answer = await self._client.put_records(StreamName=self._name, Records=records)
            verdicts = [_verdict(record) for record, _ in zip(answer["Records"], records, strict=True)]
        except Exception as error:  # noqa: BLE001 - whatever it is, the pending appends report it
            verdicts = [_verdict_of(error)] * len(records)
        chance = self._chance()  # once per call, so that entries refused together are retried together
        resting: dict[float, list[_Group]] = {}
        for (name, waiting), verdict in zip(batch.items(), verdicts, strict=True):
            group = self._groups[name]
            pause = kinesis.pause_seconds(group.tries + 1, chance)
            if _may_try_again(verdict, waiting.append.deadline - pause):
                group.tries += 1
                resting.setdefault(pause, []).append(group)
            else:
                group.settle(verdict)
        for pause, groups in resting.items():
            asyncio.get_running_loop().call_later(pause, self._release, groups)

    def _release(self, groups: Sequence[_Group]) -> None:
        for group in groups:
            group.is_held = False
        self._send()


def _may_try_again(verdict: Position | kinesis.Refusal | Exception, latest: float) -> bool:
    is_passing = isinstance(verdict, kinesis.Refusal) and verdict.is_passing
    return is_passing and asyncio.get_running_loop().time() < latest


def _verdict(record: dict[str, Any]) -> Position | kinesis.Refusal:
    if code := record.get("ErrorCode"):
        return kinesis.refusal(code)
    return Position(record["ShardId"], int(record["SequenceNumber"]))


def _verdict_of(error: Exception) -> kinesis.Refusal | Exception:
    try:
        return kinesis.understood(error)
    except Exception as fault:  # noqa: BLE001 - a bug, for the pending appends to report
        return fault


def _full() -> ResourceExhausted:
    return ResourceExhausted("BUFFER_FULL", "The stream takes no more now.", retry_after_seconds=1)
