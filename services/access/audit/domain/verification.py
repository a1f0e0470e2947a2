"""Verifies a chain, page by page: entries against their hashes and numbers, the store's head and signed heads."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from services.access.audit.domain.entry import HASH_BYTES, NO_HASH, Head, Newer, decoded, hash_of


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """A part of a chain as it is stored."""

    entries: Sequence[bytes]
    """Stored bytes, the oldest first."""
    first_sequence: int
    """The number that the first of them should have; 0 if there are none."""
    hash_before: bytes
    """The hash before the first of them; empty if the store has none."""
    last: Head
    """The newest number and hash, as the store keeps them."""


class Fault(Exception):
    """The first thing that is wrong with a chain; the text is a sentence for whoever asked."""

    def __init__(self, sequence: int, sentence: str) -> None:
        super().__init__(sentence)
        self.sequence = sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """What was verified so far: entries `first` to `last`, without a gap."""

    first: int = 0
    """0: none yet."""
    last: int = 0
    hash: bytes = NO_HASH
    """Of the last entry."""
    is_complete: bool = False
    """Whether the last entry was the chain's newest when its page was read."""

    @property
    def count(self) -> int:
        """How many entries were verified."""
        return self.last - self.first + 1 if self.first else 0


NOTHING: Final = Progress()


def verified(before: Progress, page: Page, heads: Mapping[int, bytes]) -> Progress:
    """Goes on with the page after those that were verified.

    A change of an entry shows at the next one at the latest: read again in pages of one entry to know which it is.

    Args:
        before: `NOTHING`, or what the page before gave.
        page: the entries after `before.last`.
        heads: hashes by number, as they were signed outside the store.

    Raises:
        Fault: something is wrong.
    """
    if page.last.sequence < before.last:
        raise Fault(before.last, f"The tail is cut: the newest entry is {page.last.sequence}, after {before.last}.")
    if not page.entries:
        return _ended(before, page, heads)
    if before.first and page.hash_before != before.hash:
        raise Fault(before.last, f"Entry {before.last} was changed: its hash is not the one that the next one holds.")
    if len(page.hash_before) != HASH_BYTES or (page.first_sequence == 1) != (page.hash_before == NO_HASH):
        raise Fault(page.first_sequence, f"The hash before entry {page.first_sequence} is wrong.")
    expected = before.last + 1 if before.first else page.first_sequence
    if not before.first:
        _compare(expected - 1, page.hash_before, heads)
    digest = page.hash_before
    for stored in page.entries:
        _check_number(stored, expected)
        digest = hash_of(digest, stored)
        _compare(expected, digest, heads)
        expected += 1
    progress = Progress(before.first or page.first_sequence, expected - 1, digest)
    return _ended(progress, page, heads) if progress.last >= page.last.sequence else progress


def _ended(progress: Progress, page: Page, heads: Mapping[int, bytes]) -> Progress:
    """Compares the end of the entries with the store's head and the signed ones."""
    newest = page.last.sequence
    if progress.last < newest:
        raise Fault(
            progress.last + 1, f"The tail is cut: entry {progress.last + 1} is missing, the newest is {newest}."
        )
    if progress.last > newest:
        raise Fault(progress.last, f"The store's newest number is {newest}, but there is an entry {progress.last}.")
    if newest and progress.hash != page.last.hash:
        raise Fault(newest, f"Entry {newest} was changed: its hash is not the one that the store keeps for it.")
    latest = max(heads, default=0)
    if latest > newest:
        raise Fault(newest + 1, f"The tail is cut: a signed head names entry {latest}, but the newest is {newest}.")
    return dataclasses.replace(progress, is_complete=True)


def _check_number(stored: bytes, expected: int) -> None:
    try:
        sequence = decoded(stored).sequence
    except Newer:
        raise Fault(expected, f"Entry {expected} was stored by a newer version, or changed.") from None
    except ValueError:
        raise Fault(expected, f"Entry {expected} was changed: it cannot be read.") from None
    if sequence > expected:
        raise Fault(expected, f"Entry {expected} is missing: entry {sequence} stands in its place.")
    if sequence < expected:
        raise Fault(expected, f"Entry {sequence} stands in the place of entry {expected}.")


def _compare(sequence: int, digest: bytes, heads: Mapping[int, bytes]) -> None:
    if heads.get(sequence, digest) != digest:
        raise Fault(sequence, f"The chain up to entry {sequence} was changed: a signed head has another hash.")
