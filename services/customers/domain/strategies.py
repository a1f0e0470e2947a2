"""What is to be done for the customers of each segment."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Strategy(NamedTuple):
    """What to aim at, what to offer, and how many offers a week at most."""

    aim: str
    offer: str
    offers_a_week: int


STRATEGIES: Final[Mapping[str, Strategy]] = {
    "Champions": Strategy("Keep them.", "New products first, thanks; no discount.", 1),
    "Loyal": Strategy("Let them buy more kinds.", "What goes with what they buy.", 2),
    "Potential Loyalist": Strategy("Make a habit of it.", "What is due again, a membership.", 2),
    "New": Strategy("Win the second order.", "Help with the first product, what goes with it.", 2),
    "About to Sleep": Strategy("Remind them.", "What is due again, what is popular.", 1),
    "At Risk": Strategy("Find out what went wrong.", "Help by a person, what they used to buy.", 1),
    "Can't Lose": Strategy("Win them back at once.", "Help by a person, a discount.", 2),
    "Hibernating": Strategy("Do not disturb them.", "What is popular, seldom.", 1),
}
"""By segment."""
