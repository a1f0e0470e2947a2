"""The sections of `make bench`, each a question and what was found."""

from typing import NamedTuple


class Scale(NamedTuple):
    """How much is measured."""

    seconds: int
    """How long load is offered in one turn."""
    rounds: int
    """How often each side has its turn."""
    is_quick: bool
    has_million: bool = False
    """Whether growth goes up to a million users."""


QUICK = Scale(3, 1, is_quick=True)
FULL = Scale(8, 2, is_quick=False)
