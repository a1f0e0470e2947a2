"""`make run` as its user meets it: what it says, what it survives, how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis
import trustme

from tests.certificates import issue
from tests.e2e.journeys import journey
from tests.processes import PROGRAMS, RunningMesh, addresses, running_mesh

pytestmark = pytest.mark.processes

IDLE_BYTES = 640 * 2**20


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the mesh until it ends by itself, which it must do soon."""
    given = os.environ | addresses() | environment
    command = [sys.executable, "-m", "cli", "run"]
    return subprocess.run(command, env=given, text=True, capture_output=True, timeout=60, check=False)


def test_the_idle_mesh_shares_what_all_its_processes_hold(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        # What n processes share counts as an nth in each.
        taken = sum(process.memory_full_info().pss for process in mesh.processes())
    assert taken < IDLE_BYTES


def test_a_taken_port_is_reported_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run({"JOURNEYMESH_HTTP_ADDRESS": address})
    assert ended.returncode == 1
    said = " ".join(ended.stdout.split())
    assert said.startswith(f"journeymesh: {address} is not available")
    assert said.endswith("set JOURNEYMESH_HTTP_ADDRESS.")


@pytest.mark.parametrize(
    ("name", "value"),
    [("JOURNEYMESH_STORE_PORT", "many"), ("JOURNEYMESH_STORE_FSYNC", "never"), ("JOURNEYMESH_HTTP_ADDRESS", "here")],
)
def test_a_wrong_setting_is_reported_in_one_sentence(name: str, value: str) -> None:
    ended = run({name: value})
    assert ended.returncode == 1
    said = " ".join((ended.stdout + ended.stderr).split())
    assert said.startswith(f"journeymesh: {name} must be")
    assert repr(value) in said


@pytest.mark.parametrize(
    ("programs", "settings", "told"),
    [
        (
            "analytics",
            {"JOURNEYMESH_INSIGHTS_WEBHOOK_URL": "https://example.org/hook"},
            "Webhooks need a secret in the file that JOURNEYMESH_WEBHOOK_SECRET_FILE names.",
        ),
        (
            "analytics or intervention",  # whichever is first
            {"JOURNEYMESH_PRICES_FILE": "/nowhere.json"},
            "JOURNEYMESH_PRICES_FILE cannot be read",
        ),
        ("intervention", {"JOURNEYMESH_POLICY": "/nowhere.yaml"}, "The policy is not taken: the file cannot be read"),
        ("access", {"JOURNEYMESH_AUDIT_KEY_FILE": ""}, "JOURNEYMESH_AUDIT_HEADS_FILE needs"),
        ("gateway", {"JOURNEYMESH_CORS_ORIGINS": "nowhere"}, "JOURNEYMESH_CORS_ORIGINS"),
    ],
    ids=["webhook", "prices", "policy", "audit", "origins"],
)
def test_a_setting_that_a_program_cannot_use_ends_the_mesh_with_one_sentence(
    programs: str, settings: dict[str, str], told: str, tmp_path: Path
) -> None:
    ended = run({"JOURNEYMESH_VAR": str(tmp_path), **settings})
    assert ended.returncode == 1
    last = " ".join(ended.stdout.split()).rpartition("journeymesh: ")[2]
    assert last.startswith(tuple(f"{program} cannot run: {told}" for program in programs.split(" or ")))
    assert "restarting" not in ended.stdout


def test_a_process_that_dies_is_started_again_and_that_is_said(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        one = journey(mesh)
        one.send(one.event(0, "page_view", page="/a"))
        for name in ("scoring", "gateway"):
            killed = mesh.process(name)
            killed.kill()
            killed.wait(10)
        _await(mesh.is_ready, "the mesh did not become ready again")
        one.send(one.event(1, "page_view", page="/b"))
        assert len(one.decisions()) == 2
        log = mesh.log.read_text()
    assert "scoring ended by SIGKILL; restarting it" in log
    assert "gateway ended by SIGKILL; restarting it" in log


def test_services_live_on_if_their_fork_server_is_killed_and_it_is_started_again(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        before = {name: mesh.process(name) for name in PROGRAMS}
        before["fork server"].kill()
        before["fork server"].wait(10)
        _await(lambda: "fork server" in {child.name() for child in mesh.supervisor.children()}, "there is none again")
        now = {name: mesh.process(name) for name in PROGRAMS}
        assert {name for name in PROGRAMS if now[name] != before[name]} == {"fork server"}
        now["scoring"].kill()
        now["scoring"].wait(10)
        _await(mesh.is_ready, "the mesh did not become ready again")
        assert mesh.process("scoring").ppid() == mesh.supervisor.pid  # forked: a start by command has another name
        log = mesh.log.read_text()
    assert "fork server ended by SIGKILL; restarting it" in log
    assert "killed" not in mesh.log.read_text()


def test_it_ends_cleanly_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        one = journey(mesh)
        one.send(one.event(0, "page_view", page="/calculator"))
        one.send(one.event(30, "struggle_signal", page="/calculator", attempts=3))
        before = one.risk(), one.pending(), one.decisions()
        children = {name: mesh.process(name) for name in PROGRAMS}
        mesh.supervisor.send_signal(signal.SIGINT)
        _await(lambda: not any(child.is_running() for child in children.values()), "a process was left behind")
    assert "killed" not in mesh.log.read_text()

    with running_mesh(tmp_path) as mesh:
        again = one._replace(mesh=mesh)
        assert (again.risk(), again.pending(), again.decisions()) == before
        assert mesh.track(one.event(0, "page_view", page="/calculator") | {"eventId": "copy"}).body["accepted"] == 1
        again.send(again.event(60, "page_view", page="/home"))
        assert len(again.decisions()) == 4


def test_when_the_runner_is_killed_what_it_ran_ends_with_it_and_the_folder_is_free(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        one = journey(mesh)
        one.send(one.event(0, "page_view", page="/calculator"))
        decisions = one.decisions()
        left = mesh.supervisor.children()
        assert len(left) == len(PROGRAMS) + 1
        mesh.supervisor.kill()
        mesh.supervisor.wait(10)
        _await(lambda: not any(_runs(process) for process in left), "a process was left behind")
    assert "the runner is gone; ending its processes" in mesh.log.read_text()
    with running_mesh(tmp_path) as mesh:
        assert one._replace(mesh=mesh).decisions() == decisions


def test_a_second_mesh_in_one_folder_ends_with_one_sentence_and_the_first_goes_on(mesh: RunningMesh) -> None:
    folder = mesh.log.parent / "var"
    ended = run({"JOURNEYMESH_VAR": str(folder)})
    assert ended.returncode == 1
    said = " ".join(ended.stdout.split())
    assert said.startswith(f"journeymesh: The folder {folder} is used by a running mesh (process ")
    assert said.endswith(f"{mesh.supervisor.pid}); stop it, or set JOURNEYMESH_VAR to another folder.")
    assert mesh.is_ready()


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.5, 0.8, 1.5])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_any_moment_of_its_start_without_a_traceback(
    tmp_path: Path, seconds: float, number: signal.Signals
) -> None:
    environment = os.environ | addresses() | {"JOURNEYMESH_VAR": str(tmp_path / "var")}
    started = subprocess.Popen(
        [sys.executable, "-m", "cli", "run"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    time.sleep(seconds)
    children = psutil.Process(started.pid).children(recursive=True)
    started.send_signal(number)
    said, _ = started.communicate(timeout=60)
    assert b"Traceback" not in said, said.decode()
    assert b"Error" not in said, said.decode()
    _await(lambda: not any(_runs(process) for process in children), "a process was left behind")


def test_a_suspended_process_is_noticed_and_ends_with_the_others(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        stopped = {name: mesh.process(name) for name in ("gateway", "scoring", "store", "dispatcher")}
        for process in stopped.values():
            process.suspend()
        for name, process in stopped.items():
            complaint = f"{name} (process {process.pid}) runs and has not answered for"
            _await(lambda complaint=complaint: complaint in mesh.log.read_text(), f"{name} is not missed")
        for name, process in stopped.items():
            process.resume()
            _await(lambda name=name: f"{name} answers again" in mesh.log.read_text(), f"{name} is not found again")
        stopped["scoring"].suspend()
    assert "killed" not in mesh.log.read_text()


def test_nothing_it_writes_can_be_read_by_others(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    folder.mkdir(mode=0o755)
    with running_mesh(tmp_path, JOURNEYMESH_ARCHIVE_PERIOD_SECONDS="0.2") as mesh:
        assert mesh.track({"userId": "ada", "eventType": "session_start"}).status == 202
        _await(lambda: any(folder.glob("archive/**/*.parquet")), "nothing is archived")
        _await(lambda: any(folder.glob("analytics/**/*.parquet")), "nothing is copied")
    written = [folder, *folder.rglob("*")]
    assert any("appendonly" in path.name for path in written)
    assert {path.relative_to(folder): oct(mode) for path in written if (mode := path.stat().st_mode & 0o077)} == {}


def test_the_store_asks_for_a_password_that_only_its_file_holds(mesh: RunningMesh) -> None:
    with redis.Redis(port=mesh.store_port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    password = mesh.store_password
    assert password is not None
    with redis.Redis(port=mesh.store_port, password=password) as store:
        assert store.ping()
    for process in mesh.processes():
        assert password not in " ".join([*process.cmdline(), *process.environ().values()])
    assert password not in mesh.log.read_text()


def test_it_runs_over_tls(tmp_path: Path) -> None:
    files = issue(tmp_path / "tls", trustme.CA())
    environment = (
        os.environ
        | addresses()
        | {
            "JOURNEYMESH_VAR": str(tmp_path / "var"),
            "JOURNEYMESH_HTTP_CERTIFICATE_FILE": files.certificate,
            "JOURNEYMESH_HTTP_KEY_FILE": files.key,
        }
    )
    command = [sys.executable, "-m", "cli", "run"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        ready = next(line for line in run.stdout if "ready after" in line)
        run.terminate()
        rest = run.stdout.read()
    assert f"https://{environment['JOURNEYMESH_HTTP_ADDRESS']}" in ready
    assert "not ready" not in ready
    assert "Traceback" not in rest
    assert run.returncode == 0


def test_the_store_s_memory_is_bounded_as_it_is_set(tmp_path: Path) -> None:
    with (
        running_mesh(tmp_path, JOURNEYMESH_STORE_MAX_BYTES="123456789") as mesh,
        redis.Redis(port=mesh.store_port, password=mesh.store_password, decode_responses=True) as store,
    ):
        limits = store.config_get("maxmemory"), store.config_get("maxmemory-policy")
    assert limits == ({"maxmemory": "123456789"}, {"maxmemory-policy": "noeviction"})


def _runs(process: psutil.Process) -> bool:
    """Whether it is there, and not only its entry because the first process of a container asks after nobody."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _await(condition: object, complaint: str, patience_seconds: float = 40) -> None:
    assert callable(condition)
    deadline = time.monotonic() + patience_seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.05)
