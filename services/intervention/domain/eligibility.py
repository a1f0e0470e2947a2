"""Whether a user is helped now: the triggers, and what holds help back. Each answer carries its reasons."""

import enum
import fnmatch
import hashlib
from collections.abc import Collection, Iterable
from typing import Final

from services.intervention.domain.facts import Assessment, Facts, Indicator, Level
from services.intervention.domain.offer import Standing, waiting_offer
from services.intervention.domain.outcome import welcome_channels
from services.intervention.domain.policy import (
    ANY,
    DIFFICULTIES,
    ORIENTATION,
    TECHNICAL,
    TECHNICAL_DIFFICULTIES,
    Policy,
)


class Reason(enum.IntEnum):
    """Why a decision came out as it did, or why an action could not be chosen."""

    RISK_AT_TRIGGER = 1
    SIGNALS_AT_TRIGGER = 2
    BELOW_TRIGGER = 3
    COOLDOWN = 4
    ALREADY_PENDING = 5
    BOT = 6
    OUTCOME_EVENT = 7
    RESPONSIVE_USER = 8
    HOLDOUT = 9
    CHOSE_NOTHING = 10
    FREQUENCY_CAP = 11
    QUIET_HOURS = 12
    SUPPRESSED = 13
    DISMISSED = 14
    NOT_ELIGIBLE = 15
    NO_ACTION = 16
    ESCALATED = 17


URGENT: Final = frozenset({Reason.RISK_AT_TRIGGER, Reason.SIGNALS_AT_TRIGGER})
FOR_HELP: Final = URGENT | {Reason.RESPONSIVE_USER}

_HASHED: Final = "sha256:"


def difficulties(indicators: Iterable[Indicator]) -> list[str]:
    """Names of the indicators that tell of a difficulty and count for leaving, strongest first."""
    return [each.name for each in indicators if each.name in DIFFICULTIES and each.contribution > 0]


def kind_of_difficulty(found: Collection[str]) -> str:
    """`technical` where something did not work, `orientation` where it was not found; `any` without a difficulty."""
    if not found:
        return ANY
    return ORIENTATION if TECHNICAL_DIFFICULTIES.isdisjoint(found) else TECHNICAL


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
    """The reasons to help or not to, deciding reason first. There is reason to help if the first is in `FOR_HELP`."""
    if facts.outcome is not None:
        return (Reason.OUTCOME_EVENT,)
    if facts.is_bot:
        return (Reason.BOT,)
    reasons = urgent_reasons(policy, facts.assessment)
    if not reasons and may_be_gentle(facts.assessment) and welcome_channels(policy, standing.learned):
        reasons = (Reason.RESPONSIVE_USER,)
    if not reasons:
        return (Reason.BELOW_TRIGGER,)
    if is_named(facts.user_id, policy.suppressed_users):
        return (Reason.SUPPRESSED, *reasons)
    if facts.assessment.confidence < policy.least_confidence or _is_quiet_page(policy, facts.page):
        return (Reason.NOT_ELIGIBLE, *reasons)
    return reasons


def held_back(policy: Policy, facts: Facts, standing: Standing, *, is_urgent: bool) -> Reason | None:
    """What holds back every help but the transactional: something waits, or was offered a short while ago.

    Urgent help is never held back by gentle help: an e-mail that waits for Monday must not cost a user the chat.
    """
    waits = waiting_offer(standing.offers, facts.received_us)
    if waits is not None and (waits.is_urgent or not is_urgent):
        return Reason.ALREADY_PENDING
    if facts.received_us < cooled_down_us(policy, standing, is_urgent=is_urgent):
        return Reason.COOLDOWN
    return None


def cooled_down_us(policy: Policy, standing: Standing, *, is_urgent: bool) -> int:
    """From when on the user may be helped again; 0 where nothing was offered."""
    made_us = max((each.made_us for each in standing.offers if each.is_urgent or not is_urgent), default=0)
    return made_us + policy.cooldown_us if made_us else 0


def is_named(user_id: str, users: Collection[str]) -> bool:
    """Whether a list has the user, by id or by the id's SHA-256."""
    if not users:
        return False
    return user_id in users or _HASHED + hashlib.sha256(user_id.encode()).hexdigest() in users


def _is_quiet_page(policy: Policy, page: str) -> bool:
    return any(fnmatch.fnmatchcase(page, pattern) for pattern in policy.quiet_pages)
