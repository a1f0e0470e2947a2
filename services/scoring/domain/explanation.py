"""Explains a score: the contributions of every rule, every feature and the baseline, which sum to the score.

Between causes. With p = 1 - prod(1 - p_i), the doubt -log(1 - p) is the sum of -log(1 - p_i). Each rule, and the
model as one more, gets the score's points in proportion to its part of that sum.

Within the model. It is additive: logit(p_model) = baseline + t_1 + ... + t_n, one term per feature. The model's points
are split as p_model itself is: sigmoid(baseline) for what is usual for all users, and the way from there to p_model
along the straight line in the logit (the Aumann-Shapley value, exact for a sum under a sigmoid):

    part_j = t_j * (sigmoid(baseline + T) - sigmoid(baseline)) / T,   T = sum of t_j

so a feature's points have the sign of its term, and two terms that cancel stay as small as they are.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from services.scoring.domain.reasons import is_absent, reason
from services.scoring.domain.risk import PROBABILITY_LIMIT, Risk
from services.scoring.domain.rules import Finding

BASELINE: Final = "baseline"
BASELINE_REASON: Final = "What is usual for all users"
INDICATOR_LIMIT: Final = 5
# Contributions below this are not shown.
INDICATOR_POINTS: Final = 1.0
# Below this the quotient loses precision; the derivative is used instead, with an error below its square.
_FLAT: Final = 1e-6


class Contribution(NamedTuple):
    """One part of the score, -100 to 100 points, with the rule's finding or the feature's value."""

    name: str
    points: float
    said: str | None = None
    value: float = 0.0

    @property
    def reason(self) -> str:
        """The reason in words; made on request, because most are never shown."""
        return reason(self.name, self.value) if self.said is None else self.said


def contributions(
    risk: Risk, findings: Sequence[Finding], names: Sequence[str], terms: Sequence[float], values: Sequence[float]
) -> list[Contribution]:
    """Everything that went into the score: rules, baseline, features; sums to the score.

    Args:
        risk: the assessment to explain.
        findings: the findings of rules.
        names: the columns that the model takes.
        terms: the model's baseline and then one term per column, in logits.
        values: the columns' values.
    """
    doubts = [-math.log1p(-finding.probability) for finding in findings]
    model_doubt = -math.log1p(-min(risk.model_score / 100.0, PROBABILITY_LIMIT))
    total = math.fsum(doubts) + model_doubt
    points_a_doubt = risk.score / total if total > 0.0 else 0.0
    parts = [
        Contribution(finding.name, points_a_doubt * doubt, finding.reason)
        for finding, doubt in zip(findings, doubts, strict=True)
    ]
    baseline, feature_terms = terms[0], terms[1:]
    whole = math.fsum(feature_terms)
    usual, actual = _sigmoid(baseline), _sigmoid(baseline + whole)
    slope = (actual - usual) / whole if abs(whole) > _FLAT else usual * (1.0 - usual)
    scale = points_a_doubt * model_doubt / actual if actual > 0.0 else 0.0
    parts.append(Contribution(BASELINE, scale * usual, BASELINE_REASON))
    parts.extend(
        Contribution(name, scale * slope * term, value=value)
        for name, term, value in zip(names, feature_terms, values, strict=True)
    )
    return parts


def indicators(parts: Sequence[Contribution]) -> list[Contribution]:
    """The strongest reasons for the risk, strongest first; without the baseline and what did not happen."""
    shown = [
        part
        for part in parts
        if part.points >= INDICATOR_POINTS
        and part.name != BASELINE
        and (part.said is not None or not is_absent(part.name, part.value))
    ]
    return sorted(shown, key=lambda part: -part.points)[:INDICATOR_LIMIT]


def evidence(parts: Sequence[Contribution], rule_score: float) -> list[Contribution]:
    """What the rules say by themselves, strongest first: their parts of the score, scaled to sum to `rule_score`."""
    by_rules = [part for part in parts if part.said is not None and part.name != BASELINE]
    whole = math.fsum(part.points for part in by_rules)
    if whole <= 0.0:
        return []
    scaled = [part._replace(points=part.points * rule_score / whole) for part in by_rules]
    return sorted(scaled, key=lambda part: -part.points)


def _sigmoid(logit: float) -> float:
    if logit >= 0.0:
        return 1.0 / (1.0 + math.exp(-logit))
    grown = math.exp(logit)
    return grown / (1.0 + grown)
