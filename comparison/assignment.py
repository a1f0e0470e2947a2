"""Who gets which arm: a pure function of the experiment's salt, its shares and the unit.

Three points between 0 and 1 belong to a unit, each from a hash of its own: whether it is held out, whether it is
included yet, and which arm it has. So a ramp only adds units and never moves one. Whoever knows an allocation assigns
as the service does: `vectors.json`, next to the tests, has examples for other languages.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

VERSION: Final = 1
"""Of the hash; part of what is hashed."""
SIGNED_AS: Final = b"journeymesh.experiments.1\n"
"""Stands before a configuration that is signed, so that the signature means nothing else."""

Purpose = Literal["holdout", "inclusion", "arm"]
Reason = Literal["assigned", "held_out", "not_included"]


class Arm(NamedTuple):
    """One of the things that are compared.

    `weight` is its share of the units, a whole number from 1 to 10,000, of any sum. `value` is what the arm stands
    for, for instance the id of a model; empty where the name says it.
    """

    name: str
    weight: int = 1
    value: str = ""


class Allocation(NamedTuple):
    """What decides about units: `percent` of them are included, after `holdout_percent` were held out; 0 to 100."""

    salt: str
    arms: Sequence[Arm]
    percent: float
    holdout_percent: float = 0.0


class Assignment(NamedTuple):
    """The arm of a unit; the control, the first arm, for whoever takes no part."""

    arm: str
    reason: Reason


def point(purpose: Purpose, salt: str, unit: str) -> float:
    """The point of a unit, at least 0 and below 1: the first 52 bits of a SHA-256, which a double holds exactly."""
    digest = hashlib.sha256(f"{VERSION}:{purpose}:{salt}:{unit}".encode()).digest()
    return (int.from_bytes(digest[:8]) >> 12) / (1 << 52)


def assign(allocation: Allocation, unit: str) -> Assignment:
    """The arm of a unit."""
    salt, arms, percent, holdout_percent = allocation
    if point("holdout", salt, unit) * 100 < holdout_percent:
        return Assignment(arms[0].name, "held_out")
    if point("inclusion", salt, unit) * 100 >= percent:
        return Assignment(arms[0].name, "not_included")
    place = point("arm", salt, unit) * sum(arm.weight for arm in arms)
    for arm in arms:
        place -= arm.weight
        if place < 0:
            return Assignment(arm.name, "assigned")
    raise AssertionError("The weights of all arms exceed every place.")
