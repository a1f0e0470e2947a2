"""State by key within a batch: decoded when it begins, sealed and fenced when it ends (docs/adr/046).

Each kind of state that a service keeps, by user, video or shard, is a `StateKind`. A batch names the states it needs of
each kind, and changes them. One call of the store reads all of them, and one writes them.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from mesh.state import applied
from mesh.state.applied import Batch, Resumed
from mesh.state.port import StateStore

State = TypeVar("State")
_Group = TypeVar("_Group", bound="Group")


@dataclasses.dataclass(frozen=True)
class StateKind(Generic[State]):
    """One kind of state: the prefix of its keys, and its serialization.

    `decode` turns no bytes into the empty state. `encode` yields the same bytes for equal states.
    """

    prefix: str
    decode: Callable[[bytes], State]
    encode: Callable[[State], bytes]
    is_sealed: bool = True
    """Whether it is stored in an envelope. State that follows from sealed states needs none."""

    def key(self, name: str) -> str:
        """The key of a user's, video's or shard's state."""
        return self.prefix + name


class Group(Protocol):
    """States of one kind that a batch needs, by name."""

    @property
    def keys(self) -> Sequence[str]:
        """Their keys, each once."""

    def read(self, blobs: Iterable[bytes | None], at: Batch) -> None:
        """Decodes the stored values, in the order of the keys.

        Raises:
            FailedPrecondition: `POSITION_STALE`, the batch lies before what was applied, or a key has left its shard.
            VersionMismatch: a newer version wrote one.
        """

    def written(self, at: Batch) -> dict[str, bytes]:
        """What to write, by key."""


class Changed(Generic[State]):
    """States that a batch changes, by name.

    All are written or, if `only` is set, those it names. A state that could not be read starts afresh and is always
    written, and its old bytes are kept aside.
    """

    def __init__(self, kind: StateKind[State], names: Iterable[str]) -> None:
        self.states: dict[str, State] = {}
        self.only: Collection[str] | None = None
        self._kind = kind
        self._names = [*dict.fromkeys(names)]
        self._resumed: dict[str, Resumed] = {}

    @property
    def keys(self) -> Sequence[str]:
        """See `Group`."""
        return [*map(self._kind.key, self._names)]

    def read(self, blobs: Iterable[bytes | None], at: Batch) -> None:
        """See `Group`."""
        decode = self._kind.decode
        for name, blob in zip(self._names, blobs, strict=True):
            self._resumed[name], self.states[name] = applied.opened(blob, at, decode)

    def written(self, at: Batch) -> dict[str, bytes]:
        """See `Group`."""
        key, encode = self._kind.key, self._kind.encode
        damaged = {name: each for name, each in self._resumed.items() if each.damaged}
        items = applied.kept_aside({key(name): each for name, each in damaged.items()})
        for name in self._names if self.only is None else dict.fromkeys([*self.only, *damaged]):
            items[key(name)] = applied.seal(self._resumed[name], encode(self.states[name]), at)
        return items


class Seen(Generic[State]):
    """States that are only read, by name, as of the last batch. One that cannot be read counts as none."""

    def __init__(self, kind: StateKind[State], names: Iterable[str]) -> None:
        self.states: dict[str, State] = {}
        self._kind = kind
        self._names = [*dict.fromkeys(names)]

    @property
    def keys(self) -> Sequence[str]:
        """See `Group`."""
        return [*map(self._kind.key, self._names)]

    def read(self, blobs: Iterable[bytes | None], _at: Batch | None = None) -> None:
        """See `Group`."""
        self.states.update(zip(self._names, map(self._opened, blobs), strict=True))

    def written(self, _at: Batch) -> dict[str, bytes]:
        """See `Group`."""
        return {}

    def _opened(self, blob: bytes | None) -> State:
        return applied.readable(blob, self._kind.decode, is_sealed=self._kind.is_sealed)


@contextlib.asynccontextmanager
async def batch(store: StateStore, at: Batch, *groups: Group) -> AsyncIterator[dict[str, bytes]]:
    """Reads the groups before the block and writes them after it; nothing is written if the block raises.

    What the block puts into the yielded mapping, bytes by key, is written with them. It MUST depend on the input of the
    block alone, so that a repeated batch writes the same again.

    Raises:
        FailedPrecondition: `POSITION_STALE`, the sender has lost the shard; nothing is written.
        Unavailable: the store cannot be reached, the batch may be repeated; or a newer version wrote a state.
    """
    for group, blobs in await _load(store, groups):
        group.read(blobs, at)
    beside: dict[str, bytes] = {}
    yield beside
    items: dict[str, bytes] = {}
    for group in groups:
        items |= group.written(at)
    await store.save(items | beside, at.fence)


async def look(store: StateStore, *groups: "Seen[Any]") -> None:
    """Reads the groups, all at one moment.

    Raises:
        Unavailable: the store cannot be reached, or a newer version wrote a state.
    """
    for group, blobs in await _load(store, groups):
        group.read(blobs)


async def read(store: StateStore, kind: StateKind[State], name: str) -> State:
    """One state, as `look` reads it.

    Raises:
        Unavailable: as `look`.
    """
    await look(store, seen := Seen(kind, [name]))
    return seen.states[name]


async def _load(store: StateStore, groups: Sequence[_Group]) -> list[tuple[_Group, list[bytes | None]]]:
    keys = [group.keys for group in groups]
    blobs = iter(await store.load([*itertools.chain.from_iterable(keys)]))
    return [(group, [*itertools.islice(blobs, len(its))]) for group, its in zip(groups, keys, strict=True)]
