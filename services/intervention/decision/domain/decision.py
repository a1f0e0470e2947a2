"""The decision: a pure function of the policy, what is known of the event, and what is known of the user."""

from typing import NamedTuple

import msgspec

from services.intervention.decision.domain import chance, eligibility, reasons, strategy, user_state
from services.intervention.decision.domain.eligibility import FOR_HELP, URGENT, Reason
from services.intervention.decision.domain.facts import Facts, OutcomeReport, Purchase
from services.intervention.decision.domain.offer import UNKNOWN, Exposure, Standing, Undelivered, Withdrawn, taken_back
from services.intervention.decision.domain.situation import Situation
from services.intervention.decision.domain.strategy import Candidate, Choice, Intervention
from services.intervention.decision.domain.user_state import UserState
from services.intervention.decision.domain.withdrawal import withdrawal
from services.intervention.policy.domain.policy import Action, Policy


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """The result of a decision: the reasons, deciding reason first, their explanation, and the help, if any.

    `candidates` is empty if no choice was made; else its last entry is doing nothing. `withheld` is help that was
    decided on and not given. `withdrawn` is earlier help that was taken back.
    """

    reasons: tuple[Reason, ...]
    explanation: str
    intervention: Intervention | None
    candidates: tuple[Candidate, ...] = ()
    draw: float = 0.0
    exposed: Exposure | None = None
    withheld: Intervention | None = None
    withdrawn: Withdrawn | None = None

    @property
    def propensity(self) -> float:
        """The probability of what was done, 0 to 1; 1 where nothing was drawn."""
        return next((each.propensity for each in self.candidates if each.is_chosen), 1.0)


def derive(policy: Policy, facts: Facts, standing: Standing, intervention_id: str) -> Verdict:
    """Decides. The same inputs give the same verdict, byte for byte.

    Waiting help is judged first: once it is withdrawn, it holds back other help only by its cooldown.
    """
    situation = Situation(policy, facts, standing)
    back = withdrawal(situation)
    if back is None:
        return _verdict(situation, intervention_id)
    rest = msgspec.structs.replace(standing, offers=taken_back(standing.offers, back))
    verdict = _verdict(Situation(policy, facts, rest), intervention_id)
    said = f"{verdict.explanation} {reasons.WITHDRAWALS[back.reason]}"
    return msgspec.structs.replace(verdict, explanation=said, withdrawn=back)


def _verdict(situation: Situation, intervention_id: str) -> Verdict:
    user = situation.user
    why = eligibility.judge(situation)
    if why[0] not in FOR_HELP:
        return Verdict(why, reasons.explain(situation, why), None)
    is_urgent = why[0] in URGENT
    actions = strategy.matching(situation, is_urgent=is_urgent)
    back = eligibility.held_back(situation, is_urgent=is_urgent)
    if back is not None:
        actions = [each for each in actions if each.is_transactional]
    if not actions:
        why = (back or Reason.NO_ACTION, *why)
        return Verdict(why, reasons.explain(situation, why), None)
    choice = strategy.choose(situation, actions)
    if choice.action is None:
        return _nothing(situation, why, choice, actions[0], intervention_id)
    help_ = strategy.help_by(situation, choice.action, intervention_id)
    exposed = _exposed(situation, choice.action)
    if exposed is not None and not exposed.is_treated:
        why = (Reason.HOLDOUT, *why)
    is_held_out = why[0] is Reason.HOLDOUT
    said = reasons.explain(situation, why, None if is_held_out else help_)
    is_new = exposed is not None and (user.exposed is None or user.exposed.experiment != exposed.experiment)
    return Verdict(
        reasons=why,
        explanation=said,
        intervention=None if is_held_out else help_,
        candidates=choice.candidates,
        draw=choice.draw,
        exposed=exposed if is_new else None,
        withheld=help_ if is_held_out else None,
    )


class Exceptional(msgspec.Struct, frozen=True, array_like=True):
    """The part of a decision that the columns of the block do not hold: further inputs and the verdict."""

    time_zone: str
    outcome: OutcomeReport | None
    standing: Standing
    verdict: Verdict
    kind: int = 0
    target: str = ""
    bought: Purchase | None = None
    features: tuple[float, ...] = ()
    is_settled: bool = False


class Decided(NamedTuple):
    """The result of one decision: what the ledger keeps besides the columns, if anything, and the user afterwards."""

    exceptional: Exceptional | None
    user: UserState


def decide(
    policy: Policy,
    facts: Facts,
    user: UserState,
    undelivered: Undelivered,
    intervention_id: str,
) -> Decided:
    """Decides on one event; returns the decision and the user afterwards."""
    if facts.is_copy:
        return Decided(None, _after_copy(policy, facts, user))
    if facts.segment is not None:
        user = user_state.segmented(user, facts.segment, facts.event_us)
        if not facts.is_settled:
            return Decided(None, user)  # whatever is known of the user, a system's event brings no help
    if user.time_zone and not facts.time_zone:
        facts = msgspec.structs.replace(facts, time_zone=user.time_zone)
    if _reaches_goal(policy, facts):
        user = user_state.converted(policy, user, facts.event_us)
    standing = user_state.standing(user, undelivered)
    if standing == UNKNOWN and not _is_looked_at(policy, facts):
        return Decided(None, user)
    verdict = derive(policy, facts, standing, intervention_id)
    exceptional = Exceptional(
        facts.time_zone,
        facts.outcome,
        standing,
        verdict,
        facts.kind,
        facts.target,
        facts.bought,
        facts.features,
        facts.is_settled,
    )
    return Decided(exceptional, _after(policy, facts, user, verdict))


def take_effect(policy: Policy, facts: Facts, user: UserState) -> UserState:
    """The user after an event that is not decided on itself: the decision is about another event of the record."""
    if facts.is_copy:
        return _after_copy(policy, facts, user)
    if facts.segment is not None:
        return user_state.segmented(user, facts.segment, facts.event_us)
    if _reaches_goal(policy, facts):
        user = user_state.converted(policy, user, facts.event_us)
    back = withdrawal(Situation(policy, facts, user_state.standing(user)))
    if back is not None:
        user = user_state.withdrawn(user, back)
    if facts.outcome is not None:
        user = user_state.reported(policy, user, facts.outcome, facts.received_us, facts.event_us)
    return _paid(facts, user)


def _paid(facts: Facts, user: UserState) -> UserState:
    """The user after what an event says was bought, if anything was."""
    if facts.bought is not None:
        user = user_state.spent(user, facts.bought)
    return user_state.stocked(user, facts.products, facts.event_us) if facts.products else user


def _after_copy(policy: Policy, facts: Facts, user: UserState) -> UserState:
    """The user after a copy of an event. The event had its effects in the journey it comes from; here it can have one.

    If it is the goal, it converts a user who counts and has not converted: that journey did not know of the help.
    """
    counts = user.exposed is not None and not user.exposed.is_converted
    has_converted = counts and _reaches_goal(policy, facts)
    return user_state.converted(policy, user, facts.event_us) if has_converted else user


def _reaches_goal(policy: Policy, facts: Facts) -> bool:
    """Whether an event is the goal of the policy; it may come from the user or from a system of the shop."""
    if facts.is_bot or (facts.bought is not None and facts.bought.gives_back):
        return False
    return user_state.is_conversion(policy.conversion, facts.kind, facts.target)


def _is_looked_at(policy: Policy, facts: Facts) -> bool:
    """Whether the decision on an event of a user without a standing needs more than the event's columns."""
    if facts.outcome is not None or facts.bought is not None:
        return True
    is_urgent = bool(eligibility.urgent_reasons(policy, facts.assessment))
    return is_urgent and eligibility.unanswered(policy, facts) is None


def _after(policy: Policy, facts: Facts, user: UserState, verdict: Verdict) -> UserState:
    is_urgent = not URGENT.isdisjoint(verdict.reasons)
    at_us, event_us = facts.received_us, facts.event_us
    after = user
    if verdict.withdrawn is not None:
        after = user_state.withdrawn(after, verdict.withdrawn)
    if facts.outcome is not None:
        after = user_state.reported(policy, after, facts.outcome, at_us, event_us)
    elif verdict.intervention is not None:
        after = user_state.offered(policy, after, verdict.intervention, at_us, is_urgent=is_urgent, event_us=event_us)
    elif verdict.withheld is not None:
        after = user_state.withheld(after, verdict.withheld, at_us, is_urgent=is_urgent, event_us=event_us)
    if verdict.exposed is not None:
        after = msgspec.structs.replace(after, exposed=verdict.exposed)
    if facts.is_settled:
        after = user_state.solved(policy, after, facts.assessment, event_us)
    after = _paid(facts, after)
    if after is user_state.NOBODY or after.time_zone == facts.time_zone:
        return after
    return msgspec.structs.replace(after, time_zone=facts.time_zone)


def _nothing(
    situation: Situation,
    why: tuple[Reason, ...],
    choice: Choice,
    first: Action,
    intervention_id: str,
) -> Verdict:
    """Nothing is done: because no action is allowed, or because that was drawn; then the first action is withheld."""
    refusals = [each.refusal for each in choice.candidates if each.refusal is not None]
    may_act = len(refusals) < len(choice.candidates) - 1
    why = (Reason.CHOSE_NOTHING if may_act else refusals[0], *why)
    help_ = strategy.help_by(situation, first, intervention_id) if may_act else None
    said = reasons.explain(situation, why)
    return Verdict(why, said, None, choice.candidates, choice.draw, None, help_)


def _exposed(situation: Situation, action: Action) -> Exposure | None:
    """The side of the experiment on which the user counts. None for transactional help, which has no holdout."""
    if action.is_transactional:
        return None
    return Exposure(
        experiment=situation.policy.holdout.salt,
        at_us=situation.facts.received_us,
        is_treated=_is_treated(situation),
        type=action.type,
        action=action.name,
        channel=action.channel,
        level=situation.level,
        is_high_value=situation.is_high_value,
        segment=situation.user.segment.name if situation.user.segment else "",
    )


def _is_treated(situation: Situation) -> bool:
    """Whether the user is treated. A user who counts already keeps the side, even if it was drawn for another id."""
    holdout, before = situation.policy.holdout, situation.user.exposed
    if before is not None and before.experiment == holdout.salt:
        return before.is_treated
    return not chance.held_out(holdout.salt, situation.facts.user_id, holdout.share)
