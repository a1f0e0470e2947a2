"""Gathers from a replay what the value of another policy is estimated from."""

import bisect
import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from journeymesh.common.v1 import event_pb2

from offline.decided import Record
from offline.goals import is_goal
from offline.policy_value import Logged
from services.intervention.decision.domain import chance
from services.intervention.decision.domain import ledger as pages
from services.intervention.decision.domain.decision import Exceptional, derive
from services.intervention.decision.domain.facts import Facts, Outcome
from services.intervention.decision.domain.ledger import Block
from services.intervention.decision.domain.strategy import NOTHING, Candidate
from services.intervention.policy.domain.policy import Policy

Arm = tuple[str, str]
"""An action and its channel."""

_NOTHING: Final[Arm] = (NOTHING, "")
_TAKEN_UP: Final = frozenset({Outcome.ACCEPTED.value, Outcome.CONVERTED.value})


class Reward(enum.Enum):
    """What a decision is paid for: 1 where it came about, else 0."""

    ACCEPTED = "accepted"
    """The help was accepted, or the user converted upon it. Doing nothing is never paid."""
    CONVERTED = "converted"
    """The user did what the policy wants within its time, whatever was done for it."""


class _Observation(NamedTuple):
    user_id: str
    at_us: int
    # Until when what the user does counts for it.
    until_us: int
    chosen: Arm
    logged: Mapping[Arm, float]
    target: Mapping[Arm, float]
    context: tuple[float, ...]


class Observations:
    """Decisions on which either policy had a choice, and what came of them.

    Users whom the policy in service held out are left out: nothing was done for them, whatever was chosen. Where that
    policy knew the user's standing, the other one is asked about the same standing; else it is taken at its own.

    Decisions on somebody anonymous, and what was done anonymously, are those of the known user it turned out to be.
    Shards are read one after the other, so this and what is the goal are put together at the end.
    """

    def __init__(self) -> None:
        self._seen: list[_Observation] = []
        self._made: list[str] = []
        self._accepted: set[str] = set()
        self._goals: list[tuple[str, int]] = []
        self._links: dict[str, list[tuple[int, str]]] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def see(
        self, record: Record, blocks: tuple[Block, Block], policies: tuple[Policy, Policy], compared: Collection[int]
    ) -> None:
        """Takes the decisions of a record, as they were and as the other makes them.

        Only those about the events in `compared`, by their index, count; outcomes are taken from all events.
        """
        for archived in record.events.values():
            self._note(archived.event, policies[0])
        block = blocks[0]
        for row, index in enumerate(block.event_indexes):
            user_id = block.user_ids[row]
            if index in compared and not _is_held_out(policies[0], user_id, block.exceptional.get(row)):
                self._observe(record, row, blocks, policies)

    def logged(self, reward: Reward) -> Logged:
        """What was seen, for `policy_value.evaluate`."""
        arms = sorted({arm for each in self._seen for arm in (each.chosen, *each.logged, *each.target)})
        column = {arm: number for number, arm in enumerate(arms)}
        shape = (len(self._seen), len(arms))
        propensities, targets = np.zeros(shape), np.zeros(shape)
        for row, each in enumerate(self._seen):
            for into, of in ((propensities, each.logged), (targets, each.target)):
                for arm, share in of.items():
                    into[row, column[arm]] += share
        people = [self._person(each.user_id, each.at_us) for each in self._seen]
        users = {user_id: number for number, user_id in enumerate(dict.fromkeys(people))}
        paid = self._taken_up() if reward is Reward.ACCEPTED else self._converted(people)
        return Logged(
            actions=np.array([column[each.chosen] for each in self._seen], np.intp),
            propensities=propensities,
            targets=targets,
            rewards=np.array(paid, np.float64),
            contexts=np.array([each.context for each in self._seen], np.float64),
            users=np.array([users[each] for each in people], np.int64),
        )

    def _observe(self, record: Record, row: int, blocks: tuple[Block, Block], policies: tuple[Policy, Policy]) -> None:
        was, would = (block.exceptional.get(row) for block in blocks)
        facts = pages.facts_at(blocks[0], record.shard, record.sequence, row)
        logged = was.verdict.candidates if was else ()
        otherwise = msgspec.structs.replace(facts, assessment=blocks[1].assessments[row])
        target = _target(policies[1], otherwise, was, would)
        if not logged and not target:
            return
        chosen = next(((each.action, each.channel) for each in logged if each.is_chosen), _NOTHING)
        seen = facts.assessment
        context = (seen.score, seen.confidence, seen.rule_score, seen.model_score, float(seen.strong_signal_count))
        at_us = facts.received_us
        until_us = at_us + policies[0].conversion.within_us
        self._seen.append(
            _Observation(facts.user_id, at_us, until_us, chosen, _shares(logged), _shares(target), context)
        )
        self._made.append(was.verdict.intervention.id if was and was.verdict.intervention else "")

    def _note(self, event: event_pb2.Event, policy: Policy) -> None:
        if event.event_type == event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME and event.outcome.outcome in _TAKEN_UP:
            self._accepted.add(event.outcome.intervention_id)
        if is_goal(policy.conversion, event):
            self._goals.append((event.user_id, event.event_time_us))
        if event.linked_user_id:
            self._links.setdefault(event.user_id, []).append((event.received_time_us, event.linked_user_id))

    def _person(self, user_id: str, at_us: int) -> str:
        """The known user whom a user turned out to be, at the first link that comes after a time."""
        found = (known for linked_us, known in sorted(self._links.get(user_id, ())) if linked_us >= at_us)
        return next(found, user_id)

    def _taken_up(self) -> list[bool]:
        return [bool(each) and each in self._accepted for each in self._made]

    def _converted(self, people: Sequence[str]) -> list[bool]:
        """Whether the person reached the goal in time: by when it happened, however late it came."""
        goals: dict[str, list[int]] = {}
        for user_id, at_us in self._goals:
            goals.setdefault(self._person(user_id, at_us), []).append(at_us)
        for its in goals.values():
            its.sort()
        return [
            _has_one(goals.get(who, ()), each.at_us, each.until_us)
            for who, each in zip(people, self._seen, strict=True)
        ]


def _has_one(ascending: Sequence[int], after_us: int, until_us: int) -> bool:
    place = bisect.bisect_right(ascending, after_us)
    return place < len(ascending) and ascending[place] <= until_us


def _is_held_out(policy: Policy, user_id: str, was: Exceptional | None) -> bool:
    """Whether nothing was done, whatever was chosen: by the side that the person has, else by the user's own."""
    before = was.standing.exposed if was else None
    if before is not None and before.experiment == policy.holdout.salt:
        return not before.is_treated
    return chance.held_out(policy.holdout.salt, user_id, policy.holdout.share)


def _target(policy: Policy, facts: Facts, was: Exceptional | None, would: Exceptional | None) -> tuple[Candidate, ...]:
    if was is None:
        return would.verdict.candidates if would else ()
    # What is made is thrown away: no matter by which id.
    return derive(policy, facts, was.standing, "").candidates


def _shares(candidates: Iterable[Candidate]) -> Mapping[Arm, float]:
    """How likely each was; doing nothing is certain where it did not come to a choice."""
    shares = {(each.action, each.channel): each.propensity for each in candidates}
    return shares or {_NOTHING: 1.0}
