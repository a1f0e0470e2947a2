"""The values, what is told of them, and what the schema lets through agree."""

import json
from collections.abc import Iterator
from typing import Any, Final

import jsonschema
import yaml

import topology
from helm import render

# Maps whose keys are whoever installs the chart's to choose.
FREE: Final = {"global", "podSelector", "namespaceSelector", "tolerations", "parents"}


def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render.SCHEMA_PATH.read_text())
    return document


def leaves(value: Any, *path: str) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from leaves(one, *path, key)
    else:
        yield path


def objects(document: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(document, dict):
        if document.get("type") == "object":
            yield name, document
        for key, one in document.items():
            yield from objects(one, name if key == "items" else key)


def test_the_readme_tells_of_the_values_as_they_are() -> None:
    assert render.README_PATH.read_text() == render.readme(), "run `make chart`"


def test_the_schema_knows_the_settings_of_the_mesh() -> None:
    assert render.SCHEMA_PATH.read_text() == render.schema(), "run `make chart`"


def test_every_value_is_documented_where_it_stands() -> None:
    told = {one.path for one in render.documented()}
    untold = [path for path in leaves(render.values()) if not any(path[:length] in told for length in range(1, 9))]
    assert untold == []
    assert all(one.meaning.endswith(".") for one in render.documented())


def test_the_schema_is_one_and_closed() -> None:
    jsonschema.Draft7Validator.check_schema(schema())
    # Open, but for values only: `additionalProperties` is itself a schema, as for labels.
    opened = {name for name, one in objects(schema()) if one.get("additionalProperties", True) is True}
    assert opened == FREE


def test_the_schema_knows_each_value_and_no_other() -> None:
    def known(one: dict[str, Any], *path: str) -> Iterator[tuple[str, ...]]:
        if "$ref" in one:
            one = schema()["definitions"][one["$ref"].rpartition("/")[2]]
        if one.get("properties") and not one.get("patternProperties"):
            for key, inner in one["properties"].items():
                yield from known(inner, *path, key)
        else:
            yield path

    values = render.values()
    values["services"] = {}  # as `each`, member by member
    ours = {path for path in leaves(values) if path != ("services",)}
    theirs = {path for path in known(schema()) if path[0] not in {"services", "global"}}
    # Some defaults leave members out, or are free maps and lists.
    within = {path for path in ours if any(path[: len(one)] == one for one in theirs)}
    assert ours - within == set()
    assert {path for path in theirs - ours if path[-2:] != ("limits", "cpu") and not _is_default(values, path)} == set()


def _is_default(values: Any, path: tuple[str, ...]) -> bool:
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


def test_the_examples_and_the_defaults_are_valid() -> None:
    documents = [render.ROOT / "examples" / name / "values.yaml" for name in render.EXAMPLES]
    for document in (render.CHART / "values.yaml", *documents):
        jsonschema.Draft7Validator(schema()).validate(yaml.safe_load(document.read_text()))


def test_calls_are_what_the_settings_have_targets_for() -> None:
    services, targets = render.values()["services"], render.settings()
    for image in {own["image"] for own in services.values()}:
        rooms = [names for room, names in targets.items() if room.partition(":")[0] == image]
        reachable = {
            name.removeprefix("JOURNEYMESH_").removesuffix("_TARGET").lower()
            for names in rooms
            for name in names
            if name.endswith("_TARGET")
        }
        called = {callee for caller, callee in topology.calls() if services[caller]["image"] == image}
        assert called == reachable, image
