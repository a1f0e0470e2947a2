"""Two holders of one shard, the older of which does not know that it lost it: `mesh.applied`, `mesh.state`."""

from collections.abc import Coroutine, Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mesh import applied
from mesh.applied import Batch
from mesh.errors import FailedPrecondition
from mesh.states.memory import MemoryState

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
        self.epoch += 1
        epoch, checkpoint = self.epoch, self.checkpoint
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
                    now(service.save(self._apply(loaded, at), at.fence))
                except FailedPrecondition:
                    return
                yield
            if self.epoch != epoch:
                return
            self.checkpoint = checkpoint = numbers[-1]

    def _apply(self, loaded: dict[str, bytes | None], at: Batch) -> dict[str, bytes]:
        items = {}
        for key, blob in loaded.items():
            resumed = applied.resume(blob, at)
            own = [b"%d;" % number for number in at.sequences if key in self.records[number]]
            items[key] = applied.seal(resumed, resumed.state + b"".join(own), at)
        return items

    def known(self, service: MemoryState, key: str) -> bytes:
        (blob,) = now(service.load([key]))
        return applied.current(blob)


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
    st.lists(st.frozensets(st.sampled_from("abc"), min_size=1), min_size=1, max_size=12),
    st.lists(st.booleans(), max_size=60),
    st.lists(st.integers(1, 4), min_size=40, max_size=40),
)
def test_in_every_interleaving_of_two_holders_each_record_counts_once(
    records: Records, turns: list[bool], sizes: list[int]
) -> None:
    mesh = Mesh(records)
    older = mesh.hold(iter(sizes[::2]))
    step(older)
    newer: Iterator[None] | None = None
    for is_newer_s_turn in turns:
        if is_newer_s_turn and newer is None:
            newer = mesh.hold(iter(sizes[1::2]))
        step(newer if newer is not None and is_newer_s_turn else older)
    newer = newer or mesh.hold(iter(sizes[1::2]))
    while step(newer):
        pass
    while step(older):
        pass
    for service in mesh.services:
        for key in "abc":
            expected = b"".join(b"%d;" % number for number, keys in enumerate(records) if key in keys)
            assert mesh.known(service, key) == expected
