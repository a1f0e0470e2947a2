"""Repeatable chance: who is in the holdout, how likely each candidate is, and which one is drawn.

Holdout and draw are hashes, each in a domain of its own: one reveals nothing about the other, whatever the salts.
"""

import hashlib
import itertools
import math
from collections.abc import Sequence
from typing import Final

# The purpose, and the version of the method: another way of hashing gets another number.
_HOLDOUT: Final = b"jm.holdout.1"
_DRAW: Final = b"jm.draw.1"

_BITS: Final = 53
"""How many bits a float holds exactly."""


def held_out(salt: str, user_id: str, share: float) -> bool:
    """Whether a user is in the holdout. It never changes for a user, and a larger share only adds users.

    Args:
        salt: names the experiment; another salt gives another holdout.
        user_id: the user.
        share: the share of all users, 0 to 1.
    """
    return _unit(_HOLDOUT, salt, user_id) < share


def draw(salt: str, shard: str, sequence: int, event_index: int) -> float:
    """The number drawn for the event at a position, 0 to below 1, in steps of 2 to the power of -53."""
    return _unit(_DRAW, salt, shard, str(sequence), str(event_index))


def _unit(domain: bytes, *parts: str) -> float:
    hashed = hashlib.blake2b(digest_size=8, person=domain)
    for part in parts:
        blob = part.encode()
        # The length before each part keeps ("ab", "c") apart from ("a", "bc").
        hashed.update(len(blob).to_bytes(8, "big") + blob)
    return float((int.from_bytes(hashed.digest(), "big") >> (64 - _BITS)) * 2.0**-_BITS)


def propensities(utilities: Sequence[float], temperature: float, floor: float) -> list[float]:
    """How likely each candidate is to be chosen, in their order; they sum to 1. None for no candidates.

    At temperature 0 the best is chosen, the first of equals; above, a candidate's weight is exp(utility / temperature)
    (softmax, Boltzmann exploration). What that gives is mixed with chance, so that each has the floor at least
    (at temperature 0 this is the epsilon-greedy rule with epsilon = floor times the number of candidates).

    Args:
        utilities: what each is worth, in the same unit.
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
