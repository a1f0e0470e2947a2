"""A newcomer puts the tracker on a page of their own: every step of docs/tracker.md works as it is written."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import free_port
from tests.e2e.test_keys import KNOWN_WITHIN_SECONDS, await_answer, keys
from tests.processes import running_mesh
from tests.web.story import told

pytestmark = [pytest.mark.tools, pytest.mark.processes]

_WALK: Final = (Path(__file__).parents[2] / "docs" / "tracker.md").read_text().split("## On a page of your own")[1]
_BLOCKS: Final = re.findall(r"```(?:html)?\n(.*?)```", _WALK, re.DOTALL)


def test_every_step_works_as_it_is_written(tmp_path: Path) -> None:
    commands, signing, page = _BLOCKS[:3]
    origin = f"http://localhost:{free_port()}"
    started, created = (line.replace("http://localhost:8000", origin) for line in commands.splitlines())
    assert started == "JOURNEYMESH_KEYS=required make run"
    program, room, *parameters = shlex.split(created)
    assert (program, room) == (".venv/bin/journeymesh", "keys")
    with running_mesh(tmp_path, JOURNEYMESH_KEYS="required") as mesh:
        key = keys(mesh, *parameters)
        secret = keys(mesh, "create", "--kind", "secret", "--name", "server")["text"]
        await_answer(mesh, secret, (202, ""), KNOWN_WITHIN_SECONDS)
        python, *rest = shlex.split(signing.replace("IDENTITY_SECRET", key["identitySecret"]))
        assert python == ".venv/bin/python"
        done = subprocess.run([sys.executable, *rest], env=os.environ, capture_output=True, text=True, check=True)
        page = page.replace("http://127.0.0.1:8080", mesh.url)
        page = page.replace("KEY", key["text"]).replace("TOKEN", done.stdout.strip())
        seen = told("walk", mesh.url, page=page, port=int(origin.rpartition(":")[2]))
    assert seen == {"isBeside": True, "said": "show_live_chat_popup", "faults": []}
