"""Analytics over running processes: what happened is counted once, until it is erased."""

import contextlib
import csv
import io
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

PATIENCE_SECONDS: Final = 60.0
QUICK: Final = {"JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "0.5", "JOURNEYMESH_ANALYTICS_PERIOD_SECONDS": "0.3"}
FUNNEL: Final = {
    "steps": [
        {"name": "calculator", "where": [{"field": "page", "values": ["/calculator"]}]},
        {"where": [{"field": "event_type", "values": ["form_submit"]}]},
    ]
}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def ask(mesh: RunningMesh, kind: str, question: Any) -> Any:
    answer = mesh.post(f"/api/analytics/{kind}", question)
    assert answer.status == 200, answer.body
    return answer.body


def of_analytics(mesh: RunningMesh) -> list[psutil.Process]:
    """The service, and the processes that count for it."""
    service = mesh.process("analytics")
    return [service, *service.children(recursive=True)]


def files(folder: Path) -> Iterator[bytes]:
    """What Parquet files hold, as far as they do not go meanwhile."""
    for path in folder.rglob("*.parquet"):
        with contextlib.suppress(FileNotFoundError):
            yield path.read_bytes()


def figures(mesh: RunningMesh) -> dict[tuple[str, str], float | None]:
    return {(each["name"], each["of"]): each["value"] for each in ask(mesh, "kpis", {})["kpis"]}


def test_what_happened_is_counted_once_and_forgotten_when_it_is_erased(tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text('{"version":1,"parts":[{"name":"machines","usdPerMillionEvents":500000}]}')
    watched = {"JOURNEYMESH_PRICES_FILE": str(prices), "JOURNEYMESH_INSIGHTS_PERIOD_SECONDS": "1"}
    with running_mesh(tmp_path, **QUICK, **watched) as mesh:
        events = []
        for user in range(6):
            properties = {"page": "/calculator", "target": "loan", "attempts": 3, "country": "AT" if user else "DE"}
            events += [
                {"userId": f"u-{user}", "eventType": kind, "properties": properties}
                for kind in ("page_view", "form_start", "form_submit" if user % 2 else "struggle_signal")
            ]
        assert mesh.post("/api/events/track", {"events": events}).status == 202
        until(lambda: figures(mesh)["events", ""] == len(events))
        found = figures(mesh)
        assert (found["users", ""], found["sessions", ""], found["abandonment_rate", ""]) == (6, 6, 0.5)
        until(lambda: sum(figures(mesh).get(("users_at_level", level)) or 0 for level in ("high", "critical")) == 3)
        assert figures(mesh)["offered", ""]
        assert ask(mesh, "budget", {"dailyUsd": 5})["dailyUsd"] == 5
        assert mesh.get("/api/analytics/budget").body["ownDailyUsd"] == 5
        assert ask(mesh, "costs", {})["dailyBudgetUsd"] == 5
        until(lambda: bool(mesh.get("/api/insights").body["budgetAlarms"]))
        (alarm,) = mesh.get("/api/insights").body["budgetAlarms"]
        assert (alarm["percent"], alarm["dailyUsd"], alarm["usedUsd"]) == (100, 5, 9)
        (austrians,) = ask(mesh, "trends", {"measure": "users", "where": [{"field": "country", "values": ["AT"]}]})[
            "series"
        ]
        assert austrians["total"] == 5
        (whole,) = ask(mesh, "funnels", FUNNEL)["funnels"]
        assert [step["userCount"] for step in whole["steps"]] == [6, 3]
        (users,) = ask(mesh, "trends", {"measure": "users"})["series"]
        assert users["total"] == 6
        listed = ask(mesh, "lists", {"kind": "conversions", "funnel": FUNNEL, "step": 1})
        assert listed["totalCount"] == 6
        url = f"{mesh.url}/api/analytics/lists/export?format=csv"
        request = urllib.request.Request(url, b'{"kind":"users"}', {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            rows = list(csv.DictReader(io.StringIO(response.read().decode())))
        assert len(rows) == 6
        journey = ask(mesh, "journeys/u-0", {})
        kinds = [each["event"]["eventType"] for each in journey["entries"] if each["event"]]
        assert kinds[:2] == ["page_view", "form_start"]
        assert any(each["decision"] and each["decision"]["struggles"] for each in journey["entries"])
        assert ask(mesh, "struggles", {})["struggles"][0]["page"] == "/calculator"
        assert ask(mesh, "retention", {})["cohorts"][-1]["userCount"] == 6
        assert ask(mesh, "paths", {"columnCount": 2})["places"][0]["name"] == "/calculator"

        assert sum(process.memory_info().rss for process in of_analytics(mesh)) < 512 * 2**20
        copies = tmp_path / "var" / "analytics"
        assert mesh.post("/api/privacy/erasures", {"userId": "u-0"}).status == 202
        until(lambda: figures(mesh)["users", ""] == 5)
        # Decisions, and the files of before, go one after the other.
        until(lambda: ask(mesh, "journeys/u-0", {})["entries"] == [])
        until(lambda: not any(b"u-0" in whole for whole in files(copies)))


def test_what_happened_is_in_answers_within_seconds_also_if_the_archiver_is_killed(tmp_path: Path) -> None:
    with running_mesh(tmp_path, JOURNEYMESH_ARCHIVE_PERIOD_SECONDS="3600") as mesh:
        waits = []
        for number in range(4):
            user, page = f"u-{number}", {"page": "/calculator"}
            assert mesh.track({"userId": user, "eventType": "page_view", "properties": page}).status == 202
            sent = time.monotonic()
            until(lambda: figures(mesh)["users", ""] == number + 1)  # noqa: B023 - asked in this round only
            waits.append(time.monotonic() - sent)
        assert min(waits) < 5, waits
        answer = ask(mesh, "journeys/u-3", {})
        (entry,) = (each for each in answer["entries"] if each["event"])
        assert answer["receipt"]["watermark"] >= entry["time"]
        assert not [*(tmp_path / "var").rglob("hour=*/*.parquet")]

        mesh.process("archiver").kill()
        assert mesh.track({"userId": "u-4", "eventType": "page_view", "properties": {"page": "/help"}}).status == 202
        until(lambda: figures(mesh)["users", ""] == 5)
        assert figures(mesh)["events", ""] == 5
