"""Weights of rules that are learned from what came true."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline.training import gate, rule_weights
from offline.training.metrics import Floats
from offline.training.rule_weights import PRIOR_OUTCOMES
from offline.training.table import AT_EVENTS, AT_SESSION_END, Snapshot, Table, table
from services.features.domain.state import DAY_US
from services.scoring.domain import rules
from services.scoring.domain.inputs import names_of

WIDTH = len(names_of(()))
RAGE, HELP, FAILURES, SCATTERED = (
    rules.NAMES.index(name) for name in ("rage_clicks", "help_seeking", "repeated_failures", "scattered_errors")
)
FEW = settings(max_examples=20, deadline=None)


def asked(doubts: Floats, is_true: list[bool]) -> Table:
    """Snapshots with these doubts by rule, a day apart, each of another user."""
    found = table(
        Snapshot(f"user-{at}", AT_EVENTS, at * DAY_US, (at + 1) * DAY_US, 0.0, true, 0.0, [0.0] * WIDTH, [])
        for at, true in enumerate(is_true)
    )
    return replace(found, rule_doubts=doubts, rule_probabilities=-np.expm1(-doubts.sum(axis=1)))


def drawn(count: int, truth: dict[int, float], seed: int) -> tuple[Floats, Table]:
    """Users to each of whom each rule applies in a third of the cases, and what came true under true weights."""
    random = np.random.default_rng(seed)
    doubts = np.zeros((count, len(rules.NAMES)))
    for place in truth:
        doubts[:, place] = random.uniform(0.1, 1.0, count) * (random.random(count) < 1.0 / 3.0)
    model = random.uniform(0.02, 0.4, count)
    whole = -np.log1p(-model) + sum(weight * doubts[:, place] for place, weight in truth.items())
    return model, asked(doubts, (random.random(count) < -np.expm1(-whole)).tolist())


@FEW
@given(st.floats(0.0, 2.5), st.floats(0.0, 2.5), st.integers(0, 99))
def test_the_weights_that_made_the_outcomes_are_found(rage: float, help_: float, seed: int) -> None:
    model, snapshots = drawn(5000, {RAGE: rage, HELP: help_}, seed)
    found = rule_weights.fit(model, snapshots)
    assert found.keys() == {"rage_clicks", "help_seeking"}
    assert found["rage_clicks"] == pytest.approx(rage, abs=0.4)
    assert found["help_seeking"] == pytest.approx(help_, abs=0.4)


@FEW
@given(st.integers(1, 30), st.integers(0, 99))
def test_they_are_the_most_likely_ones_under_the_prior(count: int, seed: int) -> None:
    model, snapshots = drawn(count, {RAGE: 1.0}, seed)
    doubts, is_true = snapshots.rule_doubts[:, RAGE], snapshots.is_true
    grid = np.exp(np.linspace(-4.0, 3.0, 4001))
    whole = -np.log1p(-model)[:, None] + doubts[:, None] * grid
    seen = np.where(is_true[:, None], np.log(-np.expm1(-whole)), -whole).sum(axis=0)
    best = grid[np.argmax(seen + PRIOR_OUTCOMES * (np.log(grid) - grid))]
    expected = {"rage_clicks": pytest.approx(best, rel=0.01)} if doubts.any() else {}
    assert rule_weights.fit(model, snapshots) == expected


@FEW
@given(st.integers(0, 99))
def test_with_few_outcomes_rules_stay_much_as_they_are_shipped(seed: int) -> None:
    model, snapshots = drawn(15, {RAGE: 0.0, HELP: 3.0}, seed)
    assert all(0.7 < weight < 1.5 for weight in rule_weights.fit(model, snapshots).values())


def test_rules_that_never_applied_are_not_learned() -> None:
    learned = rule_weights.learn(np.full(20, 0.3), asked(np.zeros((20, len(rules.NAMES))), [False, True] * 10))
    assert (dict(learned.weights), learned.joined, learned.rules.is_in_probability) == ({}, {}, False)
    assert not learned.doubts.any()


def test_one_answer_counts_once_however_often_it_was_asked_for() -> None:
    model, once = drawn(60, {RAGE: 0.2}, 1)
    again = replace(once, moments=np.full(60, AT_SESSION_END))
    columns: dict[str, Any] = {
        field.name: np.concatenate([getattr(each, field.name) for each in (once, once, again)])
        for field in fields(Table)[2:]
    }
    often = replace(once, **columns)
    assert rule_weights.fit(np.tile(model, 3), often) == pytest.approx(rule_weights.fit(model, once), abs=0.001)


@pytest.mark.parametrize("truth", [{FAILURES: 0.1, SCATTERED: 1.5}, {FAILURES: 0.1}])
def test_scattered_errors_never_count_for_more_than_failures_that_take_their_place(truth: dict[int, float]) -> None:
    found = rule_weights.fit(*drawn(3000, truth, 2))
    assert found["scattered_errors"] == found["repeated_failures"] < 0.5


def test_habitual_mistakes_do_not_spoil_the_probability() -> None:
    model, snapshots = drawn(4000, {RAGE: 0.0, HELP: 0.0}, 3)
    learned = rule_weights.learn(model, snapshots)
    assert max(learned.weights.values()) < 0.1
    shipped = gate.join(model, snapshots.rule_doubts.sum(axis=1), snapshots)
    assert not shipped.holds
    assert shipped.better == "the model"
    assert learned.joined[AT_EVENTS].gain.low > shipped.gain.high


def test_rules_that_know_what_the_model_does_not_come_into_the_probability() -> None:
    model, snapshots = drawn(4000, {RAGE: 1.5}, 4)
    learned = rule_weights.learn(model, snapshots)
    assert learned.rules.is_in_probability
    assert learned.joined[AT_EVENTS].gain.low > 0.0
    assert learned.said()[-1].startswith("So the probability of the outcome is of model and rules together")


def test_rules_that_would_make_it_worse_are_kept_out_of_the_probability() -> None:
    model, snapshots = drawn(60, {RAGE: 0.0}, 5)
    learned = rule_weights.learn(model, snapshots)
    assert not learned.joined[AT_EVENTS].holds
    assert not learned.rules.is_in_probability
    assert "alone" in learned.said()[-1]


def test_nobody_is_judged_by_weights_learned_from_them() -> None:
    model, snapshots = drawn(50, {RAGE: 0.5}, 6)
    turned = snapshots.is_true.copy()
    ada = int(np.flatnonzero(snapshots.rule_doubts[:, RAGE])[0])
    turned[ada] = ~turned[ada]
    one, other = (rule_weights.learn(model, each) for each in (snapshots, replace(snapshots, is_true=turned)))
    assert one.doubts[ada] == other.doubts[ada]
    assert (one.doubts != other.doubts).any()
