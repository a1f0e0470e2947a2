"""Purchases and refunds for tests."""

from hypothesis import strategies as st

from services.customers.domain.history import Bought, Purchased, add
from services.customers.domain.purchases import Line

DAY_MS = 86_400_000


def line(product: str = "p-1", quantity: int = 1, price: float = 5.0) -> Line:
    return Line(product, product.upper(), "Coffee", quantity, price)


def paid(event: str, at: int = 0, order: str = "", amount: float = 10.0, currency: str = "EUR", *lines: Line) -> Bought:
    return Bought(event, at, order, amount, currency, False, lines)


def back(event: str, at: int = 0, order: str = "", amount: float = 0.0, currency: str = "EUR", *lines: Line) -> Bought:
    return Bought(event, at, order, -amount, currency, True, lines)


def purchased(*events: Bought) -> Purchased:
    made = Purchased({}, {})
    for each in events:
        add(made, each)
    return made


_LINES = st.lists(
    st.builds(line, st.sampled_from("pqr"), st.integers(1, 3), st.sampled_from([0.0, 0.1, 2.5, 1e12])), max_size=3
).map(tuple)
_AMOUNTS = st.sampled_from([0.0, 0.1, 0.2, 7.35, 1e12])


@st.composite
def events(draw: st.DrawFn, most: int = 12) -> list[Bought]:
    """What one customer bought and gave back; each event has an id of its own."""
    made = []
    for number in range(draw(st.integers(0, most))):
        is_refund = draw(st.booleans())
        amount = draw(_AMOUNTS)
        made.append(
            Bought(
                f"e-{number}",
                draw(st.integers(0, 5)) * DAY_MS,
                draw(st.sampled_from(["", "o-1", "o-2", "o-3"])),
                -amount if is_refund else amount,
                draw(st.sampled_from(["", "EUR", "USD"])),
                is_refund,
                draw(_LINES),
            )
        )
    return made
