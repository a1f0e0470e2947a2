"""How much a customer spends per purchase: Gamma-Gamma, the model of Fader and Hardie (brucehardie.com/notes/025).

A customer's purchases are spread around a mean of their own, and the means around a mean of all.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from scipy import optimize, special

from offline.customers.repeats import Column, FitError

_STARTS: Final = ((6.0, 4.0, 15.0), (1.0, 2.0, 1.0), (20.0, 10.0, 50.0))
_LEAST_CUSTOMERS: Final = 30


class Spending(NamedTuple):
    """The parameters p, q (above 1) and v (in money), and the log-likelihood they reach."""

    p: float
    q: float
    v: float
    log_likelihood: float


def fitted(purchases: Column, means: Column) -> Spending:
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
        return -float(_log_likelihoods(p, 1 + excess, v, purchases, means / scale).mean())

    found = [
        optimize.minimize(
            loss,
            np.log([p, q - 1, v / q]),
            method="L-BFGS-B",
            bounds=[(-12, 12)] * 3,
            options={"maxiter": 2_000, "ftol": 1e-14, "gtol": 1e-9},
        )
        for p, q, v in _STARTS
    ]
    best = min(found, key=lambda each: float(each.fun))
    p, excess, v = (float(value) for value in np.exp(best.x))
    total = float(_log_likelihoods(p, 1 + excess, v * scale, purchases, means).sum())
    return Spending(p, 1 + excess, v * scale, total)


def mean_of_all(model: Spending) -> float:
    """What a customer nothing is known of spends per purchase."""
    return model.p * model.v / (model.q - 1)


def expected(model: Spending, purchases: Column, means: Column) -> Column:
    """What each customer spends per purchase: their own mean, drawn towards that of all where it is of few purchases.

    Where `purchases` is 0 the mean counts for nothing.
    """
    weight = model.p * purchases / (model.p * purchases + model.q - 1)
    found: Column = weight * np.where(purchases > 0, means, 0.0) + (1 - weight) * mean_of_all(model)
    return found


def _log_likelihoods(p: float, q: float, v: float, purchases: Column, means: Column) -> Column:
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
