"""The lag of consumers, measured on the stream itself: also where nobody consumes, or a consumer reports none."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from mesh.clock import Clock
from mesh.errors import MeshError
from mesh.leases.port import ShardState
from mesh.leases.sharing import readable
from mesh.stream.port import END, Shard, StreamReader
from services.ingest.accept.ports import Pipeline, ShardStanding

# How often a shard is asked for its oldest waiting record, and the stream for its shards, however many ask here.
_ASK_US: Final = 1_000_000
_SHARDS_US: Final = 10_000_000


class _Waiting(NamedTuple):
    """What was measured on a shard, and when: since when the oldest record beyond the checkpoint waits."""

    checkpoint: int
    asked_us: int
    since_us: int | None


class MeasuredPipeline:
    """The pipeline with its current lag, and with the shards that nobody has read yet.

    The lag of the consumers in `always` is always measured on the stream; that of others only where nobody holds a
    shard or its holder is in trouble, else the holder reports it. `monotonic` is a clock that is never set: the wait of
    a waiting record only grows, whatever the clock of the stream says.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        stream: StreamReader,
        monotonic: Clock,
        *,
        consumers: Collection[str],
        always: Collection[str],
    ) -> None:
        self._pipeline = pipeline
        self._stream = stream
        self._monotonic = monotonic
        self._consumers = consumers
        self._always = always
        self._shards: Sequence[Shard] = ()
        self._listed_us = -_SHARDS_US
        self._known: dict[tuple[str, str], _Waiting] = {}

    async def standings(self) -> list[ShardStanding]:
        """See `ports.Pipeline`."""
        reported = await self._pipeline.standings()
        await self._list_shards()
        for consumer in self._consumers:
            known = {each.shard: each.standing for each in reported if each.consumer == consumer}
            unread = [shard for shard in readable(self._shards, known) if shard not in known]
            reported = [*reported, *(ShardStanding(consumer, shard, ShardState()) for shard in unread)]
        measured = await asyncio.gather(*map(self._measured, reported))
        return sorted(measured, key=lambda each: (each.consumer, each.shard))

    async def _list_shards(self) -> None:
        now_us = self._monotonic()
        if now_us - self._listed_us >= _SHARDS_US:
            try:
                self._shards, self._listed_us = await self._stream.shards(), now_us
            except MeshError:
                return  # the known shards are still reported

    async def _measured(self, one: ShardStanding) -> ShardStanding:
        standing = one.standing
        is_reported = standing.owner and not standing.trouble and one.consumer not in self._always
        if is_reported or standing.checkpoint == END:
            return one
        try:
            lag_seconds = await self._lag_seconds(one)
        except MeshError:
            return one
        return one._replace(standing=standing._replace(lag_seconds=lag_seconds))

    async def _lag_seconds(self, one: ShardStanding) -> float:
        key, now_us, checkpoint = (one.consumer, one.shard), self._monotonic(), one.standing.checkpoint
        known = self._known.get(key)
        if known is None or now_us - known.asked_us >= _ASK_US:
            waited = await self._stream.waiting_seconds(one.shard, checkpoint)
            since_us = None if waited is None else now_us - round(waited * 1e6)
            is_same = known is not None and known.checkpoint == checkpoint
            if is_same and known and known.since_us is not None and since_us is not None:
                since_us = min(since_us, known.since_us)
            known = self._known[key] = _Waiting(checkpoint, now_us, since_us)
        return 0.0 if known.since_us is None else (now_us - known.since_us) / 1e6
