"""Shares the shards of a stream among the processes of a consumer group; one process at a time follows each shard.

A process holds leases on its share, renews them, drops those it lost, takes free shards, and steals one at a time from
a process that holds at least two more than itself. A shard is taken only once its parents are finished, so that a split
or a merge never changes the order of a user's records.
"""

import asyncio
import collections
import contextlib
import logging
import math
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Final, NamedTuple

from mesh.errors import FailedPrecondition, MeshError
from mesh.leases.port import Lease, Leases, ShardState
from mesh.process.lifecycle import cancel
from mesh.stream.port import END, Shard, StreamReader

Follow = Callable[[Lease], Coroutine[Any, Any, None]]
"""Reads a held shard: returns once a closed one is finished, raises `FailedPrecondition` once it is lost."""

_ROUNDS_A_LEASE: Final = 3
# How long a shard is left alone after its follower was refused once (as another took over), twice and so on.
_REFUSED_SECONDS: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
# A follower that ran for so long was not refused at once.
_SETTLED_SECONDS: Final = 30.0
# About how long a shard that another process releases stays free.
_LOOK_SECONDS: Final = 0.1

_log = logging.getLogger(__name__)


class Plan(NamedTuple):
    """What to do next: free shards to take, and one to steal from a process that has too many."""

    take: list[str]
    steal: str | None


def readable(shards: Sequence[Shard], states: Mapping[str, ShardState]) -> list[str]:
    """The names of the shards to be read now: unfinished ones whose parents are finished. Pure."""
    unknown = ShardState()
    listed = {shard.name for shard in shards}

    def is_finished(name: str) -> bool:
        return states.get(name, unknown).checkpoint == END

    return [
        shard.name
        for shard in shards
        if not is_finished(shard.name) and all(is_finished(p) for p in shard.parents if p in listed)
    ]


def plan(shards: Sequence[Shard], states: Mapping[str, ShardState], owner: str, held: Collection[str] = ()) -> Plan:
    """What a process should take, given who holds what. Pure.

    Args:
        shards: all shards.
        states: their states, by name; one that is missing was never held.
        owner: the process.
        held: the shards it follows already; others that it holds are from before a restart.
    """
    ready, unknown = readable(shards, states), ShardState()
    holders = {name: states.get(name, unknown).owner for name in ready}
    counts = collections.Counter(holder for holder in holders.values() if holder)
    mine = [name for name in ready if holders[name] == owner]
    again = [name for name in mine if name not in held]
    fair = math.ceil(len(ready) / len({*counts, owner}))
    free = [name for name in ready if not holders[name]][: max(0, fair - len(mine))]
    most, count = max(counts.items(), key=lambda entry: entry[1], default=(owner, 0))
    must_steal = not free and count - len(mine) >= 2
    steal = next(name for name in ready if holders[name] == most) if must_steal else None
    return Plan(again + free, steal)


class _Refusals:
    """Which shards are left alone for a while, because their followers were refused repeatedly."""

    def __init__(self) -> None:
        self._counts: collections.Counter[str] = collections.Counter()
        self._until: dict[str, float] = {}

    def note(self, shard: str, followed_seconds: float) -> None:
        if followed_seconds > _SETTLED_SECONDS:
            del self._counts[shard]
        pause = _REFUSED_SECONDS[min(self._counts[shard], len(_REFUSED_SECONDS) - 1)]
        self._counts[shard] += 1
        self._until[shard] = asyncio.get_running_loop().time() + pause

    def rests(self, shard: str) -> bool:
        return self._until.get(shard, 0.0) > asyncio.get_running_loop().time()


class _Held(NamedTuple):
    lease: Lease
    following: asyncio.Task[None]
    since: float
    """In the loop's time."""


class Sharing:
    """Follows this process's share of the shards until cancelled, then releases them."""

    def __init__(self, reader: StreamReader, leases: Leases, owner: str, follow: Follow, lease_seconds: float) -> None:
        self._reader = reader
        self._leases = leases
        self._owner = owner
        self._follow = follow
        self._period = lease_seconds / _ROUNDS_A_LEASE
        self._held: dict[str, _Held] = {}
        self._refusals = _Refusals()
        self._changed = asyncio.Event()
        self._shards: Sequence[Shard] = ()
        self._readable: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Runs until cancelled.

        Raises:
            Exception: a follower raised something other than a `MeshError`: a bug.
        """
        trouble = ""
        try:
            while True:
                self._changed.clear()
                try:
                    await self._drop_lost()
                    await self._take()
                    trouble = ""
                except MeshError as error:
                    if error.detail != trouble:
                        _log.warning("the shards cannot be shared now: %s", error.detail)
                    trouble = error.detail
                await self._rest()
        finally:
            await asyncio.shield(self._release_all())

    async def _rest(self) -> None:
        """Returns when the next round is due: after the period, or once a follower ends or a shard is free.

        None can become free while this process follows all that can be read.
        """
        ends = asyncio.get_running_loop().time() + self._period
        follows_all = self._readable <= self._held.keys()
        while (left := ends - asyncio.get_running_loop().time()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left if follows_all else min(left, _LOOK_SECONDS)):
                    await self._changed.wait()
                return
            if follows_all:
                return
            with contextlib.suppress(MeshError):  # the next round reports it
                if self._plan(await self._leases.standings()).take:
                    return

    async def _drop_lost(self) -> None:
        for held in list(self._held.values()):
            lease, following, _ = held
            if following.done():
                del self._held[lease.shard]
                await self._end(held)
            elif not await self._leases.renew(lease):
                _log.warning("shard %s was taken over by another", lease.shard)
                await cancel(following)
                del self._held[lease.shard]

    async def _end(self, held: _Held) -> None:
        lease, error = held.lease, held.following.exception()
        if isinstance(error, FailedPrecondition):
            # Lost or overtaken: a new lease has a higher epoch and begins at the checkpoint.
            _log.warning("shard %s is released: %s", lease.shard, error)
            if await self._leases.renew(lease):  # not lost: a new lease may not help either, so the reason is shown
                self._refusals.note(lease.shard, asyncio.get_running_loop().time() - held.since)
                await self._leases.complain(lease, error.detail)
        elif error is not None:
            raise error
        await self._leases.release(lease)

    async def _take(self) -> None:
        self._shards, states = await self._reader.shards(), await self._leases.standings()
        self._readable = frozenset(readable(self._shards, states))
        take, steal = self._plan(states)
        leases = [await self._leases.acquire(shard, self._owner) for shard in take]
        if steal is not None:
            leases.append(await self._leases.steal(steal, self._owner, states[steal].epoch))
        for lease in leases:
            if lease is not None:
                following = asyncio.create_task(self._follow(lease))
                following.add_done_callback(lambda _: self._changed.set())
                self._held[lease.shard] = _Held(lease, following, asyncio.get_running_loop().time())

    def _plan(self, states: Mapping[str, ShardState]) -> Plan:
        take, steal = plan(self._shards, states, self._owner, self._held)
        rested = [shard for shard in take if not self._refusals.rests(shard)]
        return Plan(rested, None if steal is None or self._refusals.rests(steal) else steal)

    async def _release_all(self) -> None:
        held, self._held = list(self._held.values()), {}
        followings = [each.following for each in held]
        await cancel(*followings)
        await asyncio.gather(*followings, return_exceptions=True)
        for each in held:
            try:
                await self._leases.release(each.lease)
            except MeshError:
                _log.debug("shard %s cannot be released; its lease will expire", each.lease.shard)
