"""What the store keeps, by owner."""

import collections
from typing import Any, Final

import redis

_IDS: Final = ("seen", "duplicates", "applied")
_LEDGER: Final = ("intervention page", "intervention names")
_WAITING: Final = "stream"
_AT_ONCE: Final = 2_000


def by_owner(port: int) -> collections.Counter[str]:
    """Bytes by owner and, where an owner keeps several things, by thing."""
    used: collections.Counter[str] = collections.Counter()
    with redis.Redis(port=port) as client:
        cursor = 0
        while True:
            scanned: Any = client.scan(cursor, count=_AT_ONCE)
            cursor, keys = scanned
            pipeline: Any = client.pipeline(transaction=False)
            for key in keys:
                pipeline.memory_usage(key, samples=0)
            for key, size in zip(keys, pipeline.execute(), strict=True):
                used[_owner(key.decode())] += size or 0
            if not cursor:
                return used


def is_id(owner: str) -> bool:
    """Whether it is ids of events, kept for one to two days."""
    return owner in _IDS


def is_ledger(owner: str) -> bool:
    """Whether it is the ledger of decisions, kept for a day unless a setting says otherwise."""
    return owner in _LEDGER


def is_waiting(owner: str) -> bool:
    """Whether it is the stream, which is emptied as it is read and archived."""
    return owner == _WAITING


def _owner(key: str) -> str:
    _, owner, *rest = key.split(":")
    thing = f" {rest[1]}" if owner in {"intervention", "video"} and len(rest) > 1 else ""
    return owner + thing
