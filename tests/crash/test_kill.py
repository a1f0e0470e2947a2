"""Every process of the mesh is killed in turn under load; what comes out is bit for bit what comes out without.

Clients do what clients do: they send a batch again until it is answered with 202.
"""

import collections
import itertools
import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import pytest

from offline.datasets import simulator
from tests.processes import MARKS, RunningMesh, running_mesh

pytestmark = pytest.mark.processes

Event = dict[str, Any]

SENDERS: Final = 4
BATCH: Final = 20
USERS: Final = 400
EVENTS: Final = 9_000
PATIENCE_SECONDS: Final = 90.0


class Sent(NamedTuple):
    """What the clients saw."""

    accepted: int
    duplicates: int
    repeats: int


def journeys() -> list[Event]:
    """Many users' journeys, each event with an id and a time of its own."""
    return list(itertools.islice(simulator.events(USERS, seed=7), EVENTS))


class Load:
    """Clients that send journeys, each user's in order by one client, and never give up on a batch."""

    def __init__(self, mesh: RunningMesh, events: Sequence[Event]) -> None:
        self._mesh = mesh
        users = sorted({event["userId"] for event in events})
        client_of = {user: number % SENDERS for number, user in enumerate(users)}
        self._events = [[one for one in events if client_of[one["userId"]] == number] for number in range(SENDERS)]
        self._sent = [Sent(0, 0, 0)] * SENDERS
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def count(self) -> int:
        """Events answered so far."""
        return sum(sent.accepted + sent.duplicates for sent in self._sent)

    def total(self) -> Sent:
        """What all clients saw."""
        return Sent(*(sum(counts) for counts in zip(*self._sent, strict=True)))

    def _send(self, number: int) -> None:
        for batch in _batches(self._events[number]):
            answer, repeats = self._send_until_accepted(batch)
            assert answer["rejected"] == []
            sent = self._sent[number]
            self._sent[number] = Sent(
                sent.accepted + answer["accepted"], sent.duplicates + answer["duplicates"], sent.repeats + repeats
            )

    def _send_until_accepted(self, batch: list[Event]) -> tuple[dict[str, Any], int]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        for repeats in itertools.count():
            assert time.monotonic() < deadline, "the mesh did not come back"
            try:
                answer = self._mesh.track(*batch)
            except (OSError, json.JSONDecodeError):
                answer = None
            if answer is not None and answer.status == 202:
                return answer.body, repeats
            time.sleep(0.05)
        raise AssertionError


def _batches(events: Sequence[Event]) -> Iterator[list[Event]]:
    rest = iter(events)
    while batch := list(itertools.islice(rest, BATCH)):
        yield batch


def outcome(mesh: RunningMesh, events: Sequence[Event]) -> dict[str, Any]:
    """What the mesh knows of every user once all is applied, without what hangs on the time of day."""
    last = {event["userId"]: event["eventId"] for event in events}
    for event_id in last.values():
        mesh.await_applied(event_id, PATIENCE_SECONDS)
    return {user: _known(mesh, user) for user in last}


def _known(mesh: RunningMesh, user: str) -> dict[str, Any]:
    recent = mesh.get(f"/api/users/{user}/events").body["events"]
    return {
        "features": mesh.get(f"/api/users/{user}/features").body,
        "profile": mesh.get(f"/api/users/{user}/profile").body,
        "risk": mesh.get(f"/api/users/{user}/risk").body,
        "videos": {name: one for name, one in mesh.get(f"/api/users/{user}/videos").body.items() if name != "traceId"},
        "events": [event["eventId"] for event in recent],
        "decided": [one["eventId"] for one in mesh.get(f"/api/decisions?userId={user}").body["decisions"]],
    }


def test_killing_any_process_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    events = journeys()
    for folder in ("calm", "killed"):
        (tmp_path / folder).mkdir()

    with running_mesh(tmp_path / "calm") as mesh:
        with Load(mesh, events) as load:
            pass
        assert load.total() == Sent(len(events), 0, 0)
        expected = outcome(mesh, events)

    with running_mesh(tmp_path / "killed") as mesh:
        with Load(mesh, events) as load:
            for number, name in enumerate(MARKS, start=1):
                _await_count(load, len(events) * number // (len(MARKS) + 2))
                mesh.process(name).kill()
        total = load.total()
        assert total.accepted + total.duplicates == len(events)
        assert total.repeats > 0
        killed = outcome(mesh, events)

    counts = collections.Counter(event["userId"] for event in events)
    assert {user: known["profile"]["eventCount"] for user, known in killed.items()} == counts
    for user, known in expected.items():
        assert killed[user] == known, user
        assert known["decided"] == known["events"]


def _await_count(load: Load, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while load.count() < count:
        assert time.monotonic() < deadline, "the load did not go on"
        time.sleep(0.01)
