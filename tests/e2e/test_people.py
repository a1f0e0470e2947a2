"""People on a running mesh: the operator of a laptop signs in by a link, and sessions end on every gateway at once."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from bench.harness.sides import running
from gateway.access.people.sessions import SESSION
from tests.conftest import free_port
from tests.e2e.following import until
from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

ENDED_WITHIN_SECONDS: Final = 5.0


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """A mesh that requires keys, whose gateways share a session secret."""
    folder = tmp_path_factory.mktemp("people")
    secret = tmp_path_factory.mktemp("given") / "session"
    secret.write_text("s" * 43)
    settings = {"JOURNEYMESH_KEYS": "required", "JOURNEYMESH_SESSION_SECRET_FILE": str(secret)}
    with running_mesh(folder, **settings) as one:
        yield one


def command(mesh: RunningMesh, *arguments: str) -> str:
    """What the command prints."""
    given = mesh.process("gateway").environ()
    environment = os.environ | {name: text for name, text in given.items() if name.startswith("JOURNEYMESH_")}
    words = [sys.executable, "-m", "cli", *arguments]
    told = subprocess.run(words, env=environment, capture_output=True, check=True, text=True, timeout=60)
    return told.stdout.strip()


@contextlib.contextmanager
def another_gateway(mesh: RunningMesh) -> Iterator[str]:
    """A second gateway of the mesh, and its URL."""
    address = f"127.0.0.1:{free_port()}"
    environment = mesh.process("gateway").environ()
    environment |= {"JOURNEYMESH_HTTP_ADDRESS": address, "JOURNEYMESH_METRICS_LISTEN": ""}
    with running([sys.executable, "-m", "gateway"], environment):
        until(lambda: _is_there(f"http://{address}"), "no second gateway")
        yield f"http://{address}"


def _is_there(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/readyz").is_success
    return False


def test_a_link_signs_in_and_the_session_ends_on_every_gateway_at_once(mesh: RunningMesh) -> None:
    link = command(mesh, "sign-in")
    assert link.startswith(f"{mesh.url}/auth/local?token=")
    begun = httpx.get(link)
    assert begun.status_code == 302
    cookie = begun.headers["set-cookie"].partition(";")[0]
    assert cookie.startswith(SESSION)
    assert httpx.get(link).status_code == 401
    own = {"cookie": cookie}
    with another_gateway(mesh) as other:
        gateways = (mesh.url, other)
        until(lambda: all(httpx.get(f"{url}/api/pipeline", headers=own).is_success for url in gateways), "not let in")
        assert "local" in command(mesh, "people", "sessions")
        command(mesh, "people", "end", "local")
        ended = time.monotonic()
        until(lambda: not any(httpx.get(f"{url}/api/pipeline", headers=own).is_success for url in gateways), "let in")
        assert httpx.get(f"{other}/api/pipeline", headers=own).json()["reason"] == "KEY_REQUIRED"
        assert time.monotonic() - ended < ENDED_WITHIN_SECONDS
    token = link.rpartition("=")[2].encode()
    written = [path for path in Path(mesh.log).parent.rglob("*") if path.is_file()]
    assert [path.name for path in written if token in path.read_bytes()] == []


def test_a_key_that_is_revoked_is_refused_by_every_gateway_at_once(mesh: RunningMesh) -> None:
    text = command(mesh, "keys", "create", "--kind", "admin", "--name", "replicas", "--json").split('"text": "')[1]
    key = text.partition('"')[0]
    with another_gateway(mesh) as other:
        gateways, headers = (mesh.url, other), {"authorization": f"Bearer {key}"}
        until(lambda: all(httpx.get(f"{url}/api/lift", headers=headers).is_success for url in gateways), "not known")
        command(mesh, "keys", "revoke", key.split("_")[2])
        ended = time.monotonic()
        until(lambda: not any(httpx.get(f"{url}/api/lift", headers=headers).is_success for url in gateways), "let in")
        assert httpx.get(f"{other}/api/lift", headers=headers).json()["reason"] == "KEY_REVOKED"
        assert time.monotonic() - ended < ENDED_WITHIN_SECONDS


@pytest.mark.tools
def test_chromium_keeps_the_cookie_of_this_machine_over_plain_http(mesh: RunningMesh, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: apt-get install chromium"

    def shown(path: str) -> str:
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
        words = [chromium, *options, path]
        return subprocess.run(words, capture_output=True, check=True, text=True, timeout=90).stdout

    assert "SIGN_IN_REQUIRED" in shown(f"{mesh.url}/auth/session")
    assert "Journeymesh" in shown(command(mesh, "sign-in"))
    assert "csrfToken" in shown(f"{mesh.url}/auth/session")
