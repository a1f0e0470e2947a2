"""How often customers will buy again: BG/NBD, the model of Fader, Hardie and Lee (Marketing Science 24, 2005).

Customers buy at a rate of their own, and after each purchase leave for good with a probability of their own. Rates are
Gamma(r, alpha) over customers, probabilities Beta(a, b). Time is in weeks.
"""

import math
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

Column: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]

_STARTS: Final = ((1.0, 1.0, 1.0, 1.0), (0.25, 4.0, 0.8, 2.5), (2.0, 10.0, 0.2, 2.0))
"""Values that r, alpha (in mean gaps), a and b start from."""

_LEAST_CUSTOMERS: Final = 30


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


class FitError(Exception):
    """The histories say too little; the message says why."""


def log_likelihoods(r: float, alpha: float, a: float, b: float, of: Histories) -> Column:
    """Each history's log-likelihood (equation 6 of the paper), in sums of logarithms, so that nothing overflows."""
    repeats, last, watched = of
    has_repeats = repeats > 0
    shared = (
        special.gammaln(r + repeats)
        - special.gammaln(r)
        + r * math.log(alpha)
        + special.betaln(a, b + repeats)
        - special.betaln(a, b)
    )
    alive = -(r + repeats) * np.log(alpha + watched)
    left = np.where(
        has_repeats,
        math.log(a) - np.log(np.where(has_repeats, b + repeats - 1, 1)) - (r + repeats) * np.log(alpha + last),
        -np.inf,
    )
    likelihoods: Column = shared + np.logaddexp(alive, left)
    return likelihoods


def fitted(of: Histories) -> Repeats:
    """The parameters of the highest likelihood, found from several starts.

    Raises:
        FitError: `of` has fewer than 30 customers, or none who bought again.
    """
    if of.repeats.size < _LEAST_CUSTOMERS:
        message = f"{of.repeats.size} customers are too few: a forecast needs {_LEAST_CUSTOMERS}."
        raise FitError(message)
    if not of.repeats.any():
        raise FitError("Nobody bought again: there is nothing to learn from.")
    gap = float(of.watched.sum() / of.repeats.sum())
    distinct, counts = np.unique(np.column_stack(of), axis=0, return_counts=True)
    columns = Histories(*distinct.T)

    def loss(logs: Column) -> float:
        r, alpha, a, b = np.exp(logs)
        return -float(counts @ log_likelihoods(r, alpha, a, b, columns)) / of.repeats.size

    found = [
        optimize.minimize(
            loss,
            np.log([r, alpha * gap, a, b]),
            method="L-BFGS-B",
            bounds=[(-12, 12)] * 4,
            options={"maxiter": 2_000, "ftol": 1e-14, "gtol": 1e-9},
        )
        for r, alpha, a, b in _STARTS
    ]
    best = min(found, key=lambda each: float(each.fun))
    r, alpha, a, b = (float(value) for value in np.exp(best.x))
    return Repeats(r, alpha, a, b, float(log_likelihoods(r, alpha, a, b, of).sum()))


def expected_of_a_new_customer(model: Repeats, weeks: float) -> float:
    """Purchases after the first, expected in a new customer's first weeks (equation 9)."""
    r, alpha, a, b, _ = model
    lost = (alpha / (alpha + weeks)) ** r * float(special.hyp2f1(r, b, a + b - 1, weeks / (alpha + weeks)))
    return float((a + b - 1) / (a - 1) * (1 - lost))


def probability_active(model: Repeats, of: Histories) -> Column:
    """How likely each customer has not left for good, 0 to 1.

    Without a repeat it is 1 by construction, since one can leave only after a repeat: it says nothing.
    """
    r, alpha, a, b, _ = model
    has_repeats = of.repeats > 0
    after = np.where(has_repeats, b + of.repeats - 1, 1)
    log_odds_left = np.log(a / after) + (r + of.repeats) * np.log((alpha + of.watched) / (alpha + of.last))
    return np.where(has_repeats, special.expit(-log_odds_left), 1.0)


def expected(model: Repeats, of: Histories, weeks: float) -> Column:
    """Purchases expected of each customer in the next weeks, given their history (equation 10)."""
    r, alpha, a, b, _ = model
    total = a + b + of.repeats - 1
    at = alpha + of.watched
    lost = (at / (at + weeks)) ** (r + of.repeats) * special.hyp2f1(
        r + of.repeats, b + of.repeats, total, weeks / (at + weeks)
    )
    found: Column = probability_active(model, of) * total / (a - 1) * (1 - lost)
    return found


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
