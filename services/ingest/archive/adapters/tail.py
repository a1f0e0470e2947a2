"""The tail of the archive: what was gathered and is in no file of it yet, as one file for each shard.

    <root>/tail/v1/<shard>-<first>-<last>.arrows

The range is that of the records gathered since the last file of the archive. Each holds two streams of Arrow IPC after
one another, events and decisions, with the columns of the archive's files. It is written beside and then put in its
place, and need not outlast the machine: whatever it holds is on the stream still.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, cast

import pyarrow as pa
import pyarrow.fs

from services.ingest.archive.adapters.files import KINDS, Packed, located, reaching
from services.ingest.archive.adapters.tables import fitted, grouped, written
from services.ingest.archive.domain import layout
from services.ingest.archive.domain.layout import Plan
from services.ingest.archive.ports import Part

_MODE: Final = 0o640
_MOST_ROWS: Final = 1 << 30


class ArrowTail:
    """The tail below the root that a URL names, as `files.ParquetArchive` takes it.

    Raises:
        SettingError: the URL is no such URL.
    """

    def __init__(self, url: str) -> None:
        self._files, root = located(url)
        self._folder = f"{root}/{layout.TAIL}"
        self._is_local = isinstance(self._files, pyarrow.fs.LocalFileSystem)

    async def write(self, shard: str, plan: Plan, parts: Sequence[Part]) -> None:
        """See `ports.Tail`."""
        await asyncio.to_thread(self._write, shard, plan, cast("Sequence[Packed]", parts))

    async def remove(self, shard: str, through: int) -> None:
        """See `ports.Tail`."""
        await asyncio.to_thread(self._remove, shard, through)

    def _write(self, shard: str, plan: Plan, parts: Sequence[Packed]) -> None:
        path = f"{self._folder}/{layout.tail_name(shard, plan)}"
        with reaching():
            if self._is_local:
                _put(Path(path), parts)
            else:
                # Closing an upload publishes it, be it because of an error: so it begins when all of it is there.
                whole = pa.BufferOutputStream()
                _fill(whole, parts)
                with self._files.open_output_stream(path) as into:
                    into.write(whole.getvalue())
        self._remove(shard, plan.through, path)

    def _remove(self, shard: str, through: int, but: str = "") -> None:
        with reaching():
            for info in self._files.get_file_info(pyarrow.fs.FileSelector(self._folder, allow_not_found=True)):
                if info.path != but and layout.begins(info.base_name, shard, through):
                    with contextlib.suppress(FileNotFoundError):
                        self._files.delete_file(info.path)


def _fill(into: IO[bytes] | pa.NativeFile, parts: Sequence[Packed]) -> None:
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    for kind, columns in KINDS.items():
        empty = columns.SCHEMA.empty_table()
        schema = written(empty, columns.DICTIONARIES).schema
        table = next(grouped((part.columns[kind] for part in parts), _MOST_ROWS), empty)
        with pa.ipc.new_stream(into, schema, options=options) as writer:
            writer.write_table(fitted(written(table, columns.DICTIONARIES), schema))


def _put(path: Path, parts: Sequence[Packed]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}", delete=False) as into:
        aside = Path(into.name)
        try:
            _fill(into, parts)
            os.fchmod(into.fileno(), _MODE & path.parent.stat().st_mode)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    aside.replace(path)
