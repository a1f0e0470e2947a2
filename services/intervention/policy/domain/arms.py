"""The document of a policy that compares others: one that is in force, and what an experiment says."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from comparison.assignment import Allocation, Arm, assign
from services.intervention.policy.domain.interpretation import PolicyError


class Configured(NamedTuple):
    """An experiment as it is now. The first arm is the control; the others' values name policies.

    `percent` is 0 unless it runs. `promoted` is the arm that everybody gets, or empty. `changed_s` is when it came into
    its state, `rolled_back` or another, in Unix seconds; 0 if that was not said. `outcomes` are the names of those that
    it takes; None if that was not said.
    """

    id: str
    salt: str
    arms: tuple[Arm, ...]
    percent: float = 0.0
    holdout_percent: float = 0.0
    promoted: str = ""
    state: str = ""
    changed_s: int = 0
    outcomes: tuple[str, ...] | None = None


def takes_part(experiment: Configured, unit: str) -> bool:
    """Whether a unit has an arm of a running experiment that assigns by the published hash."""
    allocation = Allocation(experiment.salt, experiment.arms, experiment.percent, experiment.holdout_percent)
    return assign(allocation, unit)[1] == "assigned"


def needed(experiment: Configured | None) -> Sequence[Arm]:
    """The arms whose policies are needed to say what decides now."""
    if experiment is None:
        return ()
    treated = experiment.arms[1:]
    if experiment.promoted:
        return [arm for arm in treated if arm.name == experiment.promoted]
    return treated if experiment.percent > 0 else ()


def composed(tree: object, experiment: Configured | None, policies: Mapping[str, object]) -> object:
    """What decides now, as lists, dictionaries and scalars.

    Args:
        tree: the policy in force: the control, and what decides for whoever takes no part.
        experiment: what compares it with others; None for nothing.
        policies: those of the arms that are `needed`, by the arm's name.

    Raises:
        PolicyError: the policy in force has an experiment of its own, or the control another policy.
    """
    arms = needed(experiment)
    if experiment is None or not arms:
        return tree
    if experiment.promoted:
        return policies[experiment.promoted]
    if not isinstance(tree, dict) or "experiment" in tree:
        message = f"the policy in force has an experiment of its own, so {experiment.id} cannot compare it."
        raise PolicyError(message)
    if experiment.arms[0].value:
        message = f"the first arm of {experiment.id} is the policy in force, so it has no value."
        raise PolicyError(message)
    said: list[dict[str, Any]] = [{"name": arm.name, "weight": arm.weight} for arm in experiment.arms]
    for arm in said[1:]:
        arm["policy"] = policies[arm["name"]]
    return {
        **tree,
        "experiment": {
            "id": experiment.id,
            "salt": experiment.salt,
            "percent": experiment.percent,
            "holdout_percent": experiment.holdout_percent,
            "arms": said,
        },
    }
