"""States as a batch sees them: read once, written once, the same however often and however cut a batch comes."""

from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AlreadyApplied, VersionMismatch
from mesh.state import applied, keyed
from mesh.state.applied import Batch, Fence
from mesh.state.keyed import Changed, Seen, StateKind
from mesh.state.memory import MemoryState

Counts = list[int]
COUNTS: StateKind[Counts] = StateKind(
    "count:",
    lambda blob: msgspec.msgpack.decode(blob, type=list[int]) if blob else [],
    msgspec.msgpack.encode,
)
NOTES: StateKind[str] = StateKind("note:", bytes.decode, str.encode, is_sealed=False)


class Watched(MemoryState):
    """Counts what it is asked, and forgets what it should write where it is to crash."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.crashes = False

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        self.calls.append("load")
        return await super().load(keys)

    async def save(self, items: Mapping[str, bytes], fence: Fence | None) -> None:
        self.calls.append("save")
        if self.crashes:
            raise OSError
        await super().save(items, fence)


def at(*sequences: int, is_retraction: bool = False) -> Batch:
    return Batch("events", "0", sequences, is_retraction=is_retraction)


async def apply(store: Watched, position: Batch, changes: Sequence[tuple[str, int]]) -> dict[str, Counts]:
    """Appends each number to what is kept of its name; what is kept then."""
    counts = Changed(COUNTS, [name for name, _ in changes])
    async with keyed.batch(store, position, counts) as beside:
        for name, number in changes:
            counts.states[name].append(number)
        beside |= {NOTES.key(name): NOTES.encode(f"{len(each)}") for name, each in counts.states.items()}
    return counts.states


async def kept(store: Watched) -> dict[str, Counts]:
    seen = Seen(COUNTS, ["ada", "bob"])
    await keyed.look(store, seen)
    return seen.states


@given(
    st.lists(st.tuples(st.sampled_from(["ada", "bob"]), st.integers(0, 9)), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=12),
)
async def test_batches_that_crash_and_come_again_otherwise_cut_count_each_once(
    changes: list[tuple[str, int]], cuts: list[tuple[int, bool]]
) -> None:
    store, done = Watched(), 0
    turns = iter(cuts)
    while done < len(changes):
        length, store.crashes = next(turns, (5, False))
        end = min(len(changes), done + length)
        try:
            await apply(store, at(*range(done, end)), changes[done:end])
        except OSError:
            continue  # from where it was, and cut as it comes
        # Its sender may not hear of it, and comes again with the same.
        store.crashes = False
        await apply(store, at(*range(done, end)), changes[done:end])
        done = end
    wanted = {who: [number for name, number in changes if name == who] for who in ("ada", "bob")}
    assert await kept(store) == wanted
    for name in {name for name, _ in changes}:
        assert await keyed.read(store, NOTES, name) == str(len(wanted[name]))


async def test_all_is_read_with_one_call_and_written_with_one() -> None:
    store = Watched()
    counts, notes = Changed(COUNTS, ["ada", "bob", "ada"]), Seen(NOTES, ["ada", "eve"])
    async with keyed.batch(store, at(1), counts, notes) as beside:
        assert (counts.states, notes.states) == ({"ada": [], "bob": []}, {"ada": "", "eve": ""})
        beside[NOTES.key("ada")] = b"new"
    assert store.calls == ["load", "save"]
    await keyed.look(store, notes, Seen(COUNTS, ["ada"]))
    assert (notes.states["ada"], store.calls) == ("new", ["load", "save", "load"])


async def test_a_block_that_raises_writes_nothing() -> None:
    store = Watched()
    await apply(store, at(1), [("ada", 1)])
    counts = Changed(COUNTS, ["ada"])
    with pytest.raises(LookupError):
        async with keyed.batch(store, at(2), counts) as beside:
            counts.states["ada"].append(2)
            beside[NOTES.key("ada")] = b"2"
            raise LookupError
    assert (await kept(store))["ada"] == [1]
    assert await keyed.read(store, NOTES, "ada") == "1"


async def test_a_retracted_batch_leaves_no_trace() -> None:
    store = Watched()
    await apply(store, at(1), [("ada", 1)])
    await apply(store, at(2), [("ada", 2)])
    await apply(store, at(2, is_retraction=True), [("ada", 2)])
    assert (await kept(store))["ada"] == [1]


async def test_only_what_is_named_is_written_and_what_could_not_be_read() -> None:
    store = Watched()
    await store.save({COUNTS.key("bob"): b"\xff no envelope"}, None)
    counts = Changed(COUNTS, ["ada", "bob", "eve"])
    async with keyed.batch(store, at(1), counts):
        for each in counts.states.values():
            each.append(1)
        counts.only = ["eve"]
    keys = [*map(COUNTS.key, ("ada", "bob", "eve")), f"{applied.ASIDE}{COUNTS.key('bob')}"]
    ada, bob, eve, aside = await store.load(keys)
    assert (ada is None, aside) == (True, b"\xff no envelope")
    assert [applied.readable(each, COUNTS.decode) for each in (bob, eve)] == [[1], [1]]


async def test_what_lies_before_is_refused_and_what_a_newer_version_wrote_waits() -> None:
    store = Watched()
    for sequence in (1, 2, 3):
        await apply(store, at(sequence), [("ada", sequence)])
    with pytest.raises(AlreadyApplied):
        await apply(store, at(1), [("ada", 1)])
    newer = msgspec.msgpack.encode(["events/0", "-1", "3", b"", b"", applied.STATE_VERSION + 1])
    await store.save({COUNTS.key("ada"): newer}, None)
    with pytest.raises(VersionMismatch):
        await apply(store, at(4), [("ada", 4)])
    with pytest.raises(VersionMismatch):
        await kept(store)
