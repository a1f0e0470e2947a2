"""What a model has learned from the users of this installation whose outcome is known."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from services.scoring.domain.risk import Risk

PROBABILITY_FROM: Final = 30
"""From so many users on, a probability means what it says; below, only the order of users is told."""
OWN_FROM: Final = 1000


class Learning(IntEnum):
    """The values are those of `LearningState` on the wire."""

    COLD_START = 1
    LEARNING = 2
    OWN_MODEL = 3
    RECALIBRATED = 4


class LearnedRules(NamedTuple):
    """What a model learned about the rules: how much each counts for here.

    `weights` are 0 or more, by the name of the rule: the rule's probability p becomes 1 - (1 - p) ** weight. Rules that
    are not named count as shipped, which is a weight of 1. `is_in_probability` says whether the probability of the
    outcome is that of model and rules together; if not, it is the model's alone.
    """

    weights: Mapping[str, float]
    is_in_probability: bool


AS_SHIPPED: Final = LearnedRules(MappingProxyType({}), is_in_probability=False)
"""The rules of a model that learned nothing about them."""


def learning_of(own_users: int, *, is_recalibrated: bool) -> Learning:
    """The state of a model that learned from so many users of this installation, whole or only its two numbers."""
    if own_users < PROBABILITY_FROM:
        return Learning.COLD_START
    if is_recalibrated:
        return Learning.RECALIBRATED
    return Learning.LEARNING if own_users < OWN_FROM else Learning.OWN_MODEL


def told(risk: Risk, own_users: int, rules: LearnedRules) -> float | None:
    """The probability of the outcome, 0 to 1, as a model tells it; None if it learned from too few users here."""
    if own_users < PROBABILITY_FROM:
        return None
    return (risk.score if rules.is_in_probability else risk.model_score) / 100.0
