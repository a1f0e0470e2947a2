"""Whether a user is helped now: the triggers, and what holds help back. Each answer carries its reasons."""

import enum
from collections.abc import Iterable
from typing import Final

import msgspec

from services.intervention.domain.facts import Assessment, Facts, Indicator, Level
from services.intervention.domain.outcome import Learned, welcome_channel
from services.intervention.domain.policy import DIFFICULTIES, Policy


class Reason(enum.IntEnum):
    """Why a decision came out as it did."""

    RISK_AT_TRIGGER = 1
    SIGNALS_AT_TRIGGER = 2
    BELOW_TRIGGER = 3
    COOLDOWN = 4
    ALREADY_PENDING = 5
    BOT = 6
    OUTCOME_EVENT = 7
    RESPONSIVE_USER = 8


URGENT: Final = frozenset({Reason.RISK_AT_TRIGGER, Reason.SIGNALS_AT_TRIGGER})
FOR_HELP: Final = URGENT | {Reason.RESPONSIVE_USER}


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """What a decision looks at of the user. Times are received times in Unix microseconds, 0 for never.

    Urgent help is never held back by gentle help: an e-mail that waits for Monday must not cost a user the chat.
    """

    waiting_until_us: int = 0
    is_waiting_urgent: bool = False
    urgent_made_us: int = 0
    gentle_made_us: int = 0
    learned: Learned = {}


UNKNOWN: Final = Standing()


def difficulties(indicators: Iterable[Indicator]) -> list[str]:
    """Names of the indicators that tell of a difficulty and count for leaving, strongest first."""
    return [each.name for each in indicators if each.name in DIFFICULTIES and each.contribution > 0]


def urgent_reasons(policy: Policy, assessment: Assessment) -> tuple[Reason, ...]:
    """The triggers that need nothing but the assessment."""
    risk = (Reason.RISK_AT_TRIGGER,) if assessment.score >= policy.trigger_score else ()
    return risk + (
        (Reason.SIGNALS_AT_TRIGGER,) if assessment.strong_signal_count >= policy.trigger_signal_count else ()
    )


def may_be_gentle(assessment: Assessment) -> bool:
    """Whether help by a channel the user welcomes is worth a look: medium risk and a difficulty."""
    return assessment.level == Level.MEDIUM and bool(difficulties(assessment.indicators))


def rows_in_question(policy: Policy, assessments: Iterable[Assessment]) -> list[int]:
    """The rows whose decision needs the user's standing, ascending; the others are below the trigger whatever it is."""
    score, count = policy.trigger_score, policy.trigger_signal_count
    return [
        row
        for row, each in enumerate(assessments)
        if each.score >= score
        or each.strong_signal_count >= count
        or (each.level == Level.MEDIUM and may_be_gentle(each))
    ]


def judge(policy: Policy, facts: Facts, standing: Standing) -> tuple[Reason, ...]:
    """The reasons, deciding reason first. Help is given if and only if the first is in `FOR_HELP`."""
    if facts.outcome is not None:
        return (Reason.OUTCOME_EVENT,)
    if facts.is_bot:
        return (Reason.BOT,)
    reasons = urgent_reasons(policy, facts.assessment)
    is_urgent = bool(reasons)
    if not is_urgent and may_be_gentle(facts.assessment) and welcome_channel(policy, standing.learned) is not None:
        reasons = (Reason.RESPONSIVE_USER,)
    if not reasons:
        return (Reason.BELOW_TRIGGER,)
    if standing.waiting_until_us > facts.received_us and (standing.is_waiting_urgent or not is_urgent):
        return (Reason.ALREADY_PENDING, *reasons)
    if facts.received_us < cooled_down_us(policy, standing, is_urgent=is_urgent):
        return (Reason.COOLDOWN, *reasons)
    return reasons


def cooled_down_us(policy: Policy, standing: Standing, *, is_urgent: bool) -> int:
    """From when on the user may be helped again; 0 where nothing was made."""
    made = standing.urgent_made_us if is_urgent else max(standing.urgent_made_us, standing.gentle_made_us)
    return made + policy.cooldown_us if made else 0
