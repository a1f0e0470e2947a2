"""The reasons of a decision in sentences."""

from typing import Final

from services.intervention.decision.domain import eligibility, local_time
from services.intervention.decision.domain.eligibility import URGENT, Reason
from services.intervention.decision.domain.offer import WithdrawalReason, waiting_offer
from services.intervention.decision.domain.situation import Situation
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.policy.domain.policy import STRONG_SIGNAL

_PLAIN: Final = {
    Reason.BOT: "The event looks like a script's doing.",
    Reason.OUTCOME_EVENT: "The event is itself an outcome; it is recorded, not answered.",
    Reason.HOLDOUT: "The user is held out: not helped, so that what help changes can be measured.",
    Reason.CHOSE_NOTHING: "Doing nothing was drawn among what could be done.",
    Reason.FREQUENCY_CAP: "The policy allows no more messages in this period.",
    Reason.QUIET_HOURS: "The message would leave in quiet hours on the user's clock.",
    Reason.SUPPRESSED: "The user is on the list of those who are left alone.",
    Reason.DISMISSED: "The user has turned away the same help.",
    Reason.NOT_ELIGIBLE: "The page is one on which nobody is interrupted, or the assessment is too unsure.",
    Reason.NO_ACTION: "The policy has no action for this risk and this difficulty.",
    Reason.ESCALATED: "The product's own help has failed, and only people help now.",
    Reason.COPIED_EVENT: "The event is a copy from the time before the user was known; it was decided on there.",
    Reason.SYSTEM_EVENT: "A system made the event, not the user.",
    Reason.USER_GONE: "The session has ended, and help in the product would reach nobody.",
    Reason.SOLVED: "Help has led to the goal, and there is no sign of new trouble since.",
    Reason.JUST_IDENTIFIED: (
        "The user has just been identified, and what is known of them under another id may still be on its way."
    ),
}

WITHDRAWALS: Final = {
    WithdrawalReason.SOLVED: "The help that waited is taken back, because the trouble it was for is over.",
    WithdrawalReason.SESSION_ENDED: "The help that waited is taken back, because the session has ended.",
}
_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def explain(situation: Situation, why: tuple[Reason, ...], help_: Intervention | None = None) -> str:
    """The reasons in sentences, in their order, and what is done, if anything."""
    is_urgent = not URGENT.isdisjoint(why)
    sentences = [_PLAIN.get(each) or _sentence(situation, each, is_urgent=is_urgent) for each in why]
    if help_ is not None:
        likely = f"{help_.success_probability:.0%} likely to be accepted"
        sentences.append(f"Help goes by {help_.channel} with {help_.priority} priority, {likely}.")
    return " ".join(sentences)


def _sentence(situation: Situation, reason: Reason, *, is_urgent: bool) -> str:
    if reason is Reason.TOO_OLD:
        limit = lasting(situation.policy.freshness_us)
        return f"The event came more than {limit} after it happened, which is too old to help."
    if reason is Reason.COOLDOWN:
        return _cooldown(situation, is_urgent=is_urgent)
    if reason is Reason.ALREADY_PENDING:
        waits = waiting_offer(situation.user.offers, situation.facts.received_us)
        until = local_time.local_time(waits.expires_us if waits else 0, "UTC").isoformat(timespec="seconds")
        return f"An earlier intervention still waits, until {until}."
    return _of_risk(situation, reason)


def _cooldown(situation: Situation, *, is_urgent: bool) -> str:
    """What started the cooldown. Help that was decided on may not have been given, seen or of use."""
    policy, facts, user = situation.policy, situation.facts, situation.user
    until_us = eligibility.cooled_down_us(policy, user, is_urgent=is_urgent)
    since_us = until_us - policy.cooldown_us
    ago, left = lasting(facts.received_us - since_us), lasting(until_us - facts.received_us)
    last = [each for each in user.offers if each.made_us == since_us and (each.is_urgent or not is_urgent)]
    not_given = ", and not given" if last and all(each.is_withheld for each in last) else ""
    return f"Help was decided on {ago} ago{not_given}; the cooldown ends in {left}."


def _of_risk(situation: Situation, reason: Reason) -> str:
    policy, assessment = situation.policy, situation.facts.assessment
    risk = f"{beside(assessment.score, policy.trigger_score)} ({situation.level})"
    trigger = f"the trigger of {policy.trigger_score:g}"
    count, least = assessment.strong_signal_count, policy.trigger_signal_count
    strong = f"{counted(count, 'signal')} of strength {STRONG_SIGNAL} or more"
    if reason is Reason.RISK_AT_TRIGGER:
        return f"The risk of {risk} has reached {trigger}."
    if reason is Reason.SIGNALS_AT_TRIGGER:
        return f"{strong} {'has' if count == 1 else 'have'} reached the trigger of {least}."
    if reason is Reason.BELOW_TRIGGER:
        needed = f"{least} {_is(least)} needed"
        return f"The risk of {risk} is below {trigger}, and there {_is(count)} {strong}, where {needed}."
    return f"The risk of {risk} is medium, and the user, who has a difficulty, has welcomed help before."


def _is(count: int) -> str:
    return "are" if count > 1 else "is"


def counted(count: int, noun: str) -> str:
    """A number with its noun: `no signal`, `1 signal`, `3,000 signals`."""
    return f"{count:,} {noun}{'s' if count > 1 else ''}" if count else f"no {noun}"


def lasting(us: int) -> str:
    """A length of time in whole units, rounded down, in the largest unit of which it has two or is exactly one.

    So `90 minutes` does not become `1 hour`. Below a second it is `less than a second`.
    """
    seconds = us // 1_000_000
    if seconds < 1:
        return "less than a second"
    unit, size = next(each for each in _UNITS if seconds >= 2 * each[1] or seconds == each[1])
    return counted(seconds // size, unit)


def beside(value: float, bound: float) -> str:
    """A number with as many decimals as it takes to show on which side of a bound it lies; at least one."""
    texts = (f"{value:.{digits}f}" for digits in (1, 2, 3, 6))
    return next((each for each in texts if (float(each) >= bound) == (value >= bound)), repr(value))
