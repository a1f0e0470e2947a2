"""Committed files are what the generator makes, name only existing metrics, and have the shape their reader expects."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from mesh.observability.registry import METRICS, Kind
from monitoring.alert import REAL_TIME
from monitoring.alerts import alerts
from monitoring.dashboards import DASHBOARDS
from monitoring.promql import SELF_REPORTED, TARGET_LABELS
from monitoring.written import CHART, ROOT, files
from tests.monitoring.reading import names

FILES = files()

SUFFIXES = {Kind.COUNTER: ("_total",), Kind.GAUGE: ("",), Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}
LABELS = {each.name + suffix: set(each.labels) for each in METRICS for suffix in SUFFIXES[each.kind]} | {
    name: set[str]() for name in SELF_REPORTED
}
RULES: list[dict[str, Any]] = yaml.safe_load((CHART / "rules" / "journeymesh.yaml").read_text())["groups"][0]["rules"]
SHOWN: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((CHART / "dashboards").glob("*.json"))
}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in dashboard["panels"] if each["type"] != "row"]


def expressions() -> Iterator[tuple[str, str, str]]:
    """Each expression with where it stands, and its legend."""
    for one in RULES:
        yield one.get("alert") or one["record"], one["expr"], ""
    for name, dashboard in SHOWN.items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target["expr"], target["legendFormat"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_file_is_what_the_generator_makes(path: Any) -> None:
    assert path.read_text(encoding="utf-8") == FILES[path], "run `make docs`"


def test_nothing_stands_beside_what_the_generator_makes() -> None:
    beside = {path for room in ("dashboards", "rules") for path in (CHART / room).iterdir()}
    assert beside == {path for path in FILES if path.is_relative_to(CHART)}


@pytest.mark.parametrize(("where", "expression", "legend"), list(expressions()))
def test_an_expression_names_only_metrics_that_exist(where: str, expression: str, legend: str) -> None:
    found = names(expression)
    recorded = {each["record"] for each in RULES if "record" in each}
    assert found.selected, where
    known = TARGET_LABELS | {"le"}
    for metric, labels in found.selected.items():
        assert metric in LABELS or metric in recorded, f"{where}: nobody reports {metric}"
        own = LABELS.get(metric, set())
        assert labels <= own | TARGET_LABELS, f"{where}: {metric} has no label {labels - own}"
        known |= own
    assert found.grouped <= known, f"{where}: nothing has the label {found.grouped - known}"
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= found.grouped


@pytest.mark.parametrize(
    ("expression", "metrics", "grouped"),
    [
        ('sum by (a, b) (rate(x_total{c="by (d)"}[5m] offset 1h))', {"x_total": {"c"}}, {"a", "b"}),
        ('x:y:z > 5 and on (a) up{b=~"rate", c!~"{"}', {"x:y:z": set(), "up": {"b", "c"}}, {"a"}),
        ("increase(x[$__rate_interval]) offset $__range / y", {"x": set(), "y": set()}, set()),
    ],
)
def test_the_reader_of_expressions_sees_all_names(
    expression: str, metrics: dict[str, set[str]], grouped: set[str]
) -> None:
    assert names(expression) == (metrics, grouped)


def test_every_metric_is_shown_or_watched() -> None:
    named = {metric for _, expression, _ in expressions() for metric in names(expression).selected}
    unused = {each.name for each in METRICS if not named & {each.name + suffix for suffix in SUFFIXES[each.kind]}}
    assert unused == set()


@pytest.mark.parametrize("name", SHOWN)
def test_panels_stand_side_by_side(name: str) -> None:
    cells = [
        (x, y)
        for panel in SHOWN[name]["panels"]
        for at in [panel["gridPos"]]
        for x, y in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("name", SHOWN)
def test_a_dashboard_has_the_shape_grafana_imports(name: str) -> None:
    dashboard = SHOWN[name]
    assert dashboard["uid"] == f"journeymesh-{name}"
    assert len(dashboard["uid"]) <= 40
    assert dashboard["schemaVersion"] >= 38
    variables = {each["name"]: each["type"] for each in dashboard["templating"]["list"]}
    assert variables == {"datasource": "datasource", "namespace": "query"}
    numbers = [each["id"] for each in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    for panel in panels(dashboard):
        assert panel["type"] in {"timeseries", "stat", "state-timeline", "heatmap"}
        assert panel["description"].endswith((".", "why."))
        assert panel["fieldConfig"]["defaults"]["unit"]
        refs = [each["refId"] for each in panel["targets"]]
        assert refs
        assert len(refs) == len(set(refs))
        for target in (panel, *panel["targets"]):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert target["instant"] != target["range"]
            assert target["expr"].count('namespace=~"$namespace"') >= len(names(target["expr"]).selected)
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert [each["value"] for each in steps[:1]] == [None]
        assert steps[1:] == sorted(steps[1:], key=lambda each: each["value"])


def test_dashboards_and_panels_have_names_of_their_own() -> None:
    assert len({each["title"] for each in DASHBOARDS.values()}) == len(DASHBOARDS) == len(SHOWN)
    for name, dashboard in SHOWN.items():
        titles = [each["title"] for each in panels(dashboard)]
        assert len(titles) == len(set(titles)), name


def test_an_alert_leads_to_its_chapter() -> None:
    chapters = re.findall(r"^## (\w+)$", (ROOT / "docs" / "alerts.md").read_text(), flags=re.MULTILINE)
    assert chapters == [each.name for each in alerts(REAL_TIME)]
    for one in RULES:
        if "alert" in one:
            assert one["annotations"]["runbook_url"] == f"docs/alerts.md#{one['alert'].lower()}"
            assert one["labels"]["severity"] in {"page", "ticket"}


def test_alerts_refer_only_to_existing_panels_sections_and_settings() -> None:
    titles = {panel["title"] for dashboard in SHOWN.values() for panel in panels(dashboard)}
    titles |= {dashboard["title"].partition(": ")[2] for dashboard in SHOWN.values()} | {"Scale", "Size"}
    operations = (ROOT / "docs" / "operations.md").read_text()
    settings = (ROOT / "docs" / "settings.md").read_text()
    for one in alerts(REAL_TIME):
        for action in one.actions:
            quoted = {each for each in re.findall(r"“(.+?)”", action) if each[0].isupper()}
            assert quoted <= titles, one.name
            assert all(f"`{each}`" in settings for each in re.findall(r"JOURNEYMESH_\w+", action)), one.name
    assert "## Scale" in operations
    assert "## Size" in operations
