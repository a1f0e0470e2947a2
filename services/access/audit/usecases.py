"""The use cases of the audit log: append acts, list entries, read the chain, remove what is old."""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from mesh.clock import SECOND_US, Clock
from mesh.errors import Unavailable
from services.access.audit.domain import entry
from services.access.audit.domain.entry import EMPTY, Act, Head, Newer
from services.access.audit.domain.verification import NOTHING, Fault, Page, Progress, verified
from services.access.audit.ports import Chain, SignedHeads

COMMAND: Final = "command"
"""The actor of what is done on the command line."""
SCANNED: Final = 1_000
"""How many entries one page of a list looks at, at most."""
DROPPED: Final = 500
"""How many entries one step of retention removes, at most."""
READ: Final = 1_000
"""How many entries verification reads at once."""
_ATTEMPTS: Final = 100
_ACT_ID_BYTES: Final = 16

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class NewAct:
    """An act as the caller names it: its subject may be a user's own id."""

    act: Act = dataclasses.field(repr=False)
    is_user: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """An entry of a list."""

    entry: entry.Entry
    hash: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Filters:
    """Which entries are asked for; empty: any."""

    actor: str = ""
    user_id: str = dataclasses.field(default="", repr=False)


class Audit:
    """Appends acts to the chain and reads it. A process appends one call at a time; the store notices others."""

    def __init__(self, chain: Chain, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._chain = chain
        self._clock = clock
        self._random_bytes = random_bytes
        self._head = EMPTY
        self._turn = asyncio.Lock()

    async def record(self, new: Sequence[NewAct]) -> None:
        """Appends acts in their order; those that are in the chain already are left out.

        A time that this clock has not reached counts as now, so that a wrong clock does not hold retention up.

        Raises:
            Unavailable: the store cannot be reached; the acts may or may not be appended, and the call may be repeated.
        """
        secret = await self._secret() if any(each.is_user for each in new) else b""
        now_us = self._clock()
        acts: dict[bytes, Act] = {}
        for each in new:
            acts.setdefault(each.act.act_id, _as_kept(each, secret, now_us))
        async with self._turn:
            await self._append(acts)

    def of_command(self, action: str, subject: str) -> NewAct:
        """Something that is about to be done on the command line; subject is no user."""
        return self.of(action, subject, COMMAND)

    def of(self, action: str, subject: str, actor: str) -> NewAct:
        """Something that an actor is about to do, without one the command line; subject is no user."""
        act = Act(self._random_bytes(_ACT_ID_BYTES), self._clock(), actor or COMMAND, action, subject, b"")
        return NewAct(act, is_user=False)

    async def listed(self, filters: Filters, before: int, most: int) -> tuple[Sequence[Listed], int]:
        """Up to `most` entries, the newest first, and the number before which to go on; 0: none follow.

        Looks at `SCANNED` entries at most, so there may be fewer, or none, although more follow. Entries that cannot be
        read are left out: verification finds them.

        Args:
            filters: which entries.
            before: the number before which to begin; 0: with the newest.
            most: entries, 1 or more.

        Raises:
            Unavailable: the store cannot be reached.
        """
        subject = ""
        if filters.user_id:
            secret = await self._chain.secret()
            if secret is None:
                return [], 0
            subject = entry.pseudonym(filters.user_id, secret)
        found: list[Listed] = []
        looked_at = SCANNED if filters.actor or subject else most
        kept = await self._chain.newest(before, looked_at)
        for row in kept:
            with contextlib.suppress(Newer, ValueError):
                read = entry.decoded(row.stored)
                if filters.actor in {"", read.act.actor} and subject in {"", read.act.subject}:
                    found.append(Listed(read, row.hash))
            if len(found) == most:
                return found, 0 if row.sequence == 1 else row.sequence
        is_more = len(kept) == looked_at and kept[-1].sequence > 1
        return found, kept[-1].sequence if is_more else 0

    async def read(self, after: int, most: int) -> Page:
        """See `Chain.read`."""
        return await self._chain.read(after, most)

    async def head(self) -> Head:
        """See `Chain.head`."""
        return await self._chain.head()

    async def drop_old(self, lifetime_seconds: int) -> int:
        """Removes up to `DROPPED` of the oldest entries that are older than a lifetime; the newest always stays.

        Returns how many it removed, or 0 where another process removed some at the same time.

        Raises:
            Unavailable: the store cannot be reached.
        """
        oldest_us = self._clock() - lifetime_seconds * SECOND_US
        page = await self._chain.read(0, DROPPED)
        digest, count = page.hash_before, 0
        for sequence, stored in enumerate(page.entries, page.first_sequence):
            if sequence >= page.last.sequence or not _is_older(stored, oldest_us):
                break
            digest, count = entry.hash_of(digest, stored), count + 1
        if not count:
            return 0
        base = page.first_sequence - 1
        if not await self._chain.drop(base, Head(base + count, digest)):
            return 0
        _log.info("the entries of the audit log up to %d are removed: they are older than its lifetime", base + count)
        return count

    async def _append(self, acts: dict[bytes, Act]) -> None:
        for _ in range(_ATTEMPTS):
            if not acts:
                return
            answer = await self._chain.append(self._head, entry.chained(self._head, [*acts.values()]))
            self._head = answer.head
            if answer.is_appended:
                return
            acts = {act_id: act for act_id, act in acts.items() if act_id not in answer.known}
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "Others append to the audit log at the same time; try again.")

    async def _secret(self) -> bytes:
        """The secret as it is now: read each time, so that one that was destroyed is not used any more."""
        return await self._chain.secret() or await self._chain.keep_secret(self._random_bytes(entry.SECRET_BYTES))


class Signing:
    """Signs the chain's head outside the store, so that a chain that was cut or made anew is found out."""

    def __init__(self, audit: Audit, heads: SignedHeads, clock: Clock) -> None:
        self._audit = audit
        self._heads = heads
        self._clock = clock

    async def sign(self) -> bool:
        """Signs the head if entries were added since the last time; returns whether it did.

        Raises:
            Unavailable: the store cannot be reached.
            OSError: the head cannot be kept.
        """
        head, signed = await self._audit.head(), self._heads.newest
        if head.sequence < signed.sequence:
            _log.error("the audit log ends with entry %d, but %d was signed: verify it", head.sequence, signed.sequence)
        if head.sequence <= signed.sequence:
            return False
        await asyncio.to_thread(self._heads.append, head, self._clock())
        return True


async def verify(
    read: Callable[[int, int], Awaitable[Page]], heads: Mapping[int, bytes], report: Callable[[Progress, Page], None]
) -> Progress:
    """Reads a whole chain and verifies it; returns what was verified.

    Args:
        read: gives up to so many entries after a number, as `Chain.read`.
        heads: hashes by number, as they were signed.
        report: is called after each page.

    Raises:
        Fault: the first thing that is wrong.
    """
    before, progress = NOTHING, NOTHING
    found: Fault | None = None
    while not progress.is_complete and (found is None or progress.last < found.sequence + READ):
        page = await read(progress.last, READ if found is None else 1)
        if progress.first and page.entries and page.first_sequence > progress.last + 1:
            # Retention has removed what was to come next: what is kept now begins later.
            before = progress = NOTHING
            continue
        try:
            before, progress = progress, verified(progress, page, heads)
        except Fault as fault:
            if found is not None:
                raise
            # Again in pages of one entry, each of which brings the hash before it, to know which entry it is.
            found, progress = fault, before
        else:
            report(progress, page)
    if found is not None:
        raise found
    return progress


def _as_kept(new: NewAct, secret: bytes, now_us: int) -> Act:
    subject = entry.pseudonym(new.act.subject, secret) if new.is_user else new.act.subject
    return dataclasses.replace(new.act, subject=subject, time_us=min(new.act.time_us, now_us))


def _is_older(stored: bytes, oldest_us: int) -> bool:
    """Whether an entry is from before a time. One that cannot be read stays: verification has to find it."""
    try:
        return entry.decoded(stored).act.time_us < oldest_us
    except (Newer, ValueError):
        return False
