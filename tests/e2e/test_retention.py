"""Retention and masking of tenants over running processes: set by the command, in force within seconds, as forecast."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import pytest
import redis

from records.tenants import qualified, tenant_of
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import HOUR_US, Plan, hour_of
from tests.archive.rows import EventRow, records
from tests.archive.test_files import decision
from tests.builders import event
from tests.e2e.test_tenants import Tenant, command
from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

PATIENCE_SECONDS: Final = 60.0
DAY_US: Final = 24 * HOUR_US
PHONE: Final = "+49 170 1234567"
AGES: Final = (40, 20, 2)
"""How many days ago the default tenant and acme had an event each."""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def today() -> int:
    return time.time_ns() // 1_000 // DAY_US


async def archive_old_events(folder: Path) -> None:
    """Writes what was received some days ago, of two tenants in each file."""
    archive = ParquetArchive(f"file://{folder}")
    for number, age in enumerate(AGES):
        at_us = (today() - age) * DAY_US + HOUR_US
        rows = [
            EventRow(
                number, index, event(qualified(of, f"old-{age}"), user_id=qualified(of, "ada"), received_time_us=at_us)
            )
            for index, of in enumerate(("", "acme"))
        ]
        part = await archive.pack("old", records(rows), [*map(decision, rows)])
        await archive.write("old", Plan(number - 1, number), {hour_of(at_us)}, [part])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("retention")


@pytest.fixture(scope="module")
def both(folder: Path) -> Iterator[tuple[Tenant, Tenant]]:
    """The default tenant and acme."""
    asyncio.run(archive_old_events(folder / "var" / "archive"))
    settings = {
        "JOURNEYMESH_KEYS": "required",
        "JOURNEYMESH_RETENTION_DAYS": "30",
        "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "0.5",
        "JOURNEYMESH_ANALYTICS_PERIOD_SECONDS": "0.3",
    }
    with running_mesh(folder, **settings) as mesh:
        command(mesh, "tenants", "create", "acme")
        keys = [
            command(mesh, "keys", "create", "--kind", "admin", "--name", "k", *whose)["text"]
            for whose in ((), ("--tenant", "acme"))
        ]
        default, acme = (Tenant(mesh, name, key) for name, key in zip(("", "acme"), keys, strict=True))
        until(lambda: all(each.ask("GET", "/api/features")[0] == 200 for each in (default, acme)))
        yield default, acme


def rows_left(folder: Path) -> list[tuple[str, str]]:
    """Tenant and id of the old events that the archive has."""
    paths = (folder / "var" / "archive" / "events" / "v1").glob("*/old-*.parquet")
    rows = [row for path in paths for row in pq.read_table(path, columns=["event_id"]).to_pylist()]
    return sorted((tenant_of(row["event_id"]), row["event_id"].rpartition("-")[2]) for row in rows)


def copied(folder: Path) -> list[tuple[str, str]]:
    """The same of the copies for analytics."""
    found = []
    for path in (folder / "var" / "analytics" / "events").rglob("*.parquet"):
        with contextlib.suppress(FileNotFoundError):  # replaced meanwhile
            ids = pq.ParquetFile(path).read(columns=["event_id"]).column(0).to_pylist()
            tenant = "acme" if "tenant=acme" in path.parts else ""
            found += [(tenant, each.rpartition("-")[2]) for each in ids if each.startswith("old-")]
    return sorted(found)


def forecast(mesh: RunningMesh, key: str, *given: str) -> Any:
    asked = [sys.executable, "-m", "cli", "privacy", "retention", "--json", "--url", mesh.url, *given]
    told = subprocess.run(asked, env=os.environ | {"JOURNEYMESH_KEY": key}, capture_output=True, check=True, timeout=60)
    return json.loads(told.stdout)


def test_the_pass_deletes_what_the_dry_run_said(both: tuple[Tenant, Tenant], folder: Path) -> None:
    default, acme = both
    mesh = default.mesh
    assert default.ask("POST", "/api/tenants/acme/retention", {"days": 7})[0] == 200
    assert acme.ask("POST", "/api/tenants/acme/retention", {"days": 1})[0] == 403
    (listed,) = command(mesh, "tenants", "list")["tenants"]
    assert listed["retentionDays"] == 7

    until(lambda: copied(folder) == rows_left(folder))
    said = forecast(mesh, default.key)
    rows = {(each["tenant"], each["kind"]): each["rowCount"] for each in said["expiries"]}
    assert rows == {("", "events"): 1, ("", "decisions"): 1, ("acme", "events"): 2, ("acme", "decisions"): 2}
    assert (said["files"]["deletedCount"], said["files"]["rewrittenCount"]) == (2, 2)
    own = forecast(mesh, acme.key)
    assert {each["tenant"] for each in own["expiries"]} == {"acme"}
    assert own["files"] is None
    assert len(rows_left(folder)) == 2 * len(AGES)

    # The archiver made no pass on its first day; now a day has gone by.
    with redis.Redis(port=mesh.store_port, password=mesh.store_password) as store:
        assert int(store.get("jm:retention:day") or 0) == today()
        store.set("jm:retention:day", today() - 1)
    until(lambda: mesh.metrics("archiver").get("journeymesh_expired_files_total") == 4)
    assert mesh.metrics("archiver")["journeymesh_expired_rows_total"] == sum(rows.values())
    assert rows_left(folder) == [("", "2"), ("", "20"), ("acme", "2")]
    until(lambda: copied(folder) == rows_left(folder))
    assert not any(each["rowCount"] for each in forecast(mesh, default.key)["expiries"])
    acts = [each["action"] for each in default.ask("GET", "/api/audit?limit=100")[1]["entries"]]
    assert {"POST /api/tenants/{tenant}/retention", "tenants.retention", "GET /api/privacy/retention"} <= {*acts}


def test_masking_of_a_tenant_is_in_force_within_seconds(both: tuple[Tenant, Tenant]) -> None:
    default, acme = both
    named = {"page": "/p", "orderNote": "call me", "note": PHONE}
    numbers = iter(range(1_000))

    def kinds_of(tenant: Tenant) -> list[str]:
        sent = {"eventId": f"m-{next(numbers)}", "userId": "eve", "eventType": "page_view", "properties": named}
        status, body = tenant.ask("POST", "/api/events/track", sent)
        assert status == 202, body
        return [each["detail"] for each in body["warnings"]]

    assert "secret." not in str(kinds_of(acme))
    command(default.mesh, "tenants", "masking", "acme", "--names", "order_note")
    began = time.monotonic()
    until(lambda: "secret." in str(kinds_of(acme)))
    assert time.monotonic() - began < 5
    assert "secret." not in str(kinds_of(default))
    # What it masks is known again before anything of it is taken.
    default.mesh.process("ingest").kill()
    answers: list[Any] = []

    def is_taken() -> bool:
        sent = {"eventId": "after-kill", "userId": "eve", "eventType": "page_view", "properties": named}
        answers.append(acme.ask("POST", "/api/events/track", sent))
        return bool(answers[-1][0] == 202)

    until(is_taken)
    assert "secret." in str(answers[-1])
