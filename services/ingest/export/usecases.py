"""The use cases: begin an export, take its steps in the background, read its data, erase exports of a person."""

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from mesh.clock import Clock
from mesh.errors import FailedPrecondition, MeshError, NotFound, ResourceExhausted
from records.tenants import beside
from services.ingest.archive.ports import Archive
from services.ingest.erasure.ports import AuditLog, Erasures, Links
from services.ingest.erasure.usecases import Behind, in_turn, require_id
from services.ingest.events.domain.suppression import pseudonym
from services.ingest.events.ports import Suppressions
from services.ingest.export.domain import export as exports
from services.ingest.export.domain.export import MOST_BYTES, Export, Part, Record, Step
from services.ingest.export.domain.rendering import csv_files, json_document
from services.ingest.export.ports import Exports, Source

_ID_BYTES: Final = 16
_REQUESTED: Final = "export.request"

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Exporting:
    """Exports people, step by step. What was interrupted goes on where it was, also in another process."""

    kept: Exports
    turns: Erasures
    suppressions: Suppressions
    links: Links
    sources: Sequence[Source]
    audit: AuditLog
    clock: Clock
    random_bytes: Callable[[int], bytes]
    has_archive: bool

    async def create(self, user_id: str) -> Export:
        """Begins an export.

        Raises:
            InvalidArgument: `INVALID_IDENTIFIER`.
            FailedPrecondition: `USER_ERASED`, an erased person has nothing to export.
            Unavailable: nothing is begun.
        """
        require_id(user_id)
        if (await self.suppressions.all()).among([user_id]):
            raise FailedPrecondition("USER_ERASED", "This person was erased.")
        now_us = self.clock()
        named = pseudonym(user_id, await self.suppressions.secret())
        begun = Export(beside(user_id, f"x_{self.random_bytes(_ID_BYTES).hex()}"), now_us, (user_id,), (named,))
        await self.audit.record(_REQUESTED, begun.id, user_id, now_us, is_user=True)
        await self.kept.create(begun)
        return begun

    async def read(self, export_id: str) -> Export:
        """An export.

        Raises:
            NotFound: `EXPORT_NOT_FOUND`.
        """
        found = await self.kept.find(export_id)
        if found is None:
            raise NotFound("EXPORT_NOT_FOUND", "No export with this id, or it has expired.")
        return found

    async def data(self, export_id: str, *, as_csv: bool) -> bytes:
        """The data of an export, as one JSON document or as a ZIP of CSV files.

        Raises:
            NotFound: `EXPORT_NOT_FOUND`.
            FailedPrecondition: `EXPORT_UNFINISHED`.
        """
        export = await self.read(export_id)
        if export.step is not Step.READY:
            raise FailedPrecondition("EXPORT_UNFINISHED", "The data is not there yet; the export's state says why.")
        parts = await self.kept.parts(export_id)
        return await asyncio.to_thread(_rendered, export, parts, as_csv=as_csv)

    async def run(self, owner: str) -> None:
        """Collects from the services for all exports, while this process has the turn, until it is cancelled."""
        await in_turn(self.turns, "exports", owner, self._open, self.advance)

    async def advance(self, export: Export) -> None:
        """Collects what the services keep. What keeps it is noted; it is tried again."""
        if export.step is not Step.COLLECT:
            return
        try:
            await self._collect(export)
        except ResourceExhausted as error:
            if error.reason != "EXPORT_TOO_LARGE":
                raise
            await self.kept.save(_failed(export, error))
        except MeshError as error:
            _log.warning("export %s waits: %s", export.id, error.detail)
            await self.kept.save(msgspec.structs.replace(export, trouble=error.reason))

    async def _collect(self, export: Export) -> None:
        ids = sorted(await self.links.ids_of(export.user_ids))
        records = exports.ids_of(ids)
        for source in self.sources:
            records += await source.export(ids)
        suppression = await self.suppressions.all()
        if suppression.among(ids):  # erased meanwhile
            await self.kept.remove([export.id])
            return
        named = tuple(pseudonym(each, suppression.secret) for each in ids)
        known = msgspec.structs.replace(export, user_ids=tuple(ids), pseudonyms=named, trouble="")
        after = _with(known, records, Step.ARCHIVE if self.has_archive else Step.READY, self.clock())
        await self.kept.save(after, Part.SERVICES, await asyncio.to_thread(exports.pack, records))

    async def _open(self) -> list[Export]:
        return [each for each in await self.kept.all() if each.is_open]


@dataclasses.dataclass(frozen=True)
class ArchiveExporting:
    """Collects from the archive, in the archiver's process, which alone reaches it."""

    kept: Exports
    turns: Erasures
    archive: Archive
    behind: Behind
    clock: Clock

    async def run(self, owner: str) -> None:
        """Collects for all exports, while this process has the turn, until it is cancelled."""
        await in_turn(self.turns, "archive.exports", owner, self._open, self.advance)

    async def advance(self, export: Export) -> None:
        """Collects the person's rows, unless the archiver may still write some that the services knew.

        Raises:
            MeshError: a store or the archive cannot be reached; it is tried again.
        """
        if export.step is not Step.ARCHIVE or not await self.behind.is_written(export.id):
            return
        try:
            records = await self.archive.of_users(export.user_ids, MOST_BYTES - export.byte_count)
            after = _with(export, records, Step.READY, self.clock())
            await self.kept.save(after, Part.ARCHIVE, await asyncio.to_thread(exports.pack, records))
        except ResourceExhausted as error:
            await self.kept.save(_failed(export, error))

    async def _open(self) -> list[Export]:
        return [each for each in await self.kept.all() if each.step is Step.ARCHIVE]


@dataclasses.dataclass(frozen=True)
class Exported:
    """The exports of people, as something that an erasure erases."""

    kept: Exports
    suppressions: Suppressions

    async def count(self, user_ids: Sequence[str]) -> Mapping[str, int]:
        """See `services.ingest.erasure.ports.Service`."""
        return {"ingest.exports": len(await self._of(user_ids))}

    async def erase(self, user_ids: Sequence[str], pseudonym: str) -> None:  # noqa: ARG002 - nothing is kept under it
        """See `services.ingest.erasure.ports.Service`."""
        await self.kept.remove(await self._of(user_ids))

    async def _of(self, user_ids: Sequence[str]) -> list[str]:
        secret = await self.suppressions.secret()
        named = {pseudonym(each, secret) for each in user_ids}
        return [each.id for each in await self.kept.all() if not named.isdisjoint(each.pseudonyms)]


def _with(export: Export, records: Sequence[Record], step: Step, now_us: int) -> Export:
    """The export with more records, at its next step; the ids go once all is collected.

    Raises:
        ResourceExhausted: `EXPORT_TOO_LARGE`.
    """
    byte_count = export.byte_count + exports.size(records)
    if byte_count > MOST_BYTES:
        raise ResourceExhausted("EXPORT_TOO_LARGE", "More is kept of the person than one export holds.")
    is_ready = step is Step.READY
    return msgspec.structs.replace(
        export,
        step=step,
        byte_count=byte_count,
        record_count=export.record_count + len(records),
        ready_us=now_us if is_ready else 0,
        user_ids=() if is_ready else export.user_ids,
        trouble="",
    )


def _failed(export: Export, error: MeshError) -> Export:
    return msgspec.structs.replace(export, step=Step.FAILED, user_ids=(), trouble=error.reason)


def _rendered(export: Export, parts: Sequence[bytes], *, as_csv: bool) -> bytes:
    records = [record for part in parts for record in exports.unpack(part)]
    return csv_files(export, records) if as_csv else json_document(export, records)
