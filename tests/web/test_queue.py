"""Whatever becomes of a page, what it stored arrives, and counts once."""

import collections
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tests.crash.outcome import await_archived
from tests.processes import running_mesh
from tests.web.story import told

pytestmark = [pytest.mark.tools, pytest.mark.processes]

_COUNT = 1000
_SETTINGS = {"JOURNEYMESH_CORS_ORIGINS": "http://localhost:*", "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "0.5"}


def test_a_thousand_events_arrive_once_though_browsers_are_killed_and_the_network_goes(tmp_path: Path) -> None:
    with running_mesh(tmp_path, **_SETTINGS) as mesh:
        seen = told("queue", mesh.url, count=_COUNT, seed=7)
        await_archived(mesh)
        arrived = collections.Counter(values(tmp_path / "var" / "archive"))
    assert seen["produced"] == _COUNT
    assert {"kill", "crash", "close", "leave", "offline", "second"} <= set(seen["done"])
    doubled = {value: times for value, times in arrived.items() if times > 1}
    lost = set(seen["kept"]) - set(arrived)
    assert (doubled, lost) == ({}, set())
    # Nothing but what was killed with its page before it was stored is missing.
    safe = len(seen["kept"])
    Console(highlight=False).print(f"{seen['done']}: {len(arrived)} of {_COUNT} arrived, {safe} were known to be safe")
    assert len(arrived) > _COUNT * 0.8


def values(archive: Path) -> list[int]:
    """The numbers of the events in an archive."""
    files = sorted((archive).rglob("*.parquet"))
    found = (
        json.loads(text)
        for file in files
        if "properties" in pq.read_schema(file).names
        for text in pq.read_table(file, columns=["properties"])["properties"].to_pylist()
        if text
    )
    return [each["value"] for each in found if each.get("feature") == "stress"]
