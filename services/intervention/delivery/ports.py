"""What delivery needs from the outside: channels, the outbox, and an observer of attempts."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from services.intervention.decision.domain.facts import Contact
from services.intervention.delivery.domain.delivery import Delivery, OutboxEntry, OutboxMessage


class Sent(NamedTuple):
    """The provider accepted a message. Its id is empty if the provider gives none, or none to trust."""

    provider_id: str


class Channel(Protocol):
    """One way to reach a user. Calls may run side by side; each ends within seconds."""

    provider: str
    """Who carries the messages. Example: `ses`."""
    is_repeatable: bool
    """Whether the receiver recognizes a repetition by its key, so that sending again does no harm."""

    async def send(self, message: OutboxMessage, text: str, contact: Contact, key: str) -> Sent:
        """Sends a message with this text, once.

        Raises:
            Deferred: the provider did not take it, and may later.
            Refused: the provider will never take it; `no_address` where the contact has none for this channel.
            Unanswered: the provider may have taken it.
        """


class DeliveryObserver(Protocol):
    """Wraps every attempt to send a message, and is called with its result."""

    def sending(self, entry: OutboxEntry) -> AbstractContextManager[None]:
        """A context for the attempt; exceptions pass through it."""

    def noted(self, entry: OutboxEntry) -> None:
        """A message is finished, or waits for another attempt. Never raises."""


class Claimed(NamedTuple):
    """An entry claimed by one worker, and the end of the claim: Unix microseconds."""

    entry: OutboxEntry
    until_us: int


class Backlog(NamedTuple):
    """How many messages wait, and when the first is due: Unix microseconds, None without any."""

    message_count: int
    first_due_us: int | None


class Outbox(Protocol):
    """Keeps messages until they are sent, and their final state for a lifetime after they expire.

    `claim` returns waiting entries once they are due, and undelivered ones until they are filed, and hides them until
    the claim ends. All calls raise `Unavailable` where the store cannot be reached; each may be repeated.
    """

    async def add(self, messages: Sequence[OutboxMessage], now_us: int) -> None:
        """Adds messages, except those whose intervention and channel are known already."""

    async def cancel(self, intervention_ids: Sequence[str], now_us: int, reason: str) -> None:
        """Cancels waiting entries of interventions and makes them due for filing. Doubtful ones stay as they are."""

    async def claim(self, channel: str, now_us: int, limit: int, lease_us: int) -> list[Claimed]:
        """The entries of a channel that are due, the longest due first, each given to one caller for the lease."""

    async def update(self, claimed: Claimed, entry: OutboxEntry, due_us: int | None) -> bool:
        """Puts an entry in the place of a claimed one, to come up again at a time, or never.

        A time after that of the claim keeps the entry claimed until then. False, and nothing is done, where the claim
        has ended and another has taken the entry, or where it was cancelled. A repeated call answers as the first.
        """

    async def backlog(self, channel: str) -> Backlog:
        """The messages of a channel that are not finished."""

    async def remove(self, intervention_ids: Sequence[str]) -> None:
        """Removes the messages of interventions, sent or not. One that is being sent is sent, and not noted."""

    async def deliveries(self, intervention_ids: Sequence[str]) -> list[list[Delivery]]:
        """The deliveries of each intervention, in the order of the channels; an unknown one has none."""
