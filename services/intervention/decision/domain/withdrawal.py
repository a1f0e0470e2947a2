"""When waiting help is withdrawn: its trouble is over, or it can no longer reach anybody."""

from services.intervention.decision.domain.eligibility import may_be_gentle, unanswered, urgent_reasons
from services.intervention.decision.domain.facts import Assessment, Facts
from services.intervention.decision.domain.offer import Offer, WithdrawalReason, Withdrawn, waiting_offer
from services.intervention.decision.domain.situation import Situation
from services.intervention.policy.domain.policy import PRESENT_CHANNELS, EventKind, Policy


def withdrawal(situation: Situation) -> Withdrawn | None:
    """The withdrawal of the waiting help by an event; None if it goes on waiting."""
    policy, facts = situation.policy, situation.facts
    waits = waiting_offer(situation.user.offers, facts.received_us)
    if waits is None or facts.is_copy:
        return None
    if facts.is_settled and is_over(policy, facts.assessment, waits):
        return Withdrawn(waits.id, WithdrawalReason.SOLVED)
    if ends_session(policy, facts) and waits.event_us <= facts.event_us and PRESENT_CHANNELS.issuperset(waits.channels):
        return Withdrawn(waits.id, WithdrawalReason.SESSION_ENDED)
    return None


def is_over(policy: Policy, assessment: Assessment, offer: Offer) -> bool:
    """Whether the trouble that an offer was made for is over, now that some of it was settled.

    Urgent help was made because of a trigger, gentle help because of a difficulty at medium risk.
    """
    if urgent_reasons(policy, assessment):
        return False
    return offer.is_urgent or not may_be_gentle(assessment)


def ends_session(policy: Policy, facts: Facts) -> bool:
    """Whether the user has just gone: a log-out that arrived in time, and not from a script or a system."""
    return facts.kind == EventKind.SESSION_END and unanswered(policy, facts) is None
