"""Generates parts of the chart: its README's tables, its schema's settings, the examples' manifests.

`make chart`, which needs helm. Tests check that what is committed is current.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

import topology

ROOT: Final = Path(__file__).parent
CHART: Final = ROOT / "journeymesh"
README_PATH: Final = CHART / "README.md"
SCHEMA_PATH: Final = CHART / "values.schema.json"
VALUES_PATH: Final = CHART / "values.yaml"
_POLICY: Final = ROOT.parent / "policies" / "measured.yaml"
# Each example, and its arguments besides its values.
EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "trial": (),
    "production-aws": (),
    "high-availability": ("--set-file", f"policy.document={_POLICY}"),
}

_HELM: Final = ROOT.parent / ".tools" / "bin" / "helm"
# The newest version that is checked; manifests are the same for all.
_KUBERNETES: Final = "1.34.0"
_TABLES_BELOW: Final = "<!-- What follows is generated from values.yaml by `make chart`. -->\n"
_DOCUMENTED: Final = re.compile(r"^ *# -- (?P<meaning>.*)")
_CONTINUED: Final = re.compile(r"^ *# (?P<meaning>.*)")
_SERVICES: Final = re.compile(r"(?<=^services:\n).*?(?=^\S|^$)", re.MULTILINE | re.DOTALL)
_KEY: Final = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z0-9_]+):")
_GENERATED_PASSWORD: Final = re.compile(r'^  password: "\w+=*"$', re.MULTILINE)
_SETTING: Final = re.compile(r"^\| `(\w+)`", re.MULTILINE)
_WIDTH: Final = 118


class Value(NamedTuple):
    """A value of the chart, by its path."""

    path: tuple[str, ...]
    default: Any
    meaning: str


def values() -> Any:  # noqa: ANN401 - a document
    """The chart's default values."""
    return yaml.safe_load(VALUES_PATH.read_text(encoding="utf-8"))


def documented() -> Iterator[Value]:
    """The documented values of values.yaml, in its order."""
    defaults, path, meaning = values(), list[tuple[int, str]](), list[str]()
    for line in VALUES_PATH.read_text(encoding="utf-8").splitlines():
        if found := _DOCUMENTED.match(line):
            meaning = [found["meaning"]]
        elif meaning and (found := _CONTINUED.match(line)):
            meaning.append(found["meaning"])
        elif found := _KEY.match(line):
            indent = len(found["indent"])
            path = [*(one for one in path if one[0] < indent), (indent, found["key"])]
            if meaning:
                keys = tuple(key for _, key in path)
                yield Value(keys, _at(defaults, keys), " ".join(meaning))
            meaning = []


def readme() -> str:
    """The chart's README as it should be: its own text, and the tables of values."""
    words, mark, _ = README_PATH.read_text(encoding="utf-8").partition(_TABLES_BELOW)
    return "\n".join([words + mark, *_tables()]) + "\n"


def schema() -> str:
    """The schema as it should be: its own parts, the services, and the settings their `environment` may name."""
    document = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    service, environment = (document["definitions"][name] for name in ("service", "environment"))
    service["properties"]["image"]["enum"] = ["", *(each.name for each in topology.SERVICES)]
    service["properties"]["calls"]["items"]["enum"] = [*topology.PROCESSES, *topology.OUTSIDE]
    document["properties"]["services"]["properties"] = {
        key: {"$ref": "#/definitions/service"} for key in topology.PROCESSES
    }
    environment["properties"] = {name: {"type": "string"} for names in settings().values() for name in sorted(names)}
    return _json(document) + "\n"


def values_text() -> str:
    """The values as they should be: their own text, and the services."""
    services = "".join(f"{line}\n" for process in topology.PROCESSES.values() for line in _service(process))
    return _SERVICES.sub(lambda _: services, VALUES_PATH.read_text(encoding="utf-8"), count=1)


def settings() -> dict[str, frozenset[str]]:
    """The settings of the mesh's processes, by section of docs/settings.md."""
    pages = re.split(r"^## ", (ROOT.parent / "docs" / "settings.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {page.partition("\n")[0]: frozenset(_SETTING.findall(page)) for page in pages[1:]}
    return {title: names for title, names in sections.items() if not title.startswith("make ")}


def manifests(arguments: Sequence[str] = (), *, chart: Path = CHART) -> str:
    """The chart's manifests, with a fixed word in place of a generated password.

    Raises:
        subprocess.CalledProcessError: helm refuses the values; `stderr` says why.
    """
    command = [str(_HELM), "template", "journeymesh", str(chart), "--namespace", "journeymesh"]
    called = subprocess.run(  # noqa: S603 - our own chart
        [*command, "--kube-version", _KUBERNETES, *arguments], text=True, capture_output=True, check=True
    )
    return _GENERATED_PASSWORD.sub('  password: "ZHJhd24gYnkgdGhlIGNoYXJ0"', called.stdout)


def example(name: str) -> str:
    """The manifests of an example."""
    return manifests(["--values", str(ROOT / "examples" / name / "values.yaml"), *EXAMPLES[name]])


def _tables() -> Iterator[str]:
    services = values()["services"]
    yield "### Services"
    yield ""
    yield "| `services.` | what it does | image | port | calls | memory: asks for, may use |"
    yield "|---|---|---|---|---|---|"
    everything = list(documented())
    for _, name in (one.path for one in everything if one.path[0] == "services"):
        own = services[name]
        meaning = next(one.meaning for one in everything if one.path == ("services", name))
        image = " ".join([own["image"], *own.get("arguments", [])])
        memory = f"{own['resources']['requests']['memory']}, {own['resources']['limits']['memory']}"
        yield f"| `{name}` | {meaning} | `{image}` | {own['port']} | {', '.join(own['calls'])} | {memory} |"
    yield ""
    yield "### Values"
    yield ""
    yield "| value | default | meaning |"
    yield "|---|---|---|"
    for one in everything:
        if one.path[0] != "services":
            yield f"| `{'.'.join(one.path)}` | `{json.dumps(one.default)}` | {one.meaning} |"


def _service(process: topology.Process) -> Iterator[str]:
    resources = process.resources
    yield f"  # -- {process.purpose}"
    yield f"  {process.name}:"
    yield f"    image: {topology.service_of(process.name).name}"
    if process.role:
        yield f"    arguments: [{process.role}]"
    yield f"    port: {process.port}"
    yield f"    calls: [{', '.join(process.calls)}]"
    if resources.temporary_size:
        yield f"    temporarySize: {resources.temporary_size}"
    yield "    resources:"
    yield f"      requests: {{cpu: {resources.cpu_millis}m, memory: {resources.memory_mib}Mi}}"
    yield f"      limits: {{memory: {resources.memory_limit_mib}Mi}}"


def _at(document: Any, keys: Sequence[str]) -> Any:  # noqa: ANN401 - a document
    for key in keys:
        document = document[key]
    return document


def _json(value: Any, indent: int = 0) -> str:  # noqa: ANN401 - a document
    """JSON, with everything that fits in a line on one line."""
    line = json.dumps(value)
    if indent + len(line) <= _WIDTH or not isinstance(value, dict | list):
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        parts, begin, end = [f"{json.dumps(key)}: {_json(one, indent + 2)}" for key, one in value.items()], "{", "}"
    else:
        parts, begin, end = [_json(one, indent + 2) for one in value], "[", "]"
    return begin + "\n" + ",\n".join(inner + part for part in parts) + "\n" + " " * indent + end


if __name__ == "__main__":
    VALUES_PATH.write_text(values_text(), encoding="utf-8")
    README_PATH.write_text(readme(), encoding="utf-8")
    SCHEMA_PATH.write_text(schema(), encoding="utf-8")
    for each in EXAMPLES:
        (ROOT / "examples" / each / "manifests.yaml").write_text(example(each), encoding="utf-8")
