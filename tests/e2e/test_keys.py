"""Keys on a running mesh: created, rotated and revoked while clients send, and written nowhere."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

REVOKED_WITHIN_SECONDS: Final = 5.0
KNOWN_WITHIN_SECONDS: Final = 5.0


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """A mesh that requires keys."""
    with running_mesh(tmp_path_factory.mktemp("keys"), JOURNEYMESH_KEYS="required") as one:
        yield one


def keys(mesh: RunningMesh, *arguments: str) -> dict[str, Any]:
    """What `journeymesh keys` answers."""
    address = mesh.process("access").environ()["JOURNEYMESH_ACCESS_LISTEN"]
    command = [sys.executable, "-m", "cli", "keys", *arguments, "--json"]
    environment = os.environ | {"JOURNEYMESH_ACCESS_TARGET": address}
    told = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
    answer: dict[str, Any] = json.loads(told.stdout)
    return answer


def send(mesh: RunningMesh, key: str, event_id: str = "") -> tuple[int, str]:
    """The status of an event sent with a key, and the reason if it was refused."""
    event = {"userId": "ada", "eventType": "page_view", "properties": {"page": "/p"}}
    body = json.dumps(event | ({"eventId": event_id} if event_id else {})).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{mesh.url}/api/events/track", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["reason"]


def await_answer(mesh: RunningMesh, key: str, expected: tuple[int, str], patience_seconds: float) -> float:
    """How long it took until an event sent with a key got this answer."""
    began = time.monotonic()
    while (answer := send(mesh, key)) != expected:
        assert time.monotonic() - began < patience_seconds, answer
        time.sleep(0.02)
    return time.monotonic() - began


def test_without_a_key_nothing_is_served_but_probes_and_documents(mesh: RunningMesh) -> None:
    assert mesh.get("/healthz").status == mesh.get("/readyz").status == 200
    assert mesh.get("/api/users/ada").body["reason"] == "KEY_REQUIRED"
    assert mesh.track({"userId": "ada", "eventType": "session_start"}).body["reason"] == "KEY_REQUIRED"


def test_a_key_is_rotated_under_load_without_one_refusal_and_revoked_at_once(mesh: RunningMesh) -> None:
    created = keys(mesh, "create", "--kind", "secret", "--name", "shop")
    await_answer(mesh, created["text"], (202, ""), KNOWN_WITHIN_SECONDS)
    current = [created["text"]]
    answers: list[tuple[int, str]] = []
    is_over = threading.Event()

    def load() -> None:
        while not is_over.is_set():
            answers.append(send(mesh, current[-1]))

    sender = threading.Thread(target=load)
    sender.start()
    try:
        for _ in range(3):
            successor = keys(mesh, "rotate", created["keyId"], "--grace", "1h")
            await_answer(mesh, successor["text"], (202, ""), KNOWN_WITHIN_SECONDS)
            current.append(successor["text"])
            created = successor
    finally:
        is_over.set()
        sender.join()
    assert set(answers) == {(202, "")}, set(answers)
    assert len(answers) > 20
    assert send(mesh, current[0]) == (202, "")  # within its grace period

    keys(mesh, "revoke", created["keyId"])
    await_answer(mesh, created["text"], (401, "KEY_REVOKED"), REVOKED_WITHIN_SECONDS)
    listed = {each["keyId"]: each for each in keys(mesh, "list")["keys"]}
    assert listed[created["keyId"]]["state"] == "revoked"
    assert listed[created["keyId"]]["lastUsedAt"]


def test_a_grace_period_ends_by_itself(mesh: RunningMesh) -> None:
    created = keys(mesh, "create", "--kind", "secret", "--name", "short")
    await_answer(mesh, created["text"], (202, ""), KNOWN_WITHIN_SECONDS)
    keys(mesh, "rotate", created["keyId"], "--grace", "1s")
    await_answer(mesh, created["text"], (401, "KEY_ROTATED"), REVOKED_WITHIN_SECONDS + 1)


def get(mesh: RunningMesh, path: str, key: str) -> tuple[int, Any]:
    request = urllib.request.Request(mesh.url + path, headers={"authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_who_read_whose_data_is_found_in_the_audit_log_and_by_nobody_changed(mesh: RunningMesh) -> None:
    reader = keys(mesh, "create", "--kind", "secret", "--name", "reader")
    operator = keys(mesh, "create", "--kind", "admin", "--name", "operator")
    await_answer(mesh, reader["text"], (202, ""), KNOWN_WITHIN_SECONDS)
    await_answer(mesh, operator["text"], (202, ""), KNOWN_WITHIN_SECONDS)
    assert get(mesh, "/api/users/ada/profile", reader["text"])[0] in {200, 404}
    assert get(mesh, "/api/users/eve/profile", reader["text"])[0] in {200, 404}
    status, page = get(mesh, "/api/audit?userId=ada", operator["text"])
    assert status == 200
    asking, reading = page["entries"][:2]
    assert (asking["actor"], asking["action"]) == (operator["keyId"], "GET /api/audit")
    assert (reading["actor"], reading["action"]) == (reader["keyId"], "GET /api/users/{userId}/profile")
    assert asking["subject"] == reading["subject"]
    assert re.fullmatch("user:[0-9a-f]{32}", reading["subject"])
    _, changes = get(mesh, "/api/audit?actor=command&limit=100", operator["text"])
    assert {"action": "keys.create", "subject": operator["keyId"]}.items() <= changes["entries"][0].items()
    _, seen = get(mesh, "/api/audit?actor=intervention", operator["text"])
    _, policies = get(mesh, "/api/policies", operator["text"])
    (policy,) = seen["entries"]
    assert (policy["action"], policy["subject"]) == ("policy.changed", policies["policies"][0]["version"])
    address = mesh.process("access").environ()["JOURNEYMESH_ACCESS_LISTEN"]
    verified = subprocess.run(
        [sys.executable, "-m", "cli", "audit", "verify"],
        env=os.environ | {"JOURNEYMESH_ACCESS_TARGET": address},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "intact" in verified.stdout


def test_no_text_of_a_key_is_written_anywhere(mesh: RunningMesh) -> None:
    created = keys(mesh, "create", "--kind", "public", "--name", "page")
    await_answer(mesh, created["text"], (202, ""), KNOWN_WITHIN_SECONDS)
    secret = created["text"].rpartition("_")[2]
    wrong = created["text"][:-1] + ("0" if created["text"][-1] != "0" else "1")
    assert send(mesh, wrong) == (401, "KEY_UNKNOWN")
    assert send(mesh, created["text"], event_id="e-1") == (202, "")
    files = [path for path in Path(mesh.log).parent.rglob("*") if path.is_file()]
    assert mesh.log in files
    for path in files:
        written = path.read_bytes()
        assert secret.encode() not in written, path
        assert secret[:-6].encode() not in written, path
    for process in mesh.processes():
        assert secret not in " ".join(process.cmdline())
    for name in ("gateway", "access", "ingest", "dispatcher"):
        with urllib.request.urlopen(mesh.metrics_url(name), timeout=10) as response:
            assert secret.encode() not in response.read()
