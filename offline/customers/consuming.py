"""Fits how often customers need a product again, by maximum likelihood over all customers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from services.customers.domain import consumption
from services.customers.domain.consumption import Bought, Consumption
from services.customers.domain.purchases import History
from services.customers.domain.repeats import Column

_MOST_STAGES: Final = 4
_POOLED: Final = 10.0
"""How many purchases of a product weigh as much as its category, and how many of a category as much as all."""

_EARLIER: Final = 6
"""Windows before that of the back-test from which it is told how much windows differ."""
_AT_ONCE: Final = 1 << 15
"""Pairs whose likelihoods are worked out at once, since that takes some twenty values of each."""
_LEAST_DAYS: Final = 90
"""Days from which an earlier window is told at least."""


class Pairs(NamedTuple):
    """Customers and the products they bought: an entry per pair."""

    rate: Column
    gaps: Column
    total: Column
    log_gaps: Column
    since: Column


class Again(NamedTuple):
    """How often customers bought a product again: a sum over the customers who bought it.

    `first` adds up the days of their first purchases, in days since 1970. `newest` is the latest of these days, on
    which `newest_customers` began.
    """

    purchases: int
    customers: int
    first: int
    newest: int
    newest_customers: int

    def __add__(self, other: object) -> "Again":
        """Of the customers of both."""
        assert isinstance(other, Again)  # noqa: S101 - there is nothing else to add
        newest = max(self.newest, other.newest)
        began = sum(each.newest_customers for each in (self, other) if each.newest == newest)
        return Again(
            self.purchases + other.purchases,
            self.customers + other.customers,
            self.first + other.first,
            newest,
            began,
        )

    def watched(self, today: int) -> int:
        """The days since each first purchase, at least 1, added up."""
        return self.customers * today - self.first + (self.newest_customers if self.newest == today else 0)


Agains: TypeAlias = Mapping[tuple[str, str], Again]
"""By product and category."""


def fitted(customers: Sequence[Sequence[Bought]], today: int) -> Consumption:
    """What is learnt from what customers bought until a day, in days since 1970. There must be a product."""
    found: dict[tuple[str, str], Again] = {}
    for of in customers:
        add(found, of)
    pooled = rates(found, today)
    rows = [row for of in customers for row in pairs(pooled, of, today)]
    return shaped(pooled, Pairs(*np.array(rows, dtype=float).T))


def add(to: dict[tuple[str, str], Again], of: Sequence[Bought]) -> None:
    """Counts what a customer bought."""
    for each in of:
        key, its = (each.product, each.category), Again(len(each.days) - 1, 1, each.days[0], each.days[0], 1)
        to[key] = to[key] + its if key in to else its


def rates(of: Agains, today: int) -> Consumption:
    """How often products are needed, before it is known how alike customers are. There must be a product."""
    again = sum(each.purchases for each in of.values())
    watched = sum(each.watched(today) for each in of.values())
    of_all = max(again, 0.5) / watched
    by_category: dict[str, list[float]] = {}
    by_product: dict[str, tuple[str, list[float]]] = {}
    for (product, category), each in sorted(of.items()):
        of_category = by_category.setdefault(category, [0.0, 0.0])
        _, of_product = by_product.setdefault(product, (category, [0.0, 0.0]))
        for found in (of_category, of_product):
            found[0] += each.purchases
            found[1] += each.watched(today)
    categories = {name: _drawn_to(of_all, *sums) for name, sums in by_category.items() if name}
    products = {
        product: _drawn_to(categories.get(category, of_all), *sums) for product, (category, sums) in by_product.items()
    }
    return Consumption(1, 1.0, of_all, categories, products)


def pairs(model: Consumption, of: Sequence[Bought], today: int) -> Iterator[tuple[float, float, float, float, float]]:
    """The rows of `Pairs` of a customer."""
    own = consumption.activity(model, of, today)
    for each in of:
        gaps = np.diff(each.days)
        rate = own * model.rate(each.product, each.category)
        yield rate, gaps.size, gaps.sum(), np.log(gaps).sum(), today - each.days[-1]


def shaped(pooled: Consumption, of: Pairs) -> Consumption:
    """The rates with the waits and the likeness of customers that fit best."""
    best = min((_shape(of, stages) for stages in range(1, _MOST_STAGES + 1)), key=lambda found: found[0])
    return pooled._replace(stages=best[1], shape=best[2])


def _drawn_to(rate: float, purchases: float, days: float) -> float:
    return (purchases + _POOLED) / (days + _POOLED / rate)


def _shape(of: Pairs, stages: int) -> tuple[float, int, float]:
    """The least loss at so many stages, and the shape that reaches it."""

    def loss(log: float) -> float:
        starts = range(0, of.rate.size, _AT_ONCE)
        parts = (Pairs(*(column[start : start + _AT_ONCE] for column in of)) for start in starts)
        return -float(np.concatenate([_log_likelihoods(each, stages, float(np.exp(log))) for each in parts]).mean())

    found = optimize.minimize_scalar(loss, bounds=(np.log(0.2), np.log(50)), method="bounded")
    return float(found.fun), stages, float(np.exp(found.x))


def _log_likelihoods(of: Pairs, stages: int, shape: float) -> Column:
    """Of each pair: its gaps, and the days since in which nothing was bought; the customer's rate is integrated out."""
    rate = shape / (of.rate * stages)
    seen = shape + stages * of.gaps
    watched = rate + of.total + of.since
    waits = [
        special.gammaln(seen + stage) - special.gammaln(stage + 1) + stage * np.log(np.maximum(of.since, 1e-9))
        - (seen + stage) * np.log(watched)
        for stage in range(stages)
    ]  # fmt: skip
    found: Column = (
        shape * np.log(rate)
        - special.gammaln(shape)
        + (stages - 1) * of.log_gaps
        - of.gaps * special.gammaln(stages)
        + special.logsumexp(waits, axis=0)
    )
    return found


class Measured(NamedTuple):
    """How well probabilities told what was bought: `brier`, their mean squared error; `auroc`, how well they order."""

    brier: float
    auroc: float


class Window(NamedTuple):
    """The mean probability that was told of the days after `cut` from those before, and the share that was bought."""

    cut: int
    told: float
    happened: float


class BackTest(NamedTuple):
    """How it was told which products were bought in the `days` after `cut`, of those bought on two days or more before.

    `told` is the mean probability, `happened` the share that was bought. `last_gap` and `median_gap` take the
    customer's own gaps for the mean of an exponential wait. `earlier` are windows of as many days before `cut`, latest
    first; `usual` is between what shares, by these, 80 % of windows have that are told as this one is; None with one
    earlier window or none.
    """

    cut: int
    days: int
    pairs: int
    told: float
    happened: float
    ours: Measured
    last_gap: Measured
    median_gap: Measured
    earlier: tuple[Window, ...]
    usual: tuple[float, float] | None


def back_test(histories: Mapping[str, History], days: int) -> BackTest | None:
    """Tells the days after the first 80 % of the orders from those before; None if there is nothing to compare.

    Args:
        histories: what each customer bought, at least one product among them.
        days: how far to look ahead.
    """
    all_days = sorted(consumption.day_of(order.at) for history in histories.values() for order in history)
    cut = all_days[int(len(all_days) * 0.8)]
    rows = _told(histories, cut, days)
    if rows is None:
        return None
    ours, last, median, happened = rows
    earlier = tuple(
        Window(at, float(found[0].mean()), float(found[3].mean()))
        for at in range(cut - days, max(cut - _EARLIER * days, all_days[0] + _LEAST_DAYS) - 1, -days)
        if (found := _told(histories, at, days)) is not None
    )
    told = float(ours.mean())
    return BackTest(
        cut,
        days,
        ours.size,
        told,
        float(happened.mean()),
        ours=_measured(ours, happened),
        last_gap=_measured(1 - np.exp(-days / last), happened),
        median_gap=_measured(1 - np.exp(-days / median), happened),
        earlier=earlier,
        usual=usual_shares(told, earlier),
    )


def usual_shares(told: float, windows: Sequence[Window]) -> tuple[float, float] | None:
    """Between what shares 80 % of windows have that are told as `told`; None with fewer than two windows.

    How far what happened was off in log-odds is taken as normal over windows: Student's prediction interval.
    """
    if len(windows) < 2:
        return None
    off = np.array([special.logit(each.happened) - special.logit(each.told) for each in windows])
    half = special.stdtrit(off.size - 1, 0.9) * off.std(ddof=1) * np.sqrt(1 + 1 / off.size)
    lower, upper = special.expit(special.logit(told) + off.mean() + np.array([-half, half]))
    return float(lower), float(upper)


def _told(histories: Mapping[str, History], cut: int, days: int) -> npt.NDArray[np.float64] | None:
    """Four rows with an entry per product of a customer: the probability, the last and the median gap, what happened.

    None if all or none were bought, or nothing twice before.
    """
    before = {name: of for name, history in histories.items() if (of := _between(history, -1, cut))}
    if not before:
        return None
    model = fitted([*before.values()], cut)
    rows: list[tuple[float, float, float, bool]] = []
    for name, of in before.items():
        after = {each.product for each in _between(histories[name], cut, cut + days)}
        told = consumption.chances(model, of, cut, days).probability
        for at, each in enumerate(of):
            if len(each.days) > 1:
                gaps = np.diff(each.days)
                rows.append((float(told[at]), gaps[-1], float(np.median(gaps)), each.product in after))
    found = np.array(rows, dtype=float).T
    return found if rows and 0 < found[3].mean() < 1 else None


def _between(history: History, after: int, until: int) -> tuple[Bought, ...]:
    return consumption.bought(tuple(order for order in history if after < consumption.day_of(order.at) <= until))


def _measured(told: Column, happened: Column) -> Measured:
    _, at, counts = np.unique(told, return_inverse=True, return_counts=True)
    ranks, positives = (np.cumsum(counts) - (counts - 1) / 2)[at], happened.sum()
    pairs = positives * (happened.size - positives)
    above = ranks[happened == 1].sum() - positives * (positives + 1) / 2
    return Measured(float(((told - happened) ** 2).mean()), float(above / pairs))
