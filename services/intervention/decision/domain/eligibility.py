"""Whether to help a user now: the triggers, and what holds help back. Each answer comes with its reasons."""

import enum
import fnmatch
import hashlib
import re
from collections.abc import Collection, Iterable
from typing import Final

from records.tenants import beside, plain
from services.intervention.decision.domain.facts import Assessment, Facts, Level
from services.intervention.decision.domain.offer import Standing, waiting_offer
from services.intervention.decision.domain.situation import Situation, difficulties
from services.intervention.policy.domain.policy import (
    MINUTE_US,
    EventKind,
    Policy,
    alternatives,
)

_HASHED: Final = "sha256:"
# Events of an anonymous journey that arrive within this time after its end bring no help of their own.
_STRAGGLING_US: Final = MINUTE_US
_QUERY: Final = re.compile(r"\?[^#]*")


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
    TOO_OLD = 18
    COPIED_EVENT = 19
    SOLVED = 20
    USER_GONE = 21
    SYSTEM_EVENT = 22
    JUST_IDENTIFIED = 23


URGENT: Final = frozenset({Reason.RISK_AT_TRIGGER, Reason.SIGNALS_AT_TRIGGER})
FOR_HELP: Final = URGENT | {Reason.RESPONSIVE_USER}


def urgent_reasons(policy: Policy, assessment: Assessment) -> tuple[Reason, ...]:
    """The reached triggers; they depend on the assessment alone."""
    risk = (Reason.RISK_AT_TRIGGER,) if assessment.score >= policy.trigger_score else ()
    return risk + (
        (Reason.SIGNALS_AT_TRIGGER,) if assessment.strong_signal_count >= policy.trigger_signal_count else ()
    )


def may_be_gentle(assessment: Assessment) -> bool:
    """Whether help by a channel the user welcomes is worth a look: medium risk and a difficulty."""
    return assessment.level == Level.MEDIUM and bool(difficulties(assessment.indicators))


def rows_needing_standing(policy: Policy, assessments: Iterable[Assessment]) -> list[int]:
    """The rows whose decision needs the user's standing, ascending; the others are below the trigger in any case.

    Where policies are compared, that is below the trigger of each.
    """
    score = min(each.trigger_score for each in alternatives(policy))
    count = min(each.trigger_signal_count for each in alternatives(policy))
    return [
        row
        for row, each in enumerate(assessments)
        if each.score >= score
        or each.strong_signal_count >= count
        or (each.level == Level.MEDIUM and may_be_gentle(each))
    ]


def unanswered(policy: Policy, facts: Facts) -> Reason | None:
    """Why an event brings no help, whatever the risk; None where it may."""
    if facts.is_copy:
        return Reason.COPIED_EVENT
    if facts.outcome is not None:
        return Reason.OUTCOME_EVENT
    if facts.is_bot:
        return Reason.BOT
    if facts.is_system:
        return Reason.SYSTEM_EVENT
    return Reason.TOO_OLD if facts.age_us > policy.freshness_us else None


def judge(situation: Situation) -> tuple[Reason, ...]:
    """The reasons to help or not to help, deciding reason first. Help is wanted if the first is in `FOR_HELP`."""
    policy, facts = situation.policy, situation.facts
    why_not = unanswered(policy, facts)
    if why_not is not None:
        return (why_not,)
    reasons = urgent_reasons(policy, facts.assessment)
    if not reasons and may_be_gentle(facts.assessment) and situation.welcome_channels:
        reasons = (Reason.RESPONSIVE_USER,)
    if not reasons:
        return (Reason.BELOW_TRIGGER,)
    if is_named(facts.user_id, policy.suppressed_users):
        return (Reason.SUPPRESSED, *reasons)
    if facts.assessment.confidence < policy.least_confidence or _is_quiet_page(policy, facts.page):
        return (Reason.NOT_ELIGIBLE, *reasons)
    return reasons


def held_back(situation: Situation, *, is_urgent: bool) -> Reason | None:
    """What holds back all help but transactional help: something waits, or was offered a short while ago.

    Urgent help is never held back by gentle help: an e-mail that waits for Monday must not cost a user the chat.
    """
    facts, user = situation.facts, situation.user
    waits = waiting_offer(user.offers, facts.received_us)
    if waits is not None and (waits.is_urgent or not is_urgent):
        return Reason.ALREADY_PENDING
    if facts.received_us < cooled_down_us(situation.policy, user, is_urgent=is_urgent):
        return Reason.COOLDOWN
    if _is_just_identified(facts, user):
        return Reason.JUST_IDENTIFIED
    return Reason.SOLVED if _is_solved(facts, user) else None


def cooled_down_us(policy: Policy, standing: Standing, *, is_urgent: bool) -> int:
    """When the cooldown ends; 0 if nothing was offered."""
    made_us = [each.made_us for each in standing.offers if each.is_urgent or not is_urgent]
    if standing.away is not None:
        made_us.append(standing.away.urgent_us if is_urgent else standing.away.helped_us)
    last_us = max(made_us, default=0)
    return last_us + policy.cooldown_us if last_us else 0


def is_named(user_id: str, users: Collection[str]) -> bool:
    """Whether a list contains the user, by id or by its SHA-256; a tenant's own policy has that of the plain id."""
    if not users:
        return False
    return user_id in users or _hashed(user_id) in users or beside(user_id, _hashed(plain(user_id))) in users


def _hashed(some_id: str) -> str:
    return _HASHED + hashlib.sha256(some_id.encode()).hexdigest()


def _is_just_identified(facts: Facts, standing: Standing) -> bool:
    """Whether what is known of the user under another id may still be on its way.

    An event that identifies a user shows no trouble by itself. Late events of an anonymous user who is known by now
    belong to the known user.
    """
    away = standing.away
    return facts.kind == EventKind.IDENTIFY or (away is not None and facts.received_us - away.at_us < _STRAGGLING_US)


def _is_solved(facts: Facts, standing: Standing) -> bool:
    """Whether help has led to the goal, without any newer signal of trouble."""
    solved_us = max((each.solved_us for each in standing.offers), default=0)
    return 0 < facts.assessment.latest_signal_time_us <= solved_us


def _is_quiet_page(policy: Policy, page: str) -> bool:
    """Whether a pattern matches the page, with or without its query."""
    pages = {page, _QUERY.sub("", page)}
    return any(fnmatch.fnmatchcase(each, pattern) for pattern in policy.quiet_pages for each in pages)
