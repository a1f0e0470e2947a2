"""Fits the models of repeats and of spending to what customers bought, by maximum likelihood."""

import math
from typing import Final

import numpy as np
from scipy import optimize, special

from services.customers.domain.repeats import Column, Histories, Repeats
from services.customers.domain.spending import Spending

_REPEATS_STARTS: Final = ((1.0, 1.0, 1.0, 1.0), (0.25, 4.0, 0.8, 2.5), (2.0, 10.0, 0.2, 2.0))
"""Values that r, alpha (in mean gaps), a and b start from."""

_SPENDING_STARTS: Final = ((6.0, 4.0, 15.0), (1.0, 2.0, 1.0), (20.0, 10.0, 50.0))
_LEAST_CUSTOMERS: Final = 30
_STEP: Final = 1e-3
_NORMAL_80: Final = 1.2815515655446004
"""The normal distribution has 80 % between this below and above its mean."""


class FitError(Exception):
    """The histories say too little; the message says why."""


def repeats(of: Histories) -> Repeats:
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
        return -float(counts @ repeats_log_likelihoods(r, alpha, a, b, columns)) / of.repeats.size

    found = [
        optimize.minimize(
            loss,
            np.log([r, alpha * gap, a, b]),
            method="L-BFGS-B",
            bounds=[(-12, 12)] * 4,
            options={"maxiter": 2_000, "ftol": 1e-14, "gtol": 1e-9},
        )
        for r, alpha, a, b in _REPEATS_STARTS
    ]
    best = min(found, key=lambda each: float(each.fun))
    r, alpha, a, b = (float(value) for value in np.exp(best.x))
    return Repeats(r, alpha, a, b, float(repeats_log_likelihoods(r, alpha, a, b, of).sum()))


def repeats_intervals(model: Repeats, of: Histories) -> tuple[tuple[float, float], ...]:
    """Intervals of 80 % of r, alpha, a and b, from the curvature of the likelihood at its top, in logarithms.

    Empty where the likelihood is flat: the histories leave a parameter open.
    """
    distinct, counts = np.unique(np.column_stack(of), axis=0, return_counts=True)
    columns = Histories(*distinct.T)
    top = np.log(model[:4])

    def loss(moved: Column) -> float:
        r, alpha, a, b = np.exp(top + moved)
        return -float(counts @ repeats_log_likelihoods(r, alpha, a, b, columns))

    steps = np.eye(4) * _STEP
    curvature = np.array(
        [
            [loss(one + other) - loss(one - other) - loss(other - one) + loss(-one - other) for other in steps]
            for one in steps
        ]
    ) / (4 * _STEP**2)
    try:
        variances = np.diag(np.linalg.inv(curvature))
    except np.linalg.LinAlgError:
        return ()
    if not (np.isfinite(variances).all() and (variances > 0).all()):
        return ()
    widths = _NORMAL_80 * np.sqrt(variances)
    return tuple(
        (float(np.exp(log - width)), float(np.exp(log + width))) for log, width in zip(top, widths, strict=True)
    )


def spending(purchases: Column, means: Column) -> Spending:
    """The parameters of the highest likelihood.

    Args:
        purchases: how many purchases of each customer, without their first, are in the mean, at least 1.
        means: what each customer spent per purchase, above 0.

    Raises:
        FitError: there are fewer than 30 customers.
    """
    if purchases.size < _LEAST_CUSTOMERS:
        message = f"{purchases.size} customers bought again: too few to learn what they spend ({_LEAST_CUSTOMERS})."
        raise FitError(message)
    scale = float(means.mean())

    def loss(logs: Column) -> float:
        p, excess, v = np.exp(logs)
        return -float(spending_log_likelihoods(p, 1 + excess, v, purchases, means / scale).mean())

    found = [
        optimize.minimize(
            loss,
            np.log([p, q - 1, v / q]),
            method="L-BFGS-B",
            bounds=[(-12, 12)] * 3,
            options={"maxiter": 2_000, "ftol": 1e-14, "gtol": 1e-9},
        )
        for p, q, v in _SPENDING_STARTS
    ]
    best = min(found, key=lambda each: float(each.fun))
    p, excess, v = (float(value) for value in np.exp(best.x))
    total = float(spending_log_likelihoods(p, 1 + excess, v * scale, purchases, means).sum())
    return Spending(p, 1 + excess, v * scale, total)


def repeats_log_likelihoods(r: float, alpha: float, a: float, b: float, of: Histories) -> Column:
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


def spending_log_likelihoods(p: float, q: float, v: float, purchases: Column, means: Column) -> Column:
    """Each customer's log-likelihood, given how many purchases are in the mean."""
    found: Column = (
        special.gammaln(p * purchases + q)
        - special.gammaln(p * purchases)
        - special.gammaln(q)
        + q * math.log(v)
        + (p * purchases - 1) * np.log(means)
        + p * purchases * np.log(purchases)
        - (p * purchases + q) * np.log(v + means * purchases)
    )
    return found
