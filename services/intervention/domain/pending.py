"""What is kept of one user: the offers made, what waits, and what was learned. At most one offer waits."""

from typing import Final

import msgspec

from services.intervention.domain.eligibility import Standing
from services.intervention.domain.facts import Outcome, OutcomeReport
from services.intervention.domain.outcome import (
    Learned,
    evidence_of,
    evidence_of_stranger,
    is_waiting,
    learn,
    may_follow,
)
from services.intervention.domain.policy import Policy
from services.intervention.domain.strategy import Intervention


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """An intervention that was made, and what came of it. Times are received times in Unix microseconds."""

    id: str
    channel: str
    is_urgent: bool
    made_us: int
    expires_us: int
    outcome: Outcome = Outcome.NONE


class Helped(msgspec.Struct, frozen=True, array_like=True):
    """A user as far as help is concerned.

    `offers` are oldest first; only the last may wait, and then `waiting` is what it offers. `change_count` grows with
    every change of what waits.
    """

    offers: tuple[Offer, ...] = ()
    waiting: Intervention | None = None
    learned: Learned = {}
    change_count: int = 0


NOBODY: Final = Helped()

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Helped).decode


def encode(helped: Helped) -> bytes:
    """The user as bytes; the same user gives the same bytes."""
    return _ENCODE(helped)


def decode(blob: bytes) -> Helped:
    """The user from bytes; nobody from none."""
    return _DECODE(blob) if blob else NOBODY


def standing(helped: Helped) -> Standing:
    """What a decision looks at of the user."""
    last = helped.offers[-1] if helped.waiting else None
    return Standing(
        waiting_until_us=last.expires_us if last else 0,
        is_waiting_urgent=last is not None and last.is_urgent,
        urgent_made_us=max((each.made_us for each in helped.offers if each.is_urgent), default=0),
        gentle_made_us=max((each.made_us for each in helped.offers if not each.is_urgent), default=0),
        learned=helped.learned,
    )


def waiting_at(helped: Helped, at_us: int) -> Intervention | None:
    """What waits for the user at a time; None once it has expired, whether that was noticed or not."""
    return helped.waiting if helped.waiting and helped.waiting.expires_us > at_us else None


def cursor_at(helped: Helped, at_us: int) -> int:
    """Grows with every change of what waits, the silent one of an expiry included."""
    has_lapsed = helped.waiting is not None and waiting_at(helped, at_us) is None
    return 2 * helped.change_count + has_lapsed


def outcome_at(helped: Helped, intervention_id: str, at_us: int) -> Outcome | None:
    """What came of an offer by a time; None where it is no longer remembered."""
    offer = next((each for each in helped.offers if each.id == intervention_id), None)
    if offer is None:
        return None
    return Outcome.EXPIRED if is_waiting(offer.outcome) and offer.expires_us <= at_us else offer.outcome


def offered(policy: Policy, helped: Helped, help_: Intervention, at_us: int, *, is_urgent: bool) -> Helped:
    """The user after an intervention was made. What waited ends as expired.

    Where it has to give way before its time, that tells nothing of its channel.
    """
    settled = _ended(policy, helped, Outcome.EXPIRED) if helped.waiting else helped
    gives_way = waiting_at(helped, at_us) is not None
    offer = Offer(help_.id, help_.channel, is_urgent, at_us, help_.expires_us)
    return Helped(
        offers=(*settled.offers, offer)[-policy.remembered_offer_count :],
        waiting=help_,
        learned=helped.learned if gives_way else settled.learned,
        change_count=settled.change_count + 1,
    )


def reported(policy: Policy, helped: Helped, report: OutcomeReport, at_us: int) -> Helped:
    """The user after an outcome. What is not possible any more changes nothing; a stranger's counts for its channel."""
    settled = helped
    if helped.waiting and helped.waiting.expires_us <= at_us:
        settled = _ended(policy, helped, Outcome.EXPIRED)
    offer = next((each for each in settled.offers if each.id == report.intervention_id), None)
    if offer is None:
        learned = learn(policy, settled.learned, report.channel, evidence_of_stranger(report.outcome))
        return msgspec.structs.replace(settled, learned=learned)
    return _followed(policy, settled, offer, report.outcome)


def _ended(policy: Policy, helped: Helped, outcome: Outcome) -> Helped:
    return _followed(policy, helped, helped.offers[-1], outcome)


def _followed(policy: Policy, helped: Helped, offer: Offer, outcome: Outcome) -> Helped:
    if not may_follow(offer.outcome, outcome):
        return helped
    after = msgspec.structs.replace(offer, outcome=outcome)
    ends_waiting = is_waiting(offer.outcome) and not is_waiting(outcome)
    return Helped(
        offers=tuple(after if each is offer else each for each in helped.offers),
        waiting=None if ends_waiting else helped.waiting,
        learned=learn(policy, helped.learned, offer.channel, evidence_of(offer.outcome, outcome)),
        change_count=helped.change_count + ends_waiting,
    )
