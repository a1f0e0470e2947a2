"""What rules out a single action: suppression lists, dismissals, caps and quiet hours.

Caps count what was sent: an offer counts in the period it is sent in, unless it was withheld or its message never left.
"""

from collections.abc import Callable, Iterator

from services.intervention.decision.domain.eligibility import Reason, is_named
from services.intervention.decision.domain.facts import Facts, Outcome
from services.intervention.decision.domain.local_time import end_of_period_us, is_quiet, next_quiet_us, period
from services.intervention.decision.domain.offer import Offer, Standing, has_lapsed
from services.intervention.decision.domain.segment import name_of
from services.intervention.decision.domain.situation import Situation
from services.intervention.decision.domain.withdrawal import ends_session
from services.intervention.policy.domain.policy import (
    HUMAN,
    IN_APP,
    PRESENT_CHANNELS,
    REMEMBERED_OFFERS,
    Action,
    Cap,
    Policy,
)


def refusal(situation: Situation, action: Action, send_us: int) -> Reason | None:
    """Why an action cannot be chosen; None if it can.

    Two things rule out a transactional action: a suppression list, and the absence of anybody to see it.
    """
    policy, facts, user = situation.policy, situation.facts, situation.user
    if any(is_named(facts.user_id, policy.suppressed_channels.get(each, ())) for each in action.channels):
        return Reason.SUPPRESSED
    if PRESENT_CHANNELS.issuperset(action.channels) and ends_session(policy, facts):
        return Reason.USER_GONE
    if action.is_transactional:
        return None
    checks: dict[Reason, Callable[[], bool]] = {
        Reason.ESCALATED: lambda: action.handled_by != HUMAN and _is_escalated(situation),
        Reason.DISMISSED: lambda: _is_dismissed(facts, user, action),
        Reason.FREQUENCY_CAP: lambda: any(
            _is_full(cap, facts, user, action, send_us) for cap in caps_for(policy, user)
        ),
        Reason.QUIET_HOURS: lambda: is_silenced(policy, action) and _is_silent(policy, facts.time_zone, send_us),
    }
    return next((reason for reason, applies in checks.items() if applies()), None)


def caps_for(policy: Policy, user: Standing) -> tuple[Cap, ...]:
    """The caps that bind a user, by their segment."""
    segment = name_of(user.segment)
    return tuple([each for each in policy.caps if not each.segments or segment in each.segments])


def sent(offer: Offer, standing: Standing) -> Iterator[tuple[str, int]]:
    """The channels an offer was or will be sent by, each with its time; none if withheld or undelivered."""
    if offer.is_withheld:
        return
    for channel in offer.channels:
        if (offer.id, channel) not in standing.undelivered:
            yield channel, offer.made_us if channel == IN_APP else offer.send_us or offer.made_us


def latest_us(policy: Policy, zone_name: str, channel: str, topic: str, send_us: int, expires_us: int) -> int:
    """Until when a delayed message may still be sent: within the same periods of caps, and not in quiet hours.

    So a delayed message breaks none of the rules that it was checked against.
    """
    latest = expires_us
    for per in {cap.per for cap in policy.caps if _is_of(cap, channel) and cap.topic in ("", topic)}:
        latest = min(latest, end_of_period_us(send_us, zone_name, per))
    if policy.quiet is not None and channel in policy.quiet.channels:
        latest = min(latest, next_quiet_us(send_us, zone_name, policy.quiet))
    return latest


def is_silenced(policy: Policy, action: Action) -> bool:
    """Whether quiet hours apply to a channel of the action; to in-app help only if the policy names it in them."""
    return policy.quiet is not None and not policy.quiet.channels.isdisjoint(action.channels)


def _is_silent(policy: Policy, zone_name: str, at_us: int) -> bool:
    return policy.quiet is not None and is_quiet(at_us, zone_name, policy.quiet)


def _is_escalated(situation: Situation) -> bool:
    """Whether automated help has failed so often that people take over."""
    policy, facts = situation.policy, situation.facts
    failed = [
        each
        for each in situation.user.offers
        if each.handled_by
        and each.handled_by != HUMAN
        and not each.is_withheld
        and facts.received_us - each.made_us < policy.escalation_us
        and (each.outcome in (Outcome.DECLINED, Outcome.EXPIRED) or has_lapsed(each, facts.received_us))
    ]
    return len(failed) >= policy.escalation_count


def _is_dismissed(facts: Facts, standing: Standing, action: Action) -> bool:
    return any(
        each.outcome is Outcome.DECLINED
        and each.action == action.name
        and facts.received_us - each.made_us < action.dismissed_us
        for each in standing.offers
    )


def _is_full(cap: Cap, facts: Facts, standing: Standing, action: Action, send_us: int) -> bool:
    if cap.topic not in ("", action.topic):
        return False
    times = {send_us if channel != IN_APP else facts.received_us for channel in action.channels if _is_of(cap, channel)}
    return any(_count(cap, facts.time_zone, standing, at_us) >= cap.most for at_us in times)


def _count(cap: Cap, zone_name: str, standing: Standing, at_us: int) -> int:
    """How many offers count for the cap in the period of a time; each counts once, whatever its channels."""
    this = period(at_us, zone_name, cap.per)
    counted = [
        each
        for each in standing.offers
        if cap.topic in ("", each.topic)
        and any(
            _is_of(cap, channel) and period(sent_us, zone_name, cap.per) == this
            for channel, sent_us in sent(each, standing)
        )
    ]
    if len(standing.offers) >= REMEMBERED_OFFERS:
        first = standing.offers[0]
        if period(first.made_us, zone_name, cap.per) == this:
            return cap.most  # earlier offers are forgotten, and may have been in this period
    return len(counted)


def _is_of(cap: Cap, channel: str) -> bool:
    return cap.channel in ("", channel)
