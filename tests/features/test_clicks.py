"""Rage, dead and error clicks on fixtures that every tool gets wrong, and on broken buttons."""

import pytest

from services.features.domain.event import Click, Event, Kind
from services.features.domain.signal import SignalType
from tests.features.stories import MINUTE, at, signals, told


def clicks(times: list[float], target: str, **members: object) -> list[Event]:
    """Clicks on one spot of the shop's page."""
    click = Click(x=100.0, y=200.0, **members)  # type: ignore[arg-type]
    return [at(second, Kind.CLICK, "/shop", target, click=click) for second in times]


QUICK = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4]

HARMLESS = {
    "toggle switched to and fro": clicks(QUICK, "dark-mode", effect_observed=True),
    "carousel paged through": clicks(QUICK, "photo", effect_observed=True),
    "carousel that nobody watched": clicks(QUICK, "carousel-next"),
    "stepper counted up": clicks(QUICK, "quantity", effect_observed=True),
    "stepper that nobody watched": clicks(QUICK, "quantity-plus"),
    "calendar turned to next year": clicks(QUICK, "month", effect_observed=True),
    "calendar that nobody watched": clicks(QUICK, "calendar"),
    "triple click to select a paragraph": [
        *clicks([0.0], "text", effect_observed=False),
        *clicks([0.2, 0.4], "text", effect_observed=False, selection_changed=True),
    ],
    "double clicks, one after the other": clicks([0.0, 0.2, 5.0, 5.2, 10.0, 10.2], "file"),
    "slow clicks without effect": clicks([0.0, 2.0, 4.0, 6.0], "pay", effect_observed=False),
    "three quick clicks that nobody watched": clicks([0.0, 0.2, 0.4], "pay"),
    "clicks across the page": [
        at(second, Kind.CLICK, "/shop", click=Click(x=100.0 * index, y=5.0, effect_observed=False))
        for index, second in enumerate(QUICK)
    ],
    "clicks of which nothing is known": [at(second, Kind.CLICK) for second in QUICK],
    "the third click had an effect": [
        *clicks([0.0, 0.2], "pay", effect_observed=False),
        *clicks([0.4], "pay", effect_observed=True),
    ],
}

BROKEN = {
    "dead button": clicks([0.0, 0.3, 0.6], "pay", effect_observed=False),
    "button that brings errors": clicks([0.0, 0.4, 0.8], "pay", effect_observed=True, error_observed=True),
    "dead button, watched now and then": [
        *clicks([0.0], "pay", effect_observed=False),
        *clicks([0.3, 0.6], "pay"),
    ],
    "four clicks that nobody watched": clicks([0.0, 0.2, 0.4, 0.6], "pay"),
    "dead spot without a name": [
        at(second, Kind.CLICK, "/shop", click=Click(x=100 + 9 * second, y=7.0, effect_observed=False))
        for second in (0.0, 0.3, 0.6)
    ],
    "dead element whose place nobody told": [
        at(second, Kind.CLICK, "/shop", "pay", click=Click(effect_observed=False)) for second in (0.0, 0.3, 1.0)
    ],
    "broken stepper": clicks([0.0, 0.3, 0.6], "quantity-plus", effect_observed=False),
}


@pytest.mark.parametrize("events", HARMLESS.values(), ids=HARMLESS.keys())
def test_use_is_not_rage(events: list[Event]) -> None:
    assert not signals(events, SignalType.RAGE_CLICKS)


@pytest.mark.parametrize("events", BROKEN.values(), ids=BROKEN.keys())
def test_clicks_on_what_is_broken_are_rage(events: list[Event]) -> None:
    (signal,) = signals(events, SignalType.RAGE_CLICKS)
    assert list(signal.evidence_event_ids) == [event.event_id for event in events]
    assert signal.strength >= 60


def test_rage_names_chain_time_place_and_effect() -> None:
    (signal,) = signals(BROKEN["dead button"], SignalType.RAGE_CLICKS)
    assert signal.reason == "3 clicks within 0.6 s on pay without effect or with an error"
    assert signal.strength == 80
    (unwatched,) = signals(BROKEN["four clicks that nobody watched"], SignalType.RAGE_CLICKS)
    assert unwatched.reason == "4 clicks within 0.6 s on pay and nobody watched their effect"
    assert unwatched.strength == 60


def test_rage_grows_with_every_chain_and_is_forgotten_after_ten_minutes() -> None:
    times = [0.0, 0.3, 0.6, 0.7, 0.8, 0.9, 60.0, 60.1, 60.2, 20 * MINUTE, 20 * MINUTE + 0.1, 20 * MINUTE + 0.2]
    found = signals(clicks(times, "pay", effect_observed=False), SignalType.RAGE_CLICKS)
    assert [signal.strength for signal in found] == [80, 90, 100, 80]


def test_the_completing_click_is_told_once() -> None:
    kinds = [signal.type for signal in told(BROKEN["dead button"])[1]]
    assert kinds == [SignalType.DEAD_CLICK, SignalType.DEAD_CLICK, SignalType.RAGE_CLICKS]


def test_dead_and_error_clicks() -> None:
    (dead,) = told(clicks([0.0], "pay", effect_observed=False))[1]
    assert (dead.type, dead.strength, dead.reason) == (SignalType.DEAD_CLICK, 40, "A click on pay had no effect")
    (error,) = told(clicks([0.0], "pay", effect_observed=False, error_observed=True))[1]
    assert (error.type, error.strength) == (SignalType.ERROR_CLICK, 60)
    assert told(clicks([0.0], "pay", effect_observed=True))[1] == []
    assert told(clicks([0.0], "pay"))[1] == []


def test_a_late_click_is_judged_by_itself() -> None:
    late = clicks([0.8, 0.4, 0.2], "pay", effect_observed=False)
    assert {signal.type for signal in told(late)[1]} == {SignalType.DEAD_CLICK}
