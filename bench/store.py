"""What the store keeps per event and per user, by owner: `python -m bench.store`. Simulated users on its own mesh."""

import collections
import tempfile
from pathlib import Path
from typing import Any, Final

import redis

from offline.datasets import simulator
from tests.processes import running_mesh

_USERS: Final = 400
_BATCH: Final = 100
_IDS: Final = ("seen", "duplicates", "applied")
_LEDGER: Final = ("intervention page", "intervention names")
_WAITING: Final = "stream"
_AT_ONCE: Final = 2_000


def main() -> None:
    """Sends journeys, measures each key, and prints the sums."""
    events: list[dict[str, Any]] = list(simulator.events(_USERS, seed=3))
    with tempfile.TemporaryDirectory() as folder, running_mesh(Path(folder)) as mesh:
        for start in range(0, len(events), _BATCH):
            mesh.track(*events[start : start + _BATCH])
        for event_id in {event["userId"]: event["eventId"] for event in events}.values():
            mesh.await_applied(event_id)
        used = by_owner(mesh.store_port, mesh.store_password)
    print(f"{len(events):,} events of {_USERS} users")
    for owner, size in used.most_common():
        print(f"{owner:>22}: {size / len(events):7.1f} bytes per event  {size / _USERS:8.0f} bytes per user")


def by_owner(port: int, password: str | None) -> collections.Counter[str]:
    """Bytes by owner and, if an owner keeps several things, by thing."""
    used: collections.Counter[str] = collections.Counter()
    with redis.Redis(port=port, password=password) as client:
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
    """Whether these are ids of events, kept for one to two days."""
    return owner in _IDS


def is_ledger(owner: str) -> bool:
    """Whether this is the ledger of decisions, kept for a day by default."""
    return owner in _LEDGER


def is_waiting(owner: str) -> bool:
    """Whether this is the stream, which is trimmed once read and archived."""
    return owner == _WAITING


def _owner(key: str) -> str:
    _, owner, *rest = key.split(":")
    thing = f" {rest[1]}" if owner in {"intervention", "video"} and len(rest) > 1 else ""
    return owner + thing


if __name__ == "__main__":
    main()
