"""Gathers from a replay what the value of another policy is estimated from."""

import enum
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec
import numpy as np
from journeymesh.common.v1 import event_pb2

from offline.decided import Record
from offline.policy_value import Logged
from services.intervention.domain import chance
from services.intervention.domain import ledger as pages
from services.intervention.domain.decision import Exceptional, derive
from services.intervention.domain.facts import Facts, Outcome
from services.intervention.domain.ledger import Block
from services.intervention.domain.pending import is_conversion
from services.intervention.domain.policy import Policy
from services.intervention.domain.strategy import NOTHING, Candidate

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
    chosen: Arm
    logged: Mapping[Arm, float]
    target: Mapping[Arm, float]
    context: tuple[float, ...]


class Observations:
    """Decisions on which either policy had a choice, and what came of them.

    Users whom the policy in service held out are left out: nothing was done for them, whatever was chosen. Where that
    policy knew the user's standing, the other one is asked about the same standing; else it is taken at its own.
    """

    def __init__(self) -> None:
        self._seen: list[_Observation] = []
        self._accepted: list[bool] = []
        self._converted: list[bool] = []
        self._by_intervention: dict[str, int] = {}
        self._waiting: dict[str, list[tuple[int, int]]] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def see(
        self, record: Record, blocks: tuple[Block, Block], policies: tuple[Policy, Policy], compared: Collection[int]
    ) -> None:
        """Takes the decisions of a record, as they were and as the other makes them.

        Only those named by their event's index in `compared` count; outcomes are taken from all events.
        """
        block = blocks[0]
        for row, index in enumerate(block.event_indexes):
            event = record.events[index].event
            self._pay(event, policies[0])
            if index in compared and not chance.held_out(
                policies[0].holdout.salt, event.user_id, policies[0].holdout.share
            ):
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
        users = {user_id: number for number, user_id in enumerate(dict.fromkeys(each.user_id for each in self._seen))}
        paid = self._accepted if reward is Reward.ACCEPTED else self._converted
        return Logged(
            actions=np.array([column[each.chosen] for each in self._seen], np.intp),
            propensities=propensities,
            targets=targets,
            rewards=np.array(paid, np.float64),
            contexts=np.array([each.context for each in self._seen], np.float64),
            users=np.array([users[each.user_id] for each in self._seen], np.int64),
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
        number = len(self._seen)
        self._seen.append(_Observation(facts.user_id, chosen, _shares(logged), _shares(target), context))
        self._accepted.append(False)
        self._converted.append(False)
        until_us = facts.received_us + policies[0].conversion.within_us
        waiting = [each for each in self._waiting.get(facts.user_id, ()) if each[0] >= facts.received_us]
        self._waiting[facts.user_id] = [*waiting, (until_us, number)]
        if was and was.verdict.intervention:
            self._by_intervention[was.verdict.intervention.id] = number

    def _pay(self, event: event_pb2.Event, policy: Policy) -> None:
        if event.event_type == event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME and event.outcome.outcome in _TAKEN_UP:
            number = self._by_intervention.get(event.outcome.intervention_id)
            if number is not None:
                self._accepted[number] = True
        if is_conversion(policy.conversion, event.event_type, event.target) and not event.is_bot:
            for until_us, number in self._waiting.pop(event.user_id, ()):
                self._converted[number] = event.received_time_us <= until_us


def _target(policy: Policy, facts: Facts, was: Exceptional | None, would: Exceptional | None) -> tuple[Candidate, ...]:
    if was is None:
        return would.verdict.candidates if would else ()
    # What is made is thrown away: no matter by which id.
    return derive(policy, facts, was.standing, "").candidates


def _shares(candidates: Iterable[Candidate]) -> Mapping[Arm, float]:
    """How likely each was; doing nothing is certain where it did not come to a choice."""
    shares = {(each.action, each.channel): each.propensity for each in candidates}
    return shares or {_NOTHING: 1.0}
