"""Every deployment is restarted pod by pod under load; nothing is lost or doubled, and no request fails.

Two pods of each stand beside one store. Each is told to end, ends by itself, and is started again under another name;
the next follows when it is ready. Clients go to the other gateway where one refuses the connection, as behind a load
balancer. Meanwhile it is measured how long shards rest between two holders, and how long events take to be applied.
"""

import contextlib
import itertools
import statistics
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import redis
from rich.console import Console
from rich.table import Table

from tests.crash.fleet import DRAIN_SECONDS, Fleet, sailing
from tests.crash.load import BATCH, PATIENCE_SECONDS, Event, Load, Tally, journeys
from tests.crash.outcome import assert_each_event_led_to_one, await_archived, decisions
from tests.processes import Answer, RunningMesh

pytestmark = pytest.mark.processes

EVENTS_A_SECOND: Final = 300
# Six minutes of load, which ends when the restarts are over: they take less than two, but more on a slow machine.
EVENTS: Final = 108_000
USERS: Final = EVENTS // 20
LEASE_SECONDS: Final = 5.0
PROBE_EVERY_SECONDS: Final = 0.1
SHARDS: Final = 4
SETTINGS: Final = {
    "JOURNEYMESH_SHARD_COUNT": str(SHARDS),
    "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "1",
    "JOURNEYMESH_LEASE_SECONDS": str(LEASE_SECONDS),
}


class Balancer:
    """Sends at a steady rate to one gateway after the other; where one refuses the connection, to the next."""

    def __init__(self, gateways: list[RunningMesh]) -> None:
        self._gateways = gateways
        self._lock = threading.Lock()
        self._due = time.monotonic()
        self._turn = 0
        self.refused = 0
        self.seconds: list[float] = []
        """How long each answer took."""
        self.failed: list[str] = []
        """What happened to requests that were neither taken nor had their connection refused."""
        self.sent: dict[str, Event] = {}

    def track(self, *events: Event) -> Answer:
        """Sends events; see `tests.crash.load.Front`."""
        with self._lock:
            self._due = max(self._due, time.monotonic() - 1) + len(events) / EVENTS_A_SECOND
            self._turn += 1
            wait, turn = self._due - time.monotonic(), self._turn
            self.sent |= {event["eventId"]: event for event in events if not event["eventId"].startswith("wrong-")}
        time.sleep(max(0.0, wait))
        began = time.monotonic()
        answer = self.call(lambda gateway: gateway.track(*events), turn)
        self.seconds.append(time.monotonic() - began)
        return answer

    def call(self, ask: Callable[[RunningMesh], Answer], turn: int = 0) -> Answer:
        """What the first gateway answers that takes the connection."""
        for number in range(turn, turn + len(self._gateways) * 3):
            try:
                answer = ask(self._gateways[number % len(self._gateways)])
            except urllib.error.URLError as error:
                if not isinstance(error.reason, ConnectionRefusedError):
                    self.failed.append(repr(error))
                    raise
                self.refused += 1
            except OSError as error:
                self.failed.append(repr(error))
                raise
            else:
                if answer.status >= 500:
                    self.failed.append(f"{time.monotonic():.3f} {answer}")
                return answer
        raise AssertionError("every gateway refuses")


class Watcher:
    """Measures while the block lasts: how long events take to be applied, and how long shards rest."""

    def __init__(self, balancer: Balancer, store_port: int) -> None:
        self._balancer = balancer
        self._store_port = store_port
        self._is_over = threading.Event()
        self.applied_seconds: list[float] = []
        self.rests: list[float] = []
        """For each time that a shard found another holder, how long it had none; 0 where it was taken over."""

    @contextlib.contextmanager
    def measuring(self) -> Iterator[None]:
        threads = [threading.Thread(target=each) for each in (self._time_events, self._time_rests)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    def _time_events(self) -> None:
        for number in itertools.count(1):
            if self._is_over.wait(PROBE_EVERY_SECONDS):
                return
            began = time.monotonic()
            self._apply(f"probe-{number}", number)
            self.applied_seconds.append(time.monotonic() - began)

    def _apply(self, name: str, turn: int) -> None:
        event = {"eventId": name, "userId": name, "eventType": "page_view", "properties": {"page": "/"}}
        assert self._balancer.call(lambda gateway: gateway.track(event), turn).status == 202
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._balancer.call(lambda gateway: gateway.get(f"/api/events/{name}"), turn).body["state"] != "applied":
            assert time.monotonic() < deadline, name
            time.sleep(0.005)

    def _time_rests(self) -> None:
        owners: dict[bytes, bytes] = {}
        free_since: dict[bytes, float] = {}
        with redis.Redis(port=self._store_port) as client:
            while not self._is_over.wait(0.005):
                now = time.monotonic()
                for field, owner in client.hgetall("jm:leases:{redis/events}:dispatcher").items():
                    if not field.startswith(b"owner:"):
                        continue
                    if not owner:
                        free_since.setdefault(field, now)
                    elif owner != owners.get(field):
                        if field in owners:
                            self.rests.append(now - free_since.pop(field, now))
                        owners[field] = owner


class Restart(NamedTuple):
    """How a pod ended, and how long that took it."""

    pod: str
    code: int
    seconds: float


def test_rolling_restarts_lose_nothing_double_nothing_and_fail_no_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sailing(tmp_path, SETTINGS) as fleet:
        balancer = Balancer([fleet.gateway(0), fleet.gateway(1)])
        watcher = Watcher(balancer, fleet.store_port)
        with watcher.measuring(), Load(balancer, journeys(USERS, EVENTS)) as load:
            try:
                restarts = _restart_all(fleet)
                was_under_load = not load.is_over()
            finally:
                load.end()
        tally = load.total()
        with capsys.disabled():
            _report(restarts, tally, balancer, watcher)
        _await_applied(fleet.gateway(0), balancer)
        counted = {user: _event_count(fleet.gateway(0), user) for user in _sent_by_user(balancer)}
        await_archived(fleet.gateway(0))
        decided = decisions((tmp_path / "archive").as_uri())

    assert was_under_load
    assert all(restart.code == 0 for restart in restarts), restarts
    assert max(restart.seconds for restart in restarts) < DRAIN_SECONDS
    assert balancer.failed == []
    assert tally.repeats == 0
    assert counted == {user: len(events) for user, events in _sent_by_user(balancer).items()}
    probes = {f"probe-{number}" for number in range(1, len(watcher.applied_seconds) + 1)}
    assert_each_event_led_to_one(decided, counted | dict.fromkeys(probes, 1))
    assert tally.accepted == len(balancer.sent)
    assert watcher.rests
    assert max(watcher.rests) < LEASE_SECONDS / 3


def _restart_all(fleet: Fleet) -> list[Restart]:
    restarts = []
    for pods in fleet.pods.values():
        for pod in pods:
            began = time.monotonic()
            code = pod.stop()
            restarts.append(Restart(pod.name, code, time.monotonic() - began))
            pod.start()
            pod.await_ready()
    return restarts


def _sent_by_user(balancer: Balancer) -> dict[str, list[str]]:
    events: dict[str, list[str]] = {}
    for event in balancer.sent.values():
        events.setdefault(event["userId"], []).append(event["eventId"])
    return events


def _await_applied(gateway: RunningMesh, balancer: Balancer) -> None:
    for events in _sent_by_user(balancer).values():
        gateway.await_applied(events[-1], PATIENCE_SECONDS)


def _event_count(gateway: RunningMesh, user: str) -> int:
    return int(gateway.get(f"/api/users/{user}/profile").body["eventCount"])


def _report(restarts: list[Restart], tally: Tally, balancer: Balancer, watcher: Watcher) -> None:
    table = Table(title=f"{len(restarts)} pods restarted", show_header=False, title_justify="left")
    slowest = max(restarts, key=lambda restart: restart.seconds)
    table.add_row("longest drain", f"{slowest.seconds:.2f} s, {slowest.pod}")
    table.add_row("events of answered requests", f"{tally.sent:,} in batches of {BATCH}")
    table.add_row("connections refused, taken by the other gateway", f"{balancer.refused:,}")
    table.add_row("requests that failed otherwise", f"{len(balancer.failed):,}")
    for name, values in (
        ("request", balancer.seconds),
        ("event to applied", watcher.applied_seconds),
        ("shard without a holder at a change of hands", watcher.rests),
    ):
        cuts = statistics.quantiles(values, n=100, method="inclusive")
        told = f"p50 {cuts[49] * 1000:,.0f} ms, p99 {cuts[98] * 1000:,.0f} ms, max {max(values) * 1000:,.0f} ms"
        table.add_row(name, f"{told} ({len(values):,})")
    Console(highlight=False).print("", table)
