"""What an experiment that judges scoring models means for the canary: how its arms share users, and its end."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from records.tenants import DEFAULT
from services.experiments.domain.experiment import Experiment

_SECOND_US: Final = 1_000_000
ENDED: Final = frozenset({"promoted", "rolled_back"})
"""The states of an experiment that say what becomes of its models."""


class Staged(NamedTuple):
    """The models that serve a tenant, by version; empty: none.

    `share` is the canary's share of the users, 0 to 1, and `since_s` when it got it at the latest, in Unix seconds; 0
    if that is long ago. `made_live_by` is who made the live one live, and `before` was live before it.
    """

    live: str
    canary: str = ""
    share: float = 0.0
    since_s: int = 0
    made_live_by: str = ""
    before: str = ""


class Move(NamedTuple):
    """A model that becomes live, or else a mere candidate."""

    version: str
    is_live: bool


def actor(experiment_id: str) -> str:
    """Who changes stages because of an experiment."""
    return f"experiment {experiment_id}"


def shares(experiment: Experiment, staged: Staged) -> Mapping[str, float]:
    """How the arms really share the users, 0 to 1 by name. An arm whose model serves nobody gets nothing."""
    of = {"": 0.0, staged.canary: staged.share, staged.live: 1.0 - staged.share}
    return {arm.name: of.get(arm.value, 0.0) for arm in experiment.definition.arms}


def consequence(experiment: Experiment, staged: Staged) -> Move | None:
    """What the end of an experiment means for the models; None if nothing, or if that is done.

    A canary that is an arm becomes live if it was promoted, and is ended otherwise. If an experiment is rolled back
    after it was promoted, the model that was live before becomes live again. What somebody staged after the end stands.
    Only those who may change models for everybody make one live, so a tenant's own experiment does not.

    Args:
        experiment: as it is now.
        staged: what serves the tenant.
    """
    if experiment.state not in ENDED:
        return None
    tenant, arms = experiment.tenant, experiment.definition.arms
    values = {arm.value: arm.name for arm in arms if arm.value}
    if staged.canary in values and staged.since_s <= experiment.history[-1].at_us // _SECOND_US:
        is_winner = values[staged.canary] == experiment.promoted
        if not is_winner:
            return Move(staged.canary, is_live=False)
        return Move(staged.canary, is_live=True) if tenant == DEFAULT else None
    if tenant != DEFAULT:
        return None
    is_promoted = staged.made_live_by == actor(experiment.definition.id) and staged.live != arms[0].value
    if experiment.state == "rolled_back" and is_promoted and staged.live in values and staged.before:
        return Move(staged.before, is_live=True)
    return None
