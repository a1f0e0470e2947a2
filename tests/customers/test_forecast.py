"""What is expected of customers: against the formula of the paper, and segments by cuts that are kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from services.customers.domain import repeats, segments
from services.customers.domain.repeats import Column, Histories, Repeats

rates = st.floats(0.1, 20)
bought = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 400)), min_size=1, max_size=60)


def as_published(model: Repeats, of: Histories, weeks: float) -> Column:
    """Equation 10 of the paper, word for word."""
    r, alpha, a, b, _ = model
    total, at = a + b + of.repeats - 1, alpha + of.watched
    series = special.hyp2f1(r + of.repeats, b + of.repeats, total, weeks / (at + weeks))
    lost = (at / (at + weeks)) ** (r + of.repeats) * series
    found: Column = repeats.probability_active(model, of) * total / (a - 1) * (1 - lost)
    return found


@given(rates, rates, rates.filter(lambda a: abs(a - 1) > 1e-3), rates, st.integers(0, 40), st.floats(1, 52))
def test_expected_orders_are_those_of_the_paper(
    r: float, alpha: float, a: float, b: float, count: int, weeks: float
) -> None:
    model = Repeats(r, alpha, a, b, 0.0)
    of = Histories(np.array([float(count)]), np.array([20.0 if count else 0.0]), np.array([30.0]))
    found = repeats.expected(model, of, weeks)
    assert found == pytest.approx(as_published(model, of, weeks), rel=1e-6, abs=1e-9)


def test_nothing_overflows_where_nobody_leaves_or_all_do() -> None:
    of = Histories(np.array([0.0, 5.0, 900.0]), np.array([0.0, 20.0, 100.0]), np.array([0.0, 40.0, 100.0]))
    for a, b in ((1e-5, 1e5), (1e5, 1e-5), (1.0, 1.0), (1.0, 2.0), (5e3, 1e4)):
        found = repeats.expected(Repeats(0.5, 4.0, a, b, 0.0), of, 52)
        assert np.isfinite(found).all()
        assert (found >= 0).all()


@given(bought)
def test_cuts_score_as_the_quintiles_they_are_made_of(customers: list[tuple[int, int]]) -> None:
    orders, ago = (np.array(column) for column in zip(*customers, strict=True))
    scores = segments.scores(1_000 - ago, orders)
    by = segments.cuts(1_000 - ago, orders, 1_000)
    found = [segments.scored(by, days, count) for count, days in customers]
    assert found == list(zip(scores.recency.tolist(), scores.frequency.tolist(), strict=True))


@given(bought, st.integers(1, 10_000), st.integers(-10, 10_000))
def test_cuts_put_any_customer_into_one_segment(customers: list[tuple[int, int]], orders: int, ago: int) -> None:
    known, days = (np.array(column) for column in zip(*customers, strict=True))
    by = segments.cuts(1_000 - days, known, 1_000)
    assert segments.segment_of(by, ago, orders) in segments.SEGMENTS
    more_lately = segments.scored(by, ago - 1, orders + 1)
    assert all(now <= then for now, then in zip(segments.scored(by, ago, orders), more_lately, strict=True))
