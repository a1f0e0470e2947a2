"""Experiments that run: which scoring model stands for which arm, and which are judged by who stays."""

from collections.abc import Mapping
from typing import NamedTuple

from services.intervention.lift.domain.report import STAYED
from services.intervention.policy.domain.arms import Configured


class Judged(NamedTuple):
    """A running experiment of a tenant, and the names of its arms by the versions of the models they stand for.

    `is_by_stays` is whether it is judged by who stays.
    """

    experiment_id: str
    arms: Mapping[str, str]
    is_by_stays: bool = True


def judged_by(configured: Configured) -> Judged | None:
    """What an experiment judges now; None unless it runs."""
    if configured.promoted or configured.percent <= 0:
        return None
    arms = {arm.value: arm.name for arm in configured.arms if arm.value}
    return Judged(configured.id, arms, is_by_stays(configured))


def is_by_stays(configured: Configured) -> bool:
    """Whether an experiment runs and is judged by who stays; where its outcomes are not said it may be."""
    if configured.promoted or configured.percent <= 0:
        return False
    return configured.outcomes is None or STAYED in configured.outcomes
