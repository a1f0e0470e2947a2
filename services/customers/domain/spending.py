"""How much a customer spends per purchase: Gamma-Gamma, the model of Fader and Hardie (brucehardie.com/notes/025).

A customer's purchases are spread around a mean of their own, and the means around a mean of all.
"""

from typing import NamedTuple

import numpy as np

from services.customers.domain.repeats import Column, Counts


class Spending(NamedTuple):
    """The parameters p, q (above 1) and v (in money), and the log-likelihood they reach."""

    p: float
    q: float
    v: float
    log_likelihood: float


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


def drawn(model: Spending, purchases: int, mean: float, orders: Counts, chance: np.random.Generator) -> Column:
    """The money of a customer's next orders, drawn from what `purchases` of a mean leave open.

    The rate of the customer is Gamma(p purchases + q, v + purchases mean), and what an order brings Gamma(p, rate).

    Args:
        model: how customers spend.
        purchases: how many are in the mean, 0 or more.
        mean: what they brought on average.
        orders: how many orders come, an entry per draw; 0 brings nothing.
        chance: what to draw with.
    """
    shape = model.p * purchases + model.q
    rates = chance.gamma(shape, 1 / (model.v + purchases * mean), orders.size)
    found: Column = np.where(orders > 0, chance.gamma(np.maximum(model.p * orders, 1e-9)) / rates, 0.0)
    return found
