"""The use cases: begin an erasure, take its steps in the background, end its suppression."""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from mesh.clock import Clock
from mesh.errors import FailedPrecondition, InvalidArgument, MeshError, NotFound
from mesh.process.lifecycle import in_background
from mesh.stream.port import BEGINNING
from records.tenants import beside, plain
from services.ingest.accept.domain.tidying import ID_LENGTH
from services.ingest.accept.ports import Pipeline
from services.ingest.archive.domain.layout import parse_path
from services.ingest.archive.ports import Archive, Tail
from services.ingest.erasure.domain import erasure as erasures
from services.ingest.erasure.domain.erasure import SETTLED_US, Archived, Erasure, Rewritten, Step
from services.ingest.erasure.ports import AuditLog, Erasures, Links, Service, Signer
from services.ingest.events.domain.suppression import pseudonym
from services.ingest.events.ports import Suppressions

PAUSE_SECONDS: Final = 0.5
TURN_SECONDS: Final = 60
"""How long a process has the turn without asking again, which it does four times as often."""
_ID_BYTES: Final = 16
_DISPATCHER: Final = "dispatcher"
_ARCHIVER: Final = "archiver"
_REQUESTED: Final = "erasure.request"
_ERASED: Final = "erasure.receipt"
_RESUMED: Final = "erasure.endSuppression"

_One = TypeVar("_One")

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Erasing:
    """Erases people, step by step. What was interrupted goes on where it was, also in another process."""

    kept: Erasures
    suppressions: Suppressions
    links: Links
    services: Sequence[Service]
    pipeline: Pipeline
    audit: AuditLog
    signer: Signer
    clock: Clock
    random_bytes: Callable[[int], bytes]
    has_archive: bool
    """Whether there is an archive, whose files the archiver rewrites."""

    async def create(self, user_id: str) -> Erasure:
        """Begins an erasure: when it returns, events of the person are refused within two seconds.

        Raises:
            InvalidArgument: `INVALID_IDENTIFIER`.
            Unavailable: nothing is begun, or it goes on by itself.
        """
        require_id(user_id)
        now_us = self.clock()
        named = pseudonym(user_id, await self.suppressions.secret())
        begun = Erasure(beside(user_id, f"e_{self.random_bytes(_ID_BYTES).hex()}"), named, now_us, (user_id,))
        await self.audit.record(_REQUESTED, begun.id, user_id, now_us, is_user=True)
        await self.kept.save(begun)
        return await self._take(begun)

    async def read(self, erasure_id: str) -> Erasure:
        """An erasure.

        Raises:
            NotFound: `ERASURE_NOT_FOUND`.
        """
        found = await self.kept.find(erasure_id)
        if found is None:
            raise NotFound("ERASURE_NOT_FOUND", "No erasure with this id.")
        return found

    async def end_suppression(self, erasure_id: str) -> None:
        """Lets the person come back: their events are accepted again. Repeating it changes nothing.

        Raises:
            NotFound: `ERASURE_NOT_FOUND`.
            FailedPrecondition: `ERASURE_UNFINISHED`.
        """
        found = await self.read(erasure_id)
        if found.step is not Step.DONE:
            raise FailedPrecondition("ERASURE_UNFINISHED", "The erasure is still going on.")
        if not found.pseudonyms:
            return
        await self.audit.record(_RESUMED, found.id, found.id, self.clock(), is_user=False)
        await self.suppressions.remove(found.pseudonyms)
        await self.kept.save(msgspec.structs.replace(found, pseudonyms=()))

    async def run(self, owner: str) -> None:
        """Takes the steps of all erasures, while this process has the turn, until it is cancelled."""
        await in_turn(self.kept, "steps", owner, self.kept.unfinished, self.advance)

    async def advance(self, erasure: Erasure) -> Erasure:
        """Takes steps as far as nothing has to be waited for. What keeps a step is noted; it is taken again."""
        try:
            while erasure.step is not Step.DONE:
                after = await self._take(erasure)
                if after.step is erasure.step:
                    return after
                erasure = after
        except MeshError as error:
            _log.warning("erasure %s waits at %s: %s", erasure.id, erasure.step.name, error.detail)
            erasure = await self._save(erasure, trouble=error.reason)
        return erasure

    async def _take(self, one: Erasure) -> Erasure:  # noqa: PLR0911 - one return a step
        """Takes one step; the erasure is at the same step afterwards if it has to wait."""
        now_us = self.clock()
        match one.step:
            case Step.SUPPRESS:
                await self.suppressions.add([one.pseudonym], one.id)
                return await self._save(one, step=Step.IDENTIFY, since_us=now_us, pseudonyms=(one.pseudonym,))
            case Step.IDENTIFY if now_us - one.since_us >= SETTLED_US:
                ids = await self.links.ids_of(one.user_ids)
                secret = await self.suppressions.secret()
                named = tuple(sorted(pseudonym(each, secret) for each in ids))
                await self.suppressions.add(named, one.id)
                ids_kept = tuple(sorted(ids))
                return await self._save(one, step=Step.DRAIN, since_us=now_us, user_ids=ids_kept, pseudonyms=named)
            case Step.DRAIN if await self._is_drained(now_us - one.since_us):
                return await self._save(one, step=Step.COUNT, since_us=now_us)
            case Step.COUNT:
                return await self._save(one, step=Step.ERASE, since_us=now_us, before=await self._count(one))
            case Step.ERASE:
                after = await self._erase(one)
                is_gone = not any(after.values())  # else somebody was still writing
                return await self._save(one, step=Step.ARCHIVE, since_us=now_us, after=after) if is_gone else one
            case Step.ARCHIVE:
                archived = await self.kept.archived(one.id)
                if self.has_archive and not archived.is_done:
                    return one
                receipt = erasures.receipt(one, now_us, archived)
                return await self._save(one, step=Step.REPORT, since_us=now_us, erased_us=now_us, receipt=receipt)
            case Step.REPORT:
                hash_ = erasures.receipt_hash(one.receipt)
                await self.audit.record(_ERASED, one.id, f"{one.id} {hash_}", one.erased_us, is_user=False)
                signed = await self.signer.sign(hash_)
                return await self._save(one, step=Step.DONE, since_us=now_us, user_ids=(), signature=signed)
            case _:
                return one

    async def _erase(self, one: Erasure) -> dict[str, int]:
        """Erases the person in all services; returns what is left."""
        for service in self.services:
            await service.erase(one.user_ids, one.pseudonym)
        return await self._count(one)

    async def _is_drained(self, passed_us: int) -> bool:
        """Whether the dispatcher is beyond all that was appended before the list settled, so long after its change."""
        settled_seconds = (passed_us - SETTLED_US) / 1e6
        if settled_seconds < 0:
            return False
        standings = [each.standing for each in await self.pipeline.standings() if each.consumer == _DISPATCHER]
        return all(each.lag_seconds <= settled_seconds for each in standings)

    async def _count(self, one: Erasure) -> dict[str, int]:
        return erasures.joined([await service.count(one.user_ids) for service in self.services])

    async def _save(self, one: Erasure, *, trouble: str = "", **changes: object) -> Erasure:
        after = msgspec.structs.replace(one, trouble=trouble, **changes)
        if after != one:
            await self.kept.save(after)
        return after


@dataclasses.dataclass(frozen=True)
class Behind:
    """Whether the archiver, which is behind the dispatcher, has come as far as that was when it was asked first."""

    pipeline: Pipeline
    waits: dict[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)
    """By erasure or export, how far the archiver has to be on each shard: what it had gathered is written then."""

    async def is_written(self, waiting: str) -> bool:
        """Whether the archiver is where the dispatcher was when this was asked first."""
        standings = await self.pipeline.standings()
        reached = {
            consumer: {each.shard: each.standing.checkpoint for each in standings if each.consumer == consumer}
            for consumer in (_DISPATCHER, _ARCHIVER)
        }
        wanted = self.waits.setdefault(waiting, reached[_DISPATCHER])
        return all(reached[_ARCHIVER].get(shard, BEGINNING) >= checkpoint for shard, checkpoint in wanted.items())


@dataclasses.dataclass(frozen=True)
class ArchiveErasing:
    """Erases people from the archive, in the archiver's process, which alone reaches it."""

    kept: Erasures
    archive: Archive
    tail: Tail
    behind: Behind

    async def run(self, owner: str) -> None:
        """Rewrites files for all erasures, while this process has the turn, until it is cancelled."""
        await in_turn(self.kept, "archive", owner, self.kept.unfinished, self.advance)

    async def advance(self, erasure: Erasure) -> None:
        """Rewrites the files that name the person, unless the archiver may still write some.

        A file is noted before it is rewritten and after, so that the receipt misses none after a crash.

        Raises:
            MeshError: a store or the archive cannot be reached; it goes on from there.
        """
        archived = await self.kept.archived(erasure.id)
        if erasure.step is not Step.ARCHIVE or archived.is_done or not await self.behind.is_written(erasure.id):
            return
        held = await self.archive.holding(erasure.user_ids)
        files = {file.path: Rewritten(*content) for file, content in held.items()} | archived.files
        await self.kept.save_archived(erasure.id, Archived(files))
        for path, noted in files.items():
            file = parse_path(path)
            if file is None or (noted.is_rewritten and file not in held):
                continue
            after = await self.archive.erase(file, erasure.user_ids)
            if after is not None:
                files = {**files, path: Rewritten(noted.rows_before, noted.hash_before, *after)}
                await self.kept.save_archived(erasure.id, Archived(files))
        if not held:
            await self._remove_tails()
            await self.kept.save_archived(erasure.id, Archived(files, is_done=True))

    async def _remove_tails(self) -> None:
        """Removes what is shown of ranges that are written, as whoever has lost a shard may leave it."""
        for each in await self.behind.pipeline.standings():
            if each.consumer == _ARCHIVER:
                await self.tail.remove(each.shard, each.standing.checkpoint)


def require_id(user_id: str) -> None:
    """Returns if this may be somebody's id.

    Raises:
        InvalidArgument: `INVALID_IDENTIFIER`.
    """
    sent = plain(user_id)
    if not 0 < len(sent) <= ID_LENGTH or not sent.isprintable():
        raise InvalidArgument("INVALID_IDENTIFIER", f"An id is text of 1 to {ID_LENGTH} characters.")


async def in_turn(
    kept: Erasures,
    work: str,
    owner: str,
    open_ones: Callable[[], Awaitable[Sequence[_One]]],
    do: Callable[[_One], Awaitable[object]],
) -> None:
    """Does some work for all that are open, again and again, while this process has the turn."""
    while True:
        try:
            if await kept.take_turn(work, owner, TURN_SECONDS):
                async with in_background(_keep_turn(kept, work, owner)):
                    for one in await open_ones():
                        await _attempt(do, one)
        except* MeshError as errors:
            _log.debug("%s wait: %s", work, errors)
        await asyncio.sleep(PAUSE_SECONDS)


async def _keep_turn(kept: Erasures, work: str, owner: str) -> None:
    while True:
        await asyncio.sleep(TURN_SECONDS / 4)
        with contextlib.suppress(MeshError):
            await kept.take_turn(work, owner, TURN_SECONDS)


async def _attempt(do: Callable[[_One], Awaitable[object]], one: _One) -> None:
    """Logs what keeps one, which is tried again; it does not keep the others."""
    try:
        await do(one)
    except MeshError as error:
        _log.warning("%r waits: %s", one, error.detail)
