"""Two holders of one shard, the older of which does not know that it lost it."""

from collections.abc import Coroutine, Generator, Iterator, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import FailedPrecondition
from mesh.state import applied
from mesh.state.applied import Batch, Fence
from mesh.state.memory import MemoryState
from mesh.state.port import stale

KEYS = "abc"
Records = list[frozenset[str]]
"""For each record the keys it touches."""


class Mesh:
    """Two services in a row, a checkpoint, and the epoch of the lease."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.services = (MemoryState(self.epoch_of), MemoryState(self.epoch_of))
        self.epoch = 0
        self.checkpoint = -1

    def epoch_of(self, shard: str) -> int:
        return self.epoch

    def hold(self, sizes: Iterator[int]) -> Iterator[None]:
        """Takes the shard and goes on from the checkpoint; every `yield` is a moment at which the other may act."""
        epoch = yield from self.take()
        checkpoint = self.checkpoint
        yield
        while checkpoint + 1 < len(self.records):
            first = checkpoint + 1
            numbers = tuple(range(first, min(first + next(sizes), len(self.records))))
            at = Batch("events", "0", numbers, epoch)
            for service in self.services:
                keys = sorted(frozenset().union(*(self.records[number] for number in numbers)))
                loaded = dict(zip(keys, now(service.load(keys)), strict=True))
                yield
                try:
                    yield from self.save(service, self._apply(loaded, at), at.fence)
                except FailedPrecondition:
                    return
                yield
            if self.epoch != epoch:
                return
            self.checkpoint = checkpoint = numbers[-1]

    def take(self) -> Generator[None, None, int]:
        self.epoch += 1
        return self.epoch
        yield

    def save(self, service: MemoryState, items: Mapping[str, bytes], fence: Fence) -> Iterator[None]:
        now(service.save(items, fence))
        return
        yield

    def _apply(self, loaded: dict[str, bytes | None], at: Batch) -> dict[str, bytes]:
        resumed = {key: applied.resume(blob, at) for key, blob in loaded.items()}
        states = {key: each.state for key, each in resumed.items()}
        for number in at.sequences:
            apply(states, number, self.records[number])
        return {key: applied.seal(resumed[key], state, at) for key, state in states.items()}

    def known(self, service: MemoryState, key: str) -> bytes:
        (blob,) = now(service.load([key]))
        return applied.current(blob)


class Cluster(Mesh):
    """The same on a cluster: each key is a partition with a fence of its own, and nothing reaches two at once."""

    def __init__(self, records: Records) -> None:
        super().__init__(records)
        self.services = (MemoryState(), MemoryState())
        self.fences = dict.fromkeys(KEYS, 0)

    def take(self) -> Generator[None, None, int]:
        self.epoch += 1
        epoch = self.epoch
        yield from self._raised(epoch)
        return epoch

    def save(self, service: MemoryState, items: Mapping[str, bytes], fence: Fence) -> Iterator[None]:
        refused = yield from self._written(service, items, fence)
        if not refused:
            return
        if self.epoch != fence.epoch:
            raise stale()
        yield
        yield from self._raised(fence.epoch)
        if (yield from self._written(service, refused, fence)):
            raise stale()

    def _written(
        self, service: MemoryState, items: Mapping[str, bytes], fence: Fence
    ) -> Generator[None, None, dict[str, bytes]]:
        """Writes partition by partition; gives what was refused."""
        refused = {}
        for key, value in items.items():
            if self.fences[key] == fence.epoch:
                now(service.save({key: value}, None))
            else:
                refused[key] = value
            yield
        return refused

    def _raised(self, epoch: int) -> Iterator[None]:
        for key in KEYS:
            yield
            self.fences[key] = max(self.fences[key], epoch)


def apply(states: dict[str, bytes], number: int, keys: frozenset[str]) -> None:
    """Applies a record. The last key depends on the first, as counts of a video hang on its viewers."""
    for key in sorted(keys):
        seen = states["a"].count(b";") if {"a", KEYS[-1]} <= keys and key == KEYS[-1] else 0
        states[key] += b"%d+%d;" % (number, seen)


def now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError


def step(holder: Iterator[None]) -> bool:
    """Goes on to the next moment; False at the end, also where a batch was refused as stale."""
    try:
        next(holder)
    except (StopIteration, FailedPrecondition):
        return False
    return True


@given(
    st.sampled_from([Mesh, Cluster]),
    st.lists(st.frozensets(st.sampled_from(KEYS), min_size=1), min_size=1, max_size=12),
    st.lists(st.sampled_from(["older", "newer", *KEYS]), max_size=90),
    st.lists(st.integers(1, 4), min_size=40, max_size=40),
)
def test_in_every_interleaving_of_two_holders_each_record_counts_once(
    kind: type[Mesh], records: Records, turns: list[str], sizes: list[int]
) -> None:
    """Either may rest for ever anywhere, as if it were dead; and in a cluster a fence may be lost with its node."""
    mesh = kind(records)
    older = mesh.hold(iter(sizes[::2]))
    step(older)
    newer: Iterator[None] | None = None
    for turn in turns:
        if turn == "newer" and newer is None:
            newer = mesh.hold(iter(sizes[1::2]))
        if turn not in KEYS:
            step(newer if newer is not None and turn == "newer" else older)
        elif isinstance(mesh, Cluster):
            mesh.fences[turn] = 0
    newer = newer or mesh.hold(iter(sizes[1::2]))
    while step(newer):
        pass
    while step(older):
        pass
    expected = dict.fromkeys(KEYS, b"")
    for number, keys in enumerate(records):
        apply(expected, number, keys)
    for service in mesh.services:
        assert {key: mesh.known(service, key) for key in KEYS} == expected
