"""What the name of a `track` event means: Segment's video and e-commerce specifications, its mobile events, our kinds.

docs/clients.md shows this table; a test holds the two together.
"""

import functools
from typing import Final, NamedTuple

from journeymesh.common.v1 import event_pb2

from gateway.formats.schema import EVENT_TYPES
from gateway.formats.values import vocabulary

PLAY: Final = "play"
PAUSE: Final = "pause"
SEEK: Final = "seek"
HEARTBEAT: Final = "heartbeat"
STALL: Final = "stall"
ENDED: Final = "ended"

CHECKOUT: Final = "checkout"


class Meaning(NamedTuple):
    """What a name means: the type of event, and what the name alone says about it.

    `is_own`: the name is that of one of our types of events, and `properties` are those of `track`. With
    `is_refund` money goes back; with `is_system` a system did it, not the user. With `needs_amount` it is a purchase if
    it has an amount, and otherwise a success.
    """

    event_type: int
    action: str = ""
    target: str = ""
    error_code: str = ""
    is_refund: bool = False
    is_system: bool = False
    is_own: bool = False
    needs_amount: bool = False


_INTERACTION: Final = Meaning(event_pb2.EVENT_TYPE_FEATURE_INTERACTION)
_CLICK: Final = Meaning(event_pb2.EVENT_TYPE_CLICK)
_OWN: Final = {
    word.replace("_", " "): Meaning(number, is_own=True)
    for word, number in EVENT_TYPES.items()
    if number != event_pb2.EVENT_TYPE_IDENTIFY  # which has a call of its own
}


# Mostly reported by a system, at times when the user is away.
_SYSTEM: Final = _INTERACTION._replace(is_system=True)
_REFUND: Final = Meaning(event_pb2.EVENT_TYPE_PURCHASE, is_refund=True)


def _playback(action: str) -> Meaning:
    return Meaning(event_pb2.EVENT_TYPE_VIDEO_PLAYBACK, action=action)


MEANINGS: Final[dict[str, Meaning]] = {
    **_OWN,
    # Our kinds, in words people use for them.
    "page viewed": _OWN["page view"],
    "feature used": _OWN["feature interaction"],
    "clicked": _OWN["click"],
    "form started": _OWN["form start"],
    "form submitted": _OWN["form submit"],
    "form abandoned": _OWN["form abandon"],
    "error shown": _OWN["error"],
    "retried": _OWN["retry"],
    "help requested": _OWN["help request"],
    "task succeeded": _OWN["task success"],
    "task completed": _OWN["task success"],
    "task failed": _OWN["task failure"],
    "session started": _OWN["session start"],
    "session ended": _OWN["session end"],
    "signed out": _OWN["session end"],
    # Video. Advertisements are no content; they stay interactions.
    "video playback started": _playback(PLAY),
    "video playback resumed": _playback(PLAY),
    "video playback paused": _playback(PAUSE),
    "video playback interrupted": _playback(PAUSE),
    "video playback exited": _playback(PAUSE),
    "video playback buffer started": _playback(STALL),
    "video playback buffer completed": _playback(PLAY),
    "video playback seek started": _playback(SEEK),
    # The jump is counted where it starts; where it ends playing goes on.
    "video playback seek completed": _playback(PLAY),
    "video playback completed": _playback(ENDED),
    "video content started": _playback(PLAY),
    "video content playing": _playback(HEARTBEAT),
    "video content completed": _playback(ENDED),
    # Shops.
    "products searched": _INTERACTION._replace(target="search"),
    "product clicked": _CLICK,
    "promotion clicked": _CLICK,
    "checkout started": Meaning(event_pb2.EVENT_TYPE_FORM_START, target=CHECKOUT),
    "begin checkout": Meaning(event_pb2.EVENT_TYPE_FORM_START, target=CHECKOUT),
    # A step is a success of its own: the checkout goes on until the order.
    "checkout step completed": Meaning(event_pb2.EVENT_TYPE_TASK_SUCCESS, target="checkout step"),
    "add shipping info": Meaning(event_pb2.EVENT_TYPE_TASK_SUCCESS, target="checkout step"),
    "add payment info": Meaning(event_pb2.EVENT_TYPE_TASK_SUCCESS, target="checkout step"),
    "coupon denied": Meaning(event_pb2.EVENT_TYPE_ERROR, target="coupon", error_code="coupon_denied"),
    "order completed": Meaning(event_pb2.EVENT_TYPE_PURCHASE, target=CHECKOUT),
    "order cancelled": _REFUND,
    "order canceled": _REFUND,
    "purchase cancelled": _REFUND,
    "purchase canceled": _REFUND,
    # Apps.
    "application opened": Meaning(event_pb2.EVENT_TYPE_SESSION_START),
    "application crashed": Meaning(event_pb2.EVENT_TYPE_ERROR, error_code="crash"),
    # What a system did.
    "application backgrounded": _SYSTEM,
    "application uninstalled": _SYSTEM,
    "install attributed": _SYSTEM,
    "push notification sent": _SYSTEM,
    "push notification delivered": _SYSTEM,
    "push notification received": _SYSTEM,
    "push notification bounced": _SYSTEM,
    "email sent": _SYSTEM,
    "email delivered": _SYSTEM,
    "email bounced": _SYSTEM,
    "email deferred": _SYSTEM,
    "email dropped": _SYSTEM,
    "email opened": _SYSTEM,
    "email marked as spam": _SYSTEM,
    "sms sent": _SYSTEM,
    "sms delivered": _SYSTEM,
    "live chat message received": _SYSTEM,
}
_BY_WORDS: Final = (
    (vocabulary.REFUND, _REFUND),
    (vocabulary.SIGN_OUT, _OWN["session end"]),
    (vocabulary.SYSTEM, _SYSTEM),
    (vocabulary.CHECKOUT, Meaning(event_pb2.EVENT_TYPE_PURCHASE, target=CHECKOUT, needs_amount=True)),
    *((pattern, _OWN[kind]) for kind, pattern in vocabulary.OWN),
)


def meaning(name: str) -> Meaning:
    """What a name means, however it is written: `Order Completed`, `order_completed`, `orderCompleted`."""
    return _meaning(name) if len(name) <= vocabulary.MOST else _INTERACTION


@functools.lru_cache(maxsize=4096)
def _meaning(name: str) -> Meaning:
    words = vocabulary.words(name)
    found = (meaning for pattern, meaning in _BY_WORDS if pattern.fullmatch(words))
    return MEANINGS.get(words) or next(found, _INTERACTION)
