"""What customers will buy: published answers, customers drawn from the model, real purchases, real tables."""

import csv
import datetime as dt
import gzip
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.settings import read
from offline.customers import fitting
from offline.customers import purchases as tables
from offline.customers.fitting import FitError
from offline.customers.forecast import forecast
from offline.customers.purchases import Columns, PurchaseError, known
from offline.settings import Settings
from services.customers.domain import repeats, segments, spending
from services.customers.domain.repeats import Histories, Repeats
from services.customers.domain.spending import Spending

CDNOW: Final = Path(read(Settings, os.environ).data) / "cdnow_sample" / "cdnow_elog.csv.gz"
has_data = pytest.mark.skipif(not CDNOW.exists(), reason="the published data is not here")
DAY: Final = dt.date(2026, 1, 1).toordinal()

# Fader, Hardie and Lee (2005), table 2, with the digits of their notes.
PUBLISHED: Final = Repeats(0.24259, 4.41353, 0.79289, 2.42575, -9582.43)
ONE: Final = Histories(np.array([2.0]), np.array([30.43]), np.array([38.86]))


def written(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """The rows as a CSV file."""
    path = folder / "purchases.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def lived(count: int, weeks: float, seed: int) -> tuple[Histories, np.ndarray[Any, Any]]:
    """Customers who live as the model says: their histories, and what they buy in as many weeks again."""
    chance = np.random.default_rng(seed)
    found, later = [], []
    for _ in range(count):
        rate = chance.gamma(PUBLISHED.r) / PUBLISHED.alpha
        leaves = chance.beta(PUBLISHED.a, PUBLISHED.b)
        times, time = [], 0.0
        while (time := time + chance.exponential(1 / max(rate, 1e-12))) <= 2 * weeks:
            times.append(time)
            if chance.random() < leaves:
                break
        before = [time for time in times if time <= weeks]
        found.append((len(before), before[-1] if before else 0.0, weeks))
        later.append(len(times) - len(before))
    return Histories(*np.array(found).T), np.array(later)


def test_repeats_of_a_new_customer_are_those_of_the_paper() -> None:
    weeks = (1 / 7, 1, 3, 31.8571, 32, 78)
    new = Histories(np.zeros(1), np.zeros(1), np.zeros(1))
    found = [repeats.expected(PUBLISHED, new, each)[0] for each in weeks]  # equation 9
    assert found == pytest.approx([0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8580], abs=1e-4)


def test_the_customer_of_the_paper() -> None:
    assert repeats.expected(PUBLISHED, ONE, 39)[0] == pytest.approx(1.2259, abs=1e-4)
    assert repeats.probability_active(PUBLISHED, ONE)[0] == pytest.approx(0.7266, abs=1e-4)
    drawn = repeats.drawn(PUBLISHED, ONE, 39, 200_000, np.random.default_rng(1))
    assert drawn.mean() == pytest.approx(1.2259, abs=0.02)


def test_spending_of_the_customers_of_the_paper() -> None:
    # Fader and Hardie (2013): the population, and a customer with two repeats of 22.35 on average.
    model = Spending(6.25, 3.74, 15.44, 0.0)
    found = spending.expected(model, np.array([2.0, 0.0]), np.array([22.35, 0.0]))
    assert found == pytest.approx([24.66, 35.22], abs=0.01)
    assert spending.mean_of_all(Spending(6.2488, 3.7446, 15.4477, 0.0)) == pytest.approx(35.17, abs=0.01)


def test_parameters_of_simulated_customers_are_found_again() -> None:
    of, later = lived(4_000, 52, seed=5)
    found = fitting.repeats(of)
    truth = float(fitting.repeats_log_likelihoods(*PUBLISHED[:4], of).sum())
    assert 0 <= found.log_likelihood - truth < 8  # twice the difference is chi-squared with 4 degrees, p > .003
    assert repeats.expected(found, of, 52).sum() == pytest.approx(later.sum(), rel=0.1)


def test_intervals_hold_as_often_as_they_say() -> None:
    of, later = lived(3_000, 52, seed=6)
    drawn = repeats.drawn(PUBLISHED, of, 52, 400, np.random.default_rng(2))
    lower, upper = np.percentile(drawn, (10, 90), axis=0)
    assert ((lower <= later) & (later <= upper)).mean() >= 0.8  # more, as counts are whole
    assert drawn.mean(axis=0).sum() == pytest.approx(repeats.expected(PUBLISHED, of, 52).sum(), rel=0.01)


@has_data
def test_real_purchases() -> None:
    purchases = tables.read(CDNOW, Columns(), lambda rows: rows)
    until = dt.date(1997, 9, 30).toordinal()
    found = forecast(purchases, until, (30, 273), seed=1)
    assert found.buys.r == pytest.approx(0.243, abs=0.02)
    assert found.spends is not None
    assert spending.mean_of_all(found.spends) == pytest.approx(35.2, abs=1.5)
    later = purchases.until(dt.date(1998, 6, 30).toordinal())
    bought = {name for name, first in zip(purchases.customers, known(purchases).first, strict=True) if first <= until}
    happened = sum(
        day > until and later.customers[number] in bought for number, day in zip(later.of, later.days, strict=True)
    )
    # The paper's own forecast of these weeks is below what happened, too.
    assert found.horizons[1].total == pytest.approx(happened, rel=0.15)


@has_data
def test_the_same_bits_from_any_order_of_rows(tmp_path: Path) -> None:
    with gzip.open(CDNOW, "rt") as file:
        rows = list(csv.DictReader(file))[:1_500]
    found = [tables.read(written(tmp_path, of), Columns(), iter) for of in (rows, rows[::-1])]
    assert list(found[0].customers) == list(found[1].customers)
    assert (found[0].days == found[1].days).all()
    assert (found[0].amounts == found[1].amounts).all()


@given(st.lists(st.tuples(st.integers(DAY, DAY + 400), st.integers(1, 60)), min_size=1, max_size=200))
def test_each_customer_is_in_one_segment_and_equals_score_alike(of: list[tuple[int, int]]) -> None:
    last, orders = (np.array(column) for column in zip(*of, strict=True))
    found = segments.scores(last, orders)
    names = [segments.NAMES[int(recency), int(frequency)] for recency, frequency in zip(*found, strict=True)]
    assert set(names) <= set(segments.SEGMENTS)
    by_customer = dict(zip(of, names, strict=True))
    assert [by_customer[each] for each in of] == names
    again = segments.scores(last[::-1], orders[::-1])
    assert (again.recency[::-1] == found.recency).all()
    assert (again.frequency[::-1] == found.frequency).all()


def test_segments_cover_all_scores_once() -> None:
    assert set(segments.NAMES) == {(recency, frequency) for recency in range(1, 6) for frequency in range(1, 6)}
    assert set(segments.NAMES.values()) == set(segments.SEGMENTS)
    assert len(segments.SEGMENTS) == 8
    assert segments.NAMES[5, 5] == "Champions"
    assert segments.NAMES[1, 5] == "Can't Lose"
    assert segments.NAMES[5, 1] == "New"


def test_lines_of_a_day_are_one_order_and_returns_are_taken_off(tmp_path: Path) -> None:
    rows = [
        {"CustomerID": "b", "InvoiceDate": "2026-01-01 10:00:00", "Quantity": "2", "UnitPrice": "1.50"},
        {"CustomerID": "b", "InvoiceDate": "2026-01-01 18:00:00", "Quantity": "1", "UnitPrice": "4"},
        {"CustomerID": "b", "InvoiceDate": "2026-01-03", "Quantity": "2", "UnitPrice": "5"},
        {"CustomerID": "b", "InvoiceDate": "20260103", "Quantity": "-1", "UnitPrice": "5"},
        {"CustomerID": "a", "InvoiceDate": "2026-01-02", "Quantity": "1", "UnitPrice": "5"},
        {"CustomerID": "a", "InvoiceDate": "2026-01-04", "Quantity": "-1", "UnitPrice": "5"},
        {"CustomerID": "a", "InvoiceDate": "2026-01-05", "Quantity": "1", "UnitPrice": "0"},
        {"CustomerID": "", "InvoiceDate": "2026-01-04", "Quantity": "1", "UnitPrice": "5"},
        {"CustomerID": "a", "InvoiceDate": "soon", "Quantity": "1", "UnitPrice": "5"},
        {"CustomerID": "a", "InvoiceDate": "2026-01-04", "Quantity": "one", "UnitPrice": "5"},
    ]
    found = tables.read(written(tmp_path, rows), Columns(), iter)
    assert list(zip(found.of.tolist(), (found.days - DAY).tolist(), found.amounts.tolist(), strict=True)) == [
        (0, 1, 5.0),
        (0, 4, 0.0),
        (1, 0, 7.0),
        (1, 2, 5.0),
    ]
    assert (found.customers, found.skipped_rows, found.returned_days) == (["a", "b"], 3, 1)
    of = known(found)
    assert (of.orders.tolist(), of.money.tolist(), of.repeat_money.tolist()) == ([2, 2], [5.0, 12.0], [0.0, 5.0])
    assert known(found.until(DAY)).orders.tolist() == [1]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"who": "a", "date": "2026-01-01", "amount": "1"}, "--customer"),
        ({"user": "a", "when": "2026-01-01", "amount": "1"}, "--time"),
        ({"user": "a", "date": "2026-01-01", "paid": "1"}, "--amount"),
        ({"user": "a", "date": "2026-01-01", "amount": "-1"}, "No row holds a purchase"),
    ],
)
def test_what_is_no_table_of_purchases_is_refused_with_a_sentence(
    tmp_path: Path, row: Mapping[str, str], says: str
) -> None:
    with pytest.raises(PurchaseError, match=says):
        tables.read(written(tmp_path, [row]), Columns(), iter)


def test_too_little_to_learn_from_is_said() -> None:
    with pytest.raises(FitError, match="too few"):
        fitting.repeats(ONE)
    with pytest.raises(FitError, match="Nobody bought again"):
        fitting.repeats(Histories(np.zeros(50), np.zeros(50), np.ones(50)))


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What `journeymesh customers` prints."""
    line = [sys.executable, "-m", "cli", "customers", *arguments]
    return subprocess.run(line, text=True, capture_output=True, check=False, timeout=120)


@has_data
def test_the_command_prints_a_forecast_and_writes_a_row_per_customer(tmp_path: Path) -> None:
    rows = tmp_path / "customers.csv"
    found = command(str(CDNOW), "--until", "1997-09-30", "--output", str(rows))
    assert found.returncode == 0, found.stderr
    assert "BG/NBD r 0.24" in found.stdout
    assert "Champions" in found.stdout
    with rows.open() as file:
        customers = list(csv.DictReader(file))
    assert len(customers) == 1_666
    assert {each["segment"] for each in customers} <= set(segments.SEGMENTS)
    assert all((each["active"] == "") == (each["orders"] == "1") for each in customers)


def test_the_command_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    found = command(str(tmp_path / "none.csv"))
    assert (found.returncode, found.stdout) == (1, "")
    assert "gives no forecast" in found.stderr


def test_the_command_tells_which_products_come_next(tmp_path: Path) -> None:
    chance = np.random.default_rng(8)
    rows = [
        {"user": f"c{customer}", "date": dt.date.fromordinal(DAY + day).isoformat(), "product": f"p{product}"}
        for customer in range(30)
        for day in range(customer % 7, 120, 7)
        for product in chance.choice(12, 3, replace=False)
    ]
    found = command(str(written(tmp_path, rows)), "--products")
    assert found.returncode == 0, found.stderr
    assert "30 customers" in found.stdout
    assert "personal frequency" in found.stdout
    assert "Gain over personal frequency, with 95 % intervals" in found.stdout
    assert "of what is due is shared out by habit" in found.stdout
    # 120 days: there is room for no earlier window.
    assert "windows before" not in found.stdout
    refused = command(str(written(tmp_path, [{"user": "a", "date": "2026-01-01", "amount": "1"}])), "--products")
    assert refused.returncode == 1
    assert "--product" in refused.stderr
