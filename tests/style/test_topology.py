"""One table says which services there are; what cannot be made from it agrees with it."""

import re
import tomllib
from pathlib import Path

import pytest

import topology
from mesh.observability.registry import METRICS
from topology import PROCESSES, SERVICES, Process, Resources, Service

ROOT = Path(__file__).parents[2]


def test_each_service_has_its_folder_and_each_folder_its_service() -> None:
    folders = {f"services.{path.parent.name}" for path in (ROOT / "services").glob("*/__main__.py")}
    assert folders | {"gateway"} == {each.module for each in SERVICES}


def test_names_and_ports_are_given_once() -> None:
    assert sum(len(each.processes) for each in SERVICES) == len(PROCESSES)
    assert len({each.port for each in PROCESSES.values()}) == len(PROCESSES)


def test_every_callee_is_a_process_or_outside() -> None:
    assert {callee for each in PROCESSES.values() for callee in each.calls} <= PROCESSES.keys() | set(topology.OUTSIDE)


def test_each_process_starts_after_those_it_calls() -> None:
    order = [each.name for each in topology.in_start_order()]
    assert sorted(order) == sorted(PROCESSES)
    late = [(a, b) for a, b in topology.calls() if a != b and order.index(b) > order.index(a)]
    assert late == []


def test_consumers_of_the_stream_start_and_are_upgraded_before_its_writers() -> None:
    order = [each.name for each in topology.in_start_order()]
    assert order.index("archiver") < order.index("dispatcher") < order.index("ingest") < order.index("gateway")


def test_processes_that_call_each_other_in_a_circle_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (
        Process(name, "", port, calls, Resources(1, 1, 1)) for name, port, calls in (("a", 1, ("b",)), ("b", 2, ("a",)))
    )
    monkeypatch.setattr(topology, "PROCESSES", {"a": one, "b": other})
    with pytest.raises(ValueError, match="in a circle: a, b"):
        list(topology.in_start_order())


@pytest.mark.parametrize("service", SERVICES, ids=lambda each: each.name)
def test_the_extras_of_an_image_are_declared_and_locked(service: Service) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(service.extras) <= declared.keys()
    assert (ROOT / "requirements" / "images" / f"{service.name}.lock").exists(), "run `make lock`"


def test_metrics_are_reported_by_processes_that_there_are() -> None:
    assert {teller for metric in METRICS for teller in metric.reported_by} <= PROCESSES.keys()


def test_each_service_has_its_contract() -> None:
    packages = {path.name for path in (ROOT / "protos" / "journeymesh").iterdir()} - {"common"}
    assert packages == {each.name for each in SERVICES} - {"gateway"}


def test_no_settings_name_an_address_themselves() -> None:
    ports = "|".join(str(each.port) for each in PROCESSES.values())
    guilty = [
        str(path.relative_to(ROOT))
        for room in ("mesh", "services", "gateway")
        for path in (ROOT / room).rglob("*.py")
        if re.search(rf'127\.0\.0\.1:({ports})"', path.read_text())
    ]
    assert guilty == []
