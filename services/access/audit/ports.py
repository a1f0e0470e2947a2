"""What the use cases of the audit log need from the outside."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from services.access.audit.domain.entry import Head, Row
from services.access.audit.domain.verification import Page


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What became of an append."""

    is_appended: bool
    head: Head
    """The chain's head after it."""
    known: frozenset[bytes] = frozenset()
    """The ids of those acts that are in the chain already; if there are any, nothing was appended."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A row as a list shows it."""

    sequence: int
    stored: bytes
    hash: bytes


class Chain(Protocol):
    """Keeps the chain of entries and the secret behind its pseudonyms.

    Every method raises `Unavailable` if the store cannot be reached; all calls may be repeated.
    """

    async def append(self, before: Head, rows: Sequence[Row]) -> Answer:
        """Appends rows if the head is `before` and no act is known, in one atomic step.

        Acts stay known for two hours.

        Args:
            before: the head that the rows were made for.
            rows: one or more, with numbers that follow it.
        """

    async def head(self) -> Head:
        """The newest number and hash; `EMPTY` at first."""

    async def read(self, after: int, most: int) -> Page:
        """Up to `most` entries after a number, the oldest first; with the number 0, from the oldest kept."""

    async def newest(self, before: int, most: int) -> Sequence[Kept]:
        """Up to `most` entries before a number, the newest first; with the number 0, from the newest."""

    async def drop(self, base: int, through: Head) -> bool:
        """Removes the entries up to a number and keeps its hash as the chain's base, in one atomic step.

        Returns False, and removes nothing, where the base's number is no longer `base`.
        """

    async def secret(self) -> bytes | None:
        """The secret behind pseudonyms; None if there is none yet."""

    async def keep_secret(self, proposed: bytes) -> bytes:
        """Keeps a secret unless there is one; returns the one that is kept."""

    async def ping(self) -> None:
        """Returns if the store answers."""


class Signer(Protocol):
    """Signs receipts with the key of the signed heads."""

    def sign_receipt(self, receipt_hash: bytes) -> tuple[bytes, bytes]:
        """The signature of a receipt's SHA-256, and the public key that verifies it."""


class SignedHeads(Protocol):
    """Keeps signed heads of the chain, outside the store."""

    @property
    def newest(self) -> Head:
        """The last one; `EMPTY` if there is none."""

    def append(self, head: Head, time_us: int) -> None:
        """Signs a head with its time in Unix microseconds; returns once it is kept.

        Raises:
            OSError: it cannot be kept.
        """
