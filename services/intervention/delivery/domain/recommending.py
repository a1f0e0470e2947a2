"""The words of an e-mail whose action recommends products: its text, then the products by name."""

from collections.abc import Iterable
from typing import Final

from services.intervention.decision.domain.segment import Recommended
from services.intervention.language.domain import screening

CHANNEL: Final = "email"
"""The channel whose messages name products; to the others, products go as what they are, with the intervention."""


def words(text: str, products: Iterable[Recommended]) -> str:
    """The text with a line per product, in their order.

    Names come from events, so whoever sends these could speak to users. A product is left out whose name is empty,
    longer than 120 characters, or says what help never says (`screening.is_sayable`).
    """
    names = [each.name for each in products if each.name and screening.is_sayable(each.name)]
    return "\n".join([text, "", *(f"- {name}" for name in names)]) if names else text
