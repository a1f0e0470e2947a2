"""Which actions match a situation, which one is chosen, and the intervention that results."""

from typing import Final, TypeVar

import msgspec

from services.intervention.decision.domain import chance, limits, local_time
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Facts, Level
from services.intervention.decision.domain.local_time import after_quiet_us
from services.intervention.decision.domain.outcome import success_probability
from services.intervention.decision.domain.segment import Recommended
from services.intervention.decision.domain.situation import Situation
from services.intervention.policy.domain import message
from services.intervention.policy.domain.policy import ANY, GENTLE, ORIENTATION, URGENT, Action, Prior

Value = TypeVar("Value")

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
    uses_generated_copy: bool = False
    products: tuple[Recommended, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """All its channels, its own first."""
        return (self.channel, *self.also_channels)


class Candidate(msgspec.Struct, frozen=True, array_like=True):
    """An action that was considered: its chance of success, its propensity, or why it was refused."""

    action: str
    channel: str
    success_probability: float
    propensity: float
    refusal: Reason | None
    is_chosen: bool


class Choice(msgspec.Struct, frozen=True):
    """The chosen action, None for nothing; the candidates, in the order of the policy; and the number drawn."""

    action: Action | None
    candidates: tuple[Candidate, ...]
    draw: float


def matching(situation: Situation, *, is_urgent: bool) -> list[Action]:
    """The actions for this risk, difficulty and user; gentle ones only by channels the user welcomes.

    One that recommends products fits only if some are recommended to the user.
    """
    kind, level = situation.difficulty, situation.level
    welcome = None if is_urgent else situation.welcome_channels
    return [
        each
        for each in situation.policy.actions
        if each.need == (URGENT if is_urgent else GENTLE)
        and (not each.levels or level in each.levels)
        and (not each.difficulties or kind in each.difficulties)
        and (welcome is None or each.channel in welcome)
        and (not each.segments or situation.segment in each.segments)
        and (not each.recommends or situation.recommended)
    ]


def choose(situation: Situation, actions: list[Action]) -> Choice:
    """Draws among the allowed actions and doing nothing.

    Utilities are the probability of success times the worth, less the cost. If no action is allowed, nothing is done.
    """
    refusals = [limits.refusal(situation, each, send_us(situation, each)) for each in actions]
    probabilities = [probability(situation, each) for each in actions]
    open_ones = [index for index, refusal in enumerate(refusals) if refusal is None]
    utilities = [actions[index].worth * probabilities[index] - actions[index].cost for index in open_ones]
    how = situation.policy.exploration
    shares = chance.propensities([*utilities, how.nothing_utility], how.temperature, how.floor)
    at = situation.facts.position
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


def help_by(situation: Situation, action: Action, intervention_id: str) -> Intervention:
    """The intervention that results from an action."""
    facts = situation.facts
    leaves_us = send_us(situation, action)
    deliver_by_us = leaves_us + action.deliver_us
    if action.is_in_business_hours and leaves_us == facts.received_us:
        deliver_by_us = min(deliver_by_us, leaves_us + _business_us_left(situation))
    return Intervention(
        id=intervention_id,
        type=action.type,
        action=action.name,
        message=message.words(situation.difficulties, _by_difficulty(action.offer, situation.difficulty)),
        channel=action.channel,
        priority=_priority(facts, action),
        expires_us=(deliver_by_us if action.is_in_business_hours else leaves_us) + action.lifetime_us,
        deliver_by_us=deliver_by_us,
        success_probability=probability(situation, action),
        also_channels=action.also_channels,
        content=_by_difficulty(action.content, situation.difficulty),
        risk_score=facts.assessment.score,
        risk_level=situation.level,
        indicators=tuple(each.name for each in facts.assessment.indicators),
        page=facts.page,
        confidence=facts.assessment.confidence,
        topic=action.topic,
        handled_by=action.handled_by,
        queue=PRIORITY_QUEUE if situation.is_high_value else "standard",
        send_us=leaves_us,
        uses_generated_copy=action.uses_generated_copy,
        products=tuple(situation.recommended[: action.recommends]),
    )


def probability(situation: Situation, action: Action) -> float:
    """How likely the user is to accept an action, 0 to 1, from the prior of the context and the user's own outcomes."""
    kind, level = situation.difficulty, situation.level
    fitting = (
        Prior(each.accepted, each.refused)
        for each in action.contexts
        if each.level in (ANY, level) and each.difficulty in (ANY, kind)
    )
    prior = next(fitting, action.prior)
    return success_probability(situation.policy, situation.user.learned, action.channel, prior)


def send_us(situation: Situation, action: Action) -> int:
    """When an action is sent by its channel: Unix microseconds. Business hours and quiet hours may delay it."""
    policy, facts = situation.policy, situation.facts
    at_us = facts.received_us
    if action.is_in_business_hours and _business_us_left(situation) < policy.business_hours.least_us:
        at_us = local_time.next_opening_us(at_us, facts.time_zone, policy.business_hours.opens_hour)
    quiet = policy.quiet
    if quiet is None or not quiet.is_held or action.is_transactional or not limits.is_silenced(policy, action):
        return at_us
    return after_quiet_us(at_us, facts.time_zone, quiet)


def _business_us_left(situation: Situation) -> int:
    hours, facts = situation.policy.business_hours, situation.facts
    return local_time.business_us_left(facts.received_us, facts.time_zone, hours.opens_hour, hours.closes_hour)


def _priority(facts: Facts, action: Action) -> str:
    if action.need == GENTLE:
        return "medium"
    return "critical" if facts.assessment.level == Level.CRITICAL else "high"


def _by_difficulty(by: dict[str, Value], kind: str) -> Value:
    found = by.get(kind, by.get(ANY))
    return by[ORIENTATION] if found is None else found
