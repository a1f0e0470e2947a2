"""After stories that cause everything, each metric is reported by the processes its entry names, and by no other."""

import asyncio
import collections
import contextlib
import itertools
import urllib.request
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import grpc
import pytest
from journeymesh.access.v1 import access_pb2
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub
from prometheus_client import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from mesh.observability import registry
from mesh.observability.registry import METRICS, Kind, Metric
from mesh.store import redis
from mesh.stream.port import Entry
from mesh.stream.redis import RedisStream
from services.intervention.decision.domain import chance
from tests.bedrock import serving, words
from tests.e2e.channels import at_any_hour, ended, intervention_of
from tests.e2e.following import be_welcomed_by, calculate, receiving, streamed, until
from tests.e2e.journeys import Journey, journey
from tests.intervention.receiver import Answer
from tests.processes import TELLERS, RunningMesh, running_mesh

pytestmark = pytest.mark.processes

_SALT: Final = "metrics"
_SHARE: Final = 0.5
_WORDS: Final = "Is this step giving you trouble? One of us is happy to chat with you right now."
"""Fit for the chat in the product, not for the message that names a tutorial."""
_CONNECTED: Final = "journeymesh_open_streams"
_WITHOUT: Final = {
    registry.CERTIFICATE_EXPIRY.name,
    registry.HTTP_CERTIFICATE_EXPIRY.name,
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
    registry.CONFIGURATIONS_REFUSED.name,
}
"""Reported only with TLS, a canary or a shadow (tests/scoring has these), weeks, budgets or jobs (tests/analytics), or
policies that are compared (tests/intervention)."""


class Reported(NamedTuple):
    """The metric families of each process after the stories; how many events counted in them, and their users."""

    families: dict[str, list[Family]]
    accepted: int
    applied: int
    users: list[str]

    def values(self, metric: Metric) -> dict[tuple[str, ...], float]:
        """The values of a counter or gauge by its labels; replicas there are none."""
        (reporter,) = metric.reported_by
        name = f"{metric.name}_total" if metric.kind is Kind.COUNTER else metric.name
        return {
            tuple(sample.labels[label] for label in metric.labels): sample.value
            for family in self.families[reporter]
            for sample in family.samples
            if sample.name == name
        }


def families(mesh: RunningMesh, reporter: str) -> list[Family]:
    with urllib.request.urlopen(mesh.metrics_url(reporter), timeout=10) as response:
        return list(text_string_to_metric_families(response.read().decode()))


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reported]:
    folder = tmp_path_factory.mktemp("metrics")
    holdout = f'holdout: {{share: {_SHARE}, salt: "{_SALT}"}}'
    policy = at_any_hour("default.yaml").replace('holdout: {share: 0, salt: "1"}', holdout)
    assert holdout in policy
    (folder / "policy.yaml").write_text(policy)
    (folder / "secret").write_text("signs posts")
    with receiving() as chat, serving(words(_WORDS)) as bedrock:
        chat.script.append(Answer(503))
        settings = {
            "JOURNEYMESH_POLICY": str(folder / "policy.yaml"),
            "JOURNEYMESH_TOLERATED_FAILURE_SHARE": "1",
            "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "0.5",
            "JOURNEYMESH_INSIGHTS_PERIOD_SECONDS": "1",
            "JOURNEYMESH_CHAT": "webhook",
            "JOURNEYMESH_CHAT_URL": chat.url,
            "JOURNEYMESH_WEBHOOK_SECRET_FILE": str(folder / "secret"),
            "JOURNEYMESH_LANGUAGE_MODEL": "bedrock",
            "JOURNEYMESH_BEDROCK_ENDPOINT": bedrock.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        with running_mesh(folder, **settings) as mesh:
            yield _stories(mesh)


def _stories(mesh: RunningMesh) -> Reported:
    asyncio.run(_spoil(mesh))
    assert mesh.get("/api/privacy/retention").status == 200
    helped, mailed = _user(mesh, is_held_out=False), _user(mesh, is_held_out=False)
    held_out, watching, anonymous = _user(mesh, is_held_out=True), journey(mesh), journey(mesh)
    # A struggle, help with generated copy, and its outcomes: 3 events and 2 outcomes.
    with streamed(helped) as changes:
        next(changes)
        calculate(helped)
        until(lambda: helped.decisions()[0]["intervention"]["wording"], "the words were not there")
        assert mesh.metrics("gateway")[_CONNECTED] == 1
    path = f"/api/interventions/{intervention_of(helped)}/outcome"
    for outcome in ("shown", "accepted"):
        assert mesh.post(path, {"outcome": outcome}).status == 202
    # A message that its receiver takes at the second try: 6 outcomes of other systems and 4 events.
    be_welcomed_by(mailed, "chat")
    assert ended(mesh, intervention_of(mailed))["attemptCount"] == 2
    # A struggle of somebody who is held out: 3 events.
    calculate(held_out)
    # A video: 2 events.
    about = {"videoId": "v", "durationSeconds": 60, "page": "/learn"}
    watching.send(watching.event(0, "video_playback", action="play", positionSeconds=0, **about))
    watching.send(watching.event(9, "video_playback", action="pause", positionSeconds=9, watchedSeconds=9, **about))
    # A visitor with a token in addresses, who turns out to be a user with an e-mail address as id: 3 events, a link,
    # and the journey's events once more.
    visit = {"anonymousId": anonymous.user_id}
    seen = [anonymous.event(at, "page_view", page="/?token=t") | visit for at in (0, 5)]
    for each in seen:
        del each["userId"]
    user_id = f"{anonymous.user_id}-known@example.org"
    login = anonymous.event(9, "identify") | visit | {"userId": user_id}
    assert mesh.track(*seen, login).body["accepted"] == 3
    until(lambda: len(mesh.get(f"/api/users/{user_id}/events").body.get("events", ())) == 3, "no copies")
    # One that comes again, and two that are refused: by the gateway, by ingest.
    assert mesh.track(seen[0], {"eventType": 7}, {"userId": "x" * 200, "eventType": "error"}).status == 202
    # An operator who looks at the keys: a call that no event causes.
    with grpc.insecure_channel(mesh.process("access").environ()["JOURNEYMESH_ACCESS_LISTEN"]) as channel:
        AccessServiceStub(channel).ListKeys(access_pb2.ListKeysRequest(), timeout=10)
    assert mesh.post("/api/analytics/kpis", {}).status == 200
    assert mesh.get("/api/experiments").status == 200
    assert mesh.get(f"/api/customers/{helped.user_id}").status == 404
    users = [each.user_id for each in (helped, mailed, held_out, watching, anonymous)]
    # The link is an event of its own.
    return _settled(mesh, accepted=3 + 2 + 10 + 3 + 2 + 3, applied=3 + 2 + 10 + 3 + 2 + 3 + 1 + 2, users=users)


def _settled(mesh: RunningMesh, accepted: int, applied: int, users: list[str]) -> Reported:
    """What is reported once the archive is complete and everything that is reported periodically has been."""

    def archived() -> bool:
        return mesh.metrics("archiver")["journeymesh_archived_events_total"] == applied

    def counted() -> bool:
        intervention = mesh.metrics("intervention")
        waiting = sum(value for name, value in intervention.items() if "outbox_messages" in name)
        return waiting == 0 and sum(value for name, value in intervention.items() if "model_calls" in name) == 2

    until(archived, "the archive has not got all events")
    until(counted, "the calls of models are not counted")
    until(lambda: "journeymesh_store_memory_limit_bytes" in mesh.metrics("ingest"), "the store's limit is not reported")
    return Reported({reporter: families(mesh, reporter) for reporter in TELLERS}, accepted, applied, users)


async def _spoil(mesh: RunningMesh) -> None:
    """Limits the store's memory, and puts a record on the stream that is none."""
    client = redis.connect(f"redis://127.0.0.1:{mesh.store_port}/0", mesh.store_password)
    async with contextlib.aclosing(client):
        await client.config_set("maxmemory", "1gb")
        await RedisStream(client, "events", 2, 1 << 20).append([Entry("0", b"\xff")])


def _user(mesh: RunningMesh, *, is_held_out: bool) -> Journey:
    drawn = (journey(mesh) for _ in itertools.count())
    return next(each for each in drawn if chance.held_out(_SALT, each.user_id, _SHARE) == is_held_out)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name.removeprefix("journeymesh_"))
def test_every_metric_is_reported_by_its_processes_with_its_labels(reported: Reported, metric: Metric) -> None:
    reporters = {reporter for reporter, its in reported.families.items() if metric.name in {each.name for each in its}}
    assert reporters == (set() if metric.name in _WITHOUT else set(metric.reported_by or TELLERS))
    for reporter in reporters:
        (family,) = (each for each in reported.families[reporter] if each.name == metric.name)
        assert family.type == metric.kind.value
        assert family.documentation == metric.meaning
        assert family.samples
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(metric.labels)


def test_no_metric_is_reported_that_the_registry_lacks(reported: Reported) -> None:
    names = {
        family.name for its in reported.families.values() for family in its if family.name.startswith("journeymesh")
    }
    assert names == {each.name for each in METRICS} - _WITHOUT


def test_no_label_identifies_a_user(reported: Reported) -> None:
    samples = [sample for its in reported.families.values() for family in its for sample in family.samples]
    values = {value for sample in samples for value in sample.labels.values()}
    ids = [user.removeprefix("user-") for user in reported.users]
    assert not [value for value in values for id_ in ids if id_ in value]
    assert len(values) < 200


def test_events_are_counted_once_at_every_stage(reported: Reported) -> None:
    assert reported.values(registry.EVENTS) == {
        ("accepted",): reported.accepted,
        ("duplicate",): 1,
        ("rejected",): 2,
    }
    assert reported.values(registry.RATE_LIMITED_REQUESTS) == {("key",): 0, ("tenant",): 0}  # nobody has a key
    assert reported.values(registry.REJECTED_EVENTS) == {("INVALID_TYPE",): 1, ("INVALID_IDENTIFIER",): 1}
    # In the page and in the properties of two events, of which one came twice.
    assert reported.values(registry.MASKED_VALUES) == {("token",): 6}
    assert reported.values(registry.PERSONAL_IDS) == {("email",): 1}
    assert reported.values(registry.SET_ASIDE) == {(): 1}
    for metric in (registry.APPLIED_EVENTS, registry.ARCHIVED_EVENTS):
        assert reported.values(metric) == {(): reported.applied}
    for metric in (registry.EXPIRED_ROWS, registry.EXPIRED_FILES):  # `test_retention` has their scenario
        assert reported.values(metric) == {(): 0}
    # Users of records: how many events of one stand in a record hangs on when requests meet.
    judged = reported.values(registry.VECTORS)[()]
    assert len(reported.users) <= judged <= reported.applied
    for metric in (registry.ASSESSMENTS, registry.DECISIONS):
        assert sum(reported.values(metric).values()) == judged
    assert reported.values(registry.BEATS) == {(): 2}


def test_help_is_counted_with_its_outcome(reported: Reported) -> None:
    assert reported.values(registry.HELP) == {
        ("show_live_chat_popup", "in_app"): 1,
        ("send_chat_message", "chat"): 1,
    }
    assert reported.values(registry.WITHHELD) == {("show_live_chat_popup",): 1}
    assert reported.values(registry.OUTCOMES) == {("shown",): 1, ("accepted",): 1}
    assert reported.values(registry.DELIVERIES) == {("chat", "deferred"): 1, ("chat", "sent"): 1}
    decisions = collections.Counter[Any](
        {reason: count for (reason,), count in reported.values(registry.DECISIONS).items() if count}
    )
    assert decisions["risk_at_trigger"] + decisions["signals_at_trigger"] == 1
    assert decisions["outcome_event"] == 8
    assert decisions["holdout"] == decisions["responsive_user"] == 1


def test_models_are_counted_and_not_degraded(reported: Reported) -> None:
    model = "amazon.nova-micro-v1:0"
    calls = reported.values(registry.MODEL_CALLS)
    assert calls == {(model, "ok"): 1, (model, "off_topic"): 1}
    assert reported.values(registry.MODEL_TOKENS) == {(model, "input"): 2 * 600, (model, "output"): 2 * 80}
    assert reported.values(registry.MODEL_COST)[model,] == pytest.approx(2 * 32.2e-6)
    assert reported.values(registry.MODEL_DEGRADED) == {("budget",): 0, ("breaker_open",): 0}
    assert 0 < reported.values(registry.BUDGET_USED)[()] < 0.01
