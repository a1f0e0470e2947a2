"""The archive as Parquet files in a directory or a bucket; docs/archive.md describes the layout.

A file is written beside and then put in its place: in a directory by renaming, on S3 because an object appears when
its upload is complete. Nothing in a file depends on when or how often it was written.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pyarrow.parquet as pq

from mesh.errors import ResourceExhausted, Unavailable, VersionMismatch
from mesh.settings import SettingError
from mesh.state.exporting import Record, record
from records import tenants
from services.ingest.archive.adapters import decision_rows, event_rows
from services.ingest.archive.adapters.tables import fitted, grouped, without_nulls, written
from services.ingest.archive.domain import layout
from services.ingest.archive.domain.layout import ArchiveFile, Content, DecisionRow, Holding, Plan
from services.ingest.archive.ports import EventRows, Part
from services.ingest.events.domain.suppression import NOBODY, Suppression

SCHEMA_KEY: Final = b"journeymesh.schema"
"""Names the kind and version in a file's metadata."""

# Rows a row group: what is held in memory at once when files are joined or read.
_GROUP_ROWS: Final = 16_384
_COPY_BYTES: Final = 8 * 1024 * 1024
_MOST_BYTES: Final = 256 * 1024 * 1024
KINDS: Final = {layout.EVENTS: event_rows, layout.DECISIONS: decision_rows}

# By which a reader may leave out what it does not look for: rows stand in the order of the stream.
_STATISTICS: Final = ["sequence", "event_time", "received_time"]
# The columns that hold ids of people.
_IDS: Final = ("user_id", "anonymous_id", "linked_user_id")
_TENANT: Final = rf"^{tenants.SEPARATOR}(?P<tenant>{tenants.NAME}){tenants.SEPARATOR}"
_ASIDE_SUFFIX: Final = ".part"
# What users did is for the owner and the owner's group.
_MODE: Final = 0o640

_log = logging.getLogger(__name__)


class Packed(NamedTuple):
    """Columns by kind, without those that are null, and the hour of each row by kind."""

    columns: dict[str, pa.RecordBatch]
    hours: dict[str, pa.Array]

    @property
    def size(self) -> int:
        """See `ports.Part`."""
        return sum(batch.nbytes for batch in self.columns.values())

    def of_hour(self, kind: str, hour: int) -> pa.RecordBatch:
        """The rows of a kind and hour."""
        its = pc.equal(self.hours[kind], hour)
        return self.columns[kind] if pc.all(its).as_py() else self.columns[kind].filter(its)


class ParquetArchive:
    """Files below the root that a URL names: `file:///folder` or `s3://bucket/prefix`.

    Address and credentials of S3 come as for every AWS client, from the environment (`AWS_ENDPOINT_URL_S3`,
    `AWS_REGION`, `AWS_ACCESS_KEY_ID`...) or the machine's role. A joined file has at most `most_bytes`.

    Raises:
        SettingError: the URL is no such URL.
    """

    def __init__(
        self, url: str, most_bytes: int = _MOST_BYTES, suppression: Callable[[], Suppression] = lambda: NOBODY
    ) -> None:
        self._most_bytes = most_bytes
        self._suppression = suppression
        # What is read of a file and written in its place must not undo what another thread has written meanwhile.
        self._rewriting = threading.Lock()
        # Arrow's own allocator is a little faster, and keeps half as much again.
        pa.set_memory_pool(pa.system_memory_pool())
        self._files, self._root = located(url)
        self._is_local = isinstance(self._files, pyarrow.fs.LocalFileSystem)

    async def pack(self, shard: str, events: Sequence[EventRows], decisions: Sequence[DecisionRow]) -> Part:
        """See `ports.Archive`."""
        return await asyncio.to_thread(_pack, shard, events, decisions)

    async def write(self, shard: str, plan: Plan, hours: Collection[int], parts: Sequence[Part]) -> int:
        """See `ports.Archive`."""
        return await asyncio.to_thread(self._write, shard, plan, hours, cast("Sequence[Packed]", parts))

    async def hours(self) -> list[int]:
        """See `ports.Archive`."""
        return await asyncio.to_thread(self._hours)

    async def compact(self, shard: str, hour: int) -> None:
        """See `ports.Archive`."""
        for kind in KINDS:
            try:
                await asyncio.to_thread(self._compact, kind, shard, hour)
            except pa.ArrowInvalid:
                # The rows are where they were; readers will say which file it is.
                _log.exception("the %s of shard %s in hour %d cannot be joined", kind, shard, hour)

    async def holding(self, user_ids: Collection[str]) -> dict[ArchiveFile, Content]:
        """See `ports.Archive`."""
        return await asyncio.to_thread(self._holding, user_ids)

    async def of_users(self, user_ids: Collection[str], most_bytes: int) -> list[Record]:
        """See `ports.Archive`."""
        return await asyncio.to_thread(self._of_users, user_ids, most_bytes)

    async def erase(self, file: ArchiveFile, user_ids: Collection[str]) -> Content | None:
        """See `ports.Archive`."""
        return await asyncio.to_thread(self._erase, file, user_ids)

    async def before(self, hour: int) -> dict[ArchiveFile, Holding]:
        """See `ports.Archive`."""
        return await asyncio.to_thread(self._before, hour)

    async def expire(self, file: ArchiveFile, gone: Collection[str]) -> None:
        """See `ports.Archive`."""
        await asyncio.to_thread(self._expire, file, gone)

    async def delete(self, file: ArchiveFile) -> None:
        """See `ports.Archive`."""
        await asyncio.to_thread(self._remove, [file])

    def files(self, kind: str) -> list[ArchiveFile]:
        """The files that together hold every row of a kind, sorted by hour, shard and range.

        Raises:
            Unavailable: the storage cannot be reached.
        """
        return layout.covering(self._listed(f"{kind}/{layout.VERSION}"))

    def row_count(self, file: ArchiveFile) -> int:
        """How many rows a file says it has.

        Raises:
            Unavailable: the storage cannot be reached.
        """
        with reaching(), self._opened(file) as opened:
            return int(opened.metadata.num_rows)

    def batches(self, file: ArchiveFile, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of a file, some ten thousand at once; only these columns, where they are named.

        Raises:
            Unavailable: the storage cannot be reached.
        """
        with reaching(), self._opened(file) as opened:
            known = opened.schema_arrow.names
            read = None if columns is None else [name for name in columns if name in known]
            yield from opened.iter_batches(_GROUP_ROWS, columns=read, use_threads=False)

    def _write(self, shard: str, plan: Plan, hours: Collection[int], parts: Sequence[Packed]) -> int:
        byte_count = 0
        for kind in KINDS:
            for hour in sorted(hours):
                file = ArchiveFile(kind, hour, shard, plan.after + 1, plan.through)
                byte_count += self._publish(file, (part.of_hour(kind, hour) for part in parts))
        return byte_count

    def _hours(self) -> list[int]:
        base = self._below(f"{layout.EVENTS}/{layout.VERSION}")
        with reaching():
            found = self._files.get_file_info(pyarrow.fs.FileSelector(base, allow_not_found=True))
        hours = (layout.parse_hour(info.base_name) for info in found)
        return sorted(hour for hour in hours if hour is not None)

    def _compact(self, kind: str, shard: str, hour: int) -> None:
        sizes = {file: size for file, size in self._listed(layout.folder(kind, hour)).items() if file.shard == shard}
        kept = layout.covering(sizes)
        # What lies inside another was left behind where a process ended between the two; a half file, where in one.
        self._remove(sizes.keys() - set(kept))
        if self._is_local:
            for half in Path(self._below(layout.folder(kind, hour))).glob(f"{_aside(shard)}-*{_ASIDE_SUFFIX}"):
                half.unlink(missing_ok=True)
        for run in layout.groups(kept, sizes.__getitem__, self._most_bytes):
            self._publish(layout.merged(run), self._unsuppressed(batch for file in run for batch in self.batches(file)))
            self._remove(run)

    def _unsuppressed(self, batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        """The rows without those of suppressed people."""
        suppression = self._suppression()
        if not suppression.pseudonyms:
            return batches
        return (_without(batch, suppression.among(_ids_in(batch))) for batch in batches)

    def _before(self, hour: int) -> dict[ArchiveFile, Holding]:
        listed = [each for kind in KINDS for each in self._listed(f"{kind}/{layout.VERSION}").items()]
        return {file: Holding(size, self._tenants_in(file)) for file, size in listed if file.hour < hour}

    def _tenants_in(self, file: ArchiveFile) -> Mapping[str, int]:
        counts = Counter[str]()
        try:
            for batch in self.batches(file, ["user_id"]):
                for each in pc.value_counts(_tenants_of(batch)):
                    counts[each["values"].as_py()] += each["counts"].as_py()
        except pa.ArrowInvalid:
            _log.exception("the file %s of the archive cannot be read", file.path)
        return counts

    def _expire(self, file: ArchiveFile, gone: Collection[str]) -> None:
        names = pa.array(sorted(gone), pa.string())
        with self._rewriting:
            if self._is_there(file):
                kept = (batch.filter(pc.invert(pc.is_in(_tenants_of(batch), names))) for batch in self.batches(file))
                self._rewrite(file, self._unsuppressed(kept))

    def _rewrite(self, file: ArchiveFile, batches: Iterable[pa.RecordBatch]) -> None:
        try:
            self._publish(file, batches)
        except pa.ArrowInvalid as error:
            raise VersionMismatch("A newer version has written a file of the archive.") from error

    def _holding(self, user_ids: Collection[str]) -> dict[ArchiveFile, Content]:
        listed = (file for kind in KINDS for file in self._listed(f"{kind}/{layout.VERSION}"))
        return {file: self._content(file) for file in listed if self._names(file, user_ids)}

    def _of_users(self, user_ids: Collection[str], most_bytes: int) -> list[Record]:
        found, byte_count, ids = list[Record](), 0, pa.array(sorted(user_ids), pa.string())
        for file in (file for kind in KINDS for file in self.files(kind) if self._names(file, user_ids)):
            for batch in self.batches(file):
                for row in batch.filter(_is_in(batch.column("user_id"), ids)).to_pylist():
                    kept = {name: value for name, value in row.items() if value is not None}
                    found.append(record(f"archive.{file.kind}", kept))
                    byte_count += len(found[-1].json)
                    if byte_count > most_bytes:
                        raise ResourceExhausted("EXPORT_TOO_LARGE", "More is kept of the person than one export holds.")
        return found

    def _erase(self, file: ArchiveFile, user_ids: Collection[str]) -> Content | None:
        with self._rewriting:
            if not self._is_there(file):  # joined with others meanwhile, or expired
                return None
            self._rewrite(file, (_without(batch, user_ids) for batch in self.batches(file)))
            return self._content(file)

    def _names(self, file: ArchiveFile, user_ids: Collection[str]) -> bool:
        return any(not _ids_in(each).isdisjoint(user_ids) for each in self.batches(file, _IDS))

    def _is_there(self, file: ArchiveFile) -> bool:
        with reaching():
            return bool(self._files.get_file_info(self._below(file.path)).type == pyarrow.fs.FileType.File)

    def _content(self, file: ArchiveFile) -> Content:
        digest = hashlib.sha256()
        with reaching(), self._files.open_input_stream(self._below(file.path)) as opened:
            while some := opened.read(_COPY_BYTES):
                digest.update(some)
        return Content(self.row_count(file), digest.hexdigest())

    def _publish(self, file: ArchiveFile, batches: Iterable[pa.RecordBatch]) -> int:
        """Writes a file of batches; returns its size in bytes."""
        columns = KINDS[file.kind]
        metadata = {SCHEMA_KEY: f"{file.kind}/{layout.VERSION}".encode()}

        def fill(into: IO[bytes]) -> int:
            schema = written(columns.SCHEMA.empty_table(), columns.DICTIONARIES).schema.with_metadata(metadata)
            repeated = [f.name for f in schema if f.name not in columns.UNIQUE and not pa.types.is_nested(f.type)]
            with pq.ParquetWriter(
                into, schema, compression="zstd", use_dictionary=repeated, write_statistics=_STATISTICS
            ) as writer:
                for table in grouped(batches, _GROUP_ROWS):
                    writer.write_table(fitted(written(table, columns.DICTIONARIES), schema), _GROUP_ROWS)
            return into.tell()

        with reaching():
            byte_count = _put(Path(self._below(file.path)), fill) if self._is_local else self._upload(file, fill)
        # What a file took is wanted again in a minute: until then it is given back.
        pa.default_memory_pool().release_unused()
        return byte_count

    def _upload(self, file: ArchiveFile, fill: Callable[[IO[bytes]], int]) -> int:
        # Closing an upload publishes it, be it because of an error: so it begins when all of it is there.
        with tempfile.TemporaryFile() as whole:
            byte_count = fill(whole)
            whole.seek(0)
            with self._files.open_output_stream(self._below(file.path)) as into:
                shutil.copyfileobj(whole, into, _COPY_BYTES)
        return byte_count

    def _remove(self, files: Collection[ArchiveFile]) -> None:
        with reaching():
            for file in files:
                with contextlib.suppress(FileNotFoundError):
                    self._files.delete_file(self._below(file.path))

    def _listed(self, folder: str) -> dict[ArchiveFile, int]:
        """The files below a folder with their sizes in bytes."""
        selector = pyarrow.fs.FileSelector(self._below(folder), recursive=True, allow_not_found=True)
        with reaching():
            infos = self._files.get_file_info(selector)
        parsed = [(layout.parse_path(info.path.removeprefix(f"{self._root}/")), info.size) for info in infos]
        return {file: size for file, size in parsed if file is not None}

    @contextlib.contextmanager
    def _opened(self, file: ArchiveFile) -> Iterator[pq.ParquetFile]:
        with self._files.open_input_file(self._below(file.path)) as opened, pq.ParquetFile(opened) as parquet:
            yield parquet

    def _below(self, path: str) -> str:
        return f"{self._root}/{path}"


def _pack(shard: str, events: Sequence[EventRows], decisions: Sequence[DecisionRow]) -> Packed:
    texts = {sequence: layout.number_text(sequence, sequence) for sequence in {row.sequence for row in decisions}}
    decided = decision_rows.batch(shard, [texts[row.sequence] for row in decisions], decisions)
    columns = {layout.EVENTS: event_rows.batch(shard, events), layout.DECISIONS: without_nulls(decided)}
    return Packed(columns, {kind: _hours(its.column("received_time")) for kind, its in columns.items()})


def _hours(times: pa.Array) -> pa.Array:
    """The hours of times, as `domain.layout.hour_of` computes them."""
    hours = pc.divide(times.cast(pa.int64()), layout.HOUR_US)
    return pc.min_element_wise(pc.max_element_wise(hours, 0), layout.LAST_HOUR)


def _put(path: Path, fill: Callable[[IO[bytes]], int]) -> int:
    """Writes a file so that it is there whole, and stays there, or is not there at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of a name of its own: a process that has lost the shard, and does not know it yet, may write the same file now.
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=_aside(path.name), suffix=_ASIDE_SUFFIX, delete=False
    ) as into:
        aside = Path(into.name)
        try:
            byte_count = fill(into)
            into.flush()
            os.fchmod(into.fileno(), _MODE & path.parent.stat().st_mode)  # private in a private folder
            os.fsync(into.fileno())
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    for folder in (path.parent, path.parent.parent):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
    return byte_count


def _ids_in(batch: pa.RecordBatch) -> set[str]:
    """The users and anonymous ids that rows name."""
    columns = (batch.column(name) for name in _IDS if name in batch.schema.names)
    return {each for column in columns for each in pc.unique(column).to_pylist() if each is not None}


def _without(batch: pa.RecordBatch, user_ids: Collection[str]) -> pa.RecordBatch:
    """The rows of other users, without these ids as their anonymous ids."""
    if not user_ids:
        return batch
    ids = pa.array(sorted(user_ids), pa.string())
    kept = batch.filter(pc.invert(_is_in(batch.column("user_id"), ids)))
    for place, name in enumerate(kept.schema.names):
        if name in _IDS and name != "user_id":
            column = kept.column(place)
            column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
            left = pc.if_else(_is_in(column, ids), pa.scalar(None, column.type), column)
            kept = kept.set_column(place, kept.schema.field(place).with_type(left.type), left)
    return kept


def _tenants_of(batch: pa.RecordBatch) -> pa.Array:
    """The tenant of each row, as `records.tenants.tenant_of` finds it."""
    column = batch.column("user_id")
    whole = column.cast(pa.string())
    if not pc.any(pc.starts_with(whole, tenants.SEPARATOR)).as_py():
        return pa.repeat(pa.scalar(tenants.DEFAULT), len(batch))
    return pc.fill_null(pc.struct_field(pc.extract_regex(whole, _TENANT), "tenant"), tenants.DEFAULT)


def _is_in(column: pa.Array, ids: pa.Array) -> pa.Array:
    whole = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    return pc.is_in(whole, ids.cast(whole.type))


def _aside(name: str) -> str:
    return f".{name}"


def located(url: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """The storage that a URL names, and the root in it.

    Raises:
        SettingError: the URL is neither `file:///folder` nor `s3://bucket/prefix`.
    """
    try:
        files, root = pyarrow.fs.FileSystem.from_uri(url)
    except (pa.ArrowInvalid, OSError) as error:
        message = f"The archive's URL must be like file:///folder or s3://bucket/prefix, not {url!r}: {error}"
        raise SettingError(message) from error
    return files, root.rstrip("/")


@contextlib.contextmanager
def reaching() -> Iterator[None]:
    """Turns errors of the storage into `Unavailable`."""
    try:
        yield
    except OSError as error:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", f"The archive cannot be reached: {error}") from error
