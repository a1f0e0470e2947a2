"""A success ends the trouble of its task, page or form, and no other."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.features.domain.event import Click, Event, Kind
from services.features.domain.journey import apply
from services.features.domain.settlement import OPEN_LIMIT, SOLVED_LIMIT, Settled
from services.features.domain.signal import Signal, SignalType
from services.features.domain.state import MINUTE_US, State
from services.features.domain.vector import FEATURE_NAMES, vector
from tests.features.stored import encode
from tests.features.stories import MINUTE, START_US, applied, at, feature, views


def settled(events: Sequence[Event]) -> list[Settled]:
    """All that ended on the way."""
    state = State()
    return [each for event in events for each in apply(state, event).settled]


def open_types(events: Sequence[Event]) -> set[int]:
    """The types of the signals that still count after the events."""
    return {each.type for each in applied(events)[0].open_signals}


def failures(page: str = "/pay", target: str = "pay", begin: float = 0, count: int = 3) -> list[Event]:
    return [at(begin + 5 * number, Kind.TASK_FAILURE, page, target) for number in range(count)]


SUCCESS = at(100, Kind.TASK_SUCCESS, "/pay", "pay")

IN_PLACE = {
    "the same task": SUCCESS,
    "the same task on another page": at(100, Kind.TASK_SUCCESS, "/thanks", "pay"),
    "the same task, no page named": at(100, Kind.TASK_SUCCESS, "", "pay"),
    "the same page, no task named": at(100, Kind.TASK_SUCCESS, "/pay"),
    "another task of the page": at(100, Kind.TASK_SUCCESS, "/pay", "terms"),
    "the same page with a query": at(100, Kind.TASK_SUCCESS, "/pay?step=3", "done"),
    "a purchase there": at(100, Kind.PURCHASE, "/pay", "pay", amount=30.0),
    "a purchase on a page of thanks": at(100, Kind.PURCHASE, "/thanks", "checkout", amount=25.0),
    "a purchase without details": at(100, Kind.PURCHASE),
}
ELSEWHERE = {
    "another task elsewhere": at(100, Kind.TASK_SUCCESS, "/profile", "name"),
    "no place named": at(100, Kind.TASK_SUCCESS),
    "a refund there": at(100, Kind.PURCHASE, "/pay", "pay", amount=-30.0),
    "a refund without an amount": at(100, Kind.PURCHASE, "/pay", "pay", is_refund=True),
    "a sent form": at(100, Kind.FORM_SUBMIT, "/pay", "pay"),
    "what a system did": at(100, Kind.TASK_SUCCESS, "/pay", "pay", is_system=True),
}


@pytest.mark.parametrize("success", IN_PLACE.values(), ids=IN_PLACE.keys())
def test_a_success_in_the_same_place_ends_the_failures(success: Event) -> None:
    state = State()
    found = [each for event in failures() for each in apply(state, event).signals]
    over = apply(state, success).settled
    assert [(each.type, each.at_us, each.target) for each in over] == [
        (each.type, each.at_us, each.target) for each in found
    ]
    assert len(over) == 2
    assert state.open_signals == []
    # What failed before it is not counted on.
    assert not apply(state, at(110, Kind.TASK_FAILURE, "/pay", "pay")).signals


@pytest.mark.parametrize("success", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_any_other_ends_nothing(success: Event) -> None:
    assert not settled([*failures(), success])
    assert open_types([*failures(), success]) == {SignalType.REPEATED_FAILURES}


def test_a_purchase_ends_no_trouble_but_that_with_paying() -> None:
    trouble = failures("/calculator", "rate")
    assert not settled([*trouble, at(100, Kind.PURCHASE, "/thanks", amount=5.0)])
    for page, target in (("/kasse", "weiter"), ("/cart", "voucher"), ("/#/checkout?step=2", ""), ("/x", "cardNumber")):
        assert len(settled([*failures(page, target), at(100, Kind.PURCHASE, "/danke", amount=5.0)])) == 2


def test_a_signal_without_a_place_ends_with_a_success_without_one() -> None:
    assert len(settled([*failures("", ""), at(100, Kind.TASK_SUCCESS)])) == 2
    assert not settled([*failures("", ""), SUCCESS])


def test_pages_of_one_route_are_distinct_if_both_have_a_query() -> None:
    assert not settled([*failures("/product?id=1", ""), at(100, Kind.TASK_SUCCESS, "/product?id=2")])
    assert settled([*failures("/apply?step=1", ""), at(100, Kind.TASK_SUCCESS, "/apply")])
    assert settled([*failures("/apply", ""), at(100, Kind.TASK_SUCCESS, "/apply?step=4")])
    assert settled([*failures("/#/apply?step=1", ""), at(100, Kind.TASK_SUCCESS, "/#/apply")])


DEAD = Click(effect_observed=False)
OF_ONE_PAGE = {
    SignalType.REPEATED_FAILURES: failures("/tax", "income"),
    SignalType.FORM_ERRORS: [at(second, Kind.ERROR, "/tax", "tax-form") for second in (0, 5)],
    SignalType.REPEATED_RECALCULATION: [
        at(5 * number, Kind.FEATURE_INTERACTION, "/tax", "calculator") for number in range(4)
    ],
    SignalType.RAGE_CLICKS: [at(0.3 * number, Kind.CLICK, "/tax", "send", click=DEAD) for number in range(5)],
    SignalType.DEAD_CLICK: [at(0, Kind.CLICK, "/tax", "send", click=DEAD)],
    SignalType.ERROR_CLICK: [at(0, Kind.CLICK, "/tax", "send", click=Click(error_observed=True))],
    SignalType.LONG_TIME_ON_PAGE: [
        at(0, Kind.PAGE_VIEW, "/tax"),
        *(at(25 * number, Kind.FEATURE_INTERACTION, "/tax", f"field{number}") for number in range(1, 14)),
    ],
    SignalType.PAGE_REFRESHES: [at(10 * number, Kind.PAGE_VIEW, "/tax") for number in range(4)],
    SignalType.QUICK_BACKS: [
        at(second, Kind.PAGE_VIEW, page)
        for second, page in ((0, "/list"), (20, "/one"), (25, "/list"), (40, "/tax"), (44, "/list"))
    ],
    SignalType.HELP_SEEKING: [at(second, Kind.HELP_REQUEST, "/tax", "chat") for second in (0, 5)],
    SignalType.FORM_ABANDONMENT: [
        at(0, Kind.FORM_START, "/tax", "tax-form"),
        at(9, Kind.FORM_ABANDON, "/tax", "tax-form"),
    ],
}


@pytest.mark.parametrize("kind", OF_ONE_PAGE)
def test_signals_of_every_type_end_with_a_success_on_their_page(kind: int) -> None:
    trouble = OF_ONE_PAGE[kind]
    state, found = applied(trouble)
    assert kind in {each.type for each in found}
    success = at(400, Kind.TASK_SUCCESS, "/tax", "whole return")
    assert kind in {each.type for each in settled([*trouble, success])}
    assert kind not in open_types([*trouble, success])
    assert kind in open_types([*trouble, at(400, Kind.TASK_SUCCESS, "/other", "other")])
    merged = {SignalType.DEAD_CLICK} if kind == SignalType.RAGE_CLICKS else set()
    assert {each.type for each in state.open_signals} == {each.type for each in found} - merged


def test_a_search_ends_with_any_success() -> None:
    (over,) = settled([*views(6, 5), at(60, Kind.TASK_SUCCESS, "/elsewhere")])
    assert over.type == SignalType.RAPID_NAVIGATION


def test_a_drop_of_engagement_ends_when_engagement_recovers_and_is_reported_again() -> None:
    keen = [at(86_400 * day + 20 * n, Kind.FEATURE_INTERACTION, "/a") for day in range(3) for n in range(10)]
    begin = 86_400 * 5
    fall = [at(begin + n, Kind.ERROR, f"/{n}") for n in range(6)]
    rise = [at(begin + 60 + n, Kind.FEATURE_INTERACTION, "/a") for n in range(12)]
    state = State()
    for event in keen:
        apply(state, event)
    drops = [each for event in fall for each in apply(state, event).signals if each.type == SignalType.ENGAGEMENT_DROP]
    assert len(drops) > 1
    over = [each for event in rise for each in apply(state, event).settled]
    assert [each.at_us for each in over] == [each.at_us for each in drops]
    assert {each.type for each in over} == {SignalType.ENGAGEMENT_DROP}
    again = [apply(state, at(begin + 100 + n, Kind.ERROR, f"/{n}")).signals for n in range(6)]
    assert SignalType.ENGAGEMENT_DROP in {each.type for found in again for each in found}


# Forms.

START = at(0, Kind.FORM_START, "/checkout", "checkout")
END = at(60, Kind.SESSION_END)


@pytest.mark.parametrize(
    "success",
    [
        at(40, Kind.PURCHASE, "/thanks", "order", amount=25.0),
        at(40, Kind.PURCHASE, amount=9.0, is_system=True),
        at(40, Kind.TASK_SUCCESS, "/thanks", "checkout"),
        at(40, Kind.TASK_SUCCESS, "/checkout"),
        at(40, Kind.FORM_SUBMIT, "/checkout", "checkout"),
    ],
)
def test_a_form_that_was_done_with_is_not_abandoned(success: Event) -> None:
    assert feature("form_abandons", [START, success, END]) == 0
    assert not applied([START, success, END])[1]


@pytest.mark.parametrize(
    "other",
    [
        at(40, Kind.TASK_SUCCESS, "/checkout", "newsletter"),
        at(40, Kind.TASK_SUCCESS),
        at(40, Kind.PURCHASE, "/account", is_refund=True),
        at(40, Kind.TASK_SUCCESS, "/checkout", "checkout", is_system=True),
    ],
)
def test_anything_else_leaves_the_form_open(other: Event) -> None:
    assert feature("form_abandons", [START, other, END]) == 1


def test_form_errors_end_with_the_form() -> None:
    errors = [at(10 + n, Kind.ERROR, f"/apply/{n}", "income", error_code="required") for n in range(2)]
    errors += [at(20 + n, Kind.ERROR, "/apply", "loan") for n in range(3)]
    story = [at(0, Kind.FORM_START, "/apply", "loan"), *errors, at(30, Kind.FORM_SUBMIT, "/apply", "loan")]
    assert SignalType.FORM_ERRORS in open_types(story)
    assert open_types([*story, at(40, Kind.TASK_SUCCESS, "/thanks", "loan")]) == set()
    assert open_types([*story, at(40, Kind.TASK_SUCCESS, "/apply", "application")]) == set()
    assert open_types([*story, at(40, Kind.PURCHASE, "/thanks", amount=9.0)]) == set()
    assert open_types([*story[:-1], at(40, Kind.TASK_SUCCESS, "/thanks", "survey")]) == {SignalType.FORM_ERRORS}


APPLY = [
    at(0, Kind.FORM_START, "/apply", "loan"),
    *(at(10 + number, Kind.ERROR, "/apply", "income", error_code="required") for number in range(3)),
]
SENT = at(30, Kind.FORM_SUBMIT, "/apply", "loan")
AFTER_SENDING = {
    "with another target on a page of thanks": [at(40, Kind.TASK_SUCCESS, "/thanks", "application_received")],
    "with another target and no page": [at(40, Kind.TASK_SUCCESS, "", "application_received")],
    "without any name": [at(40, Kind.TASK_SUCCESS)],
    "after minutes of waiting": [at(500, Kind.TASK_SUCCESS, "/status", "approved")],
    "after the page of thanks and a look around": [
        at(35, Kind.PAGE_VIEW, "/thanks"),
        at(38, Kind.FEATURE_INTERACTION, "/thanks", "download"),
        at(40, Kind.TASK_SUCCESS, "/thanks", "done"),
    ],
    "after an error elsewhere": [
        at(35, Kind.ERROR, "/thanks", "banner"),
        at(40, Kind.TASK_SUCCESS, "/thanks", "done"),
    ],
    "arriving late": [at(50, Kind.PAGE_VIEW, "/thanks"), at(40, Kind.TASK_SUCCESS, "/thanks", "done")],
}
CONTRADICTED = {
    "it was never sent": [at(40, Kind.TASK_SUCCESS, "/thanks", "done")],
    "the form failed": [SENT, at(35, Kind.ERROR, "/apply", "loan"), at(40, Kind.TASK_SUCCESS, "/x", "done")],
    "its task failed": [SENT, at(35, Kind.TASK_FAILURE, "", "loan"), at(40, Kind.TASK_SUCCESS, "/x", "done")],
    "it was tried again": [SENT, at(35, Kind.RETRY, "/apply"), at(40, Kind.TASK_SUCCESS, "/x", "done")],
    "it was left": [SENT, at(35, Kind.FORM_ABANDON, "/apply", "loan"), at(40, Kind.TASK_SUCCESS, "/x", "done")],
    "another form was begun": [
        SENT,
        at(35, Kind.FORM_START, "/letter", "letter"),
        at(40, Kind.TASK_SUCCESS, "/x", "done"),
    ],
    "another form was sent": [
        SENT,
        at(35, Kind.FORM_SUBMIT, "/letter", "letter"),
        at(40, Kind.TASK_SUCCESS, "/x", "done"),
    ],
    "long after": [SENT, at(631, Kind.TASK_SUCCESS, "/x", "done")],
    "before it was sent": [SENT, at(29, Kind.TASK_SUCCESS, "/x", "done")],
    "the user logged out": [SENT, at(35, Kind.SESSION_END), at(40, Kind.TASK_SUCCESS, "/x", "done")],
}


@pytest.mark.parametrize("after", AFTER_SENDING.values(), ids=AFTER_SENDING.keys())
def test_the_next_success_after_a_form_was_sent_is_of_the_form(after: list[Event]) -> None:
    assert open_types([*APPLY, SENT]) == {SignalType.FORM_ERRORS}
    assert open_types([*APPLY, SENT, *after]) == set()


@pytest.mark.parametrize("after", CONTRADICTED.values(), ids=CONTRADICTED.keys())
def test_a_success_is_not_of_a_form_where_something_says_otherwise(after: list[Event]) -> None:
    assert SignalType.FORM_ERRORS in open_types([*APPLY, *after])


def test_only_the_next_success_is_of_the_form() -> None:
    story = [*APPLY, SENT, at(40, Kind.TASK_SUCCESS, "/thanks", "done")]
    again = [at(50 + number, Kind.ERROR, "/apply", "income", error_code="required") for number in range(2)]
    assert open_types([*story, *again, at(60, Kind.TASK_SUCCESS, "/x", "other")]) == {SignalType.FORM_ERRORS}


# A success that names no target.


def seen(second: float, page: str) -> Event:
    return at(second, Kind.PAGE_VIEW, page)


NAMELESS = {
    "on the page of the trouble": [at(300, Kind.TASK_SUCCESS, "/pay")],
    "without a page, right after it": [at(15, Kind.TASK_SUCCESS)],
    "without a page, while still on it": [at(20, Kind.CLICK, "/pay", "send"), at(25, Kind.TASK_SUCCESS)],
    "on the next page": [seen(14, "/thanks"), at(15, Kind.TASK_SUCCESS, "/thanks")],
    "without a page, on the next page": [seen(14, "/thanks"), at(15, Kind.TASK_SUCCESS)],
}
NAMELESS_ELSEWHERE = {
    "long after, without a page": [at(90, Kind.TASK_SUCCESS)],
    "long after, on the next page": [seen(85, "/thanks"), at(90, Kind.TASK_SUCCESS, "/thanks")],
    "after something was done elsewhere": [
        seen(14, "/profile"),
        at(20, Kind.FEATURE_INTERACTION, "/profile", "name"),
        at(25, Kind.TASK_SUCCESS, "/profile"),
    ],
    "two pages further": [seen(14, "/help"), seen(20, "/profile"), at(25, Kind.TASK_SUCCESS, "/profile")],
    "at once and with another target": [seen(14, "/thanks"), at(15, Kind.TASK_SUCCESS, "/thanks", "survey")],
    "on a page the user is not on": [at(15, Kind.TASK_SUCCESS, "/profile")],
}
ON_PAY = [seen(-5, "/pay"), *failures()]


@pytest.mark.parametrize("after", NAMELESS.values(), ids=NAMELESS.keys())
def test_a_success_without_a_target_ends_the_trouble_it_follows(after: list[Event]) -> None:
    assert open_types([*ON_PAY, *after]) == set()
    assert not applied([*ON_PAY, *after, at(301, Kind.TASK_FAILURE, "/pay", "pay")])[0].open_signals


@pytest.mark.parametrize("after", NAMELESS_ELSEWHERE.values(), ids=NAMELESS_ELSEWHERE.keys())
def test_a_success_without_a_target_elsewhere_ends_nothing(after: list[Event]) -> None:
    assert open_types([*ON_PAY, *after]) == {SignalType.REPEATED_FAILURES}


def test_trouble_without_a_page_ends_with_what_follows_it() -> None:
    assert open_types([*failures("", "pay"), at(15, Kind.TASK_SUCCESS)]) == set()
    assert open_types([*failures("", "pay"), at(90, Kind.TASK_SUCCESS)]) == {SignalType.REPEATED_FAILURES}


def test_a_purchase_that_comes_late_takes_the_abandonment_back() -> None:
    late = at(40, Kind.PURCHASE, "/thanks", amount=25.0)
    story = [START, at(50, Kind.PAGE_VIEW, "/thanks"), END]
    assert feature("form_abandons", story) == 1
    assert [each.type for each in settled([*story, late])] == [SignalType.FORM_ABANDONMENT]
    assert feature("form_abandons", [*story, late]) == 0
    before_the_form = at(-40, Kind.PURCHASE, "/thanks", amount=25.0)
    assert not settled([*story, before_the_form])


# Late.


def test_a_late_success_ends_what_was_found_until_then() -> None:
    after = at(110, Kind.PAGE_VIEW, "/thanks")
    assert len(settled([*failures(), after, SUCCESS])) == 2
    assert not settled([*failures(begin=101), after, at(100, Kind.TASK_SUCCESS, "/pay", "pay")])


LATE = {
    "a failure at the same task": at(90, Kind.TASK_FAILURE, "/other", "pay"),
    "a failure on the page": at(90, Kind.ERROR, "/pay", "card"),
    "a retry": at(90, Kind.RETRY, "/pay", "pay"),
    "many attempts": at(90, Kind.STRUGGLE_SIGNAL, "/pay", attempt_count=5),
    "a call for help": at(90, Kind.HELP_REQUEST, "/pay"),
    "a dead click": at(90, Kind.CLICK, "/pay", "send", click=DEAD),
    "a form left": at(90, Kind.FORM_ABANDON, "/pay", "pay-form"),
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE.keys())
def test_a_late_failure_from_before_a_success_is_no_signal(late: Event) -> None:
    story = [SUCCESS, at(110, Kind.PAGE_VIEW, "/thanks")]
    state, _ = applied(story)
    found: list[Signal] = [each for _ in range(3) for each in apply(state, late).signals]
    assert (found, state.open_signals) == ([], [])
    assert not state.traces.get(SignalType.REPEATED_FAILURES), "nor is it counted with what comes"


def test_a_late_payment_failure_from_before_a_purchase_is_no_signal() -> None:
    story = [at(100, Kind.PURCHASE, "/thanks", amount=5.0), at(110, Kind.PAGE_VIEW, "/home")]
    assert open_types([*story, *failures("/kasse", "weiter")]) == set()
    assert open_types([*story, *failures("/calculator", "rate")]) == {SignalType.REPEATED_FAILURES}


def test_late_trouble_after_a_success_or_elsewhere_is_trouble() -> None:
    story = [SUCCESS, at(200, Kind.PAGE_VIEW, "/thanks")]
    assert open_types([*story, *failures(begin=110)]) == {SignalType.REPEATED_FAILURES}
    assert open_types([*story, *failures("/tax", "income")]) == {SignalType.REPEATED_FAILURES}


# Bounds.


def test_what_is_remembered_is_bounded() -> None:
    state = State()
    for number in range(200):
        for event in failures(f"/{number}", f"task-{number}", begin=number, count=2):
            apply(state, event)
        apply(state, at(number + 6, Kind.TASK_SUCCESS, f"/done/{number}", "done"))
        assert len(state.open_signals) <= OPEN_LIMIT
    assert len(state.solved) == 16 * SOLVED_LIMIT
    assert len(encode(state)) < 5_000


def test_a_signal_is_forgotten_after_half_an_hour_and_with_its_session() -> None:
    story = [*failures("/a", "a"), *(at(MINUTE * n, Kind.CLICK) for n in range(1, 30))]
    assert len(applied([*story, *failures("/b", "b", begin=31 * MINUTE)])[0].open_signals) == 2
    assert open_types([*failures(), at(31 * MINUTE, Kind.CLICK)]) == set()


_PLACES = st.sampled_from([("/pay", "pay"), ("/pay", ""), ("/tax", "income"), ("", "pay"), ("/a?b=1", "")])
_KINDS = st.sampled_from([Kind.TASK_FAILURE, Kind.ERROR, Kind.HELP_REQUEST, Kind.TASK_SUCCESS, Kind.PURCHASE])


@given(st.lists(st.tuples(_KINDS, _PLACES, st.integers(-20, 60)), max_size=40))
def test_only_reported_signals_that_still_count_end_and_each_ends_once(
    steps: list[tuple[int, tuple[str, str], int]],
) -> None:
    state, seconds = State(), 0.0
    counting: list[tuple[int, int, str]] = []
    for number, (kind, (page, target), step) in enumerate(steps):
        seconds += step
        found = apply(state, Event(f"e{number}", kind, START_US + round(seconds * 1e6), page, target))
        for each in found.settled:
            counting.remove((each.type, each.at_us, each.target))
        counting += [(each.type, each.at_us, each.target) for each in found.signals]
        assert kind in {Kind.TASK_SUCCESS, Kind.PURCHASE} or not found.settled
    kept = [(each.type, each.at_us, each.target) for each in state.open_signals]
    recent = [each for each in counting if each[1] > state.last_us - 30 * MINUTE_US]
    assert set(kept) <= set(counting)
    assert len(recent) > OPEN_LIMIT or set(recent) <= set(kept)


def test_features_still_count_what_happened() -> None:
    story = [*(at(n, Kind.ERROR, "/pay", "pay") for n in range(3)), SUCCESS]
    values = dict(zip(FEATURE_NAMES, vector(applied(story)[0]), strict=True))
    assert (values["error_count"], values["success_rate"]) == (3, 0.25)
