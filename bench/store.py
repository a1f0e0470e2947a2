"""What the store keeps an event and a user, by owner: `python -m bench.store`. Simulated users, a mesh of its own."""

import collections
import re
import tempfile
from pathlib import Path
from typing import Any, Final

import redis

from offline.datasets import simulator
from tests.processes import RunningMesh, running_mesh

_USERS: Final = 400
_BATCH: Final = 100


def main() -> None:
    """Sends journeys, reads what each key takes, and prints the sums."""
    events: list[dict[str, Any]] = list(simulator.events(_USERS, seed=3))
    with tempfile.TemporaryDirectory() as folder, running_mesh(Path(folder)) as mesh:
        for start in range(0, len(events), _BATCH):
            mesh.track(*events[start : start + _BATCH])
        for event_id in {event["userId"]: event["eventId"] for event in events}.values():
            mesh.await_applied(event_id)
        used = _used(mesh)
    print(f"{len(events):,} events of {_USERS} users")
    for owner, size in used.most_common():
        print(f"{owner:>22}: {size / len(events):7.1f} bytes an event  {size / _USERS:8.0f} bytes a user")


def _used(mesh: RunningMesh) -> collections.Counter[str]:
    """Bytes by owner and, where an owner keeps several things, by thing."""
    # A server that runs shows its address as its title.
    shown = re.search(r"(?:--port |:)(\d+)", " ".join(mesh.process("store").cmdline()))
    used: collections.Counter[str] = collections.Counter()
    with redis.Redis(port=int(shown.group(1)) if shown else 0) as client:
        for key in client.scan_iter(count=1000):
            _, owner, *rest = key.decode().split(":")
            thing = f" {rest[1]}" if owner in {"intervention", "video"} and len(rest) > 1 else ""
            used[owner + thing] += client.memory_usage(key, samples=0) or 0
    return used


if __name__ == "__main__":
    main()
