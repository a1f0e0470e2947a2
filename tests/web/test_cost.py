"""What the tracker costs the page's main thread: time of the processor, so that a busy machine does not count."""

import statistics
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console
from rich.table import Table

from tests.processes import running_mesh
from tests.web.story import told

pytestmark = [pytest.mark.tools, pytest.mark.processes]

# Milliseconds, for the median at full speed.
MOST: Final = {"click that works": 2, "click in vain": 2, "key": 1, "scroll": 0.5}


def test_a_click_costs_the_page_less_than_two_milliseconds(tmp_path: Path) -> None:
    with running_mesh(tmp_path, JOURNEYMESH_CORS_ORIGINS="http://localhost:*") as mesh:
        costs = {slower: told("cost", mesh.url, slower=slower, count=30) for slower in (1, 4)}
    table = Table("processor", "per", "median ms", "p95 ms")
    for slower, kinds in costs.items():
        for kind, each in kinds.items():
            p95 = statistics.quantiles(each, n=20)[-1]
            table.add_row(f"{slower} times slower", kind, f"{statistics.median(each):.2f}", f"{p95:.2f}")
    Console(highlight=False).print("", table)
    found = {kind: statistics.median(each) for kind, each in costs[1].items()}
    assert {kind: ms for kind, ms in found.items() if not 0 < ms < MOST[kind]} == {}
