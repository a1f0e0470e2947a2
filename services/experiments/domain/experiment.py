"""The life of an experiment: its states, who changed them when and why, and what happens to it by itself."""

import math
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from comparison.assignment import Allocation, Assignment, assign
from services.experiments.domain.conclusion import Results
from services.experiments.domain.definition import Definition

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
ITSELF: Final = "experiments"
"""Who made a change that happened by itself."""
LONGEST_HISTORY: Final = 1_000
"""Changes after which it is not started again and its ramp stands; it can be paused and ended all the same."""
_CAUTIOUS_PERCENT: Final = 10.0
"""Beyond this percent of the units the ramp goes only once no guardrail can be harmed."""

_SAME_SHARE: Final = 0.001
"""By how much the real share of an arm may differ from the one meant."""

State = Literal["draft", "running", "paused", "stopped", "promoted", "rolled_back"]
Action = Literal["start", "pause", "stop", "promote", "roll_back"]
ENDED: Final[frozenset[State]] = frozenset(("stopped", "promoted", "rolled_back"))

_AFTER: Final[Mapping[Action, State]] = {
    "start": "running",
    "pause": "paused",
    "stop": "stopped",
    "promote": "promoted",
    "roll_back": "rolled_back",
}
_FROM: Final[Mapping[Action, frozenset[State]]] = {
    "start": frozenset(("draft", "paused")),
    "pause": frozenset(("running",)),
    "stop": frozenset(("draft", "running", "paused")),
    "promote": frozenset(("running", "paused", "stopped")),
    "roll_back": frozenset(("running", "paused", "promoted")),
}


class Change(NamedTuple):
    """One line of the history: when in Unix microseconds, what it became, who did it and why, and by which incident."""

    at_us: int
    state: State
    percent: float
    actor: str
    why: str
    incident_id: str = ""


class Experiment(NamedTuple):
    """An experiment of a tenant. `step` is its place on the ramp; `since_us` when it came there or was started again.

    `ran_us` is how long it ran before it was last started, `promoted` the arm that everybody gets.
    `revision` grows by 1 with each change. The history is never shortened. `shares` is how the arms really share the
    units where others than this service decide who gets which, 0 to 1, arm by arm; empty: as is meant.
    """

    tenant: str
    definition: Definition
    state: State
    history: tuple[Change, ...]
    step: int = 0
    since_us: int = 0
    started_us: int = 0
    ran_us: int = 0
    promoted: str = ""
    revision: int = 1
    shares: tuple[float, ...] = ()

    @property
    def percent(self) -> float:
        """The percent of units that are included now."""
        return self.definition.ramp[self.step] if self.state == "running" else 0.0

    @property
    def allocation(self) -> Allocation:
        """What decides who gets which arm while it runs."""
        definition = self.definition
        return Allocation(definition.salt, definition.arms, self.percent, definition.holdout_percent)

    def days(self, now_us: int) -> float:
        """For how many days it has been running."""
        running_us = max(0, now_us - self.started_us) if self.state == "running" else 0
        return (self.ran_us + running_us) / DAY_US


class NotPossible(Exception):
    """The experiment is not in a state for this; the message says why."""


class HistoryFull(NotPossible):
    """It was changed as often as it may be."""


def created(tenant: str, definition: Definition, actor: str, why: str, now_us: int) -> Experiment:
    """A draft."""
    return Experiment(tenant, definition, "draft", (Change(now_us, "draft", 0.0, actor, why),))


def changed(experiment: Experiment, action: Action, actor: str, why: str, now_us: int, arm: str = "") -> Experiment:
    """The experiment after an act of a person, or of itself.

    Args:
        experiment: as it is.
        action: what is done.
        actor: who does it.
        why: for the history.
        now_us: the time in Unix microseconds.
        arm: which one to promote.

    Raises:
        NotPossible: it is not in a state for this.
        HistoryFull: it cannot be started again.
    """
    if experiment.state not in _FROM[action]:
        allowed = ", ".join(sorted(_FROM[action]))
        message = f"It is {experiment.state}; this is possible when it is: {allowed}."
        raise NotPossible(message)
    if action == "start" and len(experiment.history) >= LONGEST_HISTORY:
        message = f"Its history is full: an experiment is changed at most {LONGEST_HISTORY:,} times. It can be ended."
        raise HistoryFull(message)
    ran_us = experiment.ran_us
    if experiment.state == "running":
        ran_us += max(0, now_us - experiment.started_us)
    is_start = action == "start"
    after = experiment._replace(
        state=_AFTER[action],
        ran_us=ran_us,
        started_us=now_us if is_start else experiment.started_us,
        since_us=now_us if is_start else experiment.since_us,
        promoted=arm if action == "promote" else "",
    )
    return _recorded(after, actor, why or (f"promoted {arm}" if arm else ""), now_us)


def paused(experiment: Experiment, incident_id: str, actor: str, why: str, now_us: int) -> Experiment:
    """The experiment after an incident opened; the same unless it runs, pauses on incidents and has not on this one."""
    is_meant = experiment.state == "running" and experiment.definition.pauses_on_incident
    if not is_meant or is_paused_by(experiment, incident_id):
        return experiment
    after = changed(experiment, "pause", actor, why, now_us)
    return after._replace(history=(*after.history[:-1], after.history[-1]._replace(incident_id=incident_id)))


def is_paused_by(experiment: Experiment, incident_id: str) -> bool:
    """Whether an incident has paused it, once."""
    return any(change.incident_id == incident_id for change in experiment.history)


def shared(experiment: Experiment, shares: Mapping[str, float], actor: str, now_us: int) -> Experiment:
    """The experiment once it is known how its arms really share the units; the same if that was known, or it has ended.

    Args:
        experiment: as it is.
        shares: the share of each arm, 0 to 1; an arm that is left out gets nothing.
        actor: who says so.
        now_us: the time in Unix microseconds.
    """
    meant = experiment.definition.meant
    found = tuple(shares.get(arm, 0.0) for arm in meant)
    is_meant = all(abs(share - meant[arm]) <= _SAME_SHARE for arm, share in zip(meant, found, strict=True))
    after = experiment._replace(shares=() if is_meant else found)
    if after.shares == experiment.shares or experiment.state in ENDED:
        return experiment
    if len(experiment.history) >= LONGEST_HISTORY:
        return after._replace(revision=after.revision + 1)
    return _recorded(after, actor, mismatch(after) or "The arms share the units as is meant.", now_us)


def mismatch(experiment: Experiment) -> str:
    """In what the real shares of the arms differ from those meant, in a sentence; empty if in nothing."""
    if not experiment.shares:
        return ""
    told = [
        f"{arm} gets {share:.4g} of the units and was to get {wanted:.4g}"
        for (arm, wanted), share in zip(experiment.definition.meant.items(), experiment.shares, strict=True)
    ]
    return f"Who is compared does not match the shares: {'; '.join(told)}."


def progressed(experiment: Experiment, results: Results, now_us: int) -> Experiment:
    """The experiment after what happens by itself; the same if nothing does.

    One that harms a guardrail is rolled back. The ramp goes a step up once the step has lasted long enough, if the
    numbers of units fit the shares; beyond ten percent only once no guardrail can be harmed as much as its `harm`.
    """
    if experiment.state != "running":
        return experiment
    harmed = [each for each in results.findings if each.guarded == "harmed"]
    if harmed:
        why = "; ".join(f"{each.arm} is worse in {each.metric}: {_percents(each.relative)}" for each in harmed)
        return changed(experiment, "roll_back", ITSELF, why, now_us)
    definition = experiment.definition
    is_last = experiment.step + 1 == len(definition.ramp)
    is_due = now_us - experiment.since_us >= definition.step_hours * HOUR_US
    if (
        is_last
        or not is_due
        or "alarm" in (results.ratio, results.shares)
        or len(experiment.history) >= LONGEST_HISTORY
    ):
        return experiment
    percent = definition.ramp[experiment.step + 1]
    if percent > _CAUTIOUS_PERCENT and any(each.guarded == "open" for each in results.findings):
        return experiment
    after = experiment._replace(step=experiment.step + 1, since_us=now_us)
    return _recorded(after, ITSELF, f"the ramp goes to {percent:g} %", now_us)


def arm_of(experiment: Experiment, unit: str) -> tuple[Assignment, bool]:
    """The arm that a unit gets now, and whether it takes part, so that its exposure and outcomes count."""
    if experiment.state == "promoted":
        return Assignment(experiment.promoted, "assigned"), False
    assignment = assign(experiment.allocation, unit)
    return assignment, experiment.state == "running" and assignment.reason == "assigned"


def _recorded(experiment: Experiment, actor: str, why: str, now_us: int) -> Experiment:
    change = Change(now_us, experiment.state, experiment.percent, actor, why)
    return experiment._replace(history=(*experiment.history, change), revision=experiment.revision + 1)


def _percents(relative: float) -> str:
    return "by an amount of a mean of 0" if math.isnan(relative) else f"{relative:+.1%}"
