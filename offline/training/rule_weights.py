"""How much each rule counts for among these users, learned from what came true.

A rule that gives p as shipped gives 1 - (1 - p) ** w with a weight w. With the model's probability p_0 the outcome has

    P = 1 - exp(-(d_0 + w_1 d_1 + ... + w_n d_n)),   d = -log(1 - p)

which is the noisy-or of `services.scoring.domain.risk` where all weights are 1. The weights are the most likely ones
under a gamma prior of shape 11 and rate 10, whose mode is 1: as if the rule had been seen to cause 10 outcomes where as
shipped it expects 10. For one rule alone that gives w = (10 + seen) / (10 + expected), the shrunken ratio of observed
to expected of Clayton and Kaldor, Empirical Bayes estimates of age-standardized relative risks, Biometrics 43, 1987.
The likelihood is concave, so there is one answer.

Snapshots of a user that learn their answer at the same time count as one outcome together.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from scipy.optimize import minimize
from sklearn.model_selection import GroupKFold

from offline.training import gate
from offline.training.gate import Joined
from offline.training.metrics import Floats
from offline.training.table import Table
from services.scoring.domain import rules
from services.scoring.domain.learning import LearnedRules
from services.scoring.domain.risk import PROBABILITY_LIMIT
from services.scoring.domain.schema import SignalType

PRIOR_OUTCOMES: Final = 10.0
_BOUNDS: Final = (1e-4, 100.0)
_DIGITS: Final = 4
_FOLDS: Final = 5
_LEAST_DOUBT: Final = 1e-9
_FAILURES: Final = (SignalType.REPEATED_FAILURES.name.lower(), SignalType.FORM_ERRORS.name.lower())


class Learned(NamedTuple):
    """Weights of rules, and how they do for users that they were not learned from."""

    weights: Mapping[str, float]
    """By the name of the rule; those that never applied are left out and count as shipped."""
    doubts: Floats
    """For each snapshot, the doubt by all rules with weights learned from others: of five parts of the users, four."""
    joined: Mapping[str, Joined]
    """By moment, model and rules together beside the better of them; empty where no rule ever applied."""

    @property
    def rules(self) -> LearnedRules:
        """What scoring is told: rules that would spoil the probability stay out of it."""
        is_in = bool(self.joined) and all(each.holds for each in self.joined.values())
        return LearnedRules(self.weights, is_in_probability=is_in)

    def said(self) -> list[str]:
        """Sentences on model and rules together, by moment, and on what follows."""
        if not self.joined:
            return ["No rule applied in this data, so all count as shipped, and the probability is the model's alone."]
        found = [f"Model and learned rules together, {moment}: {each}." for moment, each in self.joined.items()]
        of = "of model and rules together" if self.rules.is_in_probability else "the model's alone"
        return [*found, f"So the probability of the outcome is {of}; the score joins both."]


def learn(model: Floats, snapshots: Table) -> Learned:
    """Learns the weights.

    Args:
        model: the calibrated probability of each snapshot, by a model that did not learn from its user.
        snapshots: the snapshots.
    """
    weights = fit(model, snapshots)
    doubts = snapshots.doubts_under(weights)
    if not weights:
        return Learned(weights, doubts, {})
    users = len(set(snapshots.users))
    for known, unknown in GroupKFold(min(_FOLDS, users)).split(model, groups=snapshots.users) if users > 1 else ():
        mask = np.zeros(len(model), bool)
        mask[known] = True
        doubts[unknown] = snapshots.where(~mask).doubts_under(fit(model[mask], snapshots.where(mask)))
    joined = {
        str(moment): gate.join(model[its], doubts[its], snapshots.where(its))
        for moment in np.unique(snapshots.moments)
        for its in [snapshots.moments == moment]
    }
    return Learned(weights, doubts, joined)


def fit(model: Floats, snapshots: Table) -> dict[str, float]:
    """The weights by the name of the rule, 0 to 100, without rules that never apply; arguments as for `learn`."""
    applies = np.flatnonzero((snapshots.rule_doubts > 0.0).any(axis=0))
    if not len(applies):
        return {}
    by_rule, is_true = snapshots.rule_doubts[:, applies], snapshots.is_true
    by_model = np.maximum(-np.log1p(-np.minimum(model, PROBABILITY_LIMIT)), _LEAST_DOUBT)
    counts = _counts(snapshots)

    def loss(weights: Floats) -> tuple[float, Floats]:
        doubt = by_model + by_rule @ weights
        value = counts @ np.where(is_true, -np.log(-np.expm1(-doubt)), doubt)
        slope = counts * np.where(is_true, -1.0 / np.expm1(doubt), 1.0)
        prior = PRIOR_OUTCOMES * (weights - np.log(weights)).sum()
        return float(value + prior), slope @ by_rule + PRIOR_OUTCOMES * (1.0 - 1.0 / weights)

    start = np.ones(by_rule.shape[1])
    found = minimize(loss, start, jac=True, bounds=[_BOUNDS] * len(start), method="L-BFGS-B").x
    return _in_order({rules.NAMES[at]: round(float(w), _DIGITS) for at, w in zip(applies, found, strict=True)})


def _in_order(weights: dict[str, float]) -> dict[str, float]:
    """Scattered errors count for no more than failures, which take their place: one more may not lower the risk."""
    of_failures = min(weights.get(name, 1.0) for name in _FAILURES)
    if weights.get(rules.SCATTERED_ERRORS, 1.0) > of_failures:
        weights[rules.SCATTERED_ERRORS] = of_failures
    return weights


def _counts(snapshots: Table) -> Floats:
    """How much each snapshot counts, so that those with one answer count 1 together."""
    _, user = np.unique(snapshots.users, return_inverse=True)
    answers = np.column_stack([user, snapshots.known_us])
    _, answer, size = np.unique(answers, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / size[answer.ravel()])
