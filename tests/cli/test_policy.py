"""`journeymesh policy`: whether a document is a policy, and what archived outcomes teach it."""

import argparse
import asyncio
import datetime as dt
import re
from pathlib import Path
from typing import Final

import pytest

from cli import policy
from services.ingest.archive.adapters.files import ParquetArchive
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.interpretation import policy_of
from tests.builders import MINUTE_US, NOW_US
from tests.intervention.builders import POLICIES
from tests.offline import archives
from tests.offline.help_log import Log

MEASURED: Final = POLICIES / "measured.yaml"
HOUR_US: Final = 60 * MINUTE_US


def command(*given: str | Path) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser()
    policy.add_arguments(parser)
    return policy.main(parser.parse_args([*map(str, given)]))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours in which the chat was welcome where something did not work: 20 accepted, 10 refused, then 5 refused."""
    made, log = tmp_path_factory.mktemp("archive"), Log(policy_of(parse(MEASURED.read_text())))
    for hour, wanted in ((0, [*["accepted"] * 20, *["declined"] * 10]), (1, ["declined"] * 5)):
        for number in range(300):
            at_us = NOW_US + hour * HOUR_US
            intervention_id = log.help(f"user-{hour}-{number}", "high", "technical", at_us)
            chosen = log.blocks[-1].exceptional[0].verdict.intervention
            if wanted and chosen and chosen.action == "show_live_chat_popup":
                log.report(f"user-{hour}-{number}", intervention_id, wanted.pop(), at_us + MINUTE_US)
        assert not wanted
    asyncio.run(log.write(ParquetArchive(f"file://{made}")))
    return made


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("name", ["default", "measured"])
def test_a_policy_is_described_by_what_it_allows(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("check", POLICIES / f"{name}.yaml") == 0
    printed = said(capsys)
    assert f"Policy {name}-" in printed
    assert "show_live_chat_popup │ urgent │ in_app │ human │ 8/day, 25/week" in printed
    assert "of users are in the holdout" in printed
    assert "Only events of the last 5 minutes lead to help." in printed


def test_an_invalid_policy_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("version: 1")
    assert command("check", wrong) == 1
    assert f"{wrong} is not a policy: Expected `str`, got `int`" in said(capsys)
    assert command("check", tmp_path / "nowhere.yaml") == 1
    assert "nowhere.yaml is not a policy: [Errno 2]" in said(capsys)
    wrong.write_bytes(b"\xff")
    assert command("check", wrong) == 1
    assert "wrong.yaml is not a policy" in said(capsys)


def test_outcomes_teach_a_policy_that_can_be_put_in_force(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new, again = tmp_path / "new.yaml", tmp_path / "again.yaml"
    given = ["learn", str(MEASURED), "--archive", f"file://{folder}", "--output"]
    assert command(*given, new) == 0
    printed = said(capsys)
    # 20 of 35 were accepted; two assumed of five: (20 + 5 · 0.4) / 40 = 0.55, and (20 + 5 · 0.55) / 40 = 0.569.
    assert "show_live_chat_popup │ high │ technical │ 20 │ 15 │ 0.400 │ 0.569" in printed
    assert "show_live_chat_popup │ any │ any │ │ │ 0.400 │ 0.550" in printed
    # The others have no outcome, because they were never shown.
    assert "show_step_by_step" not in printed
    assert command("check", new) == 0
    assert command(*given, again) == 0
    assert again.read_bytes() == new.read_bytes()
    lines = new.read_text().splitlines()
    assert all(line in lines for line in MEASURED.read_text().splitlines() if "#" in line)
    before, after = (policy_of(parse(path.read_text())) for path in (MEASURED, new))
    assert after.version.startswith(before.version.partition("+")[0] + "-learned+")
    assert f"new.yaml is policy {after.version}." in printed
    assert [each.name for each, old in zip(after.actions, before.actions, strict=True) if each != old] == [
        "show_live_chat_popup"
    ]


def test_only_help_of_the_time_asked_for_teaches(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.yaml"
    noon = dt.datetime.fromtimestamp((NOW_US + HOUR_US) / 1e6, dt.UTC).isoformat()
    given = ["learn", str(MEASURED), "--archive", f"file://{folder}", "--output", str(new)]
    given += ["--version", "mine", "--strength", "20"]
    assert command(*given, "--to", noon) == 0
    printed = said(capsys)
    # (20 + 20 · 0.4) / 50 = 0.56, and (20 + 20 · 0.56) / 50 = 0.624.
    assert "high │ technical │ 20 │ 10 │ 0.400 │ 0.624" in printed
    assert "is policy mine+" in printed
    assert command(*given, "--from", noon) == 0
    assert "high │ technical │ 0 │ 5 │ 0.400 │" in said(capsys)
    assert command(*given, "--from", "2030-01-01") == 0
    assert "nothing was learned" in said(capsys)
    assert new.read_text() == re.sub(r"(?m)^version: .*$", "version: mine", MEASURED.read_text())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--archive", "somewhere"], "The archive's URL must be like"),
        (["--version", "no such name"], "Expected `str` matching regex"),
        (["--output", "nowhere/new.yaml"], "No such file or directory: 'nowhere/new.yaml'"),
    ],
)
def test_an_impossible_request_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], sentence: str
) -> None:
    new = tmp_path / "new.yaml"
    # What is given later counts.
    assert command("learn", MEASURED, "--archive", f"file://{folder}", "--output", new, *given) == 1
    assert sentence in said(capsys)
    assert not new.exists()


@pytest.mark.parametrize("strength", ["0", "-1", "inf", "nan", "much"])
def test_a_strength_is_a_number_above_0(strength: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command("learn", MEASURED, "--archive", "file:///", "--output", "new.yaml", "--strength", strength)
    assert "argument --strength" in capsys.readouterr().err


def test_missing_ranges_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ParquetArchive(f"file://{tmp_path}/archive")
    asyncio.run(archives.write(files, "0", -1, 2))
    asyncio.run(archives.write(files, "0", 5, 7))
    assert command("learn", MEASURED, "--archive", f"file://{tmp_path}/archive", "--output", tmp_path / "new.yaml") == 0
    assert "Warning: the archive has 1 gap; nothing was learned from events in it." in said(capsys)


def test_comments_that_could_not_be_kept_are_reported(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd, new = tmp_path / "odd.yaml", tmp_path / "new.yaml"
    odd.write_text(re.sub(r"(?m)^version: (.*)$", r"version: |-\n  \1", MEASURED.read_text()))
    assert command("learn", odd, "--archive", f"file://{folder}", "--output", new) == 0
    assert f"The comments of {odd} are lost." in said(capsys)
    assert "#" not in new.read_text()
    assert command("check", new) == 0
