"""A running mesh under a real Prometheus: every panel shows something, and alerts report what was really done to it.

Minutes of the rules are seconds here; thresholds are the real ones. What cannot be had within the seconds of a test (an
outbox that waits for five minutes, a certificate that ends) is tried in test_alerts.py.
"""

import asyncio
import concurrent.futures
import contextlib
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import psutil
import pytest
import redis as redis_client

from mesh.observability import registry
from mesh.store import redis
from mesh.stream.port import Entry
from mesh.stream.redis import RedisStream
from monitoring.alert import TimeScale
from services.intervention.decision.domain import chance
from tests.bedrock import Bedrock, fails, says, serving, words
from tests.e2e.channels import KEY, at_any_hour, ended, intervention_of
from tests.e2e.following import be_welcomed_by, calculate, receiving, until
from tests.e2e.journeys import Journey, journey
from tests.intervention.receiver import Answer, Receiver
from tests.monitoring.prometheus import Prometheus, watching
from tests.monitoring.test_written import SHOWN, panels
from tests.processes import RunningMesh, running_mesh

pytestmark = [pytest.mark.tools, pytest.mark.processes]

SCALE: Final = TimeScale(1 / 60)
DAILY_TOKENS: Final = 1_000_000
PLENTY: Final = 1 << 30
WORDS: Final = "Is this step giving you trouble? One of us is happy to chat with you right now."
SALT: Final = "watched"
HELD_OUT_SHARE: Final = 0.5
GRAFANA: Final = {"$namespace": ".*", "$__rate_interval": "5s", "$__range": "300s"}

# Each waits five seconds for an answer that does not come; so some come at any time.
_AT_ONCE: Final = 8
_APART_SECONDS: Final = 0.65

_pages = (f"/calculator/{number}" for number in itertools.count())


class Watched(NamedTuple):
    """A mesh, the servers it calls, and the Prometheus that watches it."""

    mesh: RunningMesh
    bedrock: Bedrock
    chat: Receiver
    prometheus: Prometheus

    @contextlib.contextmanager
    def without(self, *names: str) -> Iterator[None]:
        """Processes of the mesh hang within the block."""
        hanging = [self.mesh.process(name) for name in names]
        for process in hanging:
            process.suspend()
        try:
            yield
        finally:
            for process in hanging:
                process.resume()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    policy = at_any_hour("default.yaml")
    holdout = 'holdout: {share: 0, salt: "1"}'
    assert holdout in policy
    (folder / "policy.yaml").write_text(
        policy.replace(holdout, f'holdout: {{share: {HELD_OUT_SHARE}, salt: "{SALT}"}}')
    )
    (folder / "secret").write_text(KEY)
    with contextlib.ExitStack() as stack:
        bedrock = stack.enter_context(serving(words(WORDS)))
        chat = stack.enter_context(receiving())
        settings = {
            "JOURNEYMESH_POLICY": str(folder / "policy.yaml"),
            "JOURNEYMESH_CHAT": "webhook",
            "JOURNEYMESH_CHAT_URL": chat.url,
            "JOURNEYMESH_WEBHOOK_SECRET_FILE": str(folder / "secret"),
            "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "0.5",
            "JOURNEYMESH_INSIGHTS_PERIOD_SECONDS": "1",
            "JOURNEYMESH_LANGUAGE_MODEL": "bedrock",
            "JOURNEYMESH_BEDROCK_ENDPOINT": bedrock.url,
            "JOURNEYMESH_MODEL_DAILY_TOKENS": str(DAILY_TOKENS),
            "JOURNEYMESH_MODEL_DAILY_USD": "0",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        mesh = stack.enter_context(running_mesh(folder, **settings))
        with redis_client.Redis(port=mesh.store_port, password=mesh.store_password) as store:
            store.config_set("maxmemory", PLENTY)
        prometheus = stack.enter_context(watching(mesh, folder, SCALE))
        stack.enter_context(repeated(lambda: view(mesh)))
        yield Watched(mesh, bedrock, chat, prometheus)


@contextlib.contextmanager
def repeated(act: Callable[[], object], times: int = 1) -> Iterator[None]:
    """So many do something five times a second, one after the other, within the block, whatever becomes of it."""
    is_over = threading.Event()

    def run(number: int) -> None:
        is_over.wait(number * _APART_SECONDS)
        while not is_over.wait(0.2):
            with contextlib.suppress(OSError, json.JSONDecodeError):
                act()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def view(mesh: RunningMesh) -> None:
    """Somebody opens a page."""
    one = journey(mesh)
    mesh.track(one.event(0, "page_view", page="/home"))


def somebody(mesh: RunningMesh, *, is_held_out: bool = False) -> Journey:
    """A user who is in the holdout, or is not."""
    names = (f"user-{uuid.uuid4()}" for _ in itertools.count())
    name = next(each for each in names if chance.held_out(SALT, each, HELD_OUT_SHARE) == is_held_out)
    return journey(mesh)._replace(user_id=name)


def helped_user(mesh: RunningMesh) -> Journey:
    """A user who was just helped."""
    one = somebody(mesh)
    calculate(one, next(_pages))
    assert one.pending() is not None
    return one


def generated_copy(one: Journey) -> dict[str, Any]:
    """The generated copy of the help, with how it was made."""
    return until(lambda: dict(one.decisions()[0]["intervention"]["wording"] or {}), "there was no generated copy")


@contextlib.contextmanager
def holding(watched: Watched, times: float) -> Iterator[None]:
    """Within the block the store may hold so many times what it holds now."""
    with redis_client.Redis(port=watched.mesh.store_port, password=watched.mesh.store_password) as store:
        store.config_set("maxmemory", round(store.info("memory")["used_memory"] * times))
        try:
            yield
        finally:
            store.config_set("maxmemory", PLENTY)


@contextlib.contextmanager
def unreadable_ledger(watched: Watched) -> Iterator[None]:
    """Within the block the names of a generation of decisions are nothing that the mesh has written."""
    with redis_client.Redis(port=watched.mesh.store_port, password=watched.mesh.store_password) as store:
        store.set("jm:intervention:{0}:names:1", "no hash")
        store.zadd("jm:intervention:names", {"0 1": 1})
        try:
            yield
        finally:
            store.zrem("jm:intervention:names", "0 1")
            store.delete("jm:intervention:{0}:names:1")


_OF_OTHERS: Final = (
    registry.MODEL_FAILURES.name,
    registry.MODEL_ROLLBACKS.name,
    registry.SHADOW_DIFFERENCE.name,
    registry.SHADOW_LEVELS.name,
    registry.DRIFT_INDEX.name,
    registry.DRIFT_POINTS.name,
    registry.CALIBRATION_ERROR.name,
    registry.CALIBRATION_GAP.name,
    registry.KNOWN_OUTCOMES.name,
    registry.EVENT_RATIO.name,
    registry.COST_BUDGET_USED.name,
    registry.JOBS.name,
    registry.JOB_SECONDS.name,
    registry.JOBS_STARTED.name,
)
"""Reported only with a canary, a shadow, a price file, weeks of users or a job, which this mesh does not have."""


def send_stories(watched: Watched) -> None:
    """Something of everything that is counted."""
    mesh = watched.mesh
    for outcome in ("accepted", "declined"):
        one = helped_user(mesh)
        assert generated_copy(one)["isUsed"]
        assert mesh.post(f"/api/interventions/{intervention_of(one)}/outcome", {"outcome": outcome}).status == 202
    calculate(somebody(mesh, is_held_out=True), next(_pages))
    viewer = somebody(mesh)
    viewer.send(viewer.event(0, "video_playback", videoId="v", action="heartbeat", positionSeconds=9, watchedSeconds=9))
    assert mesh.track(somebody(mesh).event(0, "no_such_type")).status >= 400
    known_by_mail = journey(mesh)._replace(user_id=f"{uuid.uuid4()}@example.org")
    known_by_mail.send(known_by_mail.event(0, "page_view", page="/?token=t"))
    chatted = somebody(mesh)
    be_welcomed_by(chatted, "chat")
    assert ended(mesh, intervention_of(chatted))["state"] == "sent"


def test_a_healthy_mesh_fires_no_alert_and_fills_every_panel(watched: Watched) -> None:
    send_stories(watched)
    time.sleep(6)  # a window of the rules
    watched.prometheus.await_calm(20)
    empty = []
    for name, dashboard in SHOWN.items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                expression = target["expr"]
                for variable, value in GRAFANA.items():
                    expression = expression.replace(variable, value)
                assert "$" not in expression
                if any(metric in expression for metric in _OF_OTHERS):
                    continue
                if not watched.prometheus.shown(expression, 60):
                    empty.append((name, panel["title"], expression))
    assert empty == []


def test_records_that_do_not_decode_fire_an_alert(watched: Watched) -> None:
    async def append() -> None:
        client = redis.connect(f"redis://127.0.0.1:{watched.mesh.store_port}/0", watched.mesh.store_password)
        await RedisStream(client, "events", 2, 1 << 26).append([Entry("0", b"\xff no record")])
        await client.aclose()

    asyncio.run(append())
    watched.prometheus.await_firing({"JourneymeshEventsSetAside"})
    assert watched.prometheus.summaries("JourneymeshEventsSetAside") == {
        "Records with failed events in shop within 15 minutes: 1."
    }


def test_failing_clients_channels_and_models_fire_alerts(watched: Watched) -> None:
    mesh = watched.mesh
    with repeated(lambda: mesh.track(journey(mesh).event(0, "no_such_type"))):
        fail_outside(watched)
        failing = {"JourneymeshDeliveriesFailing", "JourneymeshBudgetNearlySpent", "JourneymeshModelDegraded"}
        watched.prometheus.await_firing({*failing, "JourneymeshEventsRejected"}, 60)
    watched.bedrock.otherwise = words(WORDS)


def fail_outside(watched: Watched) -> None:
    """Chat refuses five messages; a model costs nearly all there is to spend, and fails from then on."""
    mesh, bedrock = watched.mesh, watched.bedrock
    watched.chat.script[:] = [Answer(404)] * 5
    users = [somebody(mesh) for _ in range(5)]
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda one: be_welcomed_by(one, "chat"), users))
    assert {ended(mesh, intervention_of(one))["state"] for one in users} == {"failed"}
    used = mesh.get("/api/models/usage").body["tokenCount"]
    bedrock.otherwise = says(json.dumps({"message": WORDS}), tokens=(round(DAILY_TOKENS * 0.95) - used, 80))
    assert generated_copy(helped_user(mesh))["isUsed"]
    bedrock.otherwise = fails(503, "ServiceUnavailableException")
    for _ in range(8):
        helped_user(mesh)


def test_a_nearly_full_store_fires_an_alert(watched: Watched) -> None:
    with holding(watched, 1.1):
        watched.prometheus.await_firing({"JourneymeshStoreNearlyFull"})


def test_hanging_consumers_fire_an_alert(watched: Watched) -> None:
    with watched.without("dispatcher", "archiver"):
        hanging = {"JourneymeshNobodyDecides", "JourneymeshReaderStuck", "JourneymeshArchiveLate"}
        watched.prometheus.await_firing({*hanging, "JourneymeshProcessGone"}, 60)


def test_slow_decisions_fire_an_alert(watched: Watched) -> None:
    deadline = time.monotonic() + 60
    while "JourneymeshDecisionsSlow" not in watched.prometheus.firing():
        assert time.monotonic() < deadline
        with watched.without("scoring"):
            time.sleep(1.5)
        time.sleep(0.3)


def test_a_gateway_without_ingest_refuses_and_fires_an_alert(watched: Watched) -> None:
    mesh = watched.mesh
    with watched.without("ingest"), repeated(lambda: view(mesh), _AT_ONCE):
        watched.prometheus.await_firing({"JourneymeshRequestsRefused", "JourneymeshDependencyDown"}, 60)


def test_wrong_answers_fire_an_alert(watched: Watched) -> None:
    mesh = watched.mesh
    with unreadable_ledger(watched), repeated(lambda: mesh.get("/api/decisions?userId=nobody")):
        assert mesh.get("/api/decisions?userId=nobody").status == 500
        watched.prometheus.await_firing({"JourneymeshGatewayErrors"}, 60)


def test_a_hanging_gateway_fires_an_alert(watched: Watched) -> None:
    with watched.without("gateway"):
        watched.prometheus.await_firing({"JourneymeshGatewayGone"}, 60)


def test_decisions_waiting_for_a_crash_looping_service_fire_an_alert(watched: Watched) -> None:
    seen, deadline = set[str](), time.monotonic() + 90
    while not seen >= {"JourneymeshLagHigh", "JourneymeshDependencyDown"}:
        assert time.monotonic() < deadline, seen
        with contextlib.suppress(LookupError, psutil.NoSuchProcess):
            watched.mesh.process("features").kill()
        seen |= watched.prometheus.firing()
        time.sleep(0.2)


def test_alerts_end_by_themselves(watched: Watched) -> None:
    """All but that of a budget: it is spent for the day."""
    until(lambda: watched.prometheus.firing() <= {"JourneymeshBudgetNearlySpent"}, "they did not end", 90)
