"""What the use cases need of the outside, in the words of the domain. User state stands in `mesh.state.StateStore`."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from services.intervention.domain.analysis import Helping, Struggle, Watching
from services.intervention.domain.conversation import Answer, Question, Refusal
from services.intervention.domain.delivery import Delivery, Parcel, Slip
from services.intervention.domain.facts import Contact, Facts, Outcome
from services.intervention.domain.ledger import Decision
from services.intervention.domain.spending import Amount
from services.intervention.domain.strategy import Intervention
from services.intervention.domain.timeline import Dated


class Entry(NamedTuple):
    """One record's page of the ledger: its block, and the names it can be found by later."""

    shard: str
    sequence: int
    # Received time of its first event; tells in which generation of the index its names stand.
    received_us: int
    block: bytes
    names: Sequence[str]


class Reference(NamedTuple):
    """Where a block stands."""

    shard: str
    sequence: int


class Ledger(Protocol):
    """Keeps blocks of decisions by record, and finds them by name. A block passes after its lifetime.

    A shard has one writer, who writes in the order of the stream and, after a fault, again from some earlier record on.
    """

    async def record(self, entries: Sequence[Entry]) -> None:
        """Writes blocks of one shard, ascending. Writing one again changes nothing. Nothing is done for none.

        For each name and generation at least the last 20 references are kept, each once.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def blocks(self, references: Sequence[Reference]) -> list[bytes | None]:
        """The blocks in the order of the references; None where there is none or its lifetime has passed.

        Raises:
            Unavailable: the store cannot be reached.
        """

    async def find(self, name: str) -> list[list[Reference]]:
        """The references of a name, each list a generation, newest first; a generation's are in no set order.

        Raises:
            Unavailable: the store cannot be reached.
        """


class PolicyStore(Protocol):
    """Keeps the policies that ever were in force, in their order. What was appended stays."""

    async def all(self) -> list[Dated]:
        """The policies, oldest first; none at first.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def count(self) -> int:
        """How many there are.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def append(self, dated: Dated, after_count: int) -> bool:
        """Appends one if there are so many, in one atomic step; False where another came first.

        Raises:
            Unavailable: the store cannot be reached; it may or may not be appended.
        """


class Became(NamedTuple):
    """That something came of an intervention.

    `made_trace_id` is the trace of the event that led to it, 16 bytes, empty where that is not known. The other ids are
    those of the event that tells what became of it: 16 and 8 bytes, without a span where its trace is not recorded.
    """

    intervention_id: str
    decision_id: str
    outcome: Outcome
    made_trace_id: bytes
    trace_id: bytes
    span_id: bytes


class Witness(Protocol):
    """Is told of every intervention, after it was recorded; may be told again after a fault."""

    is_looking: bool
    """Whether what it is told is of use."""

    def made(self, decision_id: str, decision: Decision, span_id: bytes) -> None:
        """Takes note that one was made. The span brought the event, empty where it is not recorded. Never raises."""

    def became(self, became: Became) -> None:
        """Takes note of what came of one. Never raises."""


class Words(Protocol):
    """Looks for better words for what was made, in the background."""

    def ask(self, made: Sequence[tuple[Facts, Intervention]]) -> None:
        """Begins to look, where there is room for it. Never raises."""


class Listeners(Protocol):
    """Wakes those who wait for a change of one user, in this process."""

    def wake(self, user_ids: Iterable[str]) -> None:
        """Wakes whoever waits for one of the users."""

    def listen(self, user_id: str) -> "Listener":
        """Begins to listen. Raises `ResourceExhausted` where too many do."""


class Listener(Protocol):
    """One who waits for changes of one user. A change between two waits is not missed."""

    async def wait(self, timeout_seconds: float) -> None:
        """Returns after a change or after the time, whichever is first."""

    def close(self) -> None:
        """Ends listening."""


# Channels.


class Sent(NamedTuple):
    """A message was taken. The provider's id of it is empty where it gives none, or none that can be trusted."""

    provider_id: str


class Channel(Protocol):
    """One way to reach a user. Calls may run side by side; each ends by itself within seconds."""

    provider: str
    """Who carries the messages. Example: `ses`."""
    is_repeatable: bool
    """Whether the receiver can tell a repetition by its key, so that sending again does no harm."""

    async def send(self, parcel: Parcel, text: str, contact: Contact, key: str) -> Sent:
        """Sends a message with this text, once.

        Raises:
            Deferred: it was not taken, and may be later.
            Refused: it will never be taken; `no_address` where the contact has none for this channel.
            Unanswered: it may have been taken.
        """


class DeliveryWitness(Protocol):
    """Stands around every attempt to send a message, and is told what came of it."""

    def sending(self, slip: Slip) -> AbstractContextManager[None]:
        """What the attempt is made within; what is raised there goes on."""

    def noted(self, slip: Slip) -> None:
        """Takes note of a message that has come to an end, or waits for another attempt. Never raises."""


class Claimed(NamedTuple):
    """A slip that one sender works at, and until when it is left to it: Unix microseconds."""

    slip: Slip
    until_us: int


class Backlog(NamedTuple):
    """How many messages still come up, and when the first of them does: Unix microseconds, None without any."""

    message_count: int
    first_due_us: int | None


class Outbox(Protocol):
    """Keeps messages until they are sent, and what became of them for a lifetime after they expire.

    What waits, and what was not delivered until that is filed, comes up at its time; a claim takes it out of sight
    until the claim ends. All calls raise `Unavailable` where the store cannot be reached; each may be repeated.
    """

    async def add(self, parcels: Sequence[Parcel], now_us: int) -> None:
        """Takes messages in. One that is known by its intervention and channel stays as it is, done or not."""

    async def cancel(self, intervention_ids: Sequence[str], now_us: int, reason: str) -> None:
        """Cancels what waits of interventions, and brings it up to be filed. What is in doubt stays as it is."""

    async def claim(self, channel: str, now_us: int, limit: int, lease_us: int) -> list[Claimed]:
        """The slips of a channel that are due, the longest due first, each given to one caller for the lease."""

    async def update(self, claimed: Claimed, slip: Slip, due_us: int | None) -> bool:
        """Puts a slip in the place of a claimed one, to come up again at a time, or never.

        A time after that of the claim keeps the slip claimed until then. False, and nothing is done, where the claim
        has ended and another has taken the slip, or where it was cancelled. A repeated call answers as the first.
        """

    async def backlog(self, channel: str) -> Backlog:
        """What of a channel's messages has not come to an end."""

    async def deliveries(self, intervention_ids: Sequence[str]) -> list[list[Delivery]]:
        """How far the messages of each intervention have come, in the order of the channels; none of unknown ones."""


# Language models.


class Model(Protocol):
    """Language models, by their ids."""

    async def converse(self, model_id: str, question: Question, timeout_seconds: float) -> Answer:
        """The answer to a question; within the time it may be asked more than once.

        An answer that was cut off or filtered is given as it came; its `stop` tells.

        Raises:
            NotAnswered: there is none within the time. Nothing goes on that holds more than one of a fixed number of
                places; while all are taken, the refusal is `BUSY` at once.
        """


class Spending(Protocol):
    """Counts what one tenant's models cost, by UTC day, for all replicas together. Days do not touch each other.

    All calls raise `Unavailable` where the store cannot be reached; then the count may have changed or not.
    """

    async def reserve(self, day: int, wanted: Amount, limits: Amount) -> bool:
        """Counts an amount if it fits within the limits (`spending.fits`), else nothing; tells which. Atomic."""

    async def settle(self, day: int, difference: Amount) -> None:
        """Adds what a reserved amount turned out to differ by; mostly negative."""

    async def spent(self, day: int) -> Amount:
        """What was counted, reservations included; nothing for a day of which nothing is known."""


class Call(NamedTuple):
    """One question to a model and what came of it. Times are Unix microseconds; the refusal is None with an answer."""

    model_id: str
    prompt_version: str
    most_tokens: int
    started_us: int
    ended_us: int
    answer: Answer | None
    refusal: Refusal | None
    cost_micro_usd: float
    # The decision on whose behalf it was asked, and its trace, 16 bytes; empty for the present RPC.
    trace_id: bytes
    decision_id: str


class ModelWitness(Protocol):
    """Is told of every call of a model."""

    def called(self, call: Call) -> None:
        """Takes note. Never raises."""


class Insights(Protocol):
    """What the mesh knows of a user, service by service. All calls raise `Unavailable` where a service is away."""

    async def struggle(self, user_id: str) -> Struggle:
        """The exit risk. Raises `NotFound` for a user who was never seen."""

    async def video(self, user_id: str) -> Watching | None:
        """How the user watches; None where nothing was watched."""

    async def intervention(self, user_id: str) -> Helping:
        """What waits for the user, and the last decisions; nothing for one who was never seen."""
