"""The state of one user: offers made, what waits, what was learned. At most one offer waits."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from services.intervention.decision.domain import segment as segments
from services.intervention.decision.domain.facts import Assessment, Outcome, OutcomeReport, Purchase
from services.intervention.decision.domain.offer import (
    Exposure,
    Link,
    Offer,
    Standing,
    Undelivered,
    Withdrawn,
    has_lapsed,
    taken_back,
)
from services.intervention.decision.domain.outcome import (
    Learned,
    evidence_of,
    evidence_of_stranger,
    is_waiting,
    learn,
    may_follow,
)
from services.intervention.decision.domain.segment import Basket, Segment
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.decision.domain.withdrawal import is_over
from services.intervention.policy.domain.policy import IN_APP, REMEMBERED_OFFERS, Conversion, EventKind, Policy

MOST_CURRENCIES: Final = 16


class UserState(msgspec.Struct, frozen=True, array_like=True):
    """The state of a user.

    `offers` are oldest first; `waiting` is the intervention of the one that waits. `change_count` grows with every
    change of what waits. `bought` sums purchases less refunds by currency. `withdrawn` is the last offer that waited in
    the product, if it was withdrawn and nothing has waited since. `undelivered` are messages that never left, to an
    anonymous user who turned out to be this one. `time_zone` is the last known one. `basket` is what the user bought
    lately, so that it is not recommended.
    """

    offers: tuple[Offer, ...] = ()
    waiting: Intervention | None = None
    learned: Learned = {}
    change_count: int = 0
    bought: Mapping[str, float] = {}
    exposed: Exposure | None = None
    withdrawn: Withdrawn | None = None
    away: Link | None = None
    undelivered: Undelivered = ()
    time_zone: str = ""
    segment: Segment | None = None
    basket: Basket = ()


NOBODY: Final = UserState()


def standing(user: UserState, undelivered: Iterable[tuple[str, str]] = ()) -> Standing:
    """What a decision looks at of the user. Messages that never left count only if their offer is remembered."""
    remembered = {each.id for each in user.offers}
    lost = tuple(each for each in (*user.undelivered, *undelivered) if each[0] in remembered)
    return Standing(user.offers, user.learned, user.bought, user.exposed, lost, user.away, user.segment)


def waiting_at(user: UserState, at_us: int) -> Intervention | None:
    """What waits for the user at a time; None once it has expired, whether that was noticed or not."""
    return user.waiting if user.waiting and user.waiting.expires_us > at_us else None


def cursor_at(user: UserState, at_us: int, *, has_generated_copy: bool) -> int:
    """A number that grows with every change of what waits: an offer, generated copy, or an expiry not yet noted."""
    has_expired = user.waiting is not None and waiting_at(user, at_us) is None
    return 4 * user.change_count + (2 if has_expired else has_generated_copy)


def offer_of(user: UserState, intervention_id: str) -> Offer | None:
    """The offer of an id; None where it is not remembered."""
    return next((each for each in user.offers if each.id == intervention_id), None)


def outcome_at(user: UserState, intervention_id: str, at_us: int) -> Outcome | None:
    """The outcome of an offer by a time; None where the offer is not remembered."""
    offer = offer_of(user, intervention_id)
    if offer is None:
        return None
    return Outcome.EXPIRED if has_lapsed(offer, at_us) else offer.outcome


def outcomes_since(before: Iterable[Offer], after: UserState) -> list[Offer]:
    """The offers whose outcome has changed since `before`, oldest first."""
    known = {each.id: each.outcome for each in before}
    return [each for each in after.offers if each.outcome != known.get(each.id, Outcome.NONE)]


def offered(
    policy: Policy, user: UserState, help_: Intervention, at_us: int, *, is_urgent: bool, event_us: int = 0
) -> UserState:
    """The user after an intervention was made. What waited before ends as expired.

    If it had to give way before its time, that says nothing about its channel.

    Args:
        policy: the policy that decided.
        user: the user before.
        help_: the intervention.
        at_us: received time of the event that led to it: Unix microseconds.
        is_urgent: whether the trigger was reached.
        event_us: event time of that event: Unix microseconds; 0 where unknown.
    """
    settled = _settled(policy, user) if user.waiting else user
    gives_way = waiting_at(user, at_us) is not None
    return msgspec.structs.replace(
        settled,
        offers=_with(settled.offers, _offer(help_, at_us, event_us, is_urgent=is_urgent)),
        waiting=help_,
        withdrawn=None,
        learned=user.learned if gives_way else settled.learned,
        change_count=settled.change_count + 1,
    )


def withheld(user: UserState, help_: Intervention, at_us: int, *, is_urgent: bool, event_us: int = 0) -> UserState:
    """The user after help was decided on and not given."""
    offer = msgspec.structs.replace(_offer(help_, at_us, event_us, is_urgent=is_urgent), is_withheld=True)
    return msgspec.structs.replace(user, offers=_with(user.offers, offer))


def withdrawn(user: UserState, back: Withdrawn) -> UserState:
    """The user after an offer was taken back, which says nothing about its channel."""
    waits = user.waiting
    after = msgspec.structs.replace(user, offers=taken_back(user.offers, back))
    if waits is None or waits.id != back.offer_id:
        return after
    is_seen = IN_APP in waits.channels
    return msgspec.structs.replace(
        after,
        waiting=None,
        withdrawn=back if is_seen else user.withdrawn,
        change_count=user.change_count + 1,
    )


def lapsed(policy: Policy, user: UserState, at_us: int) -> UserState:
    """The user with what waited ended as expired, if it has expired by a time."""
    return _settled(policy, user) if user.waiting and user.waiting.expires_us <= at_us else user


def reported(policy: Policy, user: UserState, report: OutcomeReport, at_us: int, event_us: int = 0) -> UserState:
    """The user after an outcome. An impossible one changes nothing; one of an unknown offer counts for its channel."""
    settled = lapsed(policy, user, at_us)
    offer = offer_of(settled, report.intervention_id)
    if offer is None:
        learned = learn(policy, settled.learned, report.channel, evidence_of_stranger(report.outcome))
        return msgspec.structs.replace(settled, learned=learned)
    return settled if offer.is_withheld else _followed(policy, settled, offer, report.outcome, event_us)


def solved(policy: Policy, user: UserState, assessment: Assessment, event_us: int) -> UserState:
    """The user after a success that settled signals: accepted help has solved its trouble, if that is over."""
    offers = tuple(
        msgspec.structs.replace(each, solved_us=max(each.solved_us, event_us))
        if each.outcome is Outcome.ACCEPTED and is_over(policy, assessment, each)
        else each
        for each in user.offers
    )
    return user if offers == user.offers else msgspec.structs.replace(user, offers=offers)


def spent(user: UserState, bought: Purchase) -> UserState:
    """The user after a purchase or a refund, which is subtracted. Beyond 16 currencies, new ones are not summed."""
    if bought.currency not in user.bought and len(user.bought) >= MOST_CURRENCIES:
        return user
    amount = -abs(bought.amount) if bought.gives_back else bought.amount
    total = user.bought.get(bought.currency, 0.0) + amount
    return msgspec.structs.replace(user, bought={**user.bought, bought.currency: total})


def segmented(user: UserState, said: Segment, event_us: int) -> UserState:
    """The user after a system said their segment at an event time; what was said earlier changes nothing."""
    said = msgspec.structs.replace(said, since_us=event_us, said_us=event_us)
    return msgspec.structs.replace(user, segment=segments.latest(user.segment, said, user.basket))


def stocked(user: UserState, products: Iterable[str], event_us: int) -> UserState:
    """The user after products were bought: they are no longer recommended, nor offered by help that waits."""
    bought = (*user.basket, *((each, event_us) for each in products))
    segment = segments.latest(user.segment, None, bought)
    return without_bought(msgspec.structs.replace(user, basket=segments.filled(bought), segment=segment), bought)


def without_bought(user: UserState, bought: Basket) -> UserState:
    """The user, whose waiting help offers no product that was bought since it was offered."""
    waits, offer = user.waiting, offer_of(user, user.waiting.id) if user.waiting else None
    if waits is None or offer is None or not waits.products:
        return user
    left = segments.left(waits.products, offer.event_us or offer.made_us, bought)
    if left == waits.products:
        return user
    return msgspec.structs.replace(
        user, waiting=msgspec.structs.replace(waits, products=left), change_count=user.change_count + 1
    )


def is_conversion(conversion: Conversion, kind: int, target: str) -> bool:
    """Whether an event of this kind (see `EventKind`) about this target is what users are wanted to do."""
    return kind == EventKind[conversion.event.upper()] and conversion.target in ("", target)


def converted(policy: Policy, user: UserState, at_us: int) -> UserState:
    """The user after the wanted event: the last help that was accepted or seen converts, and so does the exposure.

    Help that nobody saw converts nobody. The time is the event time, however late the event was received: help does not
    count for what happened before it.
    """
    within_us = policy.conversion.within_us
    exposed = user.exposed
    if exposed and not exposed.is_converted and 0 <= at_us - exposed.at_us <= within_us:
        user = msgspec.structs.replace(user, exposed=msgspec.structs.replace(exposed, is_converted=True))
    seen = [
        each
        for each in user.offers
        if each.outcome in (Outcome.SHOWN, Outcome.ACCEPTED)
        and 0 <= at_us - each.made_us <= within_us
        and not (each.outcome is Outcome.SHOWN and each.expires_us <= at_us)
    ]
    return _followed(policy, user, seen[-1], Outcome.CONVERTED, at_us) if seen else user


def _offer(help_: Intervention, at_us: int, event_us: int, *, is_urgent: bool) -> Offer:
    return Offer(
        id=help_.id,
        channel=help_.channel,
        is_urgent=is_urgent,
        made_us=at_us,
        expires_us=help_.expires_us,
        action=help_.action,
        also_channels=help_.also_channels,
        topic=help_.topic,
        handled_by=help_.handled_by,
        send_us=help_.send_us,
        event_us=event_us,
    )


def _with(offers: tuple[Offer, ...], offer: Offer) -> tuple[Offer, ...]:
    return (*offers, offer)[-REMEMBERED_OFFERS:]


def _settled(policy: Policy, user: UserState) -> UserState:
    """What waits, ended as expired."""
    offer = offer_of(user, user.waiting.id) if user.waiting else None
    if offer is None:  # forgotten, because so many were offered since
        return msgspec.structs.replace(user, waiting=None, change_count=user.change_count + 1)
    return _followed(policy, user, offer, Outcome.EXPIRED, 0)


def _followed(policy: Policy, user: UserState, offer: Offer, outcome: Outcome, event_us: int) -> UserState:
    if not may_follow(offer.outcome, outcome):
        return user
    solved_us = max(offer.solved_us, event_us) if outcome is Outcome.CONVERTED else offer.solved_us
    after = msgspec.structs.replace(offer, outcome=outcome, solved_us=solved_us)
    ends_waiting = is_waiting(offer.outcome) and not is_waiting(outcome)
    return msgspec.structs.replace(
        user,
        offers=tuple(after if each is offer else each for each in user.offers),
        waiting=None if ends_waiting else user.waiting,
        learned=learn(policy, user.learned, offer.channel, evidence_of(offer.outcome, outcome)),
        change_count=user.change_count + ends_waiting,
    )
