"""A message on its way to a user outside the product: what is sent, how far it has come, and what may follow.

An attempt is stored before it is made, so that after a crash it is known that the message may have gone out
(`is_doubtful`). A doubtful message is never reported as failed.
"""

import enum
import re
from typing import Final

import msgspec

CHANNELS: Final = ("chat", "email", "push", "ticket")
"""The channels beyond the product itself, in the order deliveries are listed."""

_LARGEST_EMAIL: Final = 254
_EMAIL: Final = re.compile(r"[^@\s,;:<>()\[\]\\\"]+@[^@\s,;:<>()\[\]\\\"]+\.[^@\s,;:<>()\[\]\\\".]+")
_FIRST_WAIT_US: Final = 1_000_000
_LONGEST_WAIT_US: Final = 300_000_000


class DeliveryState(enum.IntEnum):
    """Values as in `journeymesh.intervention.v1.DeliveryState`."""

    WAITING = 1
    SENT = 2
    FAILED = 3
    UNKNOWN = 4
    CANCELLED = 5


class OutboxMessage(msgspec.Struct, frozen=True, array_like=True):
    """One message of an intervention by one channel. Times are Unix microseconds, the text is the template's."""

    intervention_id: str
    decision_id: str
    channel: str
    user_id: str
    action: str
    type: str
    priority: str
    queue: str
    risk_level: str
    text: str
    content: tuple[str, ...]
    page: str
    due_us: int
    expires_us: int
    trace_id: bytes

    @property
    def key(self) -> str:
        """The idempotency key: the same for every attempt, and for no other message."""
        return f"{self.intervention_id}.{self.channel}"


class Delivery(msgspec.Struct, frozen=True, array_like=True):
    """The reported state of a message. `update_us` is when it is due or, once finished, when it got this state."""

    channel: str
    state: DeliveryState
    attempt_count: int
    update_us: int
    provider: str
    provider_id: str
    reason: str
    idempotency_key: str


class OutboxEntry(msgspec.Struct, frozen=True, array_like=True):
    """A message and its state. An entry that no longer waits never changes."""

    message: OutboxMessage
    update_us: int
    state: DeliveryState = DeliveryState.WAITING
    attempt_count: int = 0
    provider: str = ""
    provider_id: str = ""
    reason: str = ""
    is_doubtful: bool = False
    """Whether an attempt was begun whose result is not known."""

    @property
    def is_waiting(self) -> bool:
        """Whether it is still to be sent."""
        return self.state is DeliveryState.WAITING

    @property
    def is_undelivered(self) -> bool:
        """Whether the message certainly did not go out and never will."""
        return self.state in (DeliveryState.FAILED, DeliveryState.CANCELLED)

    @property
    def delivery(self) -> Delivery:
        """Its reported state."""
        return Delivery(
            self.message.channel,
            self.state,
            self.attempt_count,
            self.update_us,
            self.provider,
            self.provider_id,
            self.reason,
            self.message.key,
        )


class Deferred(Exception):
    """The provider did not take the message now and may later; it certainly did not go out.

    `retry_after_us` is how long the provider wants to be left alone, 0 where it did not say.
    """

    def __init__(self, reason: str, retry_after_us: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_us = retry_after_us


class Refused(Exception):
    """The provider will never take the message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unanswered(Exception):
    """The message was handed over, and whether it was taken is not known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def new_entry(message: OutboxMessage) -> OutboxEntry:
    """The entry of a new message."""
    return OutboxEntry(message, message.due_us)


def begun(entry: OutboxEntry, provider: str, at_us: int) -> OutboxEntry:
    """An attempt is about to be made."""
    return _after(entry, at_us, provider=provider, attempt_count=entry.attempt_count + 1, is_doubtful=True)


def sent(entry: OutboxEntry, provider_id: str, at_us: int) -> OutboxEntry:
    """The provider has taken it."""
    return _after(entry, at_us, state=DeliveryState.SENT, provider_id=provider_id[:256], reason="", is_doubtful=False)


def deferred(entry: OutboxEntry, reason: str, due_us: int, *, is_doubtful: bool) -> OutboxEntry:
    """Waits for another attempt. An earlier attempt may still be in doubt, though this one is not."""
    return _after(entry, due_us, reason=reason, is_doubtful=is_doubtful)


def failed(entry: OutboxEntry, reason: str, at_us: int, *, is_doubtful: bool) -> OutboxEntry:
    """Not tried again: failed, or unknown where an earlier attempt is in doubt."""
    state = DeliveryState.UNKNOWN if is_doubtful else DeliveryState.FAILED
    return _after(entry, at_us, state=state, reason=reason, is_doubtful=is_doubtful)


def cancelled(entry: OutboxEntry, reason: str, at_us: int) -> OutboxEntry:
    """No longer wanted: cancelled, or unknown where an attempt is in doubt."""
    state = DeliveryState.UNKNOWN if entry.is_doubtful else DeliveryState.CANCELLED
    return _after(entry, at_us, state=state, reason=reason)


def _after(entry: OutboxEntry, update_us: int, **members: object) -> OutboxEntry:
    return msgspec.structs.replace(entry, update_us=update_us, **members) if entry.is_waiting else entry


def wait_us(attempt_count: int, draw: float) -> int:
    """How long to wait after so many attempts (from 1): doubling from 1 s to 5 min; `draw` takes half of it to all."""
    whole = min(_FIRST_WAIT_US << min(attempt_count - 1, 16), _LONGEST_WAIT_US)
    return round(whole * (0.5 + 0.5 * draw))


def is_email(text: str) -> bool:
    """Whether the text is one plain e-mail address: nothing that could be read as two, or as a header."""
    return len(text) <= _LARGEST_EMAIL and text.isprintable() and _EMAIL.fullmatch(text) is not None


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_ENTRY: Final = msgspec.msgpack.Decoder(OutboxEntry).decode


def encode_entry(entry: OutboxEntry) -> bytes:
    """The entry and its message as bytes; the same entry gives the same bytes."""
    return _ENCODE(entry)


def decode_entry(blob: bytes) -> OutboxEntry:
    """The entry and its message from bytes."""
    return _DECODE_ENTRY(blob)
