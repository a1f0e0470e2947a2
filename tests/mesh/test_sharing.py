"""How processes share shards: `mesh.leases.sharing`."""

import asyncio
import collections
import contextlib
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.clock import system_clock
from mesh.errors import FailedPrecondition
from mesh.leases.memory import MemoryLeases
from mesh.leases.port import Lease, ShardState
from mesh.leases.sharing import Sharing, plan
from mesh.process.lifecycle import in_background
from mesh.stream.memory import MemoryStream
from mesh.stream.port import BEGINNING, END, Shard

SHARDS = [Shard("0"), Shard("1")]


def test_alone_a_process_takes_everything() -> None:
    assert plan(SHARDS, {}, "a") == (["0", "1"], None)


def test_a_process_takes_no_more_than_its_share() -> None:
    four = [Shard(str(number)) for number in range(4)]
    assert plan(four, {"0": ShardState(owner="b")}, "a") == (["1", "2"], None)


def test_a_process_that_was_started_again_takes_back_what_it_held() -> None:
    assert plan(SHARDS, {"0": ShardState(owner="a"), "1": ShardState(owner="b")}, "a") == (["0"], None)
    assert plan(SHARDS, {"0": ShardState(owner="a"), "1": ShardState(owner="b")}, "a", held=["0"]) == ([], None)


def test_a_newcomer_takes_one_from_who_has_too_many() -> None:
    both = {"0": ShardState(owner="b"), "1": ShardState(owner="b")}
    take, steal = plan(SHARDS, both, "a")
    assert not take
    assert steal in {"0", "1"}


def test_children_wait_for_their_parents() -> None:
    family = [Shard("0"), Shard("1"), Shard("2", ("0", "1"))]
    assert plan(family, {"0": ShardState(checkpoint=END)}, "a") == (["1"], None)
    assert plan(family, {name: ShardState(checkpoint=END) for name in "01"}, "a") == (["2"], None)
    assert plan([Shard("2", ("0", "1"))], {}, "a") == (["2"], None)


@given(st.integers(1, 12), st.lists(st.sampled_from("abcd"), min_size=1, max_size=60))
def test_turn_by_turn_every_shard_finds_one_process_and_none_has_two_more_than_another(
    count: int, turns: list[str]
) -> None:
    shards = [Shard(str(number)) for number in range(count)]
    owners: dict[str, str] = {}
    for turn in [*turns, *(sorted(set(turns)) * count)]:
        take, steal = plan(
            shards,
            {name: ShardState(owner=owner) for name, owner in owners.items()},
            turn,
            [name for name, owner in owners.items() if owner == turn],
        )
        owners |= dict.fromkeys(take, turn)
        if steal is not None:
            owners[steal] = turn
    assert len(owners) == count
    held = [list(owners.values()).count(process) for process in set(turns)]
    assert max(held) - min(held) <= 1


class Followers:
    """Several processes over one stream in memory; what each follows now, and every lease that was given.

    For a moment two may follow one shard, until the one that lost it notices; their epochs differ.
    """

    def __init__(self, stream: MemoryStream, leases: MemoryLeases) -> None:
        self._stream = stream
        self._leases = leases
        self.following: set[tuple[str, str]] = set()
        self.given: collections.defaultdict[str, list[int]] = collections.defaultdict(list)
        self.changed = asyncio.Event()

    def process(self, owner: str) -> "asyncio.Task[None]":
        async def follow(lease: Lease) -> None:
            self.following.add((lease.shard, owner))
            self.given[lease.shard].append(lease.epoch)
            self.changed.set()
            try:
                checkpoint = await self._leases.checkpoint(lease.shard)
                while checkpoint != END:
                    records, is_end = await self._stream.read(lease.shard, checkpoint, 10, wait_seconds=0.01)
                    checkpoint = END if is_end else records[-1].sequence if records else checkpoint
                    await self._leases.save(lease, checkpoint, 0.0)
            finally:
                self.following.discard((lease.shard, owner))
                self.changed.set()

        return asyncio.create_task(Sharing(self._stream, self._leases, owner, follow, lease_seconds=0.06).run())

    async def until(self, owners: Sequence[str]) -> None:
        """Returns once the shards are followed by just these processes, in any order."""
        async with asyncio.timeout(5):
            while sorted(owner for _, owner in self.following) != sorted(owners):
                self.changed.clear()
                await self.changed.wait()


async def _end(*processes: "asyncio.Task[None]") -> None:
    for process in processes:
        process.cancel()
    await asyncio.gather(*processes, return_exceptions=True)


async def test_processes_come_and_go() -> None:
    stream, leases = MemoryStream(shard_count=4), MemoryLeases(system_clock)
    followers = Followers(stream, leases)
    a = followers.process("a")
    await followers.until("aaaa")
    b = followers.process("b")
    await followers.until("aabb")
    await _end(a)
    await followers.until("bbbb")
    await _end(b)
    await followers.until("")
    for epochs in followers.given.values():
        assert epochs == sorted(set(epochs))


class CountingLeases(MemoryLeases):
    """Counts rounds, by what is renewed in them, and looks at who holds what."""

    def __init__(self, rounds: int) -> None:
        super().__init__(system_clock)
        self.look_count = 0
        self.rounds = rounds
        self.is_enough = asyncio.Event()

    async def standings(self) -> dict[str, ShardState]:
        self.look_count += 1
        return dict(await super().standings())

    async def renew(self, lease: Lease) -> bool:
        if lease.shard == "0":
            self.rounds -= 1
            if not self.rounds:
                self.is_enough.set()
        return await super().renew(lease)


@pytest.mark.parametrize("is_alone", [True, False])
async def test_who_follows_all_looks_once_a_round_and_else_often(*, is_alone: bool) -> None:
    stream, leases = MemoryStream(shard_count=2), CountingLeases(rounds=3)
    if not is_alone:
        assert await leases.acquire("1", "other") is not None

    async def follow(_: Lease) -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(30):
        async with in_background(Sharing(stream, leases, "me", follow, 1.2).run()):
            await leases.is_enough.wait()
    assert (leases.look_count <= 4) == is_alone


async def test_a_split_and_a_merge_are_followed_parents_first() -> None:
    stream, leases = MemoryStream(shard_count=1), MemoryLeases(system_clock)
    followers = Followers(stream, leases)
    a, b = followers.process("a"), followers.process("b")
    (parent,) = await stream.shards()
    children = await stream.split(parent.name)
    await followers.until("ab")
    assert await leases.checkpoint(parent.name) == END
    child = await stream.merge(*children)
    async with asyncio.timeout(5):
        while {shard for shard, _ in followers.following} != {child}:
            followers.changed.clear()
            await followers.changed.wait()
    assert await leases.checkpoint(child) == BEGINNING
    await _end(a, b)


async def test_a_follower_that_was_refused_begins_anew_with_a_higher_epoch() -> None:
    stream, leases = MemoryStream(shard_count=1), MemoryLeases(system_clock)
    epochs: list[int] = []
    came_again = asyncio.Event()

    async def follow(lease: Lease) -> None:
        epochs.append(lease.epoch)
        if len(epochs) == 1:
            raise FailedPrecondition("POSITION_STALE", "")
        came_again.set()
        await asyncio.Event().wait()

    process = asyncio.create_task(Sharing(stream, leases, "a", follow, lease_seconds=0.06).run())
    async with asyncio.timeout(5):
        await came_again.wait()
    await _end(process)
    assert epochs == [1, 2]


class Refused:
    """Follows shards and is refused again and again, as by a position that is always refused; records when."""

    def __init__(self, times: int) -> None:
        self._left = times
        self.begun: list[float] = []
        self.is_through = asyncio.Event()

    async def follow(self, lease: Lease) -> None:
        self.begun.append(asyncio.get_running_loop().time())
        if self._left:
            self._left -= 1
            raise FailedPrecondition("POSITION_STALE", "The batch lies before what was already applied.")
        self.is_through.set()
        await asyncio.Event().wait()


async def test_who_is_refused_again_and_again_rests_longer_and_longer_and_says_why() -> None:
    stream, leases, refused = MemoryStream(shard_count=1), MemoryLeases(system_clock), Refused(4)
    process = asyncio.create_task(Sharing(stream, leases, "a", refused.follow, lease_seconds=0.06).run())
    async with asyncio.timeout(10):
        await refused.is_through.wait()
    await _end(process)
    rests = [after - before for before, after in itertools.pairwise(refused.begun)]
    assert rests[0] < 0.3, "the first time it is most likely that another took over"
    assert [rest > least for rest, least in zip(rests, (0, 0.4, 0.9, 1.8), strict=True)] == [True] * 4
    assert (await leases.standings())["0"].trouble == "The batch lies before what was already applied."


async def test_while_one_shard_rests_the_others_are_read_and_a_lost_one_is_no_trouble() -> None:
    stream, leases = MemoryStream(shard_count=2), MemoryLeases(system_clock)
    refused, read = Refused(1_000), asyncio.Event()

    async def follow(lease: Lease) -> None:
        if lease.shard == "0":
            await refused.follow(lease)
        read.set()
        await asyncio.Event().wait()

    process = asyncio.create_task(Sharing(stream, leases, "a", follow, lease_seconds=0.06).run())
    async with asyncio.timeout(10):
        await read.wait()
        while len(refused.begun) < 3:  # noqa: ASYNC110 - the follower of the other shard has no event
            await asyncio.sleep(0.01)
    standing = (await leases.standings())["1"]
    await _end(process)
    assert (standing.owner, standing.epoch, standing.trouble) == ("a", 1, "")


async def test_who_loses_its_shard_to_another_makes_no_complaint() -> None:
    stream, leases = MemoryStream(shard_count=1), MemoryLeases(system_clock)
    begun = asyncio.Event()

    async def follow(lease: Lease) -> None:
        taken = await leases.steal(lease.shard, "b", lease.epoch)
        assert taken
        begun.set()
        raise FailedPrecondition("POSITION_STALE", "The lease shown is not the one.")

    sharing = Sharing(stream, leases, "a", follow, lease_seconds=30)
    process = asyncio.create_task(sharing.run())
    await begun.wait()
    async with asyncio.timeout(10):
        while sharing._held:  # noqa: ASYNC110 - it drops what it lost by itself
            await asyncio.sleep(0.01)
    standing = (await leases.standings())["0"]
    await _end(process)
    assert (standing.owner, standing.trouble) == ("b", "")


async def test_a_fault_of_a_follower_ends_the_process() -> None:
    async def follow(lease: Lease) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Sharing(MemoryStream(shard_count=1), MemoryLeases(system_clock), "a", follow, lease_seconds=0.06).run()


async def test_a_follower_whose_cancellation_was_swallowed_ends_all_the_same() -> None:
    """As `asyncio.wait_for` does up to Python 3.11, which the store's client uses."""
    begun, leases = asyncio.Event(), MemoryLeases(system_clock)

    async def follow(_: Lease) -> None:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async with asyncio.timeout(10):
        async with in_background(Sharing(MemoryStream(shard_count=1), leases, "a", follow, lease_seconds=5).run()):
            await begun.wait()
        assert (await leases.standings())["0"].owner == ""
