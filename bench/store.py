"""What the store keeps an event and a user, by owner: `python -m bench.store`. Simulated users, a mesh of its own."""

import tempfile
from pathlib import Path
from typing import Any, Final

from bench import kept
from offline.datasets import simulator
from tests.processes import running_mesh

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
        used = kept.by_owner(mesh.store_port)
    print(f"{len(events):,} events of {_USERS} users")
    for owner, size in used.most_common():
        print(f"{owner:>22}: {size / len(events):7.1f} bytes an event  {size / _USERS:8.0f} bytes a user")


if __name__ == "__main__":
    main()
