"""Shares of units, such as the share that converted: their variance, and when it may be relied on."""

from typing import Final

LEAST_UNITS: Final = 100
"""On each side, for the difference of two shares to be known."""
_LEAST_EXPECTED: Final = 5
"""Units with and without what is counted, to be expected on each side if the sides do not differ (Cochran)."""


def are_enough(having: int, units: int, other_having: int, other_units: int) -> bool:
    """Whether the difference of two shares is known: below that the normal approximation errs too often."""
    fewest, together = min(units, other_units), units + other_units
    all_having = having + other_having
    expected = fewest * min(all_having, together - all_having)
    return fewest >= LEAST_UNITS and expected >= _LEAST_EXPECTED * together


def variance(having: int, units: int) -> float:
    """The variance of a share of at least one unit, taken at (having + 2) / (units + 4), after Agresti and Coull.

    So none out of many is not taken for certainty.
    """
    share = (having + 2) / (units + 4)
    return share * (1 - share) / units
