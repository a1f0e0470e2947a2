"""Shares the shards of a stream among the processes of one reader: each shard is followed by one of them at a time.

A process holds leases on its share, renews them, gives up what it lost, takes what is free, and takes one shard at a
time from whoever holds at least two more than itself. A shard is taken only once its parents are through, so that a
split or a merge never changes the order of a user's records.
"""

import asyncio
import collections
import contextlib
import logging
import math
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Final, NamedTuple

from mesh.errors import FailedPrecondition, MeshError
from mesh.leases import Lease, Leases, Standing
from mesh.stream import END, Shard, StreamReader

Follow = Callable[[Lease], Coroutine[Any, Any, None]]
"""Reads a held shard: returns once it is through with a closed one, raises `FailedPrecondition` where it lost it."""

_ROUNDS_A_LEASE: Final = 3
# So long a shard is left alone after its follower was refused once, twice and so on. Once is when another took over.
_REFUSED_SECONDS: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
# Who has followed a shard for so long was not refused at once.
_SETTLED_SECONDS: Final = 30.0
# About how long a shard rests that was given back.
_LOOK_SECONDS: Final = 0.1

_log = logging.getLogger(__name__)


class Plan(NamedTuple):
    """What to do next: shards to take that nobody holds, and one to take from who has too many."""

    take: list[str]
    steal: str | None


def readable(shards: Sequence[Shard], standings: Mapping[str, Standing]) -> list[str]:
    """The shards that are to be read now: not read to their end, and not before their parents are. Pure."""
    unknown = Standing()
    listed = {shard.name for shard in shards}

    def is_through(name: str) -> bool:
        return standings.get(name, unknown).checkpoint == END

    return [
        shard.name
        for shard in shards
        if not is_through(shard.name) and all(is_through(p) for p in shard.parents if p in listed)
    ]


def plan(shards: Sequence[Shard], standings: Mapping[str, Standing], owner: str, held: Collection[str] = ()) -> Plan:
    """What a process should take, given what everybody holds. Pure.

    Args:
        shards: all shards there are.
        standings: what is known of them.
        owner: the process.
        held: what it follows already; what it holds beside that, it held before it was started again.
    """
    ready, unknown = readable(shards, standings), Standing()
    holders = {name: standings.get(name, unknown).owner for name in ready}
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
    """Which shards are left alone for a while, because their followers were refused again and again."""

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
    """Follows the shards that fall to this process, until cancelled; then gives them back."""

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

    async def run(self) -> None:
        """Runs until cancelled.

        Raises:
            Exception: what a follower raised that is no `MeshError`: a fault of the process.
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
            await asyncio.shield(self._give_back())

    async def _rest(self) -> None:
        """Returns when the next round is due: in time, or at once where a follower ended or a shard is to be had."""
        ends = asyncio.get_running_loop().time() + self._period
        while (left := ends - asyncio.get_running_loop().time()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK_SECONDS)):
                    await self._changed.wait()
                return
            with contextlib.suppress(MeshError):  # the round will tell
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
                following.cancel()
                await asyncio.wait([following])
                del self._held[lease.shard]

    async def _end(self, held: _Held) -> None:
        lease, error = held.lease, held.following.exception()
        if isinstance(error, FailedPrecondition):
            # Lost, or overtaken: a new lease has a higher epoch, and begins at the checkpoint.
            _log.warning("shard %s is given back: %s", lease.shard, error)
            if await self._leases.renew(lease):  # not lost: a new lease may not help either, and who looks reads why
                self._refusals.note(lease.shard, asyncio.get_running_loop().time() - held.since)
                await self._leases.complain(lease, error.detail)
        elif error is not None:
            raise error
        await self._leases.release(lease)

    async def _take(self) -> None:
        self._shards, standings = await self._reader.shards(), await self._leases.standings()
        take, steal = self._plan(standings)
        leases = [await self._leases.acquire(shard, self._owner) for shard in take]
        if steal is not None:
            leases.append(await self._leases.steal(steal, self._owner, standings[steal].epoch))
        for lease in leases:
            if lease is not None:
                following = asyncio.create_task(self._follow(lease))
                following.add_done_callback(lambda _: self._changed.set())
                self._held[lease.shard] = _Held(lease, following, asyncio.get_running_loop().time())

    def _plan(self, standings: Mapping[str, Standing]) -> Plan:
        take, steal = plan(self._shards, standings, self._owner, self._held)
        rested = [shard for shard in take if not self._refusals.rests(shard)]
        return Plan(rested, None if steal is None or self._refusals.rests(steal) else steal)

    async def _give_back(self) -> None:
        held, self._held = list(self._held.values()), {}
        for each in held:
            each.following.cancel()
        await asyncio.gather(*(each.following for each in held), return_exceptions=True)
        for each in held:
            try:
                await self._leases.release(each.lease)
            except MeshError:
                _log.debug("shard %s is not given back; its lease will end", each.lease.shard)
