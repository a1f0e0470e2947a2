"""What decisions need from the outside, in the words of the domain; `mesh.state.port.StateStore` holds user state."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from services.intervention.decision.domain.facts import Facts, Outcome
from services.intervention.decision.domain.ledger import Decision
from services.intervention.decision.domain.strategy import Intervention

KEPT_REFERENCES: Final = 20
"""How many references a ledger keeps at least of each name and generation."""


class Entry(NamedTuple):
    """The ledger page of one record: its block, and the names that find it."""

    shard: str
    sequence: int
    # Received time of its first event; it decides which generation of the index holds its names.
    received_us: int
    block: bytes
    names: Sequence[str]


class Reference(NamedTuple):
    """Which record a block belongs to."""

    shard: str
    sequence: int


class Ledger(Protocol):
    """Keeps blocks of decisions by record, and finds them by name. A block expires after its lifetime.

    A shard has one writer, who writes in the order of the stream and, after a fault, again from some earlier record on.
    """

    async def record(self, entries: Sequence[Entry]) -> None:
        """Writes blocks of one shard, ascending. Writing one again changes nothing; without entries it does nothing.

        For each name and generation at least the last 20 references are kept, each once.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def blocks(self, references: Sequence[Reference]) -> list[bytes | None]:
        """The blocks in the order of the references; None where there is none or it has expired.

        Raises:
            Unavailable: the store cannot be reached.
        """

    def references(self) -> AsyncIterator[Sequence[Reference]]:
        """Where all blocks stand, in portions and in no set order; a reference may come twice.

        It looks at the whole store: names find only a user's last references.

        Raises:
            Unavailable: the store cannot be reached.
        """

    async def rewrite(self, reference: Reference, before: bytes, after: bytes) -> bool:
        """Puts a block in the place of another, for the rest of its lifetime; False if that is no longer there.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def forget(self, names: Sequence[str]) -> None:
        """Forgets all references of names; blocks stay.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def find(self, name: str) -> list[list[Reference]]:
        """The references of a name, one list per generation, newest generation first; a list has no set order.

        Raises:
            Unavailable: the store cannot be reached.
        """


class OutcomeEvent(NamedTuple):
    """An outcome of an intervention.

    `made_trace_id` is the trace of the event that led to the intervention: 16 bytes, empty if unknown. `trace_id` (16
    bytes) and `span_id` (8 bytes; empty if the trace is not recorded) are those of the event that reported the outcome.
    """

    intervention_id: str
    decision_id: str
    outcome: Outcome
    made_trace_id: bytes
    trace_id: bytes
    span_id: bytes


class Observer(Protocol):
    """Is called for every intervention and outcome once it is recorded; after a fault perhaps again."""

    is_enabled: bool
    """Whether it does anything; if not, the caller may skip it."""

    def created(self, decision_id: str, decision: Decision, span_id: bytes) -> None:
        """An intervention was created. The span is that of the event, empty if not recorded. Never raises."""

    def outcome(self, event: OutcomeEvent) -> None:
        """An intervention has an outcome. Never raises."""


class Copywriting(Protocol):
    """Generates copy for interventions, in the background."""

    def ask(self, made: Sequence[tuple[Facts, Intervention]]) -> None:
        """Queues interventions as far as there is room. Never raises."""


class Listeners(Protocol):
    """Wakes those who wait for a change of one user, in this process."""

    def wake(self, user_ids: Iterable[str]) -> None:
        """Wakes whoever waits for one of the users."""

    def listen(self, user_id: str) -> "Listener":
        """Starts to listen. Raises `ResourceExhausted` if too many do."""


class Listener(Protocol):
    """Waits for changes of one user. A change between two waits is not missed."""

    async def wait(self, timeout_seconds: float) -> None:
        """Returns after a change or after the time, whichever is first."""

    def close(self) -> None:
        """Stops listening."""
