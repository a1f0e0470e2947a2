"""How the Kinesis writer batches concurrent appends: `python -m bench.streams`.

Kinesis itself is a fake that takes every record after 15 ms, as in one region; beside the writer stands one that makes
an append wait for the one before.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any, Final

from mesh.stream.kinesis import KinesisWriter
from mesh.stream.port import Entry, Position

_GROUPS: Final = 32
_ANSWER_SECONDS: Final = 0.015
_CALLERS: Final = 64
_SECONDS: Final = 2.0


class _Taking:
    """Accepts and counts every record."""

    def __init__(self) -> None:
        self.calls = self.records = 0

    async def put_records(self, StreamName: str, Records: Sequence[Any]) -> dict[str, Any]:  # noqa: ARG002, N803 - Kinesis's
        self.calls += 1
        self.records += len(Records)
        await asyncio.sleep(_ANSWER_SECONDS)
        return {"Records": [{"ShardId": "shardId-000000000000", "SequenceNumber": "1"}] * len(Records)}


class _OneByOne(KinesisWriter):
    """The same, one append at a time."""

    def __init__(self, *members: Any) -> None:  # noqa: ANN401 - those of the writer
        super().__init__(*members)
        self._lock = asyncio.Lock()

    async def append(self, entries: Sequence[Entry]) -> list[Position]:
        async with self._lock:
            return await super().append(entries)


async def _measure(kind: type[KinesisWriter], groups_per_append: int) -> None:
    client, chance = _Taking(), random.Random(1)
    writer = kind(client, "events", _GROUPS, chance.random)
    end = time.perf_counter() + _SECONDS
    seconds: list[float] = []

    async def call() -> None:
        while (began := time.perf_counter()) < end:
            groups = chance.sample(range(_GROUPS), groups_per_append)
            await writer.append([Entry(str(group), bytes(1000)) for group in groups])
            seconds.append(time.perf_counter() - began)

    await asyncio.gather(*[call() for _ in range(_CALLERS)])
    seconds.sort()
    name, rate, share = kind.__name__.strip("_"), len(seconds) / _SECONDS, client.records / client.calls
    half_ms = seconds[len(seconds) // 2] * 1000
    print(
        f"{name:>14}, {groups_per_append:>2} groups per append: {rate:5.0f} appends/s, {share:4.1f} records per call, "
        f"half within {half_ms:4.0f} ms"
    )


async def main() -> None:
    """Measures and prints."""
    for groups in (1, 8, _GROUPS):
        for kind in (KinesisWriter, _OneByOne):
            await _measure(kind, groups)


if __name__ == "__main__":
    asyncio.run(main())
