"""What is remembered of the help a user was offered, and what a decision looks at of the user."""

import enum
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from services.intervention.decision.domain.facts import Outcome
from services.intervention.decision.domain.outcome import Learned, is_waiting
from services.intervention.decision.domain.segment import Segment

_MOST_UNDELIVERED: Final = 64

Undelivered = tuple[tuple[str, str], ...]
"""Intervention id and channel of a user's messages that certainly did not go out, oldest first."""


class WithdrawalReason(enum.IntEnum):
    """Why an offer was taken back; `NONE` where it was not."""

    NONE = 0
    SOLVED = 1
    SESSION_ENDED = 2
    IDENTIFIED = 3


class Withdrawn(msgspec.Struct, frozen=True, array_like=True):
    """That an offer was taken back before it was answered."""

    offer_id: str
    reason: WithdrawalReason


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """Help that was offered, and its outcome. Times are received times in Unix microseconds, with two exceptions.

    A withheld offer was decided on and not made: doing nothing was drawn, or the user is in the holdout. It is
    remembered all the same, so that the same cooldowns apply to treated users and to the holdout.
    """

    id: str
    channel: str
    is_urgent: bool
    made_us: int
    expires_us: int
    outcome: Outcome = Outcome.NONE
    action: str = ""
    also_channels: tuple[str, ...] = ()
    topic: str = ""
    handled_by: str = ""
    # When it is sent by `channel`, which may be later than it was made.
    send_us: int = 0
    is_withheld: bool = False
    # The event time of the event that led to it, and of the goal that the user reached with it (0: not yet).
    event_us: int = 0
    solved_us: int = 0
    withdrawal: WithdrawalReason = WithdrawalReason.NONE

    @property
    def channels(self) -> tuple[str, ...]:
        """All its channels, its own first."""
        return (self.channel, *self.also_channels)


class Exposure(msgspec.Struct, frozen=True, array_like=True):
    """That a user counts in an experiment: since when, on which side, and for which help."""

    experiment: str
    at_us: int
    is_treated: bool
    type: str
    action: str
    channel: str
    level: str
    is_high_value: bool
    is_converted: bool = False
    # The user's segment at that time; empty for none.
    segment: str = ""


class Link(msgspec.Struct, frozen=True, array_like=True):
    """That an anonymous user was linked to known users, and all that was remembered moved there.

    `user_ids` are the known users, the latest first. Times are received times in Unix microseconds, 0 for never:
    `at_us` of the latest link, `urgent_us` and `helped_us` of the last urgent help and the last help before it.
    """

    user_ids: tuple[str, ...]
    at_us: int
    urgent_us: int
    helped_us: int


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """What a decision looks at of the user.

    `offers` are oldest first, `bought` sums purchases by currency, `undelivered` names messages (offer, channel) that
    never left. `segment` has what is recommended to the user.
    """

    offers: tuple[Offer, ...] = ()
    learned: Learned = {}
    bought: Mapping[str, float] = {}
    exposed: Exposure | None = None
    undelivered: Undelivered = ()
    away: Link | None = None
    segment: Segment | None = None


UNKNOWN = Standing()


def waiting_offer(offers: Iterable[Offer], at_us: int) -> Offer | None:
    """The offer that still waits for its user at a time; None where none does. At most one does."""
    waits = (each for each in offers if is_waiting(each.outcome) and not each.is_withheld and each.expires_us > at_us)
    return next(waits, None)


def has_lapsed(offer: Offer, at_us: int) -> bool:
    """Whether an offer expired by a time without an answer, whether that was noticed or not."""
    return is_waiting(offer.outcome) and offer.expires_us <= at_us


def taken_back(offers: tuple[Offer, ...], withdrawn: Withdrawn) -> tuple[Offer, ...]:
    """The offers with one taken back. It stays among them, so that it counts for caps and the cooldown."""
    return tuple(
        msgspec.structs.replace(each, outcome=Outcome.WITHDRAWN, withdrawal=withdrawn.reason)
        if each.id == withdrawn.offer_id
        else each
        for each in offers
    )


def with_undelivered(known: Undelivered, more: Iterable[tuple[str, str]]) -> Undelivered:
    """The list with more at its end, each once; the oldest make room."""
    return tuple(dict.fromkeys((*known, *more)))[-_MOST_UNDELIVERED:]
