"""What a service keeps of a person, as JSON: for exports, beside `erasing`."""

import base64
import enum
import json
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from mesh.errors import ResourceExhausted
from mesh.state import keyed
from mesh.state.applied import ASIDE
from mesh.state.keyed import StateKind
from mesh.state.port import StateStore

MOST_BYTES: Final = 24 * 1024 * 1024
"""Of what one service exports of a person: it fits into a message."""
_Kept = TypeVar("_Kept")


class Record(NamedTuple):
    """An entry of a store: a JSON object in UTF-8, whose ids are qualified by their tenant."""

    store: str
    json: bytes


def record(store: str, members: Mapping[str, Any]) -> Record:
    """The entry with these members, as `named` writes them."""
    return Record(store, json.dumps(named(members), ensure_ascii=False).encode(errors="replace"))


def named(value: Any) -> Any:  # noqa: ANN401, PLR0911 - whatever is kept, one return a kind
    """A value as JSON values: structs by the names of their fields, enums by name in lower case, bytes as Base64."""
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(key): named(each) for key, each in value.items()}
    if isinstance(value, msgspec.Struct):
        return {name: named(getattr(value, name)) for name in value.__struct_fields__}
    fields = getattr(value, "_fields", None)
    if fields is not None:
        return {name: named(getattr(value, name)) for name in fields}
    if isinstance(value, (Sequence, array, set, frozenset)):
        return [*map(named, value)]
    return str(value)


async def states(
    store: StateStore,
    name: str,
    kind: StateKind[_Kept],
    owners: Sequence[str],
    members: Callable[[_Kept], Any] = named,
) -> list[Record]:
    """The states of one kind that are kept of these owners; damaged ones, which are kept aside, as Base64.

    Args:
        store: where they are.
        name: the store in the export.
        kind: what they are.
        owners: the names of the states, which the entries repeat as `key`.
        members: what the export says of a state.

    Raises:
        Unavailable: the store cannot be reached, or a newer version wrote a state.
    """
    owners = [*dict.fromkeys(owners)]
    keys = [kind.key(each) for each in owners]
    blobs = await store.load([*keys, *(f"{ASIDE}{key}" for key in keys)])
    present = [owner for owner, blob in zip(owners, blobs, strict=False) if blob is not None]
    await keyed.look(store, seen := keyed.Seen(kind, present))
    kept = [record(name, {"key": each, "state": members(seen.states[each])}) for each in present]
    aside = zip(owners, blobs[len(keys) :], strict=True)
    return kept + [record(name, {"key": owner, "damaged": blob}) for owner, blob in aside if blob is not None]


def bounded(records: Iterable[Record]) -> list[Record]:
    """The records.

    Raises:
        ResourceExhausted: `EXPORT_TOO_LARGE`, they have more than `MOST_BYTES`.
    """
    kept, byte_count = [], 0
    for each in records:
        byte_count += len(each.store) + len(each.json)
        if byte_count > MOST_BYTES:
            raise ResourceExhausted("EXPORT_TOO_LARGE", "More is kept of the person than one export holds.")
        kept.append(each)
    return kept
