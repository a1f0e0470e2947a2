"""What needs no browser, tested by Node: the package as it is published, whose exports are there, and the dashboard."""

import json
import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.clients.story import NODE

WEB: Final = Path(__file__).parents[2] / "web"

pytestmark = pytest.mark.skipif(not (WEB / "node_modules").is_dir(), reason="`make web` was not run")


def test_the_package_holds_what_it_exports_and_works(tmp_path: Path) -> None:
    compiler = WEB / "node_modules" / "typescript" / "bin" / "tsc"
    command = [str(NODE), str(compiler), "--project", str(WEB / "tracker"), "--outDir", str(tmp_path / "dist")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout
    (tmp_path / "package.json").write_text('{"type":"module"}')
    exports = json.loads((WEB / "tracker" / "package.json").read_text())["exports"]
    missing = [path for path in exports.values() if not (tmp_path / path).is_file()]
    assert missing == []
    assert all((tmp_path / path).with_suffix(".d.ts").is_file() for path in exports.values())
    script = Path(__file__).with_name("logic.test.mjs")
    environment = {**os.environ, "PACKAGE": str(tmp_path)}
    told = subprocess.run(
        [str(NODE), "--test", str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout


def test_the_dashboard_works_out_what_it_shows() -> None:
    script = Path(__file__).with_name("dashboard.test.mjs")
    told = subprocess.run([str(NODE), "--test", str(script)], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout
