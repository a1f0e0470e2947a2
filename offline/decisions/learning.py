"""Learns a policy's priors from the archived outcomes of all users.

A decision knows its own user's outcomes and its policy's priors. What the outcomes of all users teach becomes part of
those priors here, as data of a policy: it can be read before it is in force, tried on archived decisions, and replayed.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from google.protobuf.json_format import Parse
from journeymesh.common.v1 import event_pb2
from journeymesh.intervention.v1 import intervention_pb2

from offline.decisions.archived import Record, Row, is_goal
from offline.decisions.what_if import Span
from services.intervention.decision.domain.facts import LEVEL_NAMES, Indicator, Outcome
from services.intervention.decision.domain.outcome import Evidence, evidence_of, is_waiting, may_follow
from services.intervention.decision.domain.situation import difficulties, kind_of_difficulty
from services.intervention.policy.domain.policy import ANY, ORIENTATION, TECHNICAL, Action, Policy, Prior

_OUTCOMES: Final = frozenset(each.value for each in Outcome)
_DIFFICULTIES: Final = (TECHNICAL, ORIENTATION, ANY)
# A policy cannot name the first level, which stands for an assessment without one.
_LEVELS: Final = LEVEL_NAMES[1:]


class Context(NamedTuple):
    """Where an action was taken: level of risk and kind of difficulty, `any` if there was none."""

    level: str
    difficulty: str


class Tally(NamedTuple):
    """Numbers of accepted and of refused interventions."""

    accepted: int = 0
    refused: int = 0

    @property
    def total(self) -> int:
        """Their sum."""
        return self.accepted + self.refused


Tallies = Mapping[str, Mapping[Context, Tally]]
"""By action and context; only those with an outcome."""


class LearnedPrior(NamedTuple):
    """The prior learned for a context of an action; `any` matches what no earlier context does."""

    action: str
    context: Context
    tally: Tally
    before: Prior
    after: Prior


@dataclasses.dataclass
class _Intervention:
    id: str
    action: str
    context: Context
    made_us: int
    expires_us: int
    outcome: Outcome = Outcome.NONE


class Outcomes:
    """The outcome of each intervention, by the rules of the service (`services.intervention.decision.domain.outcome`).

    An intervention counts once, in the context it was decided in. One that expired unseen, still waits or was withdrawn
    or withheld does not count. A few hundred bytes per intervention are kept.

    An anonymous user's interventions become the known user's with the event that links them. Shards are read one after
    the other, so the known user's outcome may be read before the intervention, and waits for it; a goal does not.

    Args:
        policy: whose actions and goal count; actions of other names or channels are ignored.
        span: when the decisions that count were received; their outcomes count until its end.
    """

    def __init__(self, policy: Policy, span: Span) -> None:
        self._actions = {(each.name, each.channel) for each in policy.actions}
        self._conversion = policy.conversion
        self._span = span
        self._interventions: dict[str, list[_Intervention]] = {}
        self._early: dict[tuple[str, str], list[Outcome]] = {}
        self._tallies: defaultdict[str, dict[Context, Tally]] = defaultdict(dict)
        self._last_us = 0

    def see(self, record: Record) -> None:
        """Takes the next record of `archived.records`."""
        # As in the service: events that decisions are about come after the record's others.
        for index, archived in sorted(record.events.items(), key=lambda each: (each[0] in record.decisions, each[0])):
            event = archived.event
            at_us = event.received_time_us
            if at_us >= self._span.stop_us:
                continue
            self._last_us = max(self._last_us, at_us)
            self._follow(event)
            if event.linked_user_id:
                self._link(event.user_id, event.linked_user_id)
            row = record.decisions.get(index)
            if row and row.get("withdrawn"):
                self._withdraw(row["user_id"], row["withdrawn"])
            if row and row["intervention"] and self._span.holds(at_us):
                self._start(row, at_us)

    def tallies(self) -> Tallies:
        """The tallies up to the last event seen."""
        for interventions in self._interventions.values():
            self._expire(interventions, self._last_us)
        return dict(self._tallies)

    def _follow(self, event: event_pb2.Event) -> None:
        interventions = self._interventions.get(event.user_id, [])
        if is_goal(self._conversion, event):
            seen = [
                each
                for each in interventions
                if each.outcome in (Outcome.SHOWN, Outcome.ACCEPTED)
                and 0 <= event.event_time_us - each.made_us <= self._conversion.within_us
                and not (each.outcome is Outcome.SHOWN and each.expires_us <= event.event_time_us)
            ]
            if seen:
                self._set_outcome(seen[-1], Outcome.CONVERTED)
        if event.HasField("outcome"):
            self._expire(interventions, event.received_time_us)
            self._report(event.user_id, interventions, event.outcome)

    def _report(
        self, user_id: str, interventions: Sequence[_Intervention], reported: event_pb2.InterventionOutcome
    ) -> None:
        if reported.outcome not in _OUTCOMES:
            return
        outcome = Outcome(reported.outcome)
        intervention = next((each for each in interventions if each.id == reported.intervention_id), None)
        if intervention is not None:
            self._set_outcome(intervention, outcome)
        elif reported.intervention_id:
            self._early.setdefault((user_id, reported.intervention_id), []).append(outcome)

    def _link(self, anonymous_id: str, user_id: str) -> None:
        """Gives an anonymous user's interventions to the known user; of two that wait the older is withdrawn."""
        moved = self._interventions.pop(anonymous_id, [])
        for intervention in moved:
            for outcome in self._early.pop((user_id, intervention.id), ()):
                self._set_outcome(intervention, outcome)
        interventions = sorted((*moved, *self._interventions.get(user_id, ())), key=lambda each: each.made_us)
        waiting = [each for each in interventions if is_waiting(each.outcome)]
        for each in waiting[:-1]:
            each.outcome = Outcome.WITHDRAWN
        if interventions:
            self._interventions[user_id] = interventions

    def _withdraw(self, user_id: str, intervention_id: str) -> None:
        for each in self._interventions.get(user_id, ()):
            if each.id == intervention_id and is_waiting(each.outcome):
                each.outcome = Outcome.WITHDRAWN

    def _start(self, row: Row, at_us: int) -> None:
        made = Parse(row["intervention"], intervention_pb2.Intervention(), ignore_unknown_fields=True)
        interventions = self._interventions.setdefault(row["user_id"], [])
        self._expire(interventions, at_us)
        if interventions and is_waiting(interventions[-1].outcome):
            # Superseded before it expired, which is no evidence.
            interventions[-1].outcome = Outcome.EXPIRED
        if (made.action, made.channel) in self._actions:
            kind = kind_of_difficulty(difficulties(Indicator(**each) for each in row["indicators"]))
            context = Context(row["level"] or LEVEL_NAMES[0], kind)
            interventions.append(_Intervention(made.id, made.action, context, at_us, made.expires_at.ToMicroseconds()))

    def _expire(self, interventions: Sequence[_Intervention], at_us: int) -> None:
        if interventions and is_waiting(interventions[-1].outcome) and interventions[-1].expires_us <= at_us:
            self._set_outcome(interventions[-1], Outcome.EXPIRED)

    def _set_outcome(self, intervention: _Intervention, outcome: Outcome) -> None:
        if not may_follow(intervention.outcome, outcome):
            return
        evidence = evidence_of(intervention.outcome, outcome)
        intervention.outcome = outcome
        if evidence is not None:
            its = self._tallies[intervention.action]
            accepted, refused = its.get(intervention.context, Tally())
            is_for = evidence is Evidence.FOR
            its[intervention.context] = Tally(accepted + is_for, refused + (not is_for))


def learned_priors(policy: Policy, tallies: Tallies, strength: float) -> list[LearnedPrior]:
    """The priors of all contexts of the actions with outcomes, in the order in which a policy matches contexts.

    With a of n outcomes accepted in a context, A of N in all contexts of the action, and a stated prior of mean m,

        t = (A + s m) / (N + s)        the action's ratio, shrunk towards the stated one
        p = (a + s t) / (n + s)        the context's ratio, shrunk towards the action's

    p is the mean of the new prior, as if there were s more outcomes with the mean above. These are the posterior means
    of nested beta-binomial models (empirical Bayes; Micci-Barreca, "A preprocessing scheme for high-cardinality
    categorical attributes", SIGKDD Explorations 3(1), 2001, with the weight n / (n + s)). The new prior weighs as much
    as the stated one, so that a user's own outcomes count against it as before.

    Args:
        policy: the policy with the stated priors.
        tallies: the outcomes of its help.
        strength: s, above 0: how many outcomes weigh as much as the prior.
    """
    return [
        prior
        for action in policy.actions
        if action.name in tallies
        for prior in _learned(policy, action, tallies[action.name], strength)
    ]


def _learned(
    policy: Policy, action: Action, tallies: Mapping[Context, Tally], strength: float
) -> Iterator[LearnedPrior]:
    every = Tally(sum(each.accepted for each in tallies.values()), sum(each.refused for each in tallies.values()))
    for context in _contexts(action, tallies):
        before, tally = _stated(policy, action, context), tallies.get(context, Tally())
        weight = before.accepted + before.refused
        counts = tally.total, every.total
        accepted = _shrunk((tally.accepted, every.accepted), counts, before.accepted / weight, strength)
        refused = _shrunk((tally.refused, every.refused), counts, before.refused / weight, strength)
        yield LearnedPrior(
            action.name, context, tally, before, Prior(_rounded(weight * accepted), _rounded(weight * refused))
        )


def _shrunk(own: tuple[int, int], counts: tuple[int, int], stated: float, strength: float) -> float:
    """P of the formula, from a context's and its action's numbers."""
    target = (own[1] + strength * stated) / (counts[1] + strength)
    return (own[0] + strength * target) / (counts[0] + strength)


def _rounded(value: float) -> float:
    """To six digits: more than outcomes justify, and few enough to read."""
    return float(f"{value:.6g}")


def _contexts(action: Action, seen: Collection[Context]) -> list[Context]:
    """Contexts that were seen, then stated ones, then `any`; the first that fits applies."""
    found = [
        context
        for level in reversed(_LEVELS)
        for context in (Context(level, kind) for kind in _DIFFICULTIES)
        # `any` includes the other two, so they come before it.
        if context in seen or Context(level, ANY) in seen
    ]
    stated = [Context(each.level, each.difficulty) for each in action.contexts]
    return list(dict.fromkeys([*found, *stated, Context(ANY, ANY)]))


def _stated(policy: Policy, action: Action, context: Context) -> Prior:
    fitting = (
        Prior(each.accepted, each.refused)
        for each in action.contexts
        if each.level in (ANY, context.level) and each.difficulty in (ANY, context.difficulty)
    )
    return next(fitting, action.prior) or policy.priors[action.channel]
