"""What is remembered of the help a user was offered, and what a decision looks at of the user."""

from collections.abc import Iterable, Mapping

import msgspec

from services.intervention.domain.facts import Outcome
from services.intervention.domain.outcome import Learned, is_waiting


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """Help that was offered, and what came of it. Times are received times in Unix microseconds.

    A withheld one was decided on and not made: doing nothing was drawn, or the user is held out. It is remembered all
    the same, so that those who are helped and those who are not live under the same cooldowns.
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


class Exposed(msgspec.Struct, frozen=True, array_like=True):
    """That a user counts in an experiment, since when, on which side, and by what the help would have been."""

    experiment: str
    at_us: int
    is_treated: bool
    type: str
    action: str
    channel: str
    level: str
    is_high_value: bool
    is_converted: bool = False


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """What a decision looks at of the user.

    `offers` are oldest first, `bought` sums purchases by currency, `undelivered` names messages (offer, channel) that
    never left.
    """

    offers: tuple[Offer, ...] = ()
    learned: Learned = {}
    bought: Mapping[str, float] = {}
    exposed: Exposed | None = None
    undelivered: tuple[tuple[str, str], ...] = ()


UNKNOWN = Standing()


def waiting_offer(offers: Iterable[Offer], at_us: int) -> Offer | None:
    """The offer that still waits for its user at a time; None where none does. At most one does."""
    waits = (each for each in offers if is_waiting(each.outcome) and not each.is_withheld and each.expires_us > at_us)
    return next(waits, None)
