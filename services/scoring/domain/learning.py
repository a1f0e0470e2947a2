"""What a model has learned from the users of this installation whose outcome is known."""

from enum import IntEnum
from typing import Final

PROBABILITY_FROM: Final = 30
"""From so many users on, a probability means what it says; below, only the order of users is told."""
OWN_FROM: Final = 1000


class Learning(IntEnum):
    """The values are those of `LearningState` on the wire."""

    COLD_START = 1
    LEARNING = 2
    OWN_MODEL = 3
    RECALIBRATED = 4


def learning_of(own_users: int, *, is_recalibrated: bool) -> Learning:
    """The state of a model that learned from so many users of this installation, whole or only its two numbers."""
    if own_users < PROBABILITY_FROM:
        return Learning.COLD_START
    if is_recalibrated:
        return Learning.RECALIBRATED
    return Learning.LEARNING if own_users < OWN_FROM else Learning.OWN_MODEL
