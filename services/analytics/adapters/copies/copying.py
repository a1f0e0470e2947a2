"""The copies: made from the archive's files, one file for each kind, tenant and day, sorted by user and time.

    <root>/events/v5/tenant=<tenant>/day=<YYYY-MM-DD>/part-<hash>.parquet
    <root>/decisions/v5/tenant=<tenant>/day=<YYYY-MM-DD>/part-<hash>.parquet
    <root>/summaries/…          of each of these files (`summaries`)
    <root>/manifest.json

A file is written beside its name, and named by its bytes. The manifest is put in its place last: what it does not name
is not there. One process writes them.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import duckdb

from services.analytics.adapters.copies import countries, staging, summaries
from services.analytics.adapters.copies.archive import Archive
from services.analytics.adapters.copies.connection import Bounds, opened
from services.analytics.adapters.copies.modes import make_folder, restrict
from services.analytics.adapters.copies.staging import COLUMNS, GROUP_ROWS, ORDER, text
from services.analytics.domain.layout import (
    DECISIONS,
    EVENTS,
    FOLDERS,
    KINDS,
    SUMMARIES,
    ArchiveFile,
    Partition,
    part_path,
    summary_path,
)
from services.analytics.domain.manifest import Manifest, Part, Pass, Source, Stamp

ASIDE: Final = ".pass-"
"""How folders begin that are gone when a pass has ended."""


def brought_up(
    archive: Archive, root: Path, known: Manifest, listed: Mapping[ArchiveFile, Stamp], todo: Pass
) -> Manifest:
    """Makes the files of one pass; returns what names them, to be written.

    Args:
        archive: the archive.
        root: where the copies are.
        known: what they hold.
        listed: the archive's files.
        todo: what is to be done.

    Raises:
        Unavailable: a storage cannot be reached, or a file went away meanwhile.
    """
    with tempfile.TemporaryDirectory(dir=root, prefix=ASIDE) as folder:
        return _Pass(archive, root, Path(folder), known, listed, todo).run()


class _Pass:
    """One pass, with its connection."""

    def __init__(
        self,
        archive: Archive,
        root: Path,
        folder: Path,
        known: Manifest,
        listed: Mapping[ArchiveFile, Stamp],
        todo: Pass,
    ) -> None:
        self._archive, self._root, self._folder = archive, root, folder
        self._known, self._listed, self._todo = known, listed, todo

    def run(self) -> Manifest:
        """Makes the files, and returns the manifest that names them."""
        wanted = {*self._todo.added, *(file for its in self._todo.again.values() for file in its)}
        beside = {
            each
            for file in wanted
            if file.kind == DECISIONS
            for each in self._listed
            if each.kind == EVENTS and each.overlaps(file)
        }
        with self._archive.local(sorted(wanted | beside), self._folder) as paths:
            folders = [str(self._root), *({str(Path(path).parent) for path in paths.values()})]
            connection = opened(self._folder / "spilled", folders, Bounds(temporary_gib=8))
            try:
                countries.install(connection)
                made = self._made(connection, paths)
                self._summarise(connection, made)
                return made._replace(summaries=SUMMARIES)
            finally:
                connection.close()

    def _made(self, connection: duckdb.DuckDBPyConnection, paths: Mapping[ArchiveFile, str]) -> Manifest:
        sources = {path: each for path, each in self._known.sources.items() if path not in self._todo.removed}
        parts = dict(self._known.parts)
        watermark_us = self._known.watermark_us
        for kind in KINDS:
            added = [file for file in self._todo.added if file.kind == kind]
            days = self._todo.days.get(kind, frozenset())
            again = self._todo.again.get(kind, ())
            self._stage(connection, kind, added, again, paths)
            for file in added:
                sources[file.path] = Source(self._listed[file], _partitions(connection, file))
            if kind == EVENTS:
                (latest_us,) = connection.execute("SELECT max(epoch_us(received_time)) FROM staged").fetchone() or (0,)
                watermark_us = max(watermark_us, latest_us or 0)
            touched = days.union(*(sources[file.path].partitions for file in added))
            for partition in sorted(touched):
                old = None if partition in days else parts.get((kind, partition))
                made = self._partition(connection, kind, partition, old)
                parts.pop((kind, partition), None)
                if made is not None:
                    parts[kind, partition] = made
            connection.execute("DROP TABLE staged")
        return Manifest(sources, parts, watermark_us)

    def _summarise(self, connection: duckdb.DuckDBPyConnection, made: Manifest) -> None:
        known = self._known.parts if self._known.summaries == SUMMARIES else {}
        for (kind, partition), part in made.parts.items():
            if known.get((kind, partition)) != part:
                summaries.write(connection, self._root, part_path(kind, partition, part.name))

    def _stage(
        self,
        connection: duckdb.DuckDBPyConnection,
        kind: str,
        added: Sequence[ArchiveFile],
        again: Sequence[ArchiveFile],
        paths: Mapping[ArchiveFile, str],
    ) -> None:
        """All rows of the files to add, and of the others those of the days to make again, in one table."""
        connection.execute(f"CREATE TEMP TABLE staged AS SELECT ''::VARCHAR AS source, * FROM ({staging.empty(kind)})")
        wanted = [(partition.tenant, partition.day) for partition in self._todo.days.get(kind, ())]
        connection.execute("CREATE OR REPLACE TEMP TABLE again (tenant VARCHAR, day INTEGER)")
        if wanted:
            connection.executemany("INSERT INTO again VALUES (?, ?)", wanted)
        for file in [*added, *again]:
            is_all = file in added
            its = staging.of_file(connection, paths[file])
            beside = [each for each in paths if kind == DECISIONS and each.kind == EVENTS and each.overlaps(file)]
            query = (
                staging.events(its)
                if kind == EVENTS
                else staging.decisions(its, [staging.of_file(connection, paths[each]) for each in beside])
            )
            only = "" if is_all else "WHERE (tenant, day) IN (SELECT (tenant, day) FROM again)"
            connection.execute(f"INSERT INTO staged SELECT $path, * FROM ({query}) {only}", {"path": file.path})

    def _partition(
        self, connection: duckdb.DuckDBPyConnection, kind: str, partition: Partition, old: Part | None
    ) -> Part | None:
        """Writes the file of a day: what it held, and what is staged; None if that is nothing."""
        names = ", ".join(COLUMNS[kind])
        rows = f"SELECT place, {names} FROM staged WHERE tenant = {text(partition.tenant)} AND day = {partition.day}"
        if old is not None:
            before = text(str(self._root / part_path(kind, partition, old.name)))
            # What is added is later than what there is, and no number begins with a blank.
            place = "' ' || lpad(file_row_number::VARCHAR, 20, '0') AS place"
            rows += (
                f" UNION ALL BY NAME SELECT {place}, {names} "
                f"FROM read_parquet({before}, hive_partitioning = false, file_row_number = true)"
            )
        if kind == EVENTS:
            # Of an event that was copied to a known user's journey, the copy counts.
            rows = (
                f"WITH every AS ({rows}) SELECT * FROM every WHERE event_id NOT IN "
                "(SELECT copied_event_id FROM every WHERE copied_event_id IS NOT NULL)"
            )
        aside = self._folder / "part.parquet"
        connection.execute(
            f"COPY (SELECT * EXCLUDE (place) FROM ({rows}) ORDER BY {ORDER}) TO {text(str(aside))} "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP_ROWS})"
        )
        (row_count,) = connection.execute(
            f"SELECT num_rows FROM parquet_file_metadata({text(str(aside))})"
        ).fetchone() or (0,)
        if not row_count:
            return None
        part = Part(f"part-{digest(aside)[:32]}.parquet", row_count)
        path = self._root / part_path(kind, partition, part.name)
        make_folder(path.parent)
        restrict(aside, path.parent)
        aside.replace(path)
        return part


def _partitions(connection: duckdb.DuckDBPyConnection, file: ArchiveFile) -> frozenset[Partition]:
    rows = connection.execute("SELECT DISTINCT tenant, day FROM staged WHERE source = $path", {"path": file.path})
    return frozenset(Partition(*row) for row in rows.fetchall())


def remove_others(root: Path, manifest: Manifest) -> None:
    """Removes the files that the manifest does not name: they were replaced, or left by a pass that ended early."""
    parts = [(kind, part_path(kind, partition, part.name)) for (kind, partition), part in manifest.parts.items()]
    named = {root / path for _, path in parts} | {
        root / summary_path(name, path)
        for kind, path in parts
        for name, summary in summaries.SUMMARIES.items()
        if summary.kind == kind
    }
    found: Iterable[Path] = (path for folder in FOLDERS for path in (root / folder).glob("*/*/*/*.parquet"))
    for path in found:
        if path not in named:
            path.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
