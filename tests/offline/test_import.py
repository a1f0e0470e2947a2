"""History that is imported at once: received within minutes, and made over months."""

import asyncio
import shutil
from pathlib import Path
from typing import Final
from zlib import crc32

import pytest
from journeymesh.common.v1 import event_pb2

from offline import coldstart, train_job
from offline.process import Asked
from services.features.domain.state import DAY_US
from services.scoring.adapters.model_directory import ModelDirectory, place
from services.scoring.domain.learning import PROBABILITY_FROM
from tests.builders import MINUTE_US, NOW_US, SECOND_US, event
from tests.offline import mesh
from tests.offline.mesh import MODELS

LABEL: Final = "no event for 5 days, at events"
USERS: Final = 120


def history() -> list[event_pb2.Event]:
    """Visitors of the last months, some of whom stay away after a few visits; all is received now."""
    made = []
    for number in range(USERS):
        drawn = crc32(f"visitor-{number}".encode())
        for visit in range(2 + drawn % 3 if drawn % 2 else 9):
            start_us = NOW_US - 60 * DAY_US + visit * 4 * DAY_US + drawn % 40_000 * SECOND_US
            for step, kind in enumerate(("page_view", "page_view", "task_success")):
                name, at_us = f"{number}-{visit}-{step}", start_us + step * MINUTE_US
                made.append(event(name, f"v{number}", kind, event_time_us=at_us, received_time_us=NOW_US))
    return made


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a mesh that imported it."""
    folder = tmp_path_factory.mktemp("imported")

    async def run() -> None:
        async with mesh.running(folder) as running:
            sent = history()
            for start in range(0, len(sent), 500):
                await running.send(*sent[start : start + 500])
            await running.archive()

    asyncio.run(run())
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A registry with the shipped model."""
    return Path(shutil.copytree(MODELS, tmp_path / "models"))


def test_a_model_of_ones_own_is_trained_at_once(imported: Path, models: Path) -> None:
    options = {"label": LABEL, "promote": "no", "directions": "no"}
    asked = Asked(imported.as_uri(), "", (NOW_US + 60 * MINUTE_US) // 1000, "j-1", options)
    made, registered = train_job.trained(asked, place(str(models)), lambda: NOW_US)
    assert made.own is not None
    card = ModelDirectory(place(str(models))).load(registered.version).card
    assert PROBABILITY_FROM <= card.own_users <= USERS
    assert card.outcome == LABEL


def test_the_command_says_what_an_import_gives_at_once(
    imported: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {"DATA": str(imported), "LABEL": LABEL, "JOURNEYMESH_MODELS": str(models)}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setattr(coldstart, "PLOT", tmp_path / "coldstart.png")
    for name in ("MAKEFLAGS", "MFLAGS"):
        monkeypatch.delenv(name, raising=False)
    coldstart.main()
    printed = " ".join(capsys.readouterr().out.split())
    assert f"Imported at once, it has {USERS} users with an outcome, and `make train` makes a model at once:" in printed
    assert "state learning" in printed or "state recalibrated" in printed
