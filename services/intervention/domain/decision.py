"""The decision: a pure function of the policy, what is known of the event, and what is known of the user."""

from typing import NamedTuple

import msgspec

from services.intervention.domain import chance, eligibility, pending, reasons, strategy
from services.intervention.domain.eligibility import FOR_HELP, URGENT, Reason
from services.intervention.domain.facts import Bought, Facts, OutcomeReport
from services.intervention.domain.offer import UNKNOWN, Exposed, Standing
from services.intervention.domain.pending import Helped
from services.intervention.domain.policy import Action, Policy
from services.intervention.domain.strategy import LEVEL_NAMES, Candidate, Choice, Intervention


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """What came out: the reasons, deciding reason first, the same in a sentence, and the help, if any.

    `candidates` is empty where it did not come to a choice, else it ends with doing nothing. `withheld` is help that
    was decided on and not given.
    """

    reasons: tuple[Reason, ...]
    explanation: str
    intervention: Intervention | None
    candidates: tuple[Candidate, ...] = ()
    draw: float = 0.0
    exposed: Exposed | None = None
    withheld: Intervention | None = None

    @property
    def propensity(self) -> float:
        """How likely the policy was to do what it did, 0 to 1; 1 where nothing was drawn."""
        return next((each.propensity for each in self.candidates if each.is_chosen), 1.0)


def derive(policy: Policy, facts: Facts, standing: Standing, intervention_id: str) -> Verdict:
    """Decides. The same inputs give the same verdict, byte for byte."""
    why = eligibility.judge(policy, facts, standing)
    if why[0] not in FOR_HELP:
        return Verdict(why, reasons.explain(policy, facts, standing, why), None)
    is_urgent = why[0] in URGENT
    actions = strategy.matching(policy, facts, standing, is_urgent=is_urgent)
    back = eligibility.held_back(policy, facts, standing, is_urgent=is_urgent)
    if back is not None:
        actions = [each for each in actions if each.is_transactional]
    if not actions:
        why = (back or Reason.NO_ACTION, *why)
        return Verdict(why, reasons.explain(policy, facts, standing, why), None)
    choice = strategy.choose(policy, facts, standing, actions)
    if choice.action is None:
        return _nothing(policy, facts, standing, why, choice, actions[0], intervention_id)
    help_ = strategy.help_by(policy, facts, standing, choice.action, intervention_id)
    exposed = _exposed(policy, facts, standing, choice.action)
    if exposed is not None and not exposed.is_treated:
        why = (Reason.HOLDOUT, *why)
    is_held_out = why[0] is Reason.HOLDOUT
    said = reasons.explain(policy, facts, standing, why, None if is_held_out else help_)
    is_new = exposed is not None and (standing.exposed is None or standing.exposed.experiment != exposed.experiment)
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
    """A row that was decided with more than its columns: what was looked at, and the verdict."""

    time_zone: str
    outcome: OutcomeReport | None
    standing: Standing
    verdict: Verdict
    kind: int = 0
    target: str = ""
    bought: Bought | None = None
    features: tuple[float, ...] = ()


class Decided(NamedTuple):
    """What one event came to: what is to be kept of it beside its columns, if anything, and the user afterwards."""

    exceptional: Exceptional | None
    helped: Helped
    exposed: Exposed | None = None
    """The user counts from now on."""
    converted: Exposed | None = None
    """The user who counted has now done what was wanted."""


def decide(
    policy: Policy,
    facts: Facts,
    helped: Helped,
    undelivered: tuple[tuple[str, str], ...],
    intervention_id: str,
) -> Decided:
    """Decides one event and tells what becomes of the user."""
    standing = pending.standing(helped, undelivered)
    is_wanted = pending.is_conversion(policy.conversion, facts.kind, facts.target)
    is_plain = standing == UNKNOWN and facts.outcome is None and facts.bought is None
    if is_plain and not eligibility.urgent_reasons(policy, facts.assessment):
        return Decided(None, helped)
    verdict = derive(policy, facts, standing, intervention_id)
    after = _after(policy, facts, helped, verdict)
    if facts.bought is not None:
        after = pending.spent(after, facts.bought)
    counted = after.exposed
    if is_wanted and not facts.is_bot:
        after = pending.converted(policy, after, facts.received_us)
    has_converted = after.exposed is not None and after.exposed != counted
    exceptional = Exceptional(
        facts.time_zone,
        facts.outcome,
        standing,
        verdict,
        facts.kind,
        facts.target,
        facts.bought,
        facts.features,
    )
    return Decided(exceptional, after, verdict.exposed, after.exposed if has_converted else None)


def _after(policy: Policy, facts: Facts, helped: Helped, verdict: Verdict) -> Helped:
    is_urgent = not URGENT.isdisjoint(verdict.reasons)
    after = helped
    if facts.outcome is not None:
        after = pending.reported(policy, helped, facts.outcome, facts.received_us)
    elif verdict.intervention is not None:
        after = pending.offered(policy, helped, verdict.intervention, facts.received_us, is_urgent=is_urgent)
    elif verdict.withheld is not None:
        after = pending.withheld(helped, verdict.withheld, facts.received_us, is_urgent=is_urgent)
    return msgspec.structs.replace(after, exposed=verdict.exposed) if verdict.exposed else after


def _nothing(
    policy: Policy,
    facts: Facts,
    standing: Standing,
    why: tuple[Reason, ...],
    choice: Choice,
    first: Action,
    intervention_id: str,
) -> Verdict:
    """Nothing is done: because nothing may be, or because it was drawn; then the first action is withheld."""
    refusals = [each.refusal for each in choice.candidates if each.refusal is not None]
    may_act = len(refusals) < len(choice.candidates) - 1
    why = (Reason.CHOSE_NOTHING if may_act else refusals[0], *why)
    help_ = strategy.help_by(policy, facts, standing, first, intervention_id) if may_act else None
    said = reasons.explain(policy, facts, standing, why)
    return Verdict(why, said, None, choice.candidates, choice.draw, None, help_)


def _exposed(policy: Policy, facts: Facts, standing: Standing, action: Action) -> Exposed | None:
    """On which side the user counts, now that help was decided on; None where help is never held out."""
    if action.is_transactional:
        return None
    holdout = policy.holdout
    return Exposed(
        experiment=holdout.salt,
        at_us=facts.received_us,
        is_treated=not chance.held_out(holdout.salt, facts.user_id, holdout.share),
        type=action.type,
        action=action.name,
        channel=action.channel,
        level=LEVEL_NAMES[facts.assessment.level],
        is_high_value=strategy.is_high_value(policy, standing),
    )
