"""Each alert fires when its condition is true and not when it nearly is, as Prometheus' own tool judges."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring import rules
from monitoring.alert import REAL_TIME
from monitoring.alerts import alerts
from tests.monitoring.cases import CASES, Case

pytestmark = pytest.mark.tools

ALERTS = {each.name: each for each in alerts(REAL_TIME)}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    assert found, "promtool is needed (on Debian: apt install prometheus)"
    return found


def ran(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=60, check=False)


def expected(case: Case) -> list[dict[str, Any]]:
    if case.summary is None:
        return []
    alert = ALERTS[case.alert]
    annotations = {"summary": case.summary, "description": alert.meaning, "runbook_url": rules.runbook(alert)}
    labels = {"severity": alert.severity.value, "namespace": "shop", **case.labels}
    return [{"exp_labels": labels, "exp_annotations": annotations}]


def test_prometheus_takes_the_rules(promtool: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(rules.document())
    checked = ran(promtool, "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml", folder=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.name}")
def test_an_alert_fires_as_it_should(promtool: str, tmp_path: Path, case: Case) -> None:
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    looks = [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected(case)}]
    trial = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": series, "alert_rule_test": looks}],
    }
    (tmp_path / "rules.yaml").write_text(rules.document())
    (tmp_path / "trial.yaml").write_text(yaml.safe_dump(trial))
    tried = ran(promtool, "test", "rules", "trial.yaml", folder=tmp_path)
    assert tried.returncode == 0, tried.stdout + tried.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_tried_both_ways(name: str) -> None:
    assert {case.summary is None for case in CASES if case.alert == name} == {True, False}
