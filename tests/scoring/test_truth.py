"""10,000 random journeys: every sentence told about them is checked against what the user did.

The checks know the events only, nothing of states, traces or windows. A number told must have happened: at least as
often in a signal, which leaves out what a success has solved, and exactly so in a feature.
"""

import re
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

import pytest

from offline.training.watching import Watch
from services.features.domain.event import Event, Kind
from services.features.domain.state import DAY_US, MINUTE_US, SECOND_US
from services.features.domain.vector import vector
from services.scoring.domain import explanation, history, reasons, risk, rules
from services.scoring.domain.schema import FEATURES

JOURNEYS: Final = 10_000
START_US: Final = 1_767_348_000 * SECOND_US
GAPS_S: Final = (1, 2, 3, 5, 9, 20, 45, 70, 110, 200, 400, 900, 2_400, 90_000)
PAGES: Final = ("/cart", "/pay", "/home", "/help")
KINDS: Final = (
    *(Kind.PAGE_VIEW,) * 6,
    *(Kind.ERROR, Kind.TASK_FAILURE, Kind.RETRY, Kind.HELP_REQUEST) * 2,
    Kind.FORM_START,
    Kind.FORM_SUBMIT,
    Kind.FORM_ABANDON,
    Kind.TASK_SUCCESS,
    Kind.FEATURE_INTERACTION,
    Kind.STRUGGLE_SIGNAL,
    Kind.SESSION_END,
)
FAILED: Final = frozenset({Kind.ERROR, Kind.TASK_FAILURE, Kind.STRUGGLE_SIGNAL})
AGE: Final = re.compile(r", (\d+) (second|minute|hour|day)s? ago$")
UNITS_US: Final = {"second": SECOND_US, "minute": MINUTE_US, "hour": 60 * MINUTE_US, "day": DAY_US}


class Told(NamedTuple):
    """A sentence without its age, what the user had done when it was found, and the number it begins with."""

    text: str
    done: list[Event]
    now_us: int

    @property
    def number(self) -> int:
        """The number told; 1 for once, 0 for none."""
        found = re.search(r"\d+", re.sub(r" within \d+ \w+$", "", self.text).replace("once", "1"))
        return int(found[0]) if found else 0

    def lately(self, span_us: int, *kinds: int) -> list[Event]:
        return [each for each in self.done if each.at_us > self.now_us - span_us and each.kind in kinds]


def a_journey(number: int) -> list[Event]:
    random, at_us, page, events = Random(number), START_US, "/home", list[Event]()  # noqa: S311 - a fuzz
    is_hasty, is_fixed = random.random() < 0.5, random.random() < 0.5
    for index in range(random.randint(1, 24)):
        at_us += random.choice(GAPS_S[:8] if is_hasty else GAPS_S) * SECOND_US
        kind = random.choice(KINDS)
        page = page if is_fixed and random.random() < 0.7 else random.choice(PAGES)
        is_form = kind in {Kind.FORM_START, Kind.FORM_SUBMIT, Kind.FORM_ABANDON}
        target = (
            random.choice(("signup_form", "address_form")) if is_form else random.choice(("", "", "pay", "signup_form"))
        )
        target = "" if kind == Kind.PAGE_VIEW else target
        events.append(Event(f"e-{index}", kind, at_us, page, target, attempt_count=random.randint(0, 4)))
    return events


def attempts(event: Event) -> int:
    return min(10, max(1, event.attempt_count)) if event.kind == Kind.STRUGGLE_SIGNAL else 1


def failures_are_true(told: Told) -> bool:
    place = told.text.partition(" on ")[2]
    failed = re.search(r"(\d+) failed attempt", told.text)
    retried = re.search(r"(\d+) retr", told.text)
    here = [
        each
        for each in told.lately(10 * MINUTE_US, *FAILED, Kind.RETRY)
        if not place or place in {each.target, each.page}
    ]
    return int(failed[1] if failed else 0) <= sum(attempts(each) for each in here if each.kind in FAILED) and int(
        retried[1] if retried else 0
    ) <= sum(each.kind == Kind.RETRY for each in here)


def form_errors_are_true(told: Told) -> bool:
    return 2 <= told.number <= len(told.lately(10 * MINUTE_US, Kind.ERROR))


def help_was_sought(told: Told) -> bool:
    return 2 <= told.number <= len(told.lately(10 * MINUTE_US, Kind.HELP_REQUEST))


def a_form_was_left(told: Told) -> bool:
    form, last = told.text.removeprefix("The form ").removesuffix(" was begun and left"), told.done[-1]
    if last.kind == Kind.FORM_ABANDON:
        return form in {last.target, last.page}
    begun = [each for each in told.done if each.kind in {Kind.FORM_START, Kind.FORM_SUBMIT}]
    is_open = bool(begun) and begun[-1].kind == Kind.FORM_START
    return last.kind == Kind.SESSION_END and is_open and form == begun[-1].target


def a_page_was_loaded_again(told: Told) -> bool:
    page, _, rest = told.text.partition(" was loaded again ")
    views = [each for each in told.lately(5 * MINUTE_US + MINUTE_US, Kind.PAGE_VIEW) if each.page == page]
    return 3 <= Told(rest, [], 0).number < len(views)


def pages_were_left_at_once(told: Told) -> bool:
    return told.text.rpartition("last ")[2] in {each.page for each in told.done[:-1]} and 2 <= told.number <= len(
        told.lately(10 * MINUTE_US, Kind.PAGE_VIEW)
    )


def pages_came_fast(told: Told) -> bool:
    return told.number <= len(told.lately(MINUTE_US, Kind.PAGE_VIEW))


def there_was_long_no_success(told: Told) -> bool:
    span_us = told.number * MINUTE_US
    began_us = max([each.at_us for each in told.done if each.kind == Kind.TASK_SUCCESS], default=0)
    page = told.text.partition(" on ")[2].removesuffix(" without a success")
    viewed = [each for each in told.done if each.kind == Kind.PAGE_VIEW]
    return told.now_us - began_us >= span_us and viewed[-1].page == page


def engagement_fell(told: Told) -> bool:
    """Without an earlier session there is no usual level."""
    pauses = zip(told.done, told.done[1:], strict=False)
    return 30 <= told.number <= 100 and any(b.at_us - a.at_us > 30 * MINUTE_US for a, b in pauses)


def errors_happened(told: Told) -> bool:
    return told.number == len(told.lately(30 * MINUTE_US, Kind.ERROR))


def forms_were_left(told: Told) -> bool:
    left = len(told.lately(30 * MINUTE_US, Kind.FORM_ABANDON, Kind.SESSION_END))
    return told.number <= left


def help_was_asked(told: Told) -> bool:
    return told.number == len(told.lately(30 * MINUTE_US, Kind.HELP_REQUEST))


def pages_were_viewed(told: Told) -> bool:
    return told.number == len({each.page for each in told.done if each.kind == Kind.PAGE_VIEW})


def sessions_began(told: Told) -> bool:
    pauses = zip(told.done, told.done[1:], strict=False)
    return told.number == 1 + sum(b.at_us - a.at_us > 30 * MINUTE_US for a, b in pauses)


def success_is_long_ago(told: Told) -> bool:
    won = [each.at_us for each in told.done if each.kind == Kind.TASK_SUCCESS]
    span = re.search(r"(\d+) (second|minute|hour|day)", told.text)
    since_us = told.now_us - (won[-1] if won else told.done[0].at_us)
    if span is None:
        return since_us == 0
    return abs(int(span[1]) * UNITS_US[span[2]] - since_us) <= UNITS_US[span[2]] / 2


def tries_succeeded(told: Told) -> bool:
    won = len(told.lately(30 * MINUTE_US, Kind.TASK_SUCCESS))
    lost = sum(map(attempts, told.lately(30 * MINUTE_US, *FAILED)))
    if told.text.startswith("Nothing failed"):
        return not lost
    if told.text.startswith("Nothing that was tried"):
        return not won and lost > 0
    return abs(told.number - 100 * won / (won + lost)) <= 1


CHECKS: Final[dict[str, Callable[[Told], bool]]] = {
    "repeated_failures": failures_are_true,
    "form_errors": form_errors_are_true,
    "help_seeking": help_was_sought,
    "form_abandonment": a_form_was_left,
    "page_refreshes": a_page_was_loaded_again,
    "quick_backs": pages_were_left_at_once,
    "rapid_navigation": pages_came_fast,
    "long_time_on_page": there_was_long_no_success,
    "engagement_drop": engagement_fell,
    "scattered_errors": errors_happened,
    "forms_left": forms_were_left,
    "error_count": errors_happened,
    "form_abandons": forms_were_left,
    "help_requests": help_was_asked,
    "unique_pages_visited": pages_were_viewed,
    "session_count": sessions_began,
    "time_since_last_success": success_is_long_ago,
    "success_rate": tries_succeeded,
}
SIGNALS: Final = frozenset({*CHECKS} - {*FEATURES, "scattered_errors", "forms_left"})


def is_true(name: str, text: str, events: list[Event]) -> bool:
    """Whether a sentence holds; one about a signal for the time its age leads back to."""
    now_us, age = events[-1].at_us, AGE.search(text)
    if name not in SIGNALS:
        return CHECKS[name](Told(text, events, now_us))
    unit_us = UNITS_US[age[2]] if age else MINUTE_US
    about_us = now_us - (int(age[1]) * unit_us if age else 0)
    found = [
        index
        for index, event in enumerate(events)
        if (abs(event.at_us - about_us) <= unit_us / 2 if age else now_us - event.at_us < MINUTE_US)
    ]
    said = AGE.sub("", text)
    return any(CHECKS[name](Told(said, events[: index + 1], events[index].at_us)) for index in found)


def test_no_sentence_is_false() -> None:
    false, told = list[str](), set[str]()
    for number in range(JOURNEYS):
        events, watch = a_journey(number), Watch()
        for event in events:
            watch.take(event)
        values, now_us = vector(watch.state), events[-1].at_us
        findings = rules.find(history.active(watch.signals, now_us), values, now_us)
        parts = explanation.contributions(
            risk.assess(findings, 0.9, 9), findings, FEATURES, [0.0, *[1.0] * len(FEATURES)], values
        )
        shown = explanation.indicators(parts)
        false += [
            f"{number}: {each.reason} is absent"
            for each in shown
            if each.reason.startswith("No ") and each.value == 0.0
        ]
        for each in parts:
            if each.name in CHECKS:
                told.add(each.name)
                if not is_true(each.name, each.reason, events):
                    false.append(f"{number} {each.name}: {each.reason}")
    assert not false, f"{len(false)} are false: {false[:10]}"
    assert told == {*CHECKS}


def test_an_age_is_told_from_a_minute_on() -> None:
    assert reasons.aged("2 errors", 59.0) == "2 errors"
    assert reasons.aged("2 errors", 60.0) == "2 errors, 60 seconds ago"
    assert reasons.aged("2 errors", 720.0) == "2 errors, 12 minutes ago"


@pytest.mark.parametrize("name", FEATURES)
def test_what_did_not_happen_is_absent(name: str) -> None:
    empty = dict(zip(FEATURES, vector(Watch().state), strict=True))
    assert reasons.is_absent(name, empty[name]) is (name != "engagement_score")
    assert not reasons.is_absent(name, 0.5 if name == "success_rate" else 7.0)
