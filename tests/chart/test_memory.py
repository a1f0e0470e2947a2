"""What the trial asks of a cluster is enough for 2,000 events a second, and below 2 GiB for everything."""

from pathlib import Path
from typing import Final

import pytest
import yaml

from bench.harness import sides
from bench.mesh import measure
from tests.processes import running_mesh

VALUES: Final = Path(__file__).parents[2] / "helm" / "journeymesh" / "values.yaml"
MIB: Final = 2**20
UNITS: Final = {"Mi": MIB, "Gi": 2**30}

EVENTS_A_SECOND: Final = 2000
SECONDS: Final = 20


def amount(text: str) -> int:
    """An amount of memory in bytes."""
    return int(text[:-2]) * UNITS[text[-2:]]


def resources() -> dict[str, dict[str, int]]:
    """Requests and limits of memory in the trial, by process; `store` is Valkey's."""
    values = yaml.safe_load(VALUES.read_text())
    asked = {name: each["resources"] for name, each in values["services"].items()}
    asked["store"] = values["valkey"]["resources"]
    return {
        name: {"requests": amount(each["requests"]["memory"]), "limits": amount(each["limits"]["memory"])}
        for name, each in asked.items()
    }


def test_all_the_trial_asks_for_is_below_two_gibibytes() -> None:
    asked = resources()
    assert len(asked) == 13
    assert sum(each["requests"] for each in asked.values()) <= 2 * UNITS["Gi"]


@pytest.mark.tools
def test_it_is_enough_for_two_thousand_events_a_second(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        measured = measure(sides.side_of(mesh), EVENTS_A_SECOND, 100, SECONDS, 10_000, 5)
    assert measured.refused == 0
    used = measured.memory_bytes
    short = {name: used[name] for name, each in resources().items() if used[name] > each["requests"]}
    assert short == {}
    # A request that is far beyond the use would make the figure above worth nothing to who plans by it.
    assert sum(each["requests"] for each in resources().values()) <= 2.5 * sum(used[name] for name in resources())
