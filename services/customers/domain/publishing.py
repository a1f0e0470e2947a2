"""Which customers' segments, groups and recommendations are worth telling the rest of the mesh, after a fit."""

from collections.abc import Sequence
from typing import Final, NamedTuple

PRODUCTS: Final = 5
"""Recommended products that are told of a customer."""
_COMPARED_MS: Final = 7 * 86_400_000
"""How long what is recommended to a customer is left alone while segment and group stay the same."""
_REPEATED_MS: Final = 21 * 86_400_000
"""After how long all is told again: who listens may forget it after 30 days (docs/policy.md)."""


class Published(NamedTuple):
    """What was told of a customer last: segment, group, empty if none, and recommended products, best first.

    `compared_ms` is the time of the fit with which the products were compared last, in milliseconds since 1970, and
    `told_ms` that of the fit by which this was told.
    """

    segment: str
    group: str
    products: tuple[str, ...]
    compared_ms: int
    told_ms: int


def is_due(known: Published | None, segment: str, group: str, fitted_ms: int) -> bool:
    """Whether there may be something to tell of a customer, so that it is worth finding out what to recommend.

    Args:
        known: what was told; None: nothing yet.
        segment: the customer's now.
        group: the customer's now.
        fitted_ms: the time of the fit, in milliseconds since 1970.
    """
    return known is None or _has_moved(known, segment, group) or fitted_ms - known.compared_ms >= _COMPARED_MS


def is_change(known: Published | None, now: Published) -> bool:
    """Whether it is told: they moved, fewer than half of the products are those that were told, or it was long ago."""
    if known is None or _has_moved(known, now.segment, now.group):
        return True
    return _differ(known.products, now.products) or now.told_ms - known.told_ms >= _REPEATED_MS


def _has_moved(known: Published, segment: str, group: str) -> bool:
    return (known.segment, known.group) != (segment, group)


def _differ(known: Sequence[str], now: Sequence[str]) -> bool:
    return 2 * len({*known} & {*now}) < max(len(known), len(now))
