"""What a service keeps of a person by key: counted, and erased."""

from collections.abc import Sequence
from typing import Final

from mesh.errors import InvalidArgument
from mesh.state.applied import ASIDE
from mesh.state.port import StateStore

_IDS_MOST: Final = 1_000


def require_person(ids: Sequence[str]) -> None:
    """Returns if these may be the ids of one person.

    Raises:
        InvalidArgument: `VALUE_OUT_OF_RANGE`, there are none, or more than 1,000.
    """
    if not 1 <= len(ids) <= _IDS_MOST:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"A person has 1 to {_IDS_MOST} ids.")


async def count(store: StateStore, keys: Sequence[str]) -> int:
    """How many of the keys have a value, damaged ones that are kept aside included.

    Raises:
        Unavailable: the store cannot be reached.
    """
    return sum(blob is not None for blob in await store.load(_with_damaged(keys)))


async def erase(store: StateStore, keys: Sequence[str]) -> None:
    """Deletes the values of the keys, damaged ones that are kept aside included.

    Raises:
        Unavailable: the store cannot be reached; some may be deleted, the call may be repeated.
    """
    await store.delete(_with_damaged(keys))


def _with_damaged(keys: Sequence[str]) -> list[str]:
    return [*keys, *(f"{ASIDE}{key}" for key in keys)]
