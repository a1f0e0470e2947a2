"""What is served to browsers is what the sources give, and small."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.clients.story import NODE

WEB: Final = Path(__file__).parents[2] / "web"

pytestmark = pytest.mark.skipif(not (WEB / "built").is_dir(), reason="`make web` was not run")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".made"
    }


def test_what_is_served_is_what_the_sources_give(tmp_path: Path) -> None:
    command = [str(NODE), "build.mjs", str(tmp_path / "built")]
    told = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert contents(tmp_path / "built") == contents(WEB / "built"), "run `make web`"


def test_the_lock_pins_with_hashes_and_names_no_address() -> None:
    text = (WEB / "package-lock.json").read_text()
    assert '"resolved"' not in text
    assert text.count('"integrity": "sha512-') == text.count('"version": ')


def test_the_sources_have_the_types_they_claim() -> None:
    command = [str(NODE), "node_modules/typescript/bin/tsc", "--project", "."]
    told = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout
