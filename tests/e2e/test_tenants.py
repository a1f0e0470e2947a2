"""Tenants on a running mesh: the command makes them, and in store, logs and metrics nothing of two is mixed."""

import itertools
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import pytest
import redis

from records.tenants import SEPARATOR, qualified
from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

NAMES: Final = ("", "acme", "globex")
PATIENCE_SECONDS: Final = 30.0


class Tenant(NamedTuple):
    """A tenant's key, and what only it sends."""

    mesh: RunningMesh
    name: str
    key: str

    @property
    def mark(self) -> str:
        return f"mark-of-{self.name or 'default'}"

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(self.mesh.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def live(self) -> None:
        """Sends a journey that ends with help, as every tenant does, and waits until it is applied."""
        page = f"/{self.mark}"
        journey: list[tuple[str, dict[str, Any]]] = [
            ("a-1", {"anonymousId": "a-1", "eventType": "page_view", "properties": {"page": page}}),
            ("e-1", {"userId": "ada", "anonymousId": "a-1", "eventType": "identify"}),
            ("e-2", {"userId": "ada", "eventType": "page_view", "properties": {"page": page, "note": self.mark}}),
            (
                "e-3",
                {
                    "userId": "ada",
                    "eventType": "video_playback",
                    "properties": {"videoId": "v-1", "action": "heartbeat", "positionSeconds": 9, "topic": self.mark},
                },
            ),
            ("e-4", {"userId": "ada", "eventType": "struggle_signal", "properties": {"page": page, "attempts": 3}}),
        ]
        for event_id, event in journey:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while (answer := self.ask("POST", "/api/events/track", {"eventId": event_id, **event}))[0] != 202:
                assert time.monotonic() < deadline, answer
                time.sleep(0.05)
            assert answer[1]["accepted"] + answer[1]["duplicates"] == 1
            while self.ask("GET", f"/api/events/{event_id}")[1].get("state") != "applied":
                assert time.monotonic() < deadline, event_id
                time.sleep(0.02)


def command(mesh: RunningMesh, *arguments: str) -> dict[str, Any]:
    """What `journeymesh` answers to a command for the access service."""
    address = mesh.process("access").environ()["JOURNEYMESH_ACCESS_LISTEN"]
    environment = os.environ | {"JOURNEYMESH_ACCESS_TARGET": address}
    asked = [sys.executable, "-m", "cli", *arguments, "--json"]
    told = subprocess.run(asked, env=environment, capture_output=True, check=True, timeout=60)
    answer: dict[str, Any] = json.loads(told.stdout)
    return answer


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Tenant]]:
    """Three tenants, who have lived through the same story with the same ids."""
    folder = tmp_path_factory.mktemp("tenants")
    own = folder / "policies" / "acme.yaml"
    own.parent.mkdir()
    own.write_text(Path("policies/default.yaml").read_text().replace("version: default-", "version: theirs-"))
    with running_mesh(folder, JOURNEYMESH_KEYS="required", JOURNEYMESH_TENANT_POLICIES=str(own.parent)) as mesh:
        found = []
        for name in NAMES:
            if name:
                command(mesh, "tenants", "create", name)
            whose = ("--tenant", name) if name else ()
            key = command(mesh, "keys", "create", "--kind", "admin", "--name", "k", *whose)
            assert key["tenant"] == (name or None)
            found.append(Tenant(mesh, name, key["text"]))
        for tenant in found:
            tenant.live()
        yield found


def kept_of(tenant: Tenant) -> Mapping[str, bytes]:
    """The states that the store keeps of the tenant's user and video, by key."""
    client = redis.Redis(port=tenant.mesh.store_port, password=tenant.mesh.store_password)
    ends = tuple(f":{qualified(tenant.name, each)}" for each in ("ada", "v-1"))
    with client:
        keys = [key for key in client.scan_iter(count=1000) if key.decode().endswith(ends)]
        return {key.decode(): cast("bytes", client.get(key)) for key in keys if client.type(key) == b"string"}


def test_each_sees_its_own_story_and_no_other(everybody: list[Tenant]) -> None:
    for tenant in everybody:
        others = [other.mark for other in everybody if other is not tenant]
        for path in (
            *(f"/api/users/ada{rest}" for rest in ("", "/events", "/features", "/profile", "/risk", "/videos")),
            *("/api/interventions/ada/pending", "/api/decisions?userId=ada", "/api/videos/v-1", "/api/failed-events"),
            "/api/audit?limit=100",
        ):
            status, body = tenant.ask("GET", path)
            assert status == 200, (path, body)
            text = json.dumps(body, ensure_ascii=False)
            assert SEPARATOR not in text, path
            assert not any(other in text for other in others), path
        _, profile = tenant.ask("GET", "/api/users/ada/profile")
        assert profile["lastPage"] == f"/{tenant.mark}"
        _, recent = tenant.ask("GET", "/api/users/ada/events")
        assert {each["eventId"] for each in recent["events"]} >= {"e-1", "e-2", "e-3", "e-4"}
        status, analysis = tenant.ask("POST", "/api/users/ada/analysis", {"depth": "quick"})
        assert status == 200, analysis
        assert SEPARATOR not in json.dumps(analysis, ensure_ascii=False)


def test_state_that_is_kept_by_an_id_holds_nothing_of_another_tenant(everybody: list[Tenant]) -> None:
    for tenant, other in itertools.permutations(everybody, 2):
        kept = kept_of(tenant)
        assert len(kept) >= 4, [*kept]
        assert any(tenant.mark.encode() in value for value in kept.values())
        for key, value in kept.items():
            assert other.mark.encode() not in value, key
            if other.name:
                assert qualified(other.name, "").encode() not in value, key


def test_a_tenants_own_policy_decides_for_it(everybody: list[Tenant]) -> None:
    view = {"userId": "eve", "eventType": "page_view", "properties": {"page": "/"}}
    for tenant in everybody:
        deadline = time.monotonic() + PATIENCE_SECONDS
        is_own = tenant.name == "acme"
        while True:  # it decides some seconds after the start
            assert tenant.ask("POST", "/api/events/track", view)[0] == 202
            decisions = tenant.ask("GET", "/api/decisions?userId=eve&limit=1")[1].get("decisions", [])
            if any(each["policyVersion"].startswith("acme/theirs-") == is_own for each in decisions):
                break
            assert time.monotonic() < deadline, decisions
            time.sleep(0.05)
        assert tenant.ask("GET", "/api/policies")[0] == 200
    listed = [{each.get("tenant") for each in each.ask("GET", "/api/policies")[1]["policies"]} for each in everybody]
    assert listed == [{"", "acme"}, {"acme"}, set()]


def test_no_log_and_no_metric_names_what_a_tenant_sent(everybody: list[Tenant]) -> None:
    mesh = everybody[0].mesh
    assert SEPARATOR not in mesh.log.read_text()
    written = mesh.log.read_text() + "".join(
        urllib.request.urlopen(mesh.metrics_url(name), timeout=10).read().decode()
        for name in ("ingest", "dispatcher", "features", "scoring", "intervention")
    )
    for tenant in everybody:
        assert tenant.mark not in written


def test_a_deleted_tenants_keys_end_within_five_seconds(everybody: list[Tenant]) -> None:
    *_, globex = everybody
    assert command(globex.mesh, "tenants", "delete", "globex")["endedKeyCount"] == 1
    deadline = time.monotonic() + 5.0
    while (answer := globex.ask("GET", "/api/users/ada/profile"))[0] == 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (answer[0], answer[1]["reason"]) == (401, "TENANT_DELETED")
    assert everybody[0].ask("GET", "/api/users/ada/profile")[0] == 200
