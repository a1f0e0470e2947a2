"""What the use cases need of the outside, in the words of the domain. User state stands in `mesh.state.StateStore`."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from services.intervention.domain.ledger import Decision


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


class Witness(Protocol):
    """Is told of every intervention that was made, after it was recorded; may be told again after a fault."""

    def made(self, decision_id: str, decision: Decision, span_id: bytes) -> None:
        """Takes note. The span is that which brought the event. Never raises."""


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
