"""Teaches a policy's priors by what became of archived help, of all users.

A decision knows its user's own outcomes, and the priors of its policy. What everybody's outcomes tell goes into those
priors here, so that it is data of a policy like all else: read before it is in force, tried on what was logged, and
replayed.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from google.protobuf.json_format import Parse
from journeymesh.common.v1 import event_pb2
from journeymesh.intervention.v1 import intervention_pb2

from offline.decided import Record, Row
from offline.goals import is_goal
from offline.what_if import Span
from services.intervention.decision.domain.facts import LEVEL_NAMES, Indicator, Outcome
from services.intervention.decision.domain.outcome import Evidence, evidence_of, is_waiting, may_follow
from services.intervention.decision.domain.situation import difficulties, kind_of_difficulty
from services.intervention.policy.domain.policy import ANY, ORIENTATION, TECHNICAL, Action, Policy, Prior

_OUTCOMES: Final = frozenset(each.value for each in Outcome)
_DIFFICULTIES: Final = (TECHNICAL, ORIENTATION, ANY)
# A policy cannot name the first level, that of an assessment that tells none.
_LEVELS: Final = LEVEL_NAMES[1:]


class Context(NamedTuple):
    """Where an action was taken: level of risk and kind of difficulty, `any` where there was none."""

    level: str
    difficulty: str


class Tally(NamedTuple):
    """How many interventions were accepted, and how many refused."""

    accepted: int = 0
    refused: int = 0

    @property
    def total(self) -> int:
        """Of both."""
        return self.accepted + self.refused


Tallies = Mapping[str, Mapping[Context, Tally]]
"""By action, only of those that taught something."""


class Lesson(NamedTuple):
    """What a context of an action has taught; `any` stands for what no context before it names."""

    action: str
    context: Context
    tally: Tally
    before: Prior
    after: Prior


@dataclasses.dataclass
class _Offer:
    id: str
    action: str
    context: Context
    made_us: int
    expires_us: int
    outcome: Outcome = Outcome.NONE


class Outcomes:
    """What became of each intervention, as the service takes it: see `services.intervention.decision.domain.outcome`.

    An intervention counts once, where and as it was decided on. What ran out unseen says nothing, and neither does what
    still waits, was taken back or was withheld. Some hundred bytes an intervention are kept.

    What was offered to an anonymous user is the known user's from the event that links them. Shards are read one after
    the other, so the known user's outcome may be read before the offer, and waits for it; a goal does not.

    Args:
        policy: whose actions and goal count; actions of other names or channels are passed over.
        span: when the decisions that count were received. What became of them counts until its end.
    """

    def __init__(self, policy: Policy, span: Span) -> None:
        self._actions = {(each.name, each.channel) for each in policy.actions}
        self._conversion = policy.conversion
        self._span = span
        self._offers: dict[str, list[_Offer]] = {}
        self._early: dict[tuple[str, str], list[Outcome]] = {}
        self._tallies: defaultdict[str, dict[Context, Tally]] = defaultdict(dict)
        self._last_us = 0

    def see(self, record: Record) -> None:
        """Takes a record, in the order of `decided.records`."""
        # As the service does: what a decision is about comes behind all else of its record.
        for index, archived in sorted(record.events.items(), key=lambda each: (each[0] in record.decided, each[0])):
            event = archived.event
            at_us = event.received_time_us
            if at_us >= self._span.stop_us:
                continue
            self._last_us = max(self._last_us, at_us)
            self._follow(event)
            if event.linked_user_id:
                self._move(event.user_id, event.linked_user_id)
            row = record.decided.get(index)
            if row and row.get("withdrawn"):
                self._take_back(row["user_id"], row["withdrawn"])
            if row and row["intervention"] and self._span.holds(at_us):
                self._offer(row, at_us)

    def tallies(self) -> Tallies:
        """What was counted until the last event that was seen."""
        for offers in self._offers.values():
            self._lapse(offers, self._last_us)
        return dict(self._tallies)

    def _follow(self, event: event_pb2.Event) -> None:
        offers = self._offers.get(event.user_id, [])
        if is_goal(self._conversion, event):
            seen = [
                each
                for each in offers
                if each.outcome in (Outcome.SHOWN, Outcome.ACCEPTED)
                and 0 <= event.event_time_us - each.made_us <= self._conversion.within_us
                and not (each.outcome is Outcome.SHOWN and each.expires_us <= event.event_time_us)
            ]
            if seen:
                self._become(seen[-1], Outcome.CONVERTED)
        if event.HasField("outcome"):
            self._lapse(offers, event.received_time_us)
            self._report(event.user_id, offers, event.outcome)

    def _report(self, user_id: str, offers: Sequence[_Offer], told: event_pb2.InterventionOutcome) -> None:
        if told.outcome not in _OUTCOMES:
            return
        outcome = Outcome(told.outcome)
        offer = next((each for each in offers if each.id == told.intervention_id), None)
        if offer is not None:
            self._become(offer, outcome)
        elif told.intervention_id:
            self._early.setdefault((user_id, told.intervention_id), []).append(outcome)

    def _move(self, anonymous_id: str, user_id: str) -> None:
        """What was offered to somebody anonymous is the known user's; of two that wait the older is taken back."""
        moved = self._offers.pop(anonymous_id, [])
        for offer in moved:
            for outcome in self._early.pop((user_id, offer.id), ()):
                self._become(offer, outcome)
        offers = sorted((*moved, *self._offers.get(user_id, ())), key=lambda each: each.made_us)
        waiting = [each for each in offers if is_waiting(each.outcome)]
        for each in waiting[:-1]:
            each.outcome = Outcome.WITHDRAWN
        if offers:
            self._offers[user_id] = offers

    def _take_back(self, user_id: str, intervention_id: str) -> None:
        for each in self._offers.get(user_id, ()):
            if each.id == intervention_id and is_waiting(each.outcome):
                each.outcome = Outcome.WITHDRAWN

    def _offer(self, row: Row, at_us: int) -> None:
        made = Parse(row["intervention"], intervention_pb2.Intervention(), ignore_unknown_fields=True)
        offers = self._offers.setdefault(row["user_id"], [])
        self._lapse(offers, at_us)
        if offers and is_waiting(offers[-1].outcome):
            # It gives way before its time, which tells nothing.
            offers[-1].outcome = Outcome.EXPIRED
        if (made.action, made.channel) in self._actions:
            kind = kind_of_difficulty(difficulties(Indicator(**each) for each in row["indicators"]))
            context = Context(row["level"] or LEVEL_NAMES[0], kind)
            offers.append(_Offer(made.id, made.action, context, at_us, made.expires_at.ToMicroseconds()))

    def _lapse(self, offers: Sequence[_Offer], at_us: int) -> None:
        if offers and is_waiting(offers[-1].outcome) and offers[-1].expires_us <= at_us:
            self._become(offers[-1], Outcome.EXPIRED)

    def _become(self, offer: _Offer, outcome: Outcome) -> None:
        if not may_follow(offer.outcome, outcome):
            return
        evidence = evidence_of(offer.outcome, outcome)
        offer.outcome = outcome
        if evidence is not None:
            its = self._tallies[offer.action]
            accepted, refused = its.get(offer.context, Tally())
            is_for = evidence is Evidence.FOR
            its[offer.context] = Tally(accepted + is_for, refused + (not is_for))


def lessons(policy: Policy, tallies: Tallies, strength: float) -> list[Lesson]:
    """The priors of all contexts of those actions that outcomes tell of, in the order in which they are looked for.

    With a of n outcomes accepted in a context, A of N in all contexts of the action, and a stated prior of mean m,

        t = (A + s m) / (N + s)        the action's ratio, drawn to what was stated
        p = (a + s t) / (n + s)        the context's ratio, drawn to the action's

    is the mean of the new prior: what s outcomes more of the mean above would have given. These are the posterior means
    of nested beta-binomial models (empirical Bayes; Micci-Barreca, "A preprocessing scheme for high-cardinality
    categorical attributes", SIGKDD Explorations 3(1), 2001, with the weight n / (n + s)). The new prior weighs as much
    as the stated one, so that a user's own outcomes count against it as before.

    Args:
        policy: the policy with the stated priors.
        tallies: what became of its help.
        strength: s, above 0: how many outcomes weigh as much as what is held without them.
    """
    return [
        lesson
        for action in policy.actions
        if action.name in tallies
        for lesson in _lessons(policy, action, tallies[action.name], strength)
    ]


def _lessons(policy: Policy, action: Action, tallies: Mapping[Context, Tally], strength: float) -> Iterator[Lesson]:
    every = Tally(sum(each.accepted for each in tallies.values()), sum(each.refused for each in tallies.values()))
    for context in _contexts(action, tallies):
        before, tally = _stated(policy, action, context), tallies.get(context, Tally())
        weight = before.accepted + before.refused
        counts = tally.total, every.total
        accepted = _drawn((tally.accepted, every.accepted), counts, before.accepted / weight, strength)
        refused = _drawn((tally.refused, every.refused), counts, before.refused / weight, strength)
        yield Lesson(
            action.name, context, tally, before, Prior(_rounded(weight * accepted), _rounded(weight * refused))
        )


def _drawn(own: tuple[int, int], counts: tuple[int, int], stated: float, strength: float) -> float:
    """The share that these are of the counts, of a context and of all its action's: p of the formula."""
    target = (own[1] + strength * stated) / (counts[1] + strength)
    return (own[0] + strength * target) / (counts[0] + strength)


def _rounded(value: float) -> float:
    """To six digits: more than outcomes can tell, and few enough to be read."""
    return float(f"{value:.6g}")


def _contexts(action: Action, seen: Collection[Context]) -> list[Context]:
    """Those that were seen, then those that are stated, then all others; the first that fits is taken."""
    found = [
        context
        for level in reversed(_LEVELS)
        for context in (Context(level, kind) for kind in _DIFFICULTIES)
        # `any` takes in the other two, which therefore stand before it.
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
