"""The exit risk of one user at one time: the rules and the model together.

    p     = 1 - (1 - p_rules) * (1 - p_model)        either alone is cause enough (noisy-or)
    score = 100 * p

Confidence tells how far the score may be trusted, 0 to 1:

    confidence = (1 - 0.5 ** evidence) * (1 - 0.15 * |p_rules - p_model|)
    evidence   = 1 + events / 10 + sum of strength / 100 over the rules that spoke

The first factor is the amount of evidence: what is known of anybody counts as one piece, ten events of the user as one,
each rule that spoke as its strength; every piece halves the doubt. The second is the agreement: rules and model that
contradict each other wholly cost 15 %, not more, because each sees what the other cannot.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from services.scoring.domain import rules
from services.scoring.domain.rules import Finding
from services.scoring.domain.schema import Level, level_of

EVENTS_A_PIECE: Final = 10.0
DISAGREEMENT_COST: Final = 0.15
# So that no one cause is ever certain, and its logarithm is finite.
PROBABILITY_LIMIT: Final = 1.0 - 1e-9


class Risk(NamedTuple):
    """Scores are 0 to 100, confidence 0 to 1."""

    score: float
    level: Level
    confidence: float
    rule_score: float
    model_score: float


def assess(findings: Sequence[Finding], model_probability: float, event_count: int) -> Risk:
    """The risk; `event_count` is how many events of the user were assessed, this one included."""
    from_model = min(model_probability, PROBABILITY_LIMIT)
    from_rules = rules.probability(findings) if findings else 0.0
    combined = 1.0 - (1.0 - from_rules) * (1.0 - from_model)
    evidence = 1.0 + event_count / EVENTS_A_PIECE + sum([finding.strength for finding in findings]) / 100.0
    confidence = (1.0 - 0.5**evidence) * (1.0 - DISAGREEMENT_COST * abs(from_rules - from_model))
    score = 100.0 * combined
    return Risk(score, level_of(score), confidence, 100.0 * from_rules, 100.0 * from_model)
