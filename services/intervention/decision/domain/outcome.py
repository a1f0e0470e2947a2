"""Which outcomes may follow which, which are final, and what an outcome teaches about its channel."""

import enum
from collections.abc import Mapping
from typing import Final

from services.intervention.decision.domain.facts import Outcome
from services.intervention.policy.domain.policy import Policy, Prior

Learned = Mapping[str, tuple[int, int]]
"""For each channel: how many of the user's settled interventions were accepted, and how many were not."""
_FOLLOWS: Final[dict[Outcome, frozenset[Outcome]]] = {
    Outcome.NONE: frozenset({Outcome.SHOWN, Outcome.ACCEPTED, Outcome.DECLINED, Outcome.EXPIRED, Outcome.CONVERTED}),
    Outcome.SHOWN: frozenset({Outcome.ACCEPTED, Outcome.DECLINED, Outcome.EXPIRED, Outcome.CONVERTED}),
    Outcome.ACCEPTED: frozenset({Outcome.CONVERTED}),
    Outcome.DECLINED: frozenset(),
    Outcome.EXPIRED: frozenset(),
    Outcome.CONVERTED: frozenset(),
    Outcome.WITHDRAWN: frozenset(),
}


class Evidence(enum.Enum):
    """Whether an outcome speaks for its channel or against it."""

    FOR = enum.auto()
    AGAINST = enum.auto()


def may_follow(before: Outcome, after: Outcome) -> bool:
    """Whether an outcome can be reported after another; else it is ignored. A withdrawal is never reported."""
    return after in _FOLLOWS[before]


def is_waiting(outcome: Outcome) -> bool:
    """Whether the intervention still waits for its user: it has no outcome yet, or was only shown."""
    return outcome in (Outcome.NONE, Outcome.SHOWN)


def is_final(outcome: Outcome) -> bool:
    """Whether no other outcome can follow. An accepted intervention may still convert."""
    return not _FOLLOWS[outcome]


def evidence_of(before: Outcome, after: Outcome) -> Evidence | None:
    """What the change of outcome says about the channel; None if nothing.

    A conversion after an acceptance adds nothing. Help that expired unseen or was withdrawn says nothing: the user
    never had the choice.
    """
    if after is Outcome.ACCEPTED or (after is Outcome.CONVERTED and before is not Outcome.ACCEPTED):
        return Evidence.FOR
    if after is Outcome.DECLINED or (after is Outcome.EXPIRED and before is Outcome.SHOWN):
        return Evidence.AGAINST
    return None


def evidence_of_stranger(outcome: Outcome) -> Evidence | None:
    """What an outcome says about the channel of an unknown intervention; None if nothing.

    `CONVERTED` says nothing: it follows an acceptance that was counted.
    """
    if outcome is Outcome.ACCEPTED:
        return Evidence.FOR
    return Evidence.AGAINST if outcome in (Outcome.DECLINED, Outcome.EXPIRED) else None


def learn(policy: Policy, learned: Learned, channel: str, evidence: Evidence | None) -> Learned:
    """The counts with one more outcome. Channels without a prior are ignored, so that the counts stay few."""
    if evidence is None or channel not in policy.priors:
        return learned
    accepted, refused = learned.get(channel, (0, 0))
    is_for = evidence is Evidence.FOR
    return {**learned, channel: (accepted + is_for, refused + (not is_for))}


def success_probability(policy: Policy, learned: Learned, channel: str, prior: Prior | None = None) -> float:
    """Mean of the Beta prior after the user's own outcomes: (a + accepted) / (a + b + all).

    Without a prior of its own, the channel's is taken.
    """
    prior = prior or policy.priors[channel]
    accepted, refused = learned.get(channel, (0, 0))
    return (prior.accepted + accepted) / (prior.accepted + prior.refused + accepted + refused)


def welcome_channels(policy: Policy, learned: Learned) -> list[str]:
    """The channels of the policy by which the user welcomes help: enough outcomes, and success is likely enough."""
    return [
        channel
        for channel, (accepted, refused) in sorted(learned.items())
        if channel in policy.priors
        and accepted + refused >= policy.welcome_outcome_count
        and success_probability(policy, learned, channel) >= policy.welcome_probability
    ]
