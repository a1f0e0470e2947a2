"""What a fit keeps of each customer: so little that a job's memory has room for a hundred thousand."""

import gc
import tracemalloc
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import pytest

from offline.customers import consuming, grouping, refit, summaries
from offline.customers.summaries import Detailed, Known, Summed
from services.customers.domain.purchases import History, Line, Order
from tests.customers.fits import DAY_MS, NOBODY, NOW_MS, TODAY

FEW: Final = 500
MANY: Final = 1_500
OF_A_PART: Final = 125
LINES: Final = [Line(f"p{number}", f"Product {number}", f"c{number % 4}", 1, 5.0) for number in range(300)]
MOST_BYTES: Final = 900
"""Of each customer beyond the first five hundred at most: it takes some 700, and 1,400 if all parts are kept."""


class Drawn(NamedTuple):
    """A shop of so many customers, in parts that are drawn whenever they are read; see `refit.Source`."""

    customers: int

    def summed(self, limit: int) -> Iterator[Summed]:
        """See `refit.Source`."""
        return (summaries.summed(part(number), limit) for number in range(self.customers // OF_A_PART))

    def detailed(self, known: Known) -> Iterator[Detailed]:
        """See `refit.Source`."""
        return (summaries.detailed(part(number), known) for number in range(self.customers // OF_A_PART))


def part(number: int) -> Iterator[tuple[str, History]]:
    """The customers of a part, who buy three products now and then."""
    chance = np.random.default_rng(number)
    for place in range(OF_A_PART):
        staples = [LINES[at] for at in chance.choice(len(LINES), 3, replace=False)]
        days = np.unique(chance.integers(TODAY - 360, TODAY + 1, 1 + chance.poisson(3)))
        yield (
            f"user-{number:03}-{place:04}",
            tuple(
                Order(f"o{at}", int(day) * DAY_MS, 5.0, "EUR", False, (staples[at % 3],)) for at, day in enumerate(days)
            ),
        )


def peak(customers: int) -> int:
    """Bytes that a fit of so many customers takes at most."""
    # Of the many objects of other tests none is looked at, so that garbage is collected as soon as in a job's process.
    gc.collect()
    gc.freeze()
    tracemalloc.start()
    try:
        refit.refitted(Drawn(customers), TODAY, NOBODY, None, NOW_MS)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.unfreeze()


def test_a_customer_more_takes_so_little_whatever_the_number_of_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    # What does not grow with customers, once there are many, does not here either.
    monkeypatch.setattr(refit, "_MOST_TESTED", 300)
    monkeypatch.setattr(grouping, "_SAMPLED", 200)
    monkeypatch.setattr(consuming, "_AT_ONCE", 256)
    peak(OF_A_PART)  # what is loaded and cached at first use
    each = (peak(MANY) - peak(FEW)) / (MANY - FEW)
    assert 0 < each < MOST_BYTES, each
