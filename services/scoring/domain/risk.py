"""The exit risk of one user at one time: the rules and the model together.

    p     = 1 - (1 - p_rules) * (1 - p_model)        either alone is cause enough (noisy-or)
    score = 100 * p

Confidence, 0 to 1, says how reliable the score is:

    confidence = (1 - 0.5 ** evidence) * (1 - 0.16 * |p_rules - p_model|)
    evidence   = 1 + log10(1 + events) + sum of strength / 100 over the rules that apply

The first factor is the amount of evidence: one unit for any user, one for nine events that the user made and two for
ninety-nine, and the strength of each rule that applies; every unit halves the doubt. The second factor is the
agreement: complete disagreement of rules and model costs only 16%, because each sees what the other cannot.
"""

from collections.abc import Sequence
from math import log10
from typing import Final, NamedTuple

from services.scoring.domain import rules
from services.scoring.domain.rules import Finding
from services.scoring.domain.schema import Level, level_of

DISAGREEMENT_COST: Final = 0.16
# Events beyond this number add no evidence.
COUNT_LIMIT: Final = 1000
# No single cause is certain, so its logarithm is finite.
PROBABILITY_LIMIT: Final = 1.0 - 1e-9

_DOUBT_AFTER: Final = tuple(0.5 ** (1.0 + log10(1.0 + count)) for count in range(COUNT_LIMIT + 1))


class Risk(NamedTuple):
    """Scores are 0 to 100, confidence 0 to 1."""

    score: float
    level: Level
    confidence: float
    rule_score: float
    model_score: float


def combined(rule_score: float, model_probability: float) -> float:
    """The score, 0 to 100, that another model would have led to with the same findings."""
    return 100.0 * (1.0 - (1.0 - rule_score / 100.0) * (1.0 - min(PROBABILITY_LIMIT, model_probability)))


def assess(findings: Sequence[Finding], model_probability: float, use_count: int) -> Risk:
    """The risk.

    Args:
        findings: the findings of the rules.
        model_probability: what the model says.
        use_count: how many things the user did so far; at most `COUNT_LIMIT`.
    """
    from_model = min(PROBABILITY_LIMIT, model_probability)
    if not findings:
        score = 100.0 * from_model
        confidence = (1.0 - _DOUBT_AFTER[use_count]) * (1.0 - DISAGREEMENT_COST * from_model)
        return Risk(score, level_of(score), confidence, 0.0, score)
    from_rules = rules.probability(findings)
    doubt = _DOUBT_AFTER[use_count] * 0.5 ** (sum([finding.strength for finding in findings]) / 100.0)
    confidence = (1.0 - doubt) * (1.0 - DISAGREEMENT_COST * abs(from_rules - from_model))
    score = 100.0 * (1.0 - (1.0 - from_rules) * (1.0 - from_model))
    return Risk(score, level_of(score), confidence, 100.0 * from_rules, 100.0 * from_model)
