"""`python -m bench` runs what is asked for, within its time, and loses nothing to a section that fails."""

import json
import sys
from pathlib import Path

import pytest

from bench import __main__ as command
from bench.harness.report import Found, Ratio
from bench.sections import Scale


def fine(scale: Scale) -> Found:
    return Found("fine", f"quick: {scale.is_quick}", claims=[Ratio("events/s", 0.5, 2.5)], figures={"taken": 1234.567})


def broken(_: Scale) -> Found:
    raise ValueError("no store")


@pytest.fixture(autouse=True)
def _stand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(command.SECTIONS):
        monkeypatch.delitem(command.SECTIONS, name)
    monkeypatch.setitem(command.SECTIONS, "fine", fine)
    monkeypatch.setitem(command.SECTIONS, "broken", broken)
    monkeypatch.setattr(command, "FIGURES", tmp_path / "figures.json")


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["bench", "--report", str(folder), *arguments])
    command.main()
    return (folder / "report.md").read_text()


def test_the_report_says_where_the_mesh_loses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = run(monkeypatch, tmp_path, "--quick", "--only", "fine")
    assert "**we lose**: events/s: 0.50 x" in text
    assert "quick: True" in text
    assert "json.loads" in text
    assert not command.FIGURES.exists()
    assert (tmp_path / "report.html").exists()


def test_a_section_that_fails_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, tmp_path, "--only", "broken", "fine")
    assert ended.value.code == 1
    text = (tmp_path / "report.md").read_text()
    assert "Skipped: it failed" in text
    assert "events/s: 0.50 x" in text


def test_no_section_begins_that_would_not_end_in_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "_BUDGET_SECONDS", {True: 0, False: 0})
    assert "Skipped: out of time" in run(monkeypatch, tmp_path, "--quick", "--only", "fine")


def test_figures_are_kept_where_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command.FIGURES.write_text('{"older": 1, "taken": 2}')
    run(monkeypatch, tmp_path, "--only", "fine", "--keep-figures")
    assert json.loads(command.FIGURES.read_text()) == {"older": 1, "taken": 1235.0}
