"""Inputs taken from public bug reports, on the running mesh. They stand beside the repository, as the data does."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

from tests.processes import RunningMesh

pytestmark = pytest.mark.processes

_PATH = Path(os.environ.get("JOURNEYMESH_CASES", Path(__file__).parents[3] / "shared" / "cases" / "cases.py"))


def _cases() -> ModuleType | None:
    if not _PATH.is_file():
        return None
    spec = importlib.util.spec_from_file_location("cases", _PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = _cases()


@pytest.mark.skipif(CASES is None, reason="the cases are not beside this checkout (JOURNEYMESH_CASES)")
@pytest.mark.parametrize("name", [each.__name__ for each in CASES.CASES] if CASES else ["none"])
def test_what_people_reported_of_others_comes_out_right_here(
    name: str, mesh: RunningMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CASES is not None
    monkeypatch.setattr(CASES, "BASE", mesh.url)
    passed, seen = getattr(CASES, name)()
    assert passed, seen
