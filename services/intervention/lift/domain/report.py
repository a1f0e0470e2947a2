"""What an experiment is told: who met which arm, and what came of it."""

import enum
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

CONVERTED: Final = "converted"
"""The outcome that the user reached the policy's goal."""
STAYED: Final = "stayed"
"""The outcome that the user is there: whoever is not, has left."""


class Report(msgspec.Struct, frozen=True, array_like=True):
    """A user met an arm, or an outcome of a user who takes part; telling it twice changes nothing.

    With an arm, `before` is the risk (0 to 100) at that moment. Otherwise `outcome` is `shown`, `accepted`, `declined`
    and so on, as interventions have it, `converted` or `stayed`. `unit` is the user's id without the tenant. `at_us` is
    when, in Unix microseconds; 0: about when it is told.
    """

    tenant: str
    experiment_id: str
    unit: str
    arm: str = ""
    before: float = 0.0
    outcome: str = ""
    at_us: int = 0


class Kind(enum.IntEnum):
    """What a report tells, in the order in which kinds are told: an outcome counts only if the arm was told before."""

    MET = 0
    CAME = 1
    THERE = 2


def kind(of: Report) -> Kind:
    """What a report tells."""
    if of.arm:
        return Kind.MET
    return Kind.THERE if of.outcome == STAYED else Kind.CAME


def apart(of: Iterable[Report]) -> tuple[list[Report], list[Report]]:
    """What comes once or now and then, and who is there: that comes of each user each hour."""
    once: list[Report] = []
    there: list[Report] = []
    for each in of:
        (there if kind(each) is Kind.THERE else once).append(each)
    return once, there


def at_times(of: Mapping[Report, int]) -> list[Report]:
    """Reports with the time of each, in Unix microseconds."""
    return [msgspec.structs.replace(each, at_us=at_us) for each, at_us in of.items()]
