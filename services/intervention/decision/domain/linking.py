"""Linking: the state of an anonymous user moves to the known user it turned out to be.

The state leaves the anonymous user at one event, as bytes that the caller passes to an event of the known user. It
arrives there a moment later. Events of either user in between are applied to the state that the user has then.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

import msgspec

from services.intervention.decision.domain import segment as segments
from services.intervention.decision.domain import user_state
from services.intervention.decision.domain.eligibility import held_back
from services.intervention.decision.domain.facts import Facts
from services.intervention.decision.domain.limits import refusal
from services.intervention.decision.domain.offer import Exposure, Link, Offer, Undelivered, WithdrawalReason, Withdrawn
from services.intervention.decision.domain.outcome import Learned
from services.intervention.decision.domain.segment import Basket, Segment
from services.intervention.decision.domain.situation import Situation
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.decision.domain.user_state import UserState
from services.intervention.policy.domain.policy import REMEMBERED_OFFERS, Policy

_VERSION: Final = 1
# The last microsecond a timestamp can hold: the end of the year 9999.
_END_US: Final = 253_402_300_799_999_999
_MOST_USERS: Final = 4
"""How many known users are remembered of one anonymous user: the last people who used a device."""


class UserTransfer(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of a user, on its way to another. `at_us` is the received time of the linking event."""

    version: int
    at_us: int
    offers: tuple[Offer, ...]
    waiting: Intervention | None
    learned: Learned
    bought: Mapping[str, float]
    exposed: Exposure | None
    undelivered: Undelivered
    time_zone: str
    segment: Segment | None = None
    basket: Basket = ()


class TransferError(ValueError):
    """The bytes are not the state of a user; the text is a sentence."""


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(UserTransfer).decode


def decode(blob: bytes) -> UserTransfer:
    """What moves, from the bytes that `left` returned.

    Raises:
        TransferError: the bytes are something else, or of an unknown version.
    """
    try:
        moving = _DECODE(blob)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TransferError("These bytes are not what is remembered of a user.") from None
    if moving.version != _VERSION:
        raise TransferError("What is remembered of a user is of a version that is not known here.")
    if not all(0 <= each <= _END_US for each in _times_us(moving)):
        raise TransferError("What is remembered of a user has a time that is none.")
    return moving


def left(user: UserState, undelivered: Undelivered, user_id: str, at_us: int) -> tuple[UserState, bytes]:
    """The anonymous user after it was linked to a known one, and the bytes that move there; empty if nothing moves.

    Only a pointer stays, and when help was last decided on, so that late events of the anonymous id bring no second
    help.

    Args:
        user: the anonymous user; an expired offer no longer waits in it.
        undelivered: messages to the user that never left.
        user_id: the known user.
        at_us: received time of the event that links them: Unix microseconds.
    """
    waits, before = user.waiting, user.away
    is_anything = user.offers or user.learned or user.bought or user.exposed or user.segment or user.basket
    away = Link(
        user_ids=tuple(dict.fromkeys((user_id, *(before.user_ids if before else ()))))[:_MOST_USERS],
        at_us=at_us,
        urgent_us=max([before.urgent_us if before else 0, *(each.made_us for each in user.offers if each.is_urgent)]),
        helped_us=max([before.helped_us if before else 0, *(each.made_us for each in user.offers)]),
    )
    last = user
    if waits is not None:
        last = user_state.withdrawn(user, Withdrawn(waits.id, WithdrawalReason.IDENTIFIED))
    after = UserState(change_count=last.change_count, withdrawn=last.withdrawn, away=away, time_zone=user.time_zone)
    moving = UserTransfer(
        _VERSION,
        at_us,
        user.offers,
        waits,
        user.learned,
        user.bought,
        user.exposed,
        user_state.standing(user, undelivered).undelivered,
        user.time_zone,
        user.segment,
        user.basket,
    )
    return after, _ENCODE(moving) if is_anything else b""


def arrived(policy: Policy, user: UserState, moving: UserTransfer, facts: Facts) -> UserState:
    """The known user with what was remembered of the anonymous one. At most one offer waits.

    Args:
        policy: that of the event it comes with.
        user: the known user before.
        moving: what comes.
        facts: what is known of the event it comes with.
    """
    user = user_state.lapsed(policy, user, facts.received_us)
    offers = tuple(sorted((*moving.offers, *user.offers), key=lambda each: each.made_us))[-REMEMBERED_OFFERS:]
    basket = segments.filled((*user.basket, *moving.basket))
    joined = msgspec.structs.replace(
        user,
        offers=offers,
        learned=_summed(policy, user.learned, moving.learned),
        bought=_added(user.bought, moving.bought),
        exposed=_first_exposed(user.exposed, moving.exposed),
        undelivered=tuple(dict.fromkeys((*user.undelivered, *moving.undelivered)))[-REMEMBERED_OFFERS:],
        time_zone=user.time_zone or moving.time_zone,
        segment=segments.latest(moving.segment, user.segment, basket),
        basket=basket,
    )
    one = user_state.without_bought(_with_one_waiting(policy, joined, moving, facts), basket)
    return user_state.lapsed(policy, one, facts.received_us)


def _with_one_waiting(policy: Policy, joined: UserState, moving: UserTransfer, facts: Facts) -> UserState:
    """The user with at most one waiting offer: withdraws what would not have been offered, had all been known.

    Of two that remain, the more urgent stays, else the newer. Two waiting offers do not rule each other out, unless the
    user's own was made after the transfer had left, and only because it had not arrived.
    """
    own, brought = joined.waiting, moving.waiting
    rivals = {each.id for each in (own, brought) if each is not None}
    left: list[Intervention] = []
    for each in (own, brought):
        if each is None:
            continue
        offer = user_state.offer_of(joined, each.id)
        is_late = each is own and offer is not None and offer.made_us >= moving.at_us
        if offer is not None and _would_not_be(policy, offer, joined, {each.id} if is_late else rivals, facts):
            joined = user_state.withdrawn(joined, Withdrawn(each.id, WithdrawalReason.IDENTIFIED))
        else:
            left.append(each)
    ranks = {each.id: (each.is_urgent, each.made_us) for each in joined.offers}
    left.sort(key=lambda each: ranks.get(each.id, (False, 0)))
    for each in left[:-1]:
        joined = user_state.withdrawn(joined, Withdrawn(each.id, WithdrawalReason.IDENTIFIED))
    return _waits(joined, left[-1]) if left else joined


def _would_not_be(policy: Policy, offer: Offer, joined: UserState, aside: Collection[str], facts: Facts) -> bool:
    """Whether an offer would not have been made, had all been known of the person when it was.

    Offers `aside` do not count, nor do those that gave way to this one at an earlier arrival.
    """
    action = next((each for each in policy.actions if each.name == offer.action), None)
    if action is not None and action.is_transactional:
        return False
    if _is_held_out(policy, joined):
        return True
    if action is None:
        return False
    then = msgspec.structs.replace(
        facts,
        received_us=offer.made_us,
        time_zone=facts.time_zone or joined.time_zone,
        age_us=offer.made_us - offer.event_us,
        kind=0,
        is_copy=False,
    )
    others = tuple(
        each
        for each in joined.offers
        if each.id not in aside and each.made_us <= offer.made_us and each.withdrawal is not WithdrawalReason.IDENTIFIED
    )
    known = msgspec.structs.replace(user_state.standing(joined), offers=others, away=None)
    if held_back(Situation(policy, then, known), is_urgent=offer.is_urgent) is not None:
        return True
    return refusal(Situation(policy, then, known), action, offer.send_us) is not None


def _is_held_out(policy: Policy, joined: UserState) -> bool:
    """Whether the person is in the holdout of this experiment. The first exposure counts, under whichever id."""
    exposed = joined.exposed
    return exposed is not None and exposed.experiment == policy.holdout.salt and not exposed.is_treated


def _waits(user: UserState, help_: Intervention) -> UserState:
    if user.waiting == help_:
        return user
    return msgspec.structs.replace(user, waiting=help_, withdrawn=None, change_count=user.change_count + 1)


def _summed(policy: Policy, own: Learned, brought: Learned) -> Learned:
    pairs = ((each, own.get(each, (0, 0)), brought.get(each, (0, 0))) for each in (*own, *brought))
    return {each: (a[0] + b[0], a[1] + b[1]) for each, a, b in pairs if each in policy.priors}


def _added(own: Mapping[str, float], brought: Mapping[str, float]) -> Mapping[str, float]:
    both = {each: own.get(each, 0.0) + brought.get(each, 0.0) for each in (*own, *brought)}
    return dict(list(both.items())[: user_state.MOST_CURRENCIES])


def _first_exposed(own: Exposure | None, brought: Exposure | None) -> Exposure | None:
    """How the person counts from now on: from the first exposure, on its side; converted if either id was."""
    if own is None or brought is None:
        return own or brought
    if own.experiment != brought.experiment:
        return max(own, brought, key=lambda each: each.at_us)
    first = min(own, brought, key=lambda each: each.at_us)
    return msgspec.structs.replace(first, is_converted=own.is_converted or brought.is_converted)


def _times_us(moving: UserTransfer) -> Iterator[int]:
    yield moving.at_us
    for each in moving.offers:
        yield from (each.made_us, each.expires_us, each.send_us, each.solved_us)
    if moving.waiting is not None:
        yield from (moving.waiting.expires_us, moving.waiting.deliver_by_us, moving.waiting.send_us)
    if moving.exposed is not None:
        yield moving.exposed.at_us
    if moving.segment is not None:
        yield from (moving.segment.since_us, moving.segment.said_us)
    for _, bought_us in moving.basket:
        yield bought_us
