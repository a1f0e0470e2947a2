"""A real Prometheus that watches a mesh, and what it says."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from monitoring import rules
from monitoring.alert import TimeScale
from tests.conftest import free_port
from tests.processes import TELLERS, RunningMesh

_PATIENCE_SECONDS: Final = 30.0


class Series(NamedTuple):
    """Labels, and the values that are numbers."""

    labels: dict[str, str]
    values: list[float]


class Prometheus(NamedTuple):
    """A server that runs."""

    url: str

    def firing(self) -> set[str]:
        """The alerts that are firing now."""
        alerts = self._get("alerts")["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def summaries(self, alert: str) -> set[str]:
        """What an alert says now."""
        alerts = self._get("alerts")["alerts"]
        return {each["annotations"]["summary"] for each in alerts if each["labels"]["alertname"] == alert}

    def await_firing(self, wanted: AbstractSet[str], patience_seconds: float = _PATIENCE_SECONDS) -> None:
        """Returns once all of these have fired, together or one after the other."""
        deadline, seen = time.monotonic() + patience_seconds, set[str]()
        while not wanted <= (seen := seen | self.firing()):
            assert time.monotonic() < deadline, f"did not fire: {sorted(wanted - seen)}"
            time.sleep(0.2)

    def await_calm(self, patience_seconds: float = 60.0) -> None:
        """Returns once no alert is firing."""
        deadline = time.monotonic() + patience_seconds
        while now := self.firing():
            assert time.monotonic() < deadline, now
            time.sleep(0.2)

    def shown(self, expression: str, seconds: float) -> list[Series]:
        """An expression's series over the last seconds, those without a number left out."""
        now = time.time()
        answer = self._get("query_range", query=expression, start=now - seconds, end=now, step=1)
        found = (
            Series(each["metric"], [float(value) for _, value in each["values"] if value != "NaN"])
            for each in answer["result"]
        )
        return [each for each in found if each.values]

    def is_up(self) -> bool:
        """Whether every process is reached."""
        found = self.shown("up", 1)
        return len(found) == len(TELLERS) and all(each.values[-1] == 1 for each in found)

    def _get(self, path: str, **parameters: object) -> Any:
        asked = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(asked, timeout=10) as response:
            return json.load(response)["data"]


@contextlib.contextmanager
def watching(mesh: RunningMesh, folder: Path, scale: TimeScale) -> Iterator[Prometheus]:
    """A Prometheus that scrapes every process each second, with rules of this time scale, within the block."""
    command = shutil.which("prometheus")
    assert command, "Prometheus is needed (on Debian: apt install prometheus)"
    (folder / "rules.yaml").write_text(rules.document(scale))
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(_configuration(mesh)))
    port = free_port()
    options = {
        "config.file": folder / "prometheus.yaml",
        "storage.tsdb.path": folder / "prometheus",
        "web.listen-address": f"127.0.0.1:{port}",
        "log.level": "warn",
    }
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(
            [command, *(f"--{name}={value}" for name, value in options.items())], stdout=log, stderr=subprocess.STDOUT
        )
    prometheus = Prometheus(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _is_watching(prometheus):
            assert server.poll() is None, (folder / "prometheus.log").read_text()
            assert time.monotonic() < deadline, (folder / "prometheus.log").read_text()
            time.sleep(0.1)
        yield prometheus
    finally:
        server.terminate()
        server.wait(20)


def _is_watching(prometheus: Prometheus) -> bool:
    try:
        return prometheus.is_up()
    except OSError:
        return False


def _configuration(mesh: RunningMesh) -> dict[str, Any]:
    """As a scrape of pods finds them: each has a namespace and a pod."""
    targets = [
        {"targets": [f"127.0.0.1:{mesh.metrics_port + number}"], "labels": {"namespace": "shop", "pod": name}}
        for number, name in enumerate(TELLERS)
    ]
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "mesh", "static_configs": targets}],
    }
