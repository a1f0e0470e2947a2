"""The sections of `make bench`, each a question and its answer."""

from typing import NamedTuple


class Scale(NamedTuple):
    """How much is measured."""

    seconds: int
    """Duration of one turn."""
    rounds: int
    """Number of turns per side."""
    is_quick: bool
    has_million: bool = False
    """Whether `growth` goes up to a million users."""


QUICK = Scale(3, 1, is_quick=True)
FULL = Scale(8, 2, is_quick=False)
