"""How much a customer spends per purchase: Gamma-Gamma, the model of Fader and Hardie (brucehardie.com/notes/025).

A customer's purchases are spread around a mean of their own, and the means around a mean of all.
"""

from typing import NamedTuple

import numpy as np

from services.customers.domain.repeats import Column


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
