"""What help changed: against brute force, against the lift, and where help changes nothing."""

import random
from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.analytics.adapters.questions.effects import effect
from services.analytics.domain.effect import Side, of_money, of_shares
from services.analytics.domain.question import Effect, Field
from services.intervention.lift.domain.lift import Counts, estimate
from tests.analytics.rows import EVERYBODY, MINUTE_US, START_US, WINDOW, Decision, Event, asking, where

BOUGHT = where(Field.EVENT_TYPE, "purchase")
WITHIN: Final = 3_600
ASKED = Effect(WINDOW, (), EVERYBODY, BOUGHT, WITHIN, "")
RUNS: Final = 300

moments = st.integers(-60, 240).map(lambda minutes: START_US + minutes * MINUTE_US)
users = st.sampled_from("abcde")
kinds = st.sampled_from(("page_view", "form_start", "form_submit", "purchase"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(users, moments, st.booleans()), max_size=6, unique_by=lambda each: each[0]),
    st.lists(
        st.tuples(users, moments, kinds, st.sampled_from(("EUR", "USD")), st.integers(-5, 50)),
        max_size=25,
        unique_by=lambda each: each[:2],
    ),
)
def test_figures_are_those_of_brute_force(
    exposed: list[tuple[str, int, bool]], done: list[tuple[str, int, str, str, int]]
) -> None:
    decisions = [Decision(user, t, f"d-{user}", is_treated=side, experiment="now") for user, t, side in exposed] + [
        Decision("a", START_US - 1, "d-old", is_treated=True, experiment="before"),
        Decision("e", START_US, "d-none"),
    ]
    events = [
        Event(user, t, f"e{number:02}", kind, amount=float(amount), currency=currency)
        if kind == "purchase"
        else Event(user, t, f"e{number:02}", kind)
        for number, (user, t, kind, currency, amount) in enumerate(done)
    ]
    found = effect(asking(events, decisions), ASKED)
    began = {user: t for user, t, _ in exposed if WINDOW.start_us <= t < WINDOW.end_us}
    sides = [[user for user, _, side in exposed if side is wanted and user in began] for wanted in (True, False)]
    after = {
        user: [each for each in events if each.user_id == user and t < each.t <= t + WITHIN * 1_000_000]
        for user, t in began.items()
    }
    assert (found.treated_count, found.holdout_count) == tuple(map(len, sides))
    figures = {(each.name, each.of): each for each in found.effects}
    currencies = {each.currency or "" for its in after.values() for each in its if each.amount is not None}
    assert {of for name, of in figures if name == "revenue"} == currencies

    def mean(of: Sequence[float]) -> float | None:
        return sum(of) / len(of) if of else None

    for member, its in zip(("treated", "holdout"), sides, strict=True):
        did = [{each.event_type for each in after[user]} for user in its]
        converted = mean([float("purchase" in each) for each in did])
        left = mean([float("form_start" in each and not each & {"form_submit", "purchase"}) for each in did])
        assert getattr(figures["conversion_rate", ""], member) == converted
        assert getattr(figures["abandonment_rate", ""], member) == left
        for currency in currencies:
            money = [sum(each.amount or 0 for each in after[user] if each.currency == currency) for user in its]
            assert getattr(figures["revenue", currency], member) == pytest.approx(mean(money))
    assert all(each.difference is None for each in found.effects)


def test_the_latest_experiment_counts_unless_another_is_named() -> None:
    decisions = [
        Decision("a", START_US, "d-1", is_treated=True, experiment="before"),
        Decision("a", START_US + 1, "d-2", is_treated=False, experiment="now"),
        Decision("b", START_US + 2, "d-3", is_treated=False, experiment="now"),
    ]
    found = effect(asking([], decisions), ASKED)
    assert (found.experiment, found.treated_count, found.holdout_count) == ("now", 0, 2)
    found = effect(asking([], decisions), Effect(WINDOW, (), EVERYBODY, BOUGHT, WITHIN, "before"))
    assert (found.experiment, found.treated_count, found.holdout_count) == ("before", 1, 0)
    assert effect(asking([]), ASKED).experiment == ""


@given(st.integers(0, 3_000), st.integers(0, 3_000), st.floats(0, 1), st.floats(0, 1))
def test_shares_have_the_interval_of_the_lift(treated: int, holdout: int, one: float, other: float) -> None:
    converted, also = int(treated * one), int(holdout * other)
    found = of_shares(
        "conversion_rate", Side(treated, converted, converted, converted), Side(holdout, also, also, also)
    )
    lift = estimate(Counts(treated, converted, holdout, also))
    assert (found.difference is not None) == lift.is_known
    if found.difference is not None and found.lower is not None and found.upper is not None:
        assert found.difference == pytest.approx(lift.lift)
        assert max(-1.0, found.lower) == pytest.approx(lift.lower)
        assert min(1.0, found.upper) == pytest.approx(lift.upper)


def paying(chance: random.Random, count: int, share: float = 0.2, factor: float = 1.0) -> Side:
    """Users of whom some pay, a few of them much."""
    money = [chance.lognormvariate(3, 1) * factor for _ in range(count) if chance.random() < share]
    return Side(count, len(money), sum(money), sum(each * each for each in money))


def added(one: Side, other: Side) -> Side:
    return Side(
        one.users + other.users, one.having + other.having, one.total + other.total, one.squares + other.squares
    )


def test_where_help_changes_nothing_few_runs_ever_say_that_it_does() -> None:
    chance = random.Random(5)  # noqa: S311 - a simulation
    wrong = {"conversion_rate": 0, "revenue": 0}
    for _ in range(RUNS):
        sides = [paying(chance, 0), paying(chance, 0)]
        missed = set()
        for _look in range(8):
            sides = [added(each, paying(chance, 150)) for each in sides]
            shares = [Side(each.users, each.having, each.having, each.having) for each in sides]
            for found in (of_shares("conversion_rate", *shares), of_money("EUR", *sides)):
                if found.lower is not None and found.upper is not None and not found.lower <= 0 <= found.upper:
                    missed.add(found.name)
        for name in missed:
            wrong[name] += 1
    # 5%, and 3 standard deviations of what chance adds.
    most = RUNS * 0.05 + 3 * (RUNS * 0.05 * 0.95) ** 0.5
    assert {name: count for name, count in wrong.items() if count > most} == {}


def test_what_help_earned_is_found() -> None:
    chance = random.Random(6)  # noqa: S311 - a simulation
    found = of_money("EUR", paying(chance, 4_000, factor=1.8), paying(chance, 4_000))
    assert found.lower is not None
    assert found.lower > 0
