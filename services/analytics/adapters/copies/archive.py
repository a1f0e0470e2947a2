"""The files of the archive, in a directory or a bucket, as docs/archive.md describes them."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.fs

from mesh.errors import Unavailable
from mesh.settings import SettingError
from services.analytics.domain.layout import KINDS, TAIL, ArchiveFile, TailFile, archive_file, covering, tail_file
from services.analytics.domain.manifest import Stamp

_COPY_BYTES: Final = 8 * 1024 * 1024


class Archive:
    """Files below the root that a URL names: `file:///folder` or `s3://bucket/prefix`.

    Raises:
        SettingError: the URL is no such URL.
    """

    def __init__(self, url: str) -> None:
        try:
            self._files, root = pyarrow.fs.FileSystem.from_uri(url)
        except (pa.ArrowInvalid, OSError) as error:
            message = f"JOURNEYMESH_ARCHIVE_URL must be like file:///folder or s3://bucket/prefix: {error}"
            raise SettingError(message) from error
        self._root: str = root.rstrip("/")
        self._is_local = isinstance(self._files, pyarrow.fs.LocalFileSystem)

    def listed(self) -> dict[ArchiveFile, Stamp]:
        """The files that together hold every row once, each with its stamp.

        Raises:
            Unavailable: the storage cannot be reached.
        """
        stamps = {}
        for kind in KINDS:
            selector = pyarrow.fs.FileSelector(f"{self._root}/{kind}/v1", recursive=True, allow_not_found=True)
            with reaching():
                infos = self._files.get_file_info(selector)
            for info in infos:
                file = archive_file(info.path.removeprefix(f"{self._root}/"))
                if file is not None:
                    stamps[file] = Stamp(info.size, info.mtime_ns or 0)
        return {file: stamps[file] for file in covering(stamps)}

    def shown(self) -> list[TailFile]:
        """The files of the tail.

        Raises:
            Unavailable: the storage cannot be reached.
        """
        selector = pyarrow.fs.FileSelector(f"{self._root}/{TAIL}", allow_not_found=True)
        with reaching():
            infos = self._files.get_file_info(selector)
        return [*filter(None, (tail_file(info.path.removeprefix(f"{self._root}/")) for info in infos))]

    def rows(self, file: TailFile) -> dict[str, pa.Table]:
        """The rows of a file of the tail, by kind.

        Raises:
            FileNotFoundError: the file has gone meanwhile.
            Unavailable: the storage cannot be reached.
        """
        try:
            with reaching(), self._files.open_input_stream(f"{self._root}/{file.path}") as opened:
                whole = pa.BufferReader(opened.read())
        except Unavailable as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise error.__cause__ from None
            raise
        return {kind: pa.ipc.open_stream(whole).read_all() for kind in KINDS}

    @contextlib.contextmanager
    def local(self, files: Sequence[ArchiveFile], folder: Path) -> Iterator[dict[ArchiveFile, str]]:
        """Paths at which files can be read on this machine, for the block; what is in a bucket is copied to a folder.

        Raises:
            Unavailable: the storage cannot be reached, or one of the files has gone meanwhile.
        """
        if self._is_local:
            yield {file: f"{self._root}/{file.path}" for file in files}
            return
        fetched = {file: folder / f"{number}.parquet" for number, file in enumerate(files)}
        try:
            for file, path in fetched.items():
                with (
                    reaching(),
                    self._files.open_input_stream(f"{self._root}/{file.path}") as source,
                    path.open("wb") as to,
                ):
                    shutil.copyfileobj(source, to, _COPY_BYTES)
            yield {file: str(path) for file, path in fetched.items()}
        finally:
            for path in fetched.values():
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def reaching() -> Iterator[None]:
    """Turns errors of the storage into `Unavailable`."""
    try:
        yield
    except OSError as error:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", f"The archive cannot be reached: {error}") from error
