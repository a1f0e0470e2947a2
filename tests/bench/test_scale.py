"""docs/scale.md is calculated from the figures, and its sums are right."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import scale
from bench.__main__ import FIGURES

MEASURED = json.loads(FIGURES.read_text())


def test_the_page_is_what_the_figures_give() -> None:
    assert scale.PAGE.read_text(encoding="utf-8") == scale.page(MEASURED), "run `python -m bench.scale`"


def test_the_bill_matches_a_manual_calculation() -> None:
    figures = {
        "cpu ingest": 45.0,
        "cpu store": 15.0,
        "bytes per event of ids": 90,
        "bytes per event of the ledger": 110,
        "bytes per user": 4_000,
    }
    bill = {part.name: part for part in scale.parts(figures | {"archive bytes per event": 25})}
    # 45 s of CPU per second on vCPUs that are 60% busy.
    assert bill["processes on Kubernetes"].dollars_per_hour == pytest.approx(75 * 0.0363)
    # 300 MB/s, half as many shards again.
    assert bill["Kinesis, shards"].dollars_per_hour == pytest.approx(450 * 0.015)
    # 90 GB per hour.
    assert bill["archive on S3, a month"].dollars_per_hour == pytest.approx(90 * 0.023)
    ids, ledger, users = 90e6 * 1.5 * 86_400, 110e6 * 86_400, 4_000 * 50e6
    assert scale.memory_gib(figures) == pytest.approx((ids + ledger + users) / 2**30)


@given(st.floats(1, 1_000), st.floats(1, 1_000))
def test_more_cpu_costs_more(first: float, second: float) -> None:
    low, high = sorted((first, second))
    costs = [
        sum(part.dollars_per_hour for part in scale.parts(MEASURED | {"cpu features": each})) for each in (low, high)
    ]
    assert costs[0] <= costs[1]
