"""The segment of a user as it was said last, what is recommended to them, and what they bought since.

Times are event times in Unix microseconds: what was said later counts, in whatever order it comes.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

NONE: Final = "none"
"""What a policy and the lift call the segment of users who are in none."""
MOST_PRODUCTS: Final = 5
"""Products recommended to one user."""
MOST_BOUGHT: Final = 16
"""Products remembered as bought, the last ones."""

Basket = tuple[tuple[str, int], ...]
"""Products a user bought, each once with when it was bought last; the latest last."""


class Recommended(msgspec.Struct, frozen=True, array_like=True):
    """A product that is recommended: its id, and its name and the reason as far as they were said."""

    product_id: str
    name: str = ""
    reason: str = ""


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """What was said of a user's segment; an empty name is none.

    `since_us` is since when the user is in it, `said_us` when all this was said last. `products` are best first, and
    not bought since.
    """

    name: str
    group: str = ""
    since_us: int = 0
    said_us: int = 0
    products: tuple[Recommended, ...] = ()


def name_of(segment: Segment | None) -> str:
    """The segment's name; `NONE` for users who are in none."""
    return (segment.name if segment else "") or NONE


def latest(known: Segment | None, said: Segment | None, bought: Basket) -> Segment | None:
    """What counts of two things that were said: the later, of equals the second.

    If both name one segment, the user is in it since the first of them. What was bought since is not recommended.
    """
    if known is None or said is None:
        return _without(known or said, bought)
    first, last = (known, said) if said.said_us >= known.said_us else (said, known)
    since_us = first.since_us if first.name == last.name else last.since_us
    return _without(msgspec.structs.replace(last, since_us=since_us), bought)


def filled(bought: Iterable[tuple[str, int]]) -> Basket:
    """The basket of all that was bought; beyond `MOST_BOUGHT` what was bought first is forgotten."""
    last: dict[str, int] = {}
    for product, at_us in bought:
        last[product] = max(at_us, last.get(product, at_us))
    return tuple(sorted(last.items(), key=lambda each: (each[1], each[0]))[-MOST_BOUGHT:])


def left(products: tuple[Recommended, ...], said_us: int, bought: Basket) -> tuple[Recommended, ...]:
    """The products that were not bought since a time."""
    since = {product for product, at_us in bought if at_us >= said_us}
    return tuple([each for each in products if each.product_id not in since])


def _without(segment: Segment | None, bought: Basket) -> Segment | None:
    if segment is None:
        return None
    products = left(segment.products, segment.said_us, bought)
    return segment if products == segment.products else msgspec.structs.replace(segment, products=products)
