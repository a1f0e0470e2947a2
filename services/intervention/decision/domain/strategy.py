"""What can be done for a user, what of it is chosen, and the help it makes."""

from typing import Final, TypeVar

import msgspec

from services.intervention.decision.domain import chance, limits, local_time
from services.intervention.decision.domain.eligibility import Reason, difficulties, kind_of_difficulty
from services.intervention.decision.domain.facts import Facts, Level
from services.intervention.decision.domain.local_time import after_quiet_us
from services.intervention.decision.domain.offer import Standing
from services.intervention.decision.domain.outcome import success_probability, welcome_channels
from services.intervention.policy.domain import message
from services.intervention.policy.domain.policy import ANY, GENTLE, ORIENTATION, URGENT, Action, Policy, Prior

Value = TypeVar("Value")

LEVEL_NAMES: Final = ("unknown", "low", "medium", "high", "critical")
NOTHING: Final = "none"
PRIORITY_QUEUE: Final = "priority"


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
    topic: str = ""
    handled_by: str = ""
    queue: str = ""
    # When it is sent by `channel`.
    send_us: int = 0
    is_worded: bool = False


class Candidate(msgspec.Struct, frozen=True, array_like=True):
    """One thing that could have been done: how likely to help, how likely to be chosen, or why it could not be."""

    action: str
    channel: str
    success_probability: float
    propensity: float
    refusal: Reason | None
    is_chosen: bool


class Choice(msgspec.Struct, frozen=True):
    """What was chosen: the action, None for nothing; among what, in the order of the policy; and by which draw."""

    action: Action | None
    candidates: tuple[Candidate, ...]
    draw: float


def matching(policy: Policy, facts: Facts, standing: Standing, *, is_urgent: bool) -> list[Action]:
    """The actions for this risk, difficulty and user; gentle ones only by channels the user welcomes."""
    kind = kind_of_difficulty(difficulties(facts.assessment.indicators))
    level = LEVEL_NAMES[facts.assessment.level]
    welcome = None if is_urgent else welcome_channels(policy, standing.learned)
    return [
        each
        for each in policy.actions
        if each.need == (URGENT if is_urgent else GENTLE)
        and (not each.levels or level in each.levels)
        and (not each.difficulties or kind in each.difficulties)
        and (welcome is None or each.channel in welcome)
    ]


def choose(policy: Policy, facts: Facts, standing: Standing, actions: list[Action]) -> Choice:
    """Draws among the actions that may be taken, and doing nothing.

    Utilities are the probability of success times the worth, less the cost; where no action may be taken, nothing is.
    """
    refusals = [limits.refusal(policy, facts, standing, each, send_us(policy, facts, each)) for each in actions]
    probabilities = [probability(policy, facts, standing, each) for each in actions]
    open_ones = [index for index, refusal in enumerate(refusals) if refusal is None]
    utilities = [actions[index].worth * probabilities[index] - actions[index].cost for index in open_ones]
    how = policy.exploration
    shares = chance.propensities([*utilities, how.nothing_utility], how.temperature, how.floor)
    at = facts.position
    draw = chance.draw(how.salt, at.shard, at.sequence, at.event_index)
    number = chance.chosen(shares, draw)
    taken = open_ones[number] if number < len(open_ones) else None
    share_of = dict(zip(open_ones, shares, strict=False))
    candidates = [
        Candidate(each.name, each.channel, probabilities[i], share_of.get(i, 0.0), refusals[i], i == taken)
        for i, each in enumerate(actions)
    ]
    nothing = Candidate(NOTHING, "", 0.0, shares[-1], None, taken is None)
    return Choice(None if taken is None else actions[taken], (*candidates, nothing), draw)


def help_by(policy: Policy, facts: Facts, standing: Standing, action: Action, intervention_id: str) -> Intervention:
    """The help that an action is."""
    found = difficulties(facts.assessment.indicators)
    kind = kind_of_difficulty(found)
    leaves_us = send_us(policy, facts, action)
    deliver_by_us = leaves_us + action.deliver_us
    if action.is_in_office_hours and leaves_us == facts.received_us:
        deliver_by_us = min(deliver_by_us, leaves_us + _business_us_left(policy, facts))
    return Intervention(
        id=intervention_id,
        type=action.type,
        action=action.name,
        message=message.words(found, _by_difficulty(action.offer, kind)),
        channel=action.channel,
        priority=_priority(facts, action),
        expires_us=(deliver_by_us if action.is_in_office_hours else leaves_us) + action.lifetime_us,
        deliver_by_us=deliver_by_us,
        success_probability=probability(policy, facts, standing, action),
        also_channels=action.also_channels,
        content=_by_difficulty(action.content, kind),
        risk_score=facts.assessment.score,
        risk_level=LEVEL_NAMES[facts.assessment.level],
        indicators=tuple(each.name for each in facts.assessment.indicators),
        page=facts.page,
        confidence=facts.assessment.confidence,
        topic=action.topic,
        handled_by=action.handled_by,
        queue=PRIORITY_QUEUE if is_high_value(policy, standing) else "standard",
        send_us=leaves_us,
        is_worded=action.is_worded,
    )


def probability(policy: Policy, facts: Facts, standing: Standing, action: Action) -> float:
    """How likely the user is to take an action up, 0 to 1: the prior of the context, and the user's own outcomes."""
    kind = kind_of_difficulty(difficulties(facts.assessment.indicators))
    level = LEVEL_NAMES[facts.assessment.level]
    fitting = (
        Prior(each.accepted, each.refused)
        for each in action.contexts
        if each.level in (ANY, level) and each.difficulty in (ANY, kind)
    )
    prior = next(fitting, action.prior)
    return success_probability(policy, standing.learned, action.channel, prior)


def send_us(policy: Policy, facts: Facts, action: Action) -> int:
    """When an action is sent by its channel: Unix microseconds. Office hours and held quiet hours make it later."""
    at_us = facts.received_us
    if action.is_in_office_hours and _business_us_left(policy, facts) < policy.office.least_us:
        at_us = local_time.next_opening_us(at_us, facts.time_zone, policy.office.opens_hour)
    quiet = policy.quiet
    if quiet is None or not quiet.is_held or action.is_transactional or not limits.is_silenced(policy, action):
        return at_us
    return after_quiet_us(at_us, facts.time_zone, quiet)


def is_high_value(policy: Policy, standing: Standing) -> bool:
    """Whether the user's purchases, in the policy's currency or without one, make its help go first."""
    if not policy.high_value:
        return False
    return standing.bought.get(policy.high_value_currency, 0.0) >= policy.high_value


def delivered_channels(help_: Intervention) -> tuple[str, ...]:
    """The channels of help, its own first."""
    return (help_.channel, *help_.also_channels)


def _business_us_left(policy: Policy, facts: Facts) -> int:
    hours = policy.office
    return local_time.business_us_left(facts.received_us, facts.time_zone, hours.opens_hour, hours.closes_hour)


def _priority(facts: Facts, action: Action) -> str:
    if action.need == GENTLE:
        return "medium"
    return "critical" if facts.assessment.level == Level.CRITICAL else "high"


def _by_difficulty(by: dict[str, Value], kind: str) -> Value:
    found = by.get(kind, by.get(ANY))
    return by[ORIENTATION] if found is None else found
