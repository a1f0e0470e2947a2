"""Rage, dead and error clicks on fixtures that every tool gets wrong, and on broken buttons."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.features.domain.event import Click, Event, Kind
from services.features.domain.journey import apply
from services.features.domain.signal import SignalType
from services.features.domain.state import State
from services.features.domain.vector import FEATURE_NAMES, vector
from tests.features.stories import MINUTE, START_US, applied, at, feature, signals


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
    "stepper known by its role": clicks(QUICK, "size", role="spinbutton"),
    "slider known by its role": clicks(QUICK, "", role="slider"),
    "answers of a menu": clicks(QUICK, "choose", role="menuitemcheckbox"),
    "stepper whose page did not change": clicks(QUICK, "amount", effect_observed=False, value_changed=True),
    "rating that was watched by its value": clicks(QUICK, "stelle", value_changed=True),
    "minus sign": clicks(QUICK, "\u2212"),
    "arrow of a carousel": clicks(QUICK, "\u203a"),
    "arrow of an icon font": clicks(QUICK, "chevron-right"),
    "next in German": clicks(QUICK, "Weiter"),
    "keypad": clicks(QUICK, "7"),
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
    "dead element at an unknown place": [
        at(second, Kind.CLICK, "/shop", "pay", click=Click(effect_observed=False)) for second in (0.0, 0.3, 1.0)
    ],
    "slider that does not move": clicks([0.0, 0.3, 0.6], "size", effect_observed=False, role="slider"),
    "stepper that brings errors": clicks([0.0, 0.3, 0.6], "+", error_observed=True, value_changed=True),
    "closing a window that stays": clicks([0.0, 0.2, 0.4, 0.6], "\u2715"),
    "button known by its role": clicks([0.0, 0.2, 0.4, 0.6], "pay", role="button"),
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


def test_a_run_is_one_rage_reported_again_as_it_grows() -> None:
    times = [0.3 * number for number in range(20)]
    state, found = applied(clicks(times, "pay", effect_observed=False))
    rages = [signal for signal in found if signal.type == SignalType.RAGE_CLICKS]
    assert [signal.reason.partition(" ")[0] for signal in rages] == [str(length) for length in range(3, 21)]
    assert {signal.run_start_us for signal in rages} == {START_US}
    assert rages[-1].reason == "20 clicks within 5.7 s on pay without effect or with an error"
    assert list(rages[-1].evidence_event_ids) == [f"e{second:g}" for second in times[-10:]]
    assert [signal.strength for signal in rages] == [80] * 3 + [90] * 3 + [100] * 12
    assert [each.type for each in state.open_signals].count(SignalType.RAGE_CLICKS) == 1
    assert [each.type for each in state.open_signals] == [SignalType.RAGE_CLICKS], "its single clicks went into it"
    assert vector(state)[FEATURE_NAMES.index("click_frustration")] == 1


@pytest.mark.parametrize("count", [3, 4, 5, 20])
@pytest.mark.parametrize("what", [{"effect_observed": False}, {"error_observed": True}], ids=["dead", "error"])
def test_the_single_clicks_of_a_run_go_into_it(count: int, what: dict[str, bool]) -> None:
    run = clicks([0.2 * number for number in range(count)], "pay", **what)
    earlier, later = clicks([-30.0], "pay", **what), clicks([60.0], "help", **what)
    state, _ = applied([*earlier, *run, *later])
    assert vector(state)[FEATURE_NAMES.index("click_frustration")] == 3
    assert len(state.open_signals) == 3


def test_before_it_is_a_run_each_click_counts() -> None:
    assert feature("click_frustration", clicks([0.0, 0.2], "pay", effect_observed=False)) == 2


def test_five_rages_need_five_runs() -> None:
    times = [5.0 * run + 0.2 * click for run in range(5) for click in range(3)]
    state, found = applied(clicks(times, "pay", effect_observed=False))
    rages = [signal for signal in found if signal.type == SignalType.RAGE_CLICKS]
    assert len({signal.run_start_us for signal in rages}) == len(rages) == 5
    assert [signal.strength for signal in rages] == [80, 90, 100, 100, 100]
    assert vector(state)[FEATURE_NAMES.index("click_frustration")] == 5


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(clicks([0.7], "pay", effect_observed=True), id="an effect"),
        pytest.param(clicks([0.7], "pay", value_changed=True), id="a changed value"),
        pytest.param(clicks([0.7], "pay", selection_changed=True), id="a selection"),
        pytest.param(clicks([0.7], "photo-next"), id="a control for repeated clicks"),
        pytest.param([at(0.7, Kind.CLICK, "/shop", "help", click=Click(x=9.0, y=9.0))], id="a click elsewhere"),
        pytest.param([at(0.7, Kind.TASK_SUCCESS, "/shop", "pay")], id="a success"),
    ],
)
def test_events_that_end_a_run(between: list[Event]) -> None:
    before, after = (
        clicks(times, "pay", effect_observed=False) for times in ([0.0, 0.2, 0.4, 0.6], [0.8, 1.0, 1.2, 1.4])
    )
    runs = {signal.run_start_us - START_US for signal in signals([*before, *between, *after], SignalType.RAGE_CLICKS)}
    assert runs == {0, 800_000}


def test_a_run_ends_with_a_pause_of_more_than_a_second() -> None:
    times = [0.0, 0.2, 0.4, 1.4, 2.401, 2.6, 2.8]
    found = signals(clicks(times, "pay", effect_observed=False), SignalType.RAGE_CLICKS)
    assert [signal.run_start_us - START_US for signal in found] == [0, 0, 2_401_000]


def test_rage_is_forgotten_after_ten_minutes() -> None:
    times = [0.0, 0.3, 0.6, 60.0, 60.1, 60.2, 20 * MINUTE, 20 * MINUTE + 0.1, 20 * MINUTE + 0.2]
    found = signals(clicks(times, "pay", effect_observed=False), SignalType.RAGE_CLICKS)
    assert [signal.strength for signal in found] == [80, 90, 80]


def test_more_unwatched_clicks_are_no_stronger_signal() -> None:
    found = signals(clicks([0.2 * number for number in range(20)], "pay"), SignalType.RAGE_CLICKS)
    assert {signal.strength for signal in found} == {60}
    assert len({signal.run_start_us for signal in found}) == 1


@given(
    st.lists(st.sampled_from([0.05, 0.4, 0.9, 1.5]), min_size=1, max_size=40),
    st.lists(st.sampled_from([None, False, True]), min_size=40, max_size=40),
)
def test_a_run_only_grows_and_counts_once(gaps: list[float], effects: list[bool | None]) -> None:
    seconds, events = 0.0, []
    for gap, effect in zip(gaps, effects, strict=False):
        seconds += gap
        events += clicks([round(seconds, 2)], "pay", effect_observed=effect)
    state, found = applied(events)
    rages = [signal for signal in found if signal.type == SignalType.RAGE_CLICKS]
    for one, other in itertools.pairwise(rages):
        if one.run_start_us == other.run_start_us:
            assert int(other.reason.partition(" ")[0]) == int(one.reason.partition(" ")[0]) + 1
            assert other.strength >= one.strength
    runs = {signal.run_start_us: signal.at_us for signal in rages}
    dead = [signal for signal in found if signal.type == SignalType.DEAD_CLICK]
    alone = [each for each in dead if not any(start <= each.at_us <= end for start, end in runs.items())]
    assert vector(state)[FEATURE_NAMES.index("click_frustration")] == len(alone) + len(runs)


def test_the_completing_click_is_reported_once() -> None:
    kinds = [signal.type for signal in applied(BROKEN["dead button"])[1]]
    assert kinds == [SignalType.DEAD_CLICK, SignalType.DEAD_CLICK, SignalType.RAGE_CLICKS]


def test_dead_and_error_clicks() -> None:
    (dead,) = applied(clicks([0.0], "pay", effect_observed=False))[1]
    assert (dead.type, dead.strength, dead.reason) == (SignalType.DEAD_CLICK, 40, "A click on pay had no effect")
    (error,) = applied(clicks([0.0], "pay", effect_observed=False, error_observed=True))[1]
    assert (error.type, error.strength) == (SignalType.ERROR_CLICK, 60)
    assert applied(clicks([0.0], "pay", effect_observed=True))[1] == []
    assert applied(clicks([0.0], "pay"))[1] == []


def test_a_late_click_is_judged_by_itself() -> None:
    late = clicks([0.8, 0.4, 0.2], "pay", effect_observed=False)
    assert {signal.type for signal in applied(late)[1]} == {SignalType.DEAD_CLICK}


def twice(seconds: float, page: str = "/shop", after: float = 0.004, **members: object) -> list[Event]:
    """A click on a label and the one that the browser makes on its input."""
    click = Click(**members)  # type: ignore[arg-type]
    return [
        at(seconds, Kind.CLICK, page, "newsletter-label", click=click),
        at(round(seconds + after, 3), Kind.CLICK, page, "newsletter", click=click),
    ]


def test_the_click_of_a_label_and_of_its_input_are_one() -> None:
    dead = twice(0.0, effect_observed=False)
    assert [signal.type for signal in applied(dead)[1]] == [SignalType.DEAD_CLICK]
    assert [signal.type for signal in applied(twice(0.0, error_observed=True))[1]] == [SignalType.ERROR_CLICK]
    assert feature("click_frustration", dead) == 1
    assert feature("engagement_score", dead) == feature("engagement_score", dead[:1])
    assert [signal.type for signal in applied(list(reversed(dead)))[1]] == [SignalType.DEAD_CLICK], (
        "reported in the wrong order"
    )


def test_two_clicks_further_apart_or_on_two_pages_are_two() -> None:
    assert len(applied(twice(0.0, after=0.011, effect_observed=False))[1]) == 2
    first, second = twice(0.0, effect_observed=False)
    elsewhere = twice(0.0, "/cart", effect_observed=False)[1]
    assert len(applied([first, elsewhere])[1]) == 2
    assert len(applied([first, second, *twice(0.007, effect_observed=False)])[1]) == 2, (
        "a third click within 10 ms is new"
    )


def test_labels_clicked_three_times_are_three_clicks_of_a_chain() -> None:
    events = [each for second in (0.0, 0.3) for each in twice(second, effect_observed=False)]
    assert not signals(events, SignalType.RAGE_CLICKS)
    (rage,) = signals([*events, *twice(0.6, effect_observed=False)], SignalType.RAGE_CLICKS)
    assert rage.reason.startswith("3 clicks within 0.6 s on newsletter-label")
    same = [
        at(second, Kind.CLICK, "/shop", "pay", click=Click(effect_observed=False)) for second in (0, 0.005, 0.3, 0.305)
    ]
    assert not signals(same, SignalType.RAGE_CLICKS)


def test_where_the_input_had_the_effect_the_label_was_no_dead_click() -> None:
    label = at(0.0, Kind.CLICK, "/shop", "newsletter-label", click=Click(effect_observed=False))
    toggled = at(0.004, Kind.CLICK, "/shop", "newsletter", click=Click(value_changed=True))
    state = State()
    assert [signal.type for signal in apply(state, label).signals] == [SignalType.DEAD_CLICK]
    (settled,) = apply(state, toggled).settled
    assert (settled.type, settled.at_us, settled.target) == (SignalType.DEAD_CLICK, label.at_us, "newsletter-label")
    assert (state.open_signals, state.click_findings, state.chain) == ([], [], [])


# What an echo reports and the first click did not.


def label_and_input(first: Click, second: Click, seconds: float = 0.0) -> list[Event]:
    return [
        at(seconds, Kind.CLICK, "/shop", "newsletter-label", click=first),
        at(round(seconds + 0.001, 3), Kind.CLICK, "/shop", "newsletter", click=second),
    ]


UNWATCHED, DEAD, WORKED = Click(), Click(effect_observed=False), Click(effect_observed=True)
ERROR = Click(effect_observed=False, error_observed=True)
TAKEN_OVER = {
    "an error, the first not watched": (UNWATCHED, ERROR, SignalType.ERROR_CLICK),
    "an error, the first dead": (DEAD, ERROR, SignalType.ERROR_CLICK),
    "an error, the first with an effect": (WORKED, ERROR, SignalType.ERROR_CLICK),
    "an error of both": (ERROR, ERROR, SignalType.ERROR_CLICK),
    "an error of the first alone": (ERROR, WORKED, SignalType.ERROR_CLICK),
    "no effect, the first not watched": (UNWATCHED, DEAD, SignalType.DEAD_CLICK),
    "no effect of both": (DEAD, DEAD, SignalType.DEAD_CLICK),
    "no effect of the first alone, and nobody watched the second": (DEAD, UNWATCHED, SignalType.DEAD_CLICK),
    "an effect of the first": (WORKED, DEAD, 0),
    "an effect of the second": (DEAD, WORKED, 0),
    "nothing": (UNWATCHED, UNWATCHED, 0),
}


@pytest.mark.parametrize(("first", "second", "kind"), TAKEN_OVER.values(), ids=TAKEN_OVER.keys())
def test_a_click_reported_twice_combines_both_reports(first: Click, second: Click, kind: int) -> None:
    state, _ = applied(label_and_input(first, second))
    assert [each.type for each in state.open_signals] == ([kind] if kind else [])
    assert len(state.click_findings) == (1 if kind else 0)
    third = at(0.009, Kind.CLICK, "/shop", "other", click=DEAD)
    assert [each.type for each in apply(state, third).signals] == [SignalType.DEAD_CLICK], "a third click is new"


def test_an_error_reported_by_the_echo_replaces_the_dead_click() -> None:
    state, (label, box) = State(), label_and_input(DEAD, ERROR)
    assert [each.type for each in apply(state, label).signals] == [SignalType.DEAD_CLICK]
    found = apply(state, box)
    assert [(each.type, each.target) for each in found.signals] == [(SignalType.ERROR_CLICK, "newsletter-label")]
    assert [(each.type, each.at_us) for each in found.settled] == [(SignalType.DEAD_CLICK, label.at_us)]


@pytest.mark.parametrize("second", [DEAD, ERROR])
def test_three_clicks_whose_echoes_report_the_trouble_are_rage(second: Click) -> None:
    events = [each for seconds in (0.0, 0.3, 0.6) for each in label_and_input(UNWATCHED, second, seconds)]
    rages = signals(events, SignalType.RAGE_CLICKS)
    assert {each.run_start_us - START_US for each in rages} <= {0, 1000}
    assert rages[-1].reason.startswith("3 clicks within 0.6 s on newsletter-label")
    assert applied(events)[0].rage_count == 1


# Clocks with whole seconds.


@pytest.mark.parametrize("times", [[0, 0, 0], [0, 0, 1], [0, 1, 1]])
def test_by_a_clock_of_whole_seconds_clicks_on_one_element_are_several(times: list[float]) -> None:
    (rage,) = signals(clicks(times, "pay", effect_observed=False), SignalType.RAGE_CLICKS)
    assert rage.reason.startswith("3 clicks")
    (unwatched,) = signals(clicks([*times, times[-1]], "pay"), SignalType.RAGE_CLICKS)
    assert unwatched.reason.startswith("4 clicks")
    assert feature("click_frustration", clicks(times[:2], "pay", effect_observed=False)) == 2


def test_by_a_clock_of_whole_seconds_a_label_and_its_input_are_one() -> None:
    dead = twice(0.0, after=0.0, effect_observed=False)
    assert [signal.type for signal in applied(dead)[1]] == [SignalType.DEAD_CLICK]


@pytest.mark.parametrize("after", [0.0, 0.001, 0.01])
def test_by_a_finer_clock_one_element_twice_at_once_is_one(after: float) -> None:
    assert len(applied(clicks([0.25, 0.25 + after], "pay", effect_observed=False))[1]) == 1
