"""The tail of the copies: what the archiver shows and the copies do not hold, as one file for each tenant and day.

    <root>/tail/v1/tenant=<tenant>/day=<YYYY-MM-DD>/events-<hash>.parquet
    <root>/tail/v1/tenant=<tenant>/day=<YYYY-MM-DD>/decisions-<hash>.parquet

They have the columns and the order of the copies. A row is in the copies if a file of its kind, hour and shard is whose
range it lies in, and here if it is not: so it is in one of the two.
"""

import datetime as dt
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb

from services.analytics.adapters.copies import countries, staging
from services.analytics.adapters.copies.archive import Archive
from services.analytics.adapters.copies.connection import opened
from services.analytics.adapters.copies.copying import digest
from services.analytics.adapters.copies.modes import make_folder, restrict
from services.analytics.adapters.copies.staging import COLUMNS, GROUP_ROWS, ORDER, text
from services.analytics.domain.layout import (
    EVENTS,
    KINDS,
    ArchiveFile,
    Partition,
    TailFile,
    archive_file,
    part_path,
    tail_path,
)
from services.analytics.domain.manifest import NO_TAIL, Manifest, Part, Piece, Tail, pieces

ASIDE: Final = ".tail-"
"""How folders begin that are gone when a tail is made."""
_WIDTH: Final = 60
_HOUR: Final = "%Y-%m-%dT%H"
_HOUR_US: Final = 3_600_000_000


def made(archive: Archive, root: Path, known: Manifest, shown: Sequence[TailFile]) -> Tail:
    """Makes the files of what is shown and not in the copies.

    Raises:
        FileNotFoundError: one of what is shown has gone meanwhile.
        Unavailable: a storage cannot be reached.
    """
    rows = [piece for piece in pieces(shown) if piece.first <= piece.file.last]
    if not rows:
        return NO_TAIL._replace(sources=frozenset(file.path for file in shown))
    with tempfile.TemporaryDirectory(dir=root, prefix=ASIDE) as folder:
        connection = opened(Path(folder) / "spilled", [str(root)])
        try:
            countries.install(connection)
            _stage(connection, archive, known, rows)
            parts = {}
            for kind in KINDS:
                days = connection.execute(f"SELECT DISTINCT tenant, day FROM staged_{kind} ORDER BY ALL").fetchall()
                for partition in (Partition(*each) for each in days):
                    part = _written(connection, Path(folder), root, kind, partition, known)
                    if part is not None:
                        parts[kind, partition] = part
            latest = connection.execute(f"SELECT max(epoch_us(received_time)) FROM staged_{EVENTS}").fetchone()
        finally:
            connection.close()
    return Tail(frozenset(file.path for file in shown), parts, (latest or (0,))[0] or 0)


def _stage(connection: duckdb.DuckDBPyConnection, archive: Archive, known: Manifest, shown: Sequence[Piece]) -> None:
    """Makes the tables `staged_events` and `staged_decisions` of the rows that are not in the copies."""
    for kind in KINDS:
        connection.execute(f"CREATE TEMP TABLE staged_{kind} AS {staging.empty(kind)}")
    sources = [*filter(None, map(archive_file, known.sources))]
    for piece in shown:
        its = archive.rows(piece.file)
        for kind, rows in its.items():
            connection.register(f"shown_{kind}", rows)
        beside = staging.relation(connection, f"shown_{EVENTS}")
        for kind in KINDS:
            new = f"(SELECT * FROM shown_{kind} WHERE {_is_new(piece, kind, sources)})"
            rows = staging.relation(connection, new)
            query = staging.events(rows) if kind == EVENTS else staging.decisions(rows, [beside])
            connection.execute(f"INSERT INTO staged_{kind} {query}")
        for kind in its:
            connection.unregister(f"shown_{kind}")


def _is_new(piece: Piece, kind: str, sources: Sequence[ArchiveFile]) -> str:
    """Whether a row of a file of the tail is in no file of the archive that is in the copies."""
    place = f"lpad(sequence, {_WIDTH}, '0')"
    copied = [
        f"({place} BETWEEN '{each.first:0{_WIDTH}d}' AND '{each.last:0{_WIDTH}d}' "
        f"AND greatest(epoch_us(received_time) // {_HOUR_US}, 0) = {_hour(each.hour)})"
        for each in sources
        if (each.kind, each.shard) == (kind, piece.file.shard) and each.last >= piece.first
    ]
    return " AND NOT ".join([f"{place} >= '{piece.first:0{_WIDTH}d}'", *copied])


def _hour(name: str) -> int:
    begun = dt.datetime.strptime(name, _HOUR).replace(tzinfo=dt.UTC)
    return int(begun.timestamp()) // 3600


def _written(
    connection: duckdb.DuckDBPyConnection, folder: Path, root: Path, kind: str, partition: Partition, known: Manifest
) -> Part | None:
    """Writes what is staged of a day; None if that is nothing."""
    names = ", ".join(COLUMNS[kind])
    its = f"staged_{kind} WHERE tenant = {text(partition.tenant)} AND day = {partition.day}"
    rows = f"SELECT place, {names} FROM {its}"
    if kind == EVENTS:
        # Of an event that was copied to a known user's journey, the copy counts, be it in the tail or before it.
        copied = f"SELECT copied_event_id FROM {its} AND copied_event_id IS NOT NULL"
        old = known.parts.get((kind, partition))
        if old is not None:
            before = text(str(root / part_path(kind, partition, old.name)))
            copied += f" UNION ALL SELECT copied_event_id FROM read_parquet({before}, hive_partitioning = false) "
            copied += "WHERE copied_event_id IS NOT NULL"
        rows += f" AND event_id NOT IN ({copied})"
    aside = folder / "part.parquet"
    connection.execute(
        f"COPY (SELECT * EXCLUDE (place) FROM ({rows}) ORDER BY {ORDER}) TO {text(str(aside))} "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP_ROWS})"
    )
    counted = f"SELECT num_rows FROM parquet_file_metadata({text(str(aside))})"
    (row_count,) = connection.execute(counted).fetchone() or (0,)
    if not row_count:
        return None
    part = Part(f"{kind}-{digest(aside)[:32]}.parquet", row_count)
    path = root / tail_path(partition, part.name)
    make_folder(path.parent)
    restrict(aside, path.parent)
    aside.replace(path)
    return part
