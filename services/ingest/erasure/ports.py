"""What erasing needs, beside the ports of `accept` and `events`. All calls raise `Unavailable` where nobody answers."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from services.ingest.erasure.domain.erasure import Archived, Erasure, Signature


class Erasures(Protocol):
    """Keeps erasures, for good once they are done."""

    async def save(self, erasure: Erasure) -> None:
        """Keeps an erasure; one with the same id is replaced."""

    async def find(self, erasure_id: str) -> Erasure | None:
        """The erasure with this id, None if there is none."""

    async def unfinished(self) -> list[Erasure]:
        """The erasures that are not done, the oldest first."""

    async def archived(self, erasure_id: str) -> Archived:
        """What an erasure has changed in the archive so far."""

    async def save_archived(self, erasure_id: str, archived: Archived) -> None:
        """Keeps what an erasure has changed in the archive, in place of what was kept before."""

    async def take_turn(self, work: str, owner: str, seconds: int) -> bool:
        """Whether this owner may do some work for so long; it may ask again before. One owner has the turn."""


class Service(Protocol):
    """A service that keeps something of people."""

    async def count(self, user_ids: Sequence[str]) -> Mapping[str, int]:
        """How many entries are kept of a person with these ids, by store."""

    async def erase(self, user_ids: Sequence[str], pseudonym: str) -> None:
        """Erases a person with these ids. May be repeated."""


class AuditLog(Protocol):
    """The audit log."""

    async def record(self, act: str, erasure_id: str, subject: str, time_us: int, *, is_user: bool) -> None:
        """Records an act of an erasure, once however often it is repeated. A user's id is kept as a pseudonym."""


class Signer(Protocol):
    """Signs receipts."""

    async def sign(self, receipt_hash: str) -> Signature:
        """The signature of a receipt by the key of the audit log; empty if it has none. The same if it is repeated."""


class Links(Protocol):
    """Which ids are a person's."""

    async def ids_of(self, user_ids: Sequence[str]) -> set[str]:
        """These ids, and all anonymous ids that are linked to them. It looks at all links: they have no index."""
