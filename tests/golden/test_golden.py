"""What released versions have stored is read, and what this one stores differently is written down.

`make golden` writes the files of formats that have changed to `unreleased`; a release gives that folder its number.
"""

import base64
import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

from mesh.store import redis
from services.intervention.decision.domain.ledger import decode_inputs
from tests.golden.formats import FORMATS, At
from tests.golden.kept import kept, put, shape

FOLDER: Final = Path(__file__).parent
UNRELEASED: Final = "unreleased"
WRITTEN: Final = os.environ.get("JOURNEYMESH_GOLDEN", "")
"""The version to write files of: those that differ for `unreleased`, all for another."""


def number(version: str) -> list[int]:
    """Sorts versions; what is not released comes last."""
    return [1_000_000] if version == UNRELEASED else [int(part) for part in version.split(".")]


def files(name: str = "*") -> list[Path]:
    """The golden files of a format, oldest version first."""
    return sorted(FOLDER.glob(f"*/{name}.json"), key=lambda path: (number(path.parent.name), path.stem))


def read(path: Path) -> Any:
    """A golden file."""
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", FORMATS)
async def test_what_is_stored_has_a_golden_file(name: str, server: redis.Client, tmp_path: Path) -> None:
    at = At(server, tmp_path)
    await FORMATS[name].write(at)
    stored = await kept(*at)
    newest = [path for path in files(name) if path.parent.name != WRITTEN][-1:]
    is_new = not newest or shape(stored) != shape(read(newest[0])["stored"])
    if WRITTEN:
        path = FOLDER / WRITTEN / f"{name}.json"
        if is_new or WRITTEN != UNRELEASED:
            path.parent.mkdir(exist_ok=True)
            told = await FORMATS[name].read(at)
            path.write_text(json.dumps({"stored": stored, "told": told}, indent=1, sort_keys=True) + "\n")
        else:
            path.unlink(missing_ok=True)
    else:
        assert not is_new, f"{name} is stored in another form than {newest}: `make golden` and read the difference"


@pytest.mark.parametrize("path", files(), ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_what_a_version_has_stored_is_read(path: Path, server: redis.Client, tmp_path: Path) -> None:
    golden = read(path)
    at = At(server, tmp_path)
    await put(golden["stored"], *at)
    told = json.loads(json.dumps(await FORMATS[path.stem].read(at)))
    assert_holds(told, golden["told"], path.stem)


def assert_holds(told: Any, golden: Any, where: str) -> None:
    """All that was told once is told; newer versions may tell more."""
    if isinstance(golden, dict) and isinstance(told, dict):
        for name, value in golden.items():
            assert name in told, f"{where}.{name}"
            assert_holds(told[name], value, f"{where}.{name}")
    elif isinstance(golden, list) and isinstance(told, list):
        assert len(told) == len(golden), where
        for index, (each, value) in enumerate(zip(told, golden, strict=True)):
            assert_holds(each, value, f"{where}.{index}")
    elif where.endswith(".inputs"):  # bytes that only the ledger reads, and that grow with it
        assert decode_inputs(base64.b64decode(told)) == decode_inputs(base64.b64decode(golden)), where
    else:
        assert told == golden, where
