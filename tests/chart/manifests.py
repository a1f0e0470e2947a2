"""Manifests as values: what the chart installs, picked and read by tests."""

from collections.abc import Iterator
from typing import Any, Final, cast

import yaml

from helm import render

Manifest = dict[str, Any]

_UNITS: Final = {"m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
_WORKLOADS: Final = ("Deployment", "StatefulSet")


def parsed(text: str) -> list[Manifest]:
    """The objects of a rendered chart."""
    return [cast("Manifest", one) for one in yaml.safe_load_all(text) if one]


def committed(example: str) -> list[Manifest]:
    """The objects of an example, as they are committed."""
    return parsed((render.ROOT / "examples" / example / "manifests.yaml").read_text(encoding="utf-8"))


def of_kind(manifests: list[Manifest], *kinds: str) -> dict[str, Manifest]:
    """Those of some kinds, by name."""
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] in kinds}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Templates of all pods, by the name of what makes them; those of jobs and of `helm test` too."""
    made = {name: one["spec"]["template"] for name, one in of_kind(manifests, *_WORKLOADS).items()}
    jobs = {name: one["spec"]["jobTemplate"] for name, one in of_kind(manifests, "CronJob").items()}
    made |= {name: one["spec"]["template"] for name, one in jobs.items()}
    return made | of_kind(manifests, "Pod")


def services(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pods of the mesh's own services, by the name the chart has for them."""
    known = render.values()["services"]
    named = {name.removeprefix("journeymesh-"): pod for name, pod in pods(manifests).items()}
    return {name: pod for name, pod in named.items() if name in known}


def containers(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every container, with the name of what makes its pod."""
    for name, pod in pods(manifests).items():
        assert "initContainers" not in pod["spec"]
        for container in pod["spec"]["containers"]:
            yield name, container


def environment(pod: Manifest) -> dict[str, str]:
    """The variables of a pod's one container."""
    (container,) = pod["spec"]["containers"]
    return {one["name"]: one["value"] for one in container.get("env", [])}


def quantity(text: str) -> float:
    """A quantity of Kubernetes as a number of bytes or cores."""
    digits = text.rstrip("mkMGi")
    return float(digits) * _UNITS.get(text[len(digits) :], 1.0)


def matches(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a selector by labels means a pod with these labels."""
    wanted: dict[str, str] = selector["matchLabels"]
    return wanted.items() <= labels.items()
