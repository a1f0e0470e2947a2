"""The experiment that judges scoring models: which model stands for which arm."""

from collections.abc import Mapping
from typing import NamedTuple

from services.intervention.policy.domain.arms import Configured


class Judged(NamedTuple):
    """A running experiment of a tenant, and the names of its arms by the versions of the models they stand for."""

    experiment_id: str
    arms: Mapping[str, str]


def judged_by(configured: Configured) -> Judged | None:
    """What an experiment judges now; None unless it runs."""
    if configured.promoted or configured.percent <= 0:
        return None
    return Judged(configured.id, {arm.value: arm.name for arm in configured.arms if arm.value})
