"""Gathers from a replay the data that the value of another policy is estimated from."""

import bisect
import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from journeymesh.common.v1 import event_pb2

from offline.decisions.archived import Record, is_goal
from offline.decisions.policy_value import Logged
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
_ACCEPTED: Final = frozenset({Outcome.ACCEPTED.value, Outcome.CONVERTED.value})


class Reward(enum.Enum):
    """What earns a decision a reward of 1; else it is 0."""

    ACCEPTED = "accepted"
    """The help was accepted, or the user converted after it. Doing nothing earns nothing."""
    CONVERTED = "converted"
    """The user reached the policy's goal in time, whatever was decided."""


class _Observation(NamedTuple):
    user_id: str
    at_us: int
    # Until when the user's actions count for it.
    until_us: int
    chosen: Arm
    logged: Mapping[Arm, float]
    target: Mapping[Arm, float]
    context: tuple[float, ...]


class Observations:
    """Decisions where either policy had a choice, and their outcomes.

    Users in the holdout of the policy in service are left out: nothing was done for them, whatever was chosen. If that
    policy knew the user's state, the other decides from the same state, else from its own.

    Decisions for an anonymous user, and what that user did, count for the known user they turned out to be. Shards are
    read one after the other, so links and goals are joined at the end.
    """

    def __init__(self) -> None:
        self._seen: list[_Observation] = []
        self._interventions: list[str] = []
        self._accepted: set[str] = set()
        self._goals: list[tuple[str, int]] = []
        self._links: dict[str, list[tuple[int, str]]] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def see(
        self, record: Record, blocks: tuple[Block, Block], policies: tuple[Policy, Policy], compared: Collection[int]
    ) -> None:
        """Takes a record's decisions by both policies.

        Only decisions about the events in `compared`, by index, count; outcomes are taken from all events.
        """
        for archived in record.events.values():
            self._note(archived.event, policies[0])
        block = blocks[0]
        for row, index in enumerate(block.event_indexes):
            user_id = block.user_ids[row]
            if index in compared and not _is_held_out(policies[0], user_id, block.exceptional.get(row)):
                self._observe(record, row, blocks, policies)

    def logged(self, reward: Reward) -> Logged:
        """The decisions as input of `policy_value.evaluate`."""
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
        rewards = self._accepted_help() if reward is Reward.ACCEPTED else self._converted(people)
        return Logged(
            actions=np.array([column[each.chosen] for each in self._seen], np.intp),
            propensities=propensities,
            targets=targets,
            rewards=np.array(rewards, np.float64),
            contexts=np.array([each.context for each in self._seen], np.float64),
            users=np.array([users[each] for each in people], np.int64),
        )

    def _observe(self, record: Record, row: int, blocks: tuple[Block, Block], policies: tuple[Policy, Policy]) -> None:
        was, would = (block.exceptional.get(row) for block in blocks)
        facts = pages.facts_at(blocks[0], record.shard, record.sequence, row)
        logged = was.verdict.candidates if was else ()
        other_facts = msgspec.structs.replace(facts, assessment=blocks[1].assessments[row])
        target = _target(policies[1], other_facts, was, would)
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
        self._interventions.append(was.verdict.intervention.id if was and was.verdict.intervention else "")

    def _note(self, event: event_pb2.Event, policy: Policy) -> None:
        if event.event_type == event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME and event.outcome.outcome in _ACCEPTED:
            self._accepted.add(event.outcome.intervention_id)
        if is_goal(policy.conversion, event):
            self._goals.append((event.user_id, event.event_time_us))
        if event.linked_user_id:
            self._links.setdefault(event.user_id, []).append((event.received_time_us, event.linked_user_id))

    def _person(self, user_id: str, at_us: int) -> str:
        """The known user whom a user turned out to be, by the first link after a time."""
        found = (known for linked_us, known in sorted(self._links.get(user_id, ())) if linked_us >= at_us)
        return next(found, user_id)

    def _accepted_help(self) -> list[bool]:
        return [bool(each) and each in self._accepted for each in self._interventions]

    def _converted(self, people: Sequence[str]) -> list[bool]:
        """Whether the user reached the goal in time, by when it happened and not when it was received."""
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
    """Whether the user was in the holdout: by the recorded exposure, else by the hash of the user's id."""
    before = was.standing.exposed if was else None
    if before is not None and before.experiment == policy.holdout.salt:
        return not before.is_treated
    return chance.held_out(policy.holdout.salt, user_id, policy.holdout.share)


def _target(policy: Policy, facts: Facts, was: Exceptional | None, would: Exceptional | None) -> tuple[Candidate, ...]:
    if was is None:
        return would.verdict.candidates if would else ()
    # The intervention is discarded, so its id does not matter.
    return derive(policy, facts, was.standing, "").candidates


def _shares(candidates: Iterable[Candidate]) -> Mapping[Arm, float]:
    """The propensity of each; doing nothing is certain if there was no choice."""
    shares = {(each.action, each.channel): each.propensity for each in candidates}
    return shares or {_NOTHING: 1.0}
