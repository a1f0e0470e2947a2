"""What users and their support read is true, and grammatical for 0, 1 and many."""

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intervention.decision.domain.decision import derive
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Outcome
from services.intervention.decision.domain.offer import Link, Offer, Standing, WithdrawalReason
from services.intervention.decision.domain.reasons import WITHDRAWALS, beside, counted, explain, lasting
from services.intervention.decision.domain.situation import Situation
from services.intervention.language.domain import screening
from services.intervention.policy.domain.policy import EventKind, Policy
from tests.intervention.builders import HOUR, MINUTE, NOON_ISH, Row, facts, policy

SECOND = 1_000_000
# A number with a noun that does not agree, a number that is none, and what no person says.
WRONG = re.compile(
    r"\b1 \w+s\b(?<!1 is)|\b(?:[02-9]|\d\d+) (?:signal|second|minute|hour|day)\b|\b0 \w+|nan|inf\b|-\d|None"
)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:+]+")
POLICIES = [
    policy(trigger={"score": score, "strong_signals": count}, cooldown=cooldown, freshness=freshness)
    for score, count, cooldown, freshness in (
        (75, 4, "15m", "5m"),
        (74.95, 1, "1s", "1s"),
        (0.05, 2, "61m", "1h"),
        (100, 1000, "25h", "2d"),
    )
]
OFFERS = st.builds(
    Offer,
    st.just("i"),
    st.just("in_app"),
    st.booleans(),
    st.integers(0, 40).map(lambda minutes: NOON_ISH - minutes * MINUTE),
    st.integers(-5, 40).map(lambda minutes: NOON_ISH + minutes * MINUTE),
    st.sampled_from(list(Outcome)),
    is_withheld=st.booleans(),
    solved_us=st.sampled_from([0, NOON_ISH]),
)
ROWS = st.builds(
    Row,
    score=st.floats(0, 100) | st.sampled_from([74.96, 75.0, 74.949999, 0.05, 99.99999, 100.0]),
    strong=st.integers(0, 5),
    indicators=st.sampled_from([(), ("form_errors",)]),
    age_us=st.sampled_from([0, 0, 0, 2 * SECOND, HOUR + 1, 400 * 24 * HOUR]),
    kind=st.sampled_from([EventKind.PAGE_VIEW, EventKind.SESSION_END, EventKind.IDENTIFY]),
    is_bot=st.booleans(),
    is_system=st.booleans(),
    is_copy=st.booleans(),
    is_settled=st.booleans(),
    latest_signal_us=st.sampled_from([0, NOON_ISH]),
)


@settings(max_examples=400)
@given(st.sampled_from(POLICIES), ROWS, st.lists(OFFERS, max_size=2).map(tuple))
def test_every_explanation_is_grammatical_and_true(by: Policy, row: Row, offers: tuple[Offer, ...]) -> None:
    verdict = derive(by, facts(row), Standing(offers=offers, learned={"email": (4, 0)}), "i-3-1-0")
    said = verdict.explanation
    assert not WRONG.search(MOMENT.sub("then", said)), said
    assert all(
        (each[0].isupper() or each[0].isdigit()) and each[-1] not in " ,"
        for each in re.split(r"(?<=\.) (?=[A-Z])", said)
    ), said
    found = re.search(r"The risk of ([\d.]+) \(\w+\) (has reached|is below) the trigger", said)
    if found:
        assert (float(found[1]) >= by.trigger_score) is (found[2] == "has reached")
        assert (row.score >= by.trigger_score) is (found[2] == "has reached")
    if verdict.reasons[0] is Reason.COOLDOWN:
        check_cooldown(by, offers, said)
    if verdict.reasons[0] is Reason.TOO_OLD:
        assert f"more than {lasting(by.freshness_us)}" in said
        assert "too old to help" in said
    if verdict.withdrawn is not None:
        assert said.endswith(WITHDRAWALS[verdict.withdrawn.reason])


UNITS_US = {"second": SECOND, "minute": MINUTE, "hour": HOUR, "day": 24 * HOUR}


def is_about(text: str, us: int) -> bool:
    """Whether a length of time in a sentence is this one, rounded down to its unit."""
    if text == "less than a second":
        return us < SECOND
    number, unit = text.split()
    size = UNITS_US[unit.removesuffix("s")]
    return int(number) * size <= us < (int(number) + 1) * size


def check_cooldown(by: Policy, offers: tuple[Offer, ...], said: str) -> None:
    """Compares what is said of the cooldown with the offers it may be from."""
    found = re.search(r"Help was decided on (.+?) ago(, and not given)?; the cooldown ends in (.+?)\.", said)
    assert found is not None, said
    assert "was helped" not in said
    fitting = [
        each
        for each in offers
        if is_about(found[1], NOON_ISH - each.made_us) and is_about(found[3], each.made_us + by.cooldown_us - NOON_ISH)
    ]
    assert fitting
    assert any(each.is_withheld for each in fitting) if found[2] else any(not each.is_withheld for each in fitting)


@pytest.mark.parametrize(
    ("seconds", "is_withheld", "said"),
    [
        (0, True, "Help was decided on less than a second ago, and not given; the cooldown ends in 15 minutes."),
        (1, True, "Help was decided on 1 second ago, and not given; the cooldown ends in 14 minutes."),
        (60, False, "Help was decided on 1 minute ago; the cooldown ends in 14 minutes."),
        (899, False, "Help was decided on 14 minutes ago; the cooldown ends in 1 second."),
        (899.5, True, "Help was decided on 14 minutes ago, and not given; the cooldown ends in less than a second."),
    ],
)
def test_nobody_is_said_to_have_been_helped_who_was_not(seconds: float, is_withheld: bool, said: str) -> None:  # noqa: FBT001
    made_us = NOON_ISH - round(seconds * SECOND)
    offer = Offer("i", "in_app", is_urgent=True, made_us=made_us, expires_us=made_us, is_withheld=is_withheld)
    verdict = derive(policy(), facts(Row(80.0)), Standing(offers=(offer,)), "j")
    assert verdict.reasons[0] is Reason.COOLDOWN
    assert verdict.explanation.startswith(said)


def test_help_from_before_a_login_is_mentioned_without_its_user() -> None:
    away = Link(("ada",), NOON_ISH - 2 * MINUTE, NOON_ISH - 5 * MINUTE, NOON_ISH - 5 * MINUTE)
    said = derive(policy(), facts(Row(80.0)), Standing(away=away), "j").explanation
    assert said.startswith("Help was decided on 5 minutes ago; the cooldown ends in 10 minutes.")


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        (0, "there is no signal of strength 70 or more, where 4 are needed."),
        (1, "there is 1 signal of strength 70 or more, where 4 are needed."),
        (3, "there are 3 signals of strength 70 or more, where 4 are needed."),
    ],
)
def test_signals_are_counted_in_words(count: int, sentence: str) -> None:
    said = derive(policy(), facts(Row(10.0, strong=count)), Standing(), "i").explanation
    assert said == f"The risk of 10.0 (low) is below the trigger of 75, and {sentence}"


def test_one_signal_has_and_more_have_reached_the_trigger() -> None:
    one = policy(trigger={"score": 75, "strong_signals": 1})
    for count, words in ((1, "1 signal of strength 70 or more has"), (2, "2 signals of strength 70 or more have")):
        said = derive(one, facts(Row(10.0, strong=count)), Standing(), "i").explanation
        assert said.startswith(f"{words} reached the trigger of 1.")
    said = derive(one, facts(Row(10.0)), Standing(), "i").explanation
    assert said.endswith("there is no signal of strength 70 or more, where 1 is needed.")


@pytest.mark.parametrize(
    ("us", "said"),
    [
        (-1, "less than a second"),
        (0, "less than a second"),
        (1, "less than a second"),
        (SECOND, "1 second"),
        (59 * SECOND, "59 seconds"),
        (MINUTE, "1 minute"),
        (119 * SECOND, "119 seconds"),
        (5 * MINUTE, "5 minutes"),
        (HOUR, "1 hour"),
        (90 * MINUTE, "90 minutes"),
        (23 * HOUR, "23 hours"),
        (24 * HOUR, "1 day"),
        (25 * HOUR, "25 hours"),
        (400 * 24 * HOUR, "400 days"),
    ],
)
def test_lengths_of_time(us: int, said: str) -> None:
    assert lasting(us) == said


@pytest.mark.parametrize(("count", "said"), [(0, "no signal"), (1, "1 signal"), (2, "2 signals"), (11, "11 signals")])
def test_numbers_with_their_nouns(count: int, said: str) -> None:
    assert counted(count, "signal") == said


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_number_shows_on_which_side_of_a_bound_it_lies(value: float, bound: float) -> None:
    assert (float(beside(value, bound)) >= bound) == (value >= bound)


def test_every_reason_has_a_sentence_of_its_own() -> None:
    said = [explain(Situation(POLICIES[0], facts(Row(80.0)), Standing()), (reason,)) for reason in Reason]
    assert len(set(said)) == len(Reason)
    # The third withdrawal is of a user who has left, by an event of the mesh's own.
    assert set(WITHDRAWALS) == {WithdrawalReason.SOLVED, WithdrawalReason.SESSION_ENDED}


# Text of users, before it goes to a model.

UNITS = [
    "a",
    "1",
    "1 ",
    "1(",
    "12345x",
    "a@",
    "a@b.",
    "@a.",
    "a.",
    "-",
    "?",
    "#a",
    "<",
    "ignor ",
    "you have ",
    "\ufdfa",
]


def seconds(judge: Callable[[str], object], text: str) -> float:
    """The least time of some."""

    def once() -> float:
        begun = time.thread_time()
        judge(text)
        return time.thread_time() - begun

    return min(once() for _ in range(7))


@pytest.mark.parametrize("judge", [screening.clean, screening.is_order])
@pytest.mark.parametrize("unit", UNITS)
def test_no_text_costs_more_than_its_length_and_long_text_costs_no_more_at_all(
    unit: str, judge: Callable[[str], object]
) -> None:
    texts = [(unit * length)[:length] for length in (200, 1_600, 12_800)]
    short, long, longest = (seconds(judge, text) for text in texts)
    assert long <= 40 * short + 0.002  # of eight times the length
    assert longest <= 8 * long + 0.002
