"""The value of another policy from the log of one: against known values, and against plain computations."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from offline.decisions.policy_value import Evaluation, Logged, Value, evaluate

RUNS = 400
# Rewards of four kinds of users by three actions; the best action differs.
REWARDS = np.array([[0.1, 0.5, 0.2], [0.3, 0.2, 0.6], [0.05, 0.1, 0.1], [0.7, 0.4, 0.5]])
LOGGING = np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.34, 0.33, 0.33], [0.1, 0.8, 0.1]])
BEST = np.eye(3)[REWARDS.argmax(axis=1)]
TRUE_VALUE = float(np.mean(np.sum(BEST * REWARDS, axis=1)))
TRUE_LOGGED = float(np.mean(np.sum(LOGGING * REWARDS, axis=1)))


def simulate(
    count: int, seed: int, *, targets: np.ndarray = BEST, logging: np.ndarray = LOGGING, users: int | None = None
) -> Logged:
    """So many decisions, one or several a user; each user is of one kind."""
    chance = np.random.default_rng(seed)
    number = np.arange(count) if users is None else np.arange(count) % users
    kinds = chance.integers(0, len(REWARDS), count)[number]
    actions = np.array([chance.choice(3, p=logging[kind]) for kind in kinds])
    rewards = (chance.random(count) < REWARDS[kinds, actions]).astype(float)
    return Logged(actions, logging[kinds], targets[kinds], rewards, np.eye(4)[kinds], number)


@pytest.fixture(scope="module")
def evaluations() -> list[Evaluation]:
    """Runs of some hundred decisions."""
    return [evaluate(simulate(600, seed)) for seed in range(RUNS)]


def covered(values: list[Value], truth: float) -> float:
    return sum(each.lower <= truth <= each.upper for each in values) / len(values)


@pytest.mark.parametrize(
    ("estimator", "truth"),
    [
        ("logged", TRUE_LOGGED),
        ("ips", TRUE_VALUE),
        ("snips", TRUE_VALUE),
        ("doubly_robust", TRUE_VALUE),
        ("lift", TRUE_VALUE - TRUE_LOGGED),
    ],
)
def test_estimates_are_right_on_average_and_intervals_cover(
    evaluations: list[Evaluation], estimator: str, truth: float
) -> None:
    values: list[Value] = [getattr(each, estimator) for each in evaluations]
    means = np.array([each.mean for each in values])
    assert means.mean() == pytest.approx(truth, abs=4 * means.std() / RUNS**0.5)
    assert 0.92 <= covered(values, truth) <= 0.98
    # What an estimate says of its error is how far estimates lie apart.
    assert np.mean([each.error for each in values]) == pytest.approx(means.std(), rel=0.12)


def test_the_model_narrows_the_interval(evaluations: list[Evaluation]) -> None:
    assert np.mean([each.doubly_robust.error / each.ips.error for each in evaluations]) < 0.9
    assert np.mean([each.snips.error / each.ips.error for each in evaluations]) < 1


def test_more_decisions_narrow_it_further() -> None:
    few, many = evaluate(simulate(500, 1)), evaluate(simulate(20_000, 1))
    for estimator in ("ips", "snips", "doubly_robust"):
        assert getattr(many, estimator).error < getattr(few, estimator).error / 5
        assert getattr(many, estimator).mean == pytest.approx(TRUE_VALUE, abs=0.03)


def test_a_wrong_model_is_corrected_and_wrong_propensities_by_the_model() -> None:
    logged = simulate(40_000, 2)
    # An uninformative context: the model is the mean of each action.
    blind = Logged(*[*_members(logged)[:4], np.zeros((40_000, 1)), logged.users])
    assert evaluate(blind).doubly_robust.mean == pytest.approx(TRUE_VALUE, abs=0.03)
    # Propensities that were not the true ones: IPS is off, the model makes up for it.
    even = Logged(logged.actions, np.full((40_000, 3), 1 / 3), *_members(logged)[2:])
    assert abs(evaluate(even).ips.mean - TRUE_VALUE) > 0.1
    assert evaluate(even).doubly_robust.mean == pytest.approx(TRUE_VALUE, abs=0.03)


def test_against_plain_computations() -> None:
    logged = simulate(300, 3, users=120)
    found = evaluate(logged)
    weighted, weights, robust = [], [], []
    for row, action in enumerate(logged.actions):
        weight = logged.targets[row][action] / logged.propensities[row][action]
        expected = [_expected(logged, row, other) for other in range(3)]
        value = sum(logged.targets[row][other] * expected[other] for other in range(3))
        weights.append(weight)
        weighted.append(weight * logged.rewards[row])
        robust.append(value + weight * (logged.rewards[row] - expected[action]))
    assert found.logged.mean == pytest.approx(np.mean(logged.rewards))
    assert found.ips.mean == pytest.approx(np.mean(weighted))
    assert found.snips.mean == pytest.approx(sum(weighted) / sum(weights))
    assert found.doubly_robust.mean == pytest.approx(np.mean(robust))
    assert found.lift.mean == pytest.approx(np.mean(robust) - np.mean(logged.rewards))
    assert found.effective_count == pytest.approx(sum(weights) ** 2 / sum(each**2 for each in weights))
    by_user = [sum(weighted[row] - found.ips.mean for row in range(user, 300, 120)) for user in range(120)]
    error = (sum(each**2 for each in by_user) * 120 / 119) ** 0.5 / 300
    assert found.ips[1:] == pytest.approx((error, found.ips.mean - 1.96 * error, found.ips.mean + 1.96 * error), 1e-4)


def test_equal_decisions_of_one_user_count_as_one() -> None:
    # Each user's rewards are all the same: ten decisions say no more than one.
    class Case(NamedTuple):
        users: int
        each: int

    errors = {}
    for case in (Case(200, 1), Case(200, 10)):
        chance = np.random.default_rng(4)
        rewards = np.repeat((chance.random(case.users) < 0.4).astype(float), case.each)
        count = len(rewards)
        certain = np.ones((count, 1))
        users = np.repeat(np.arange(case.users), case.each)
        of = Logged(np.zeros(count, np.intp), certain, certain, rewards, np.zeros((count, 1)), users)
        errors[case.each] = evaluate(of).ips.error
    assert errors[10] == pytest.approx(errors[1], rel=1e-9)


def test_the_policy_itself_is_worth_what_it_was() -> None:
    found = evaluate(simulate(1_000, 5, targets=LOGGING))
    assert found.ips == found.snips == found.logged
    assert found.effective_count == 1_000
    assert found.lift.lower < 0 < found.lift.upper
    assert abs(found.lift.mean) < 0.02


def test_actions_missing_from_the_log_are_reported() -> None:
    never = LOGGING.copy()
    never[:, 1] = 0
    never /= never.sum(axis=1, keepdims=True)
    found = evaluate(simulate(2_000, 6, targets=np.tile([0.5, 0.25, 0.25], (4, 1)), logging=never))
    assert found.unsupported == pytest.approx(0.25)
    assert evaluate(simulate(2_000, 6)).unsupported == 0


def test_with_no_overlap_nothing_is_known() -> None:
    first, last = np.tile([1.0, 0, 0], (4, 1)), np.tile([0, 0, 1.0], (4, 1))
    found = evaluate(simulate(50, 7, targets=last, logging=first))
    assert (found.unsupported, found.effective_count) == (1, 0)
    assert found.snips.lower == float("-inf")
    assert found.snips.upper == float("inf")


def test_a_single_user_says_nothing_of_others() -> None:
    assert evaluate(simulate(20, 8, users=1)).ips.upper == float("inf")


@pytest.mark.parametrize("count", [0, 10])
def test_an_invalid_evaluation_is_refused(count: int) -> None:
    logged = simulate(10, 9)
    shut = Logged(*(member[:count] for member in (logged.actions, logged.propensities * 0, *_members(logged)[2:])))
    with pytest.raises(ValueError, match="propensity above 0"):
        evaluate(shut)


@given(st.permutations(range(60)))
def test_the_order_of_decisions_is_of_no_account(order: list[int]) -> None:
    logged = simulate(60, 10, users=20)
    turned = Logged(*(member[order] for member in _members(logged)))
    for one, other in zip(evaluate(logged), evaluate(turned), strict=True):
        assert one == pytest.approx(other)


def _members(logged: Logged) -> list[np.ndarray]:
    return [logged.actions, logged.propensities, logged.targets, logged.rewards, logged.contexts, logged.users]


def _expected(logged: Logged, row: int, action: int) -> float:
    """What a ridge regression of the others' rewards expects, with the row's fifth of the users left out."""
    others = logged.users % 5 != logged.users[row] % 5
    contexts = logged.contexts[others]
    centre, scale = contexts.mean(axis=0), contexts.std(axis=0)
    mean = logged.rewards[others].mean()
    its = logged.actions[others] == action

    def design(of: np.ndarray) -> np.ndarray:
        return np.hstack([np.ones((len(of), 1)), (of - centre) / scale])

    model = Ridge(alpha=1.0, fit_intercept=False)
    model.fit(design(contexts[its]), logged.rewards[others][its] - mean)
    return float(mean + model.predict(design(logged.contexts[row : row + 1]))[0])
