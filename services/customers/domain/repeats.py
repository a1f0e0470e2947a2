"""How often customers will buy again: BG/NBD, the model of Fader, Hardie and Lee (Marketing Science 24, 2005).

Customers buy at a rate of their own, and after each purchase leave for good with a probability of their own. Rates are
Gamma(r, alpha) over customers, probabilities Beta(a, b). Time is in weeks.
"""

from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Column: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]

_NODES: Final = 48
"""Of the quadrature: exact to 1e-9 where the weeks ahead are up to 50 times those behind."""

_SMALLEST: Final = 1e-15


class Histories(NamedTuple):
    """One entry per customer: purchases after the first (`repeats`), the week of the last one and the weeks watched.

    `last` counts from the first purchase and is 0 without repeats; `watched` is at least `last`.
    """

    repeats: Column
    last: Column
    watched: Column


class Repeats(NamedTuple):
    """The four parameters, all above 0, and the log-likelihood they reach."""

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float


def probability_active(model: Repeats, of: Histories) -> Column:
    """How likely each customer has not left for good, 0 to 1.

    Without a repeat it is 1 by construction, since one can leave only after a repeat: it says nothing.
    """
    r, alpha, a, b, _ = model
    has_repeats = of.repeats > 0
    after = np.where(has_repeats, b + of.repeats - 1, 1)
    log_odds_left = np.log(a / after) + (r + of.repeats) * np.log((alpha + of.watched) / (alpha + of.last))
    active = np.exp(-np.logaddexp(0, log_odds_left))
    return np.where(has_repeats, active, 1.0)


def expected(model: Repeats, of: Histories, weeks: float) -> Column:
    """Purchases expected of each customer in the next weeks, 0 or more, given their history.

    Whoever is active and leaves with probability p after a purchase is expected to make
    (1 - ((alpha + T) / (alpha + T + p weeks))^(r + x)) / p purchases. Equation 10 of the paper is the mean of that over
    p from Beta(a, b + x); it is taken by Gauss's quadrature, which no number of purchases can make overflow.
    """
    r, alpha, a, b, _ = model
    different, places = np.unique(of.repeats, return_inverse=True)
    found = np.empty_like(of.repeats)
    for place, repeats in enumerate(different):
        some = places == place
        leaves, weights = _beta_nodes(a, b + float(repeats))
        ahead = weeks / (alpha + of.watched[some])
        orders = -np.expm1(-(r + repeats) * np.log1p(ahead[:, np.newaxis] * leaves)) / leaves
        found[some] = orders @ weights
    active: Column = probability_active(model, of) * found
    return active


def drawn(model: Repeats, of: Histories, weeks: float, draws: int, chance: np.random.Generator) -> Counts:
    """Purchases in the next weeks, drawn from what the history leaves open; shape (draws, customers).

    Whoever is still active buys at a rate from Gamma(r + repeats, alpha + watched) and leaves after a purchase with a
    probability from Beta(a, b + repeats): the posterior given activity.
    """
    r, alpha, a, b, _ = model
    shape = draws, of.repeats.size
    is_active = chance.random(shape) < probability_active(model, of)
    wanted = chance.poisson(chance.gamma(r + of.repeats, weeks / (alpha + of.watched), shape))
    leaves = np.maximum(chance.beta(a, b + of.repeats, shape), 1e-12)
    return np.where(is_active, np.minimum(wanted, chance.geometric(leaves)), 0)


def _beta_nodes(a: float, b: float) -> tuple[Column, Column]:
    """Nodes from 0 to 1 and weights with which Gauss's quadrature takes a mean over Beta(a, b) (Golub and Welsch)."""
    left, right = a - 1, b - 1
    number = np.arange(1, _NODES)
    of = 2 * number + left + right
    middle = np.concatenate(([(left - right) / (a + b)], (left - right) * (left + right) / (of * (of + 2))))
    beside = 4 * number * (number + left) * (number + right) / (of**2 * (of + 1))
    # The factor (number + left + right) / (of - 1) is 1 for the first, also where both are 0.
    beside[1:] *= (number[1:] + left + right) / (of[1:] - 1)
    side = np.sqrt(beside)
    values, vectors = np.linalg.eigh(np.diag(middle) + np.diag(side, 1) + np.diag(side, -1))
    return np.maximum((values + 1) / 2, _SMALLEST), vectors[0] ** 2
