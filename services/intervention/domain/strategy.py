"""How to help: priority, channel, action, content and timing, once it is decided that help is given."""

from typing import Final

import msgspec

from services.intervention.domain import message, office
from services.intervention.domain.eligibility import Standing, difficulties
from services.intervention.domain.facts import Facts, Level
from services.intervention.domain.outcome import success_probability, welcome_channel
from services.intervention.domain.policy import TECHNICAL_DIFFICULTIES, Policy

IN_APP: Final = "in_app"
LEVEL_NAMES: Final = ("unknown", "low", "medium", "high", "critical")
_GENTLE_ACTIONS: Final[dict[str, str]] = {
    "chat": "send_chat_message",
    "email": "send_help_email",
    "in_app": "show_help_tip",
    "push": "send_help_push",
    "ticket": "open_support_ticket",
}


class Intervention(msgspec.Struct, frozen=True, array_like=True):
    """Help that is offered to a user. Times are Unix microseconds, indicators strongest first."""

    id: str
    type: str
    action: str
    message: str
    channel: str
    priority: str
    expires_us: int
    deliver_by_us: int
    success_probability: float
    also_channels: tuple[str, ...]
    content: tuple[str, ...]
    risk_score: float
    risk_level: str
    indicators: tuple[str, ...]
    page: str
    confidence: float


def urgent_help(policy: Policy, facts: Facts, standing: Standing, intervention_id: str) -> Intervention:
    """A person to chat with, in the product, now."""
    return Intervention(
        id=intervention_id,
        type="critical_intervention",
        action="show_live_chat_popup",
        message=message.urgent_message(difficulties(facts.assessment.indicators)),
        channel=IN_APP,
        priority="critical" if facts.assessment.level == Level.CRITICAL else "high",
        expires_us=facts.received_us + policy.urgent_lifetime_us,
        deliver_by_us=facts.received_us + policy.urgent_deliver_us,
        success_probability=success_probability(policy, standing.learned, IN_APP),
        also_channels=(),
        content=("live_chat", "support_link"),
        risk_score=facts.assessment.score,
        risk_level=LEVEL_NAMES[facts.assessment.level],
        indicators=tuple(each.name for each in facts.assessment.indicators),
        page=facts.page,
        confidence=facts.assessment.confidence,
    )


def gentle_help(policy: Policy, facts: Facts, standing: Standing, intervention_id: str) -> Intervention:
    """Something to read, by the channel the user welcomes, in office hours, and in the product beside it."""
    channel = welcome_channel(policy, standing.learned) or IN_APP
    found = difficulties(facts.assessment.indicators)
    content = "tutorial" if not TECHNICAL_DIFFICULTIES.isdisjoint(found) else "guide"
    deliver_by_us = _in_office_hours(policy, facts)
    return Intervention(
        id=intervention_id,
        type="proactive_help",
        action=_GENTLE_ACTIONS[channel],
        message=message.gentle_message(found, content),
        channel=channel,
        priority="medium",
        expires_us=deliver_by_us + policy.gentle_answer_us,
        deliver_by_us=deliver_by_us,
        success_probability=success_probability(policy, standing.learned, channel),
        also_channels=() if channel == IN_APP else (IN_APP,),
        content=(content, "support_link"),
        risk_score=facts.assessment.score,
        risk_level=LEVEL_NAMES[facts.assessment.level],
        indicators=tuple(each.name for each in facts.assessment.indicators),
        page=facts.page,
        confidence=facts.assessment.confidence,
    )


def _in_office_hours(policy: Policy, facts: Facts) -> int:
    left_us = office.left_of_office_us(
        facts.received_us, facts.time_zone, policy.office_opens_hour, policy.office_closes_hour
    )
    if left_us >= policy.least_office_us:
        return facts.received_us + min(policy.gentle_deliver_us, left_us)
    opening_us = office.next_opening_us(facts.received_us, facts.time_zone, policy.office_opens_hour)
    return opening_us + policy.gentle_deliver_us
