"""The value of another policy, estimated from the decisions of the one that was in service.

Off-policy evaluation: every logged decision has the propensity of each action, so that actions which the other policy
would have taken more often can be given more weight. The estimates are per decision, given the state the user was in:
that the other policy would have led the user to another state is not in them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Indexes = npt.NDArray[np.intp]

_FOLDS: Final = 5
_RIDGE: Final = 1.0
_Z95: Final = 1.959963984540054


@dataclass(frozen=True)
class Logged:
    """Logged decisions, one per row, and how another policy would have decided; one column per action.

    `actions` are the columns that were chosen, `propensities` those of the log and `targets` those of the other policy,
    each row summing to 1; an action that was no candidate has 0. `contexts` are numbers that rewards may depend on.
    Rows of one user (`users`, any numbers) depend on each other.
    """

    actions: Indexes
    propensities: Matrix
    targets: Matrix
    rewards: Vector
    contexts: Matrix
    users: npt.NDArray[np.int64]


class Value(NamedTuple):
    """A mean reward per decision, its standard error, and its 95% interval (normal approximation)."""

    mean: float
    error: float
    lower: float
    upper: float


class Evaluation(NamedTuple):
    """The value of the policy that was in service, and that of the other one by three estimators."""

    logged: Value
    ips: Value
    """Inverse propensity scoring: unbiased where the log has support, wide if the policies differ much."""
    snips: Value
    """The same, divided by the sum of the weights instead of the number of decisions: narrower, slightly biased."""
    doubly_robust: Value
    """A model of the reward, corrected by its residuals: unbiased if the propensities or the model are right."""
    lift: Value
    """How much more the other policy is worth: doubly robust, decision by decision."""
    effective_count: float
    """How many decisions of the other policy itself would be as informative (Kish)."""
    unsupported: float
    """The share of the other policy's actions that were never possible in the log, 0 to 1: nothing is known about them,
    and IPS takes their reward as 0."""


def evaluate(logged: Logged) -> Evaluation:
    """Evaluates the other policy.

    Raises:
        ValueError: there are no decisions, or one was logged with a propensity of 0.
    """
    rows = np.arange(len(logged.actions))
    propensities = logged.propensities[rows, logged.actions]
    if not len(rows) or not np.all(propensities > 0):
        raise ValueError("At least one decision is needed, and all must have a propensity above 0.")
    weights = logged.targets[rows, logged.actions] / propensities
    expected = _expected_rewards(logged)
    residuals = weights * (logged.rewards - expected[rows, logged.actions])
    robust = np.sum(logged.targets * expected, axis=1) + residuals
    total = float(np.sum(weights))

    def mean(scores: Vector) -> Value:
        return _value(float(np.mean(scores)), scores, logged.users)

    return Evaluation(
        logged=mean(logged.rewards),
        ips=mean(weights * logged.rewards),
        snips=_self_normalised(weights, logged),
        doubly_robust=mean(robust),
        lift=mean(robust - logged.rewards),
        effective_count=total**2 / float(np.sum(weights**2)) if total else 0.0,
        unsupported=float(np.mean(np.sum(logged.targets * (logged.propensities <= 0), axis=1))),
    )


def _self_normalised(weights: Vector, logged: Logged) -> Value:
    share = float(np.mean(weights))
    if share == 0:
        return Value(0.0, float("inf"), float("-inf"), float("inf"))
    ratio = float(np.mean(weights * logged.rewards)) / share
    # The delta method: a ratio of means varies as the mean of this does around the ratio.
    return _value(ratio, ratio + weights * (logged.rewards - ratio) / share, logged.users)


def _value(mean: float, scores: Vector, users: npt.NDArray[np.int64]) -> Value:
    """The mean with an error that is robust to correlated rows of one user; infinite for a single user."""
    _, groups = np.unique(users, return_inverse=True)
    count = int(groups.max()) + 1
    sums = np.bincount(groups, scores - mean)
    spread = float(np.sum(sums**2)) * count / (count - 1) if count > 1 else float("inf")
    error = spread**0.5 / len(scores)
    return Value(mean, error, mean - _Z95 * error, mean + _Z95 * error)


def _expected_rewards(logged: Logged) -> Matrix:
    """The expected reward of every action in every row, from a model fitted without the row's user."""
    _, groups = np.unique(logged.users, return_inverse=True)
    folds = groups % _FOLDS
    expected = np.zeros_like(logged.propensities)
    for fold in range(_FOLDS):
        is_held = folds == fold
        if np.any(is_held) and not np.all(is_held):
            expected[is_held] = _fitted(logged, ~is_held)(logged.contexts[is_held])
    return expected


def _fitted(logged: Logged, rows: npt.NDArray[np.bool_]) -> Callable[[Matrix], Matrix]:
    """Ridge regressions of the reward on the context, one per action, shrunk towards the overall mean."""
    contexts, actions, rewards = logged.contexts[rows], logged.actions[rows], logged.rewards[rows]
    mean, centre, scale = rewards.mean(), contexts.mean(axis=0), contexts.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)

    def design(of: Matrix) -> Matrix:
        return np.column_stack([np.ones(len(of)), (of - centre) / scale])

    columns = design(contexts)
    penalty = _RIDGE * np.eye(columns.shape[1])
    coefficients = np.zeros((columns.shape[1], logged.propensities.shape[1]))
    for action in np.unique(actions):
        its = columns[actions == action]
        gram = its.T @ its + penalty
        coefficients[:, action] = np.linalg.solve(gram, its.T @ (rewards[actions == action] - mean))
    return lambda of: mean + design(of) @ coefficients
