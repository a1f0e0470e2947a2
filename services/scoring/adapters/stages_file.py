"""The stages in a file: `stages.json`, replaced as a whole, so that nobody reads half of it."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from services.scoring.domain import stages
from services.scoring.domain.stages import EVERYBODY, Change, Serving, Stages

FORMAT: Final = 1
"""The version of the file. Members that a version does not know are left out when it writes the file again."""

_STAGES: Final = "stages.json"
# What processes of 0.1.0 follow; where nobody has changed a stage, it alone says what is live.
_POINTER: Final = "live"


class StagesFileError(Exception):
    """The file cannot be read; the message is one sentence."""


class _File(msgspec.Struct):
    format: int
    revision: int
    tenants: dict[str, Serving]
    changes: tuple[Change, ...] = ()


class StagesFile:
    """The stages in a folder of models."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / _STAGES
        self._pointer = directory / _POINTER

    def mark(self) -> object:
        """Something that differs once the stages were changed."""
        return _mark(self._file), _mark(self._pointer)

    def read(self) -> Stages | None:
        """The stages; None if the folder has none.

        Raises:
            StagesFileError: they cannot be read, or are of a format that is not known here.
        """
        try:
            if self._file.exists():
                return decode(self._file.read_bytes())
            return stages.starting(self._pointer.read_text(encoding="utf-8").strip())
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            message = f"{self._file} cannot be read: {error}."
            raise StagesFileError(message) from error

    def change(self, change: Callable[[Stages | None], Stages]) -> Stages:
        """Replaces the stages by what `change` makes of them; of two at once, one waits for the other.

        Raises:
            StagesFileError: as `read`.
            OSError: the folder cannot be written to.
        """
        with self._locked():
            new = change(self.read())
            self._replace(self._file, encode(new))
            self._replace(self._pointer, f"{new.tenants[EVERYBODY].live}\n".encode())
        return new

    def _replace(self, file: Path, content: bytes) -> None:
        beside = file.with_name(f"{file.name}.new")
        beside.write_bytes(content)
        beside.replace(file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / f"{_STAGES}.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def encode(value: Stages) -> bytes:
    """The stages as the file's bytes; the same value gives the same bytes."""
    file = _File(FORMAT, value.revision, dict(sorted(value.tenants.items())), value.changes)
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def decode(content: bytes) -> Stages:
    """The stages from the file's bytes.

    Raises:
        StagesFileError: they are none, or of another format.
    """
    try:
        file = msgspec.json.decode(content, type=_File)
    except msgspec.DecodeError as error:
        message = f"{_STAGES} holds no stages: {error}."
        raise StagesFileError(message) from error
    if file.format != FORMAT:
        message = f"{_STAGES} has the format {file.format}, this version knows {FORMAT}."
        raise StagesFileError(message)
    if EVERYBODY not in file.tenants:
        message = f"{_STAGES} does not say what is live for everybody."
        raise StagesFileError(message)
    return Stages(file.tenants, file.revision, file.changes)


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
