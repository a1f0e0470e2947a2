"""The job that trains: as the command does, begun again with the same bytes, and live only through the gate."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, cast
from zlib import crc32

import pytest

from mesh.clock import system_clock
from mesh.observability import telemetry
from mesh.store import redis
from offline import train, train_job
from offline.process import Asked
from offline.training.gate import Verdict
from offline.training.metrics import Figure
from offline.training.parity import ParityError
from services.analytics.adapters.children import LEAN, Child, Children, Memory
from services.analytics.adapters.jobs import RedisJobs
from services.analytics.domain.job import OUT_OF_MEMORY, Gate, Job, State
from services.analytics.running import Queueing, Running
from services.scoring.adapters.model_directory import ModelDirectory, place
from tests.builders import event
from tests.offline.test_customers_archived import archive_of

LABEL: Final = "no event for 5 days, at events"
SECOND_US: Final = 1_000_000
ROOT: Final = Path(__file__).parents[2]


def archived(folder: Path, users: int) -> str:
    """The URL of an archive of visitors, some of whom stay away after two to four visits."""
    events = []
    for number in range(users):
        drawn = crc32(f"visitor-{number}".encode())
        for visit in range(2 + drawn % 3 if drawn % 2 else 9):
            start = 1_767_571_200 + visit * 86_400 * 4 + drawn % 40_000
            for step, kind in enumerate(("page_view", "page_view", "task_success")):
                at_us = (start + step * 60) * SECOND_US
                events.append(event(f"{number}-{visit}-{step}", f"v{number}", kind, event_time_us=at_us))
    archive_of(folder, [events])
    return folder.as_uri()


@pytest.fixture(scope="module")
def archive_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return archived(Path(tmp_path_factory.mktemp("archive")), 150)


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[redis.Client]:
    async with contextlib.aclosing(redis.connect(valkey_url)) as client:
        await client.flushall()
        yield client


def files(models: Path) -> dict[str, bytes]:
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in models.glob("*/*")}


async def test_killed_in_the_middle_it_is_begun_again_and_registers_what_the_command_makes(
    client: redis.Client, archive_url: str, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    queueing = Queueing(RedisJobs(client), system_clock, secrets.token_bytes, True, telemetry.off().metrics)
    environment = dict(os.environ) | {"JOURNEYMESH_MODELS": str(models)}
    children = Children(archive_url, Memory(384, 1024), environment, tmp_path / "jobs")
    begun: asyncio.Queue[Child] = asyncio.Queue()

    def start(tenant: str, of: Job) -> Child:
        child = children.start(tenant, of)
        begun.put_nowait(child)
        return child

    runner = Running(RedisJobs(client), system_clock, secrets.token_bytes, start, telemetry.off())
    job = await queueing.create("", "model_training", {"label": LABEL, "promote": "yes"})
    run = asyncio.create_task(runner.run_waiting())
    first = await begun.get()
    async with asyncio.timeout(240):
        while first.progress.step != "fitting":  # noqa: ASYNC110 - what another process does
            await asyncio.sleep(0.01)
    os.kill(first.process_id, signal.SIGKILL)
    await run
    assert (await queueing.get("", job.job_id)).state is State.QUEUED
    assert files(models) == {}
    assert [*(tmp_path / "jobs").iterdir()] == []

    await runner.run_waiting()
    done = await queueing.get("", job.job_id)
    assert (done.state, done.attempt_count, done.progress) == (State.DONE, 2, 1.0), done
    model = done.model
    assert model is not None
    assert set(model.figures) == {"accuracy", "auroc", "auprc", "brier", "calibration_error"}
    assert model.figures["auroc"].low <= model.figures["auroc"].value <= model.figures["auroc"].high
    assert model.is_live == (model.gate is Gate.PASSED)
    live = ModelDirectory(place(str(models))).live().card.version
    assert (live == model.version) == model.is_live

    # As if it had been killed before it could tell: it tells the same, and changes nothing.
    before, stages = files(models), ModelDirectory(place(str(models))).stages()
    asked = Asked(archive_url, "", job.created_us // 1000, job.job_id, job.options)
    made, found = await asyncio.to_thread(train_job.trained, asked, place(str(models)), system_clock)
    told = train_job.told(made, found)
    assert (told["version"], told["is_live"], told["gate"]) == (model.version, model.is_live, model.gate)
    assert told["difference"] == model.difference
    assert files(models) == before
    assert ModelDirectory(place(str(models))).stages() == stages

    variables = {"DATA": archive_url, "LABEL": LABEL, "JOURNEYMESH_MODELS": str(tmp_path / "own")}
    command = [sys.executable, "-m", "offline.train"]
    given = {name: text for name, text in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS"}} | variables
    trained = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=given, capture_output=True, check=False, timeout=500
    )
    assert trained.returncode == 0, trained.stderr
    ours, commands = files(models), files(tmp_path / "own")
    assert ours.keys() == commands.keys()
    assert ours[f"{model.version}/model.onnx"] == commands[f"{model.version}/model.onnx"]
    # All else is the same but for the time, which is that at which it was asked for.
    described, other = (json.loads(of[f"{model.version}/model.json"]) for of in (ours, commands))
    assert described.pop("training_time_us") == job.created_us // 1000 * 1000
    other.pop("training_time_us")
    assert described == other


@pytest.mark.parametrize(("label", "reason"), [(LABEL, "NOTHING_TO_LEARN"), ("whether tea is hot", "LABEL_INVALID")])
def test_why_there_is_no_model_is_told_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], label: str, reason: str
) -> None:
    monkeypatch.setenv("JOURNEYMESH_MODELS", str(tmp_path / "models"))
    options = {"label": label, "promote": "yes", "directions": "no"}
    asked = Asked(archived(tmp_path / "archive", 4), "", system_clock() // 1000, "j-1", options)
    assert train_job.main(asked) == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["reason"], bool(last["detail"])) == (reason, True)
    assert not (tmp_path / "models").exists()


def test_a_model_that_its_file_does_not_say_exactly_is_not_trained_three_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def inexact(*_of: Any) -> Any:
        message = "ONNX is off by 0.1, its terms by 0.2; at most 1e-06 is allowed."
        raise ParityError(message)

    monkeypatch.setenv("JOURNEYMESH_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(train_job, "choose", inexact)
    options = {"label": LABEL, "promote": "yes", "directions": "no"}
    url = archived(tmp_path / "archive", 4)
    assert train_job.main(Asked(url, "", system_clock() // 1000, "j-1", options)) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["reason"] == "JOB_NOT_POSSIBLE"
    assert not (tmp_path / "models").exists()


FULL: Final = """
import re, resource, sys, threading
from pathlib import Path
import numpy as np
from offline import process, train_job
from offline.training import parity
from services.scoring.domain.schema import FEATURES

MODEL = Path("models/exit-risk", Path("models/exit-risk/live").read_text().strip(), "model.onnx").read_bytes()
ROWS = np.zeros((100_000, len(FEATURES)))

def fit(kept):
    kept.append(np.ones(100_000))
    train_job.use()

def ask(kept):
    parity.run(MODEL, ROWS)

def start(kept):
    threading.Thread(target=kept.clear).start()

def fail(kept):
    kept.append(np.ones(100_000))
    try:
        np.ones(1_000_000)
    except MemoryError:
        raise OSError("a codec is not configured") from None

def full(asked):
    taken = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    resource.setrlimit(resource.RLIMIT_DATA, ((taken + int(asked.options["kib"])) << 10, resource.RLIM_INFINITY))
    kept = []
    while True:
        globals()[asked.options["does"]](kept)

sys.exit(process.run(full, train_job.use))
"""


# With so little, glibc and Pillow were those that noticed.
@pytest.mark.parametrize(
    ("does", "kib"), [("fit", 1024), ("fit", 2550), ("fit", 2850), ("ask", 1024), ("start", 1024), ("fail", 4096)]
)
async def test_without_memory_it_says_so_whichever_library_notices(does: str, kib: int, tmp_path: Path) -> None:
    options = json.dumps({"does": does, "kib": str(kib)})
    command = [sys.executable, "-c", FULL, "file:///nowhere", "", "1", "4096", "j-1", options]
    with contextlib.closing(Child(command, {**os.environ, **LEAN}, tmp_path)) as child:
        assert await child.outcome() == OUT_OF_MEMORY


def test_it_learns_from_the_hours_that_were_complete_when_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOURNEYMESH_MODELS", str(tmp_path / "models"))
    url = archived(tmp_path / "archive", 4)
    received_ms = event("e-1", "ada").received_time_us // 1000
    options = {"label": LABEL, "promote": "no", "directions": "no"}
    read = []
    for now_ms in (received_ms, received_ms + 3_600_000):
        train_job.main(Asked(url, "", now_ms, "j-1", options))
        read.append("replaying" in capsys.readouterr().out)
    assert read == [False, True]


NO_WORSE: Final = Verdict(Figure(-0.01, -0.02, 0.0))
WORSE: Final = Verdict(Figure(0.01, 0.0, 0.02))


@pytest.mark.parametrize(
    ("promote_if", "verdict", "has_live", "is_live"),
    [
        ("no", NO_WORSE, True, False),
        ("yes", NO_WORSE, True, True),
        ("yes", WORSE, True, False),
        ("yes", None, True, False),
        ("yes", None, False, True),
        ("anyway", WORSE, True, True),
    ],
)
def test_the_gate_decides_what_goes_live(
    monkeypatch: pytest.MonkeyPatch, promote_if: str, verdict: Verdict | None, *, has_live: bool, is_live: bool
) -> None:
    monkeypatch.setattr(train, "write", lambda *_of: "v-1")
    monkeypatch.setattr(train, "compare", lambda *_of: verdict)
    anything = cast("Any", object())
    found = train.register(anything, anything if has_live else None, anything, anything_with_snapshots(), promote_if, 1)
    assert found == ("v-1", verdict, is_live)


def anything_with_snapshots() -> Any:
    return type("Source", (), {"snapshots": None})()
