"""How likely each candidate is to be chosen, and which one a drawn number chooses."""

import itertools
import math
from collections.abc import Sequence


def propensities(utilities: Sequence[float], temperature: float, floor: float) -> list[float]:
    """How likely each candidate is to be chosen, in their order; they sum to 1. None for no candidates.

    At temperature 0 the best is chosen, the first of equals; above, a candidate's weight is exp(utility / temperature)
    (softmax, Boltzmann exploration). What that gives is mixed with chance, so that each has the floor at least
    (at temperature 0 this is the epsilon-greedy rule with epsilon = floor times the number of candidates).

    Args:
        utilities: what each is worth, all in one unit.
        temperature: 0 or more, in that unit.
        floor: 0 or more. Where there are too many candidates for it, all are equally likely.
    """
    if not utilities:
        return []
    least = min(floor, 1 / len(utilities))
    rest = 1 - least * len(utilities)
    return [least + rest * share for share in _shares(utilities, temperature)]


def chosen(propensities: Sequence[float], draw: float) -> int:
    """The index of the candidate that a number from 0 to below 1 falls on; never one that cannot be chosen.

    Each candidate takes as much of the unit interval as it is likely, in their order; there must be one at least.
    """
    for index, upper in enumerate(itertools.accumulate(propensities)):
        if draw < upper:
            return index
    # The sum of floats may stay a little below 1.
    return max(index for index, each in enumerate(propensities) if each > 0)


def _shares(utilities: Sequence[float], temperature: float) -> list[float]:
    best = max(utilities)
    if temperature == 0:
        first = utilities.index(best)
        return [float(index == first) for index in range(len(utilities))]
    # The best is taken as 0, so that no power overflows.
    weights = [math.exp((each - best) / temperature) for each in utilities]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
