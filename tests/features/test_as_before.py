"""Journeys drawn from seeds have the same results, bit for bit, as when the digests were taken.

A digest changes only where the meaning of a feature or a signal does, and then their version does too.
"""

import hashlib
import random

import msgspec
import pytest

from services.features.domain.event import Carried, Click, Event, Kind
from services.features.domain.journey import apply
from services.features.domain.sessions import session_start
from services.features.domain.state import DAY_US, SECOND_US, State
from services.features.domain.vector import vector
from tests.features.stored import encode
from tests.features.stories import START_US

_JOURNEYS = 60
_EVENTS = 60
# Of these the journeys were drawn; one more would change them all, and a segment is nothing the user did.
_KINDS = sorted(number for name, number in vars(Kind).items() if name.isupper() and number != Kind.SEGMENT_CHANGE)
_PAGES = ["", "/", "/a", "/a?page=2", "/b#/list?p=1", "/calculator", "/checkout/pay", "/login", "/c" * 150]
_TARGETS = ["", "pay", "loan-form", "calc", "next", "Sign in", "search", "t" * 250]
_THEMES = [
    [Kind.CLICK],
    [Kind.CLICK, Kind.CLICK, Kind.PAGE_VIEW, Kind.TASK_SUCCESS],
    [Kind.PAGE_VIEW],
    [Kind.PAGE_VIEW, Kind.PAGE_VIEW, Kind.FEATURE_INTERACTION],
    [Kind.FEATURE_INTERACTION] * 9 + [Kind.TASK_SUCCESS],
    [Kind.PAGE_VIEW, Kind.FORM_START, Kind.FORM_SUBMIT, Kind.ERROR, Kind.TASK_SUCCESS, Kind.SESSION_END],
]
_DIGESTS = {
    0: "59b0e475f9c6cc00",
    1: "fd04112f6b10ec52",
    2: "858ec29fcdc61130",
    3: "96ca7defb486a0ee",
    4: "42303a6562f342d9",
    5: "5fbce14d6a52f2e2",
    6: "1ef97b4273cfd4ee",
    7: "00291c6bf33e650e",
}


def _step_us(draw: random.Random) -> int:
    """Mostly close together and in order, so that sessions and chains come about."""
    return draw.choice(
        [
            draw.randint(0, SECOND_US),
            draw.randint(0, 3 * SECOND_US),
            draw.randint(0, 3) * SECOND_US,
            draw.randint(0, 90 * SECOND_US),
            draw.randint(-60 * SECOND_US, 40 * 60 * SECOND_US),
            draw.choice([0, 0, draw.randint(-40 * DAY_US, 40 * DAY_US)]),
        ]
    )


def _click(draw: random.Random, *, is_odd: bool) -> Click:
    if not is_odd:
        return Click(effect_observed=draw.random() < 0.1)
    return Click(
        draw.choice([None, 10.0, 12.5, 300.0]),
        draw.choice([None, 20.0, 21.0]),
        draw.choice([None, True, False, False]),
        draw.random() < 0.1,
        draw.random() < 0.1,
        draw.choice([None, None, True, False]),
        draw.choice(["", "", "spinbutton", "button"]),
    )


def _journey(seed: str) -> list[tuple[Event, float | None]]:
    draw = random.Random(seed)  # noqa: S311 - the same journeys each time
    kinds = draw.choice([[*_KINDS, 99], draw.choices(_KINDS, k=4), *_THEMES])
    pages, targets = draw.choices(_PAGES, k=draw.randint(1, 9)), draw.choices(_TARGETS, k=2)
    is_quick, is_odd = draw.random() < 0.5, draw.random() < 0.5
    pace_us = draw.choice([SECOND_US // 4, SECOND_US])
    at_us, rows = START_US, []
    for index in range(_EVENTS):
        at_us += draw.randint(0, pace_us) if is_quick else _step_us(draw)
        kind = draw.choice(kinds)
        event = Event(
            f"e{index}",
            kind,
            at_us,
            draw.choice(pages),
            draw.choice(targets),
            draw.choice([0, 0, 1, 3, 2**32 - 1]),
            draw.choice(["", "", "validation", "http_500", "required"]),
            draw.random() < 0.2,
            draw.random() < 0.05,
            draw.choice([0, 1, 1, 2, 3, 4]) if is_odd else 1,
            draw.choice(["", "", "Europe/Berlin", "Asia/Tokyo"]),
            is_odd and draw.random() < 0.05,
            draw.choice([0, START_US, at_us]) if is_odd else at_us,
            draw.choice(["", "", "/a?utm_source=x"]) if kind == Kind.PAGE_VIEW else "",
            _click(draw, is_odd=is_odd) if kind == Kind.CLICK and draw.random() < 0.9 else None,
            draw.choice([0.0, 10.0, 19.9, -5.0]),
            draw.choice(["", "EUR", "USD"]),
            draw.random() < 0.1,
            draw.random() < 0.1,
            kind == Kind.IDENTIFY and draw.random() < 0.2,
            Carried(draw.randint(0, 3), {"EUR": 2.5}) if kind == Kind.IDENTIFY and draw.random() < 0.3 else None,
        )
        rows.append((event, draw.choice([None, None, 12.5, 80.0])))
    return rows


def _digest(seed: int) -> str:
    digest = hashlib.sha256()
    for number in range(_JOURNEYS):
        state = State()
        for event, engagement in _journey(f"{seed}-{number}"):
            found = apply(state, event, engagement)
            outcome = [*found.signals], [*found.settled], found.carried, session_start(state, event)
            vectors = vector(state), vector(state, event.at_us + DAY_US)
            digest.update(repr((outcome, vectors)).encode())
            # What is kept besides history, which came later, is the same to the byte.
            digest.update(encode(msgspec.structs.astuple(state)[:-3]))
    return digest.hexdigest()[:16]


@pytest.mark.parametrize(("seed", "before"), _DIGESTS.items())
def test_a_journey_has_the_same_results_as_before(seed: int, before: str) -> None:
    assert _digest(seed) == before
