"""An export: its steps, what is kept of it, and its records as bytes. Pure."""

import enum
import json
import zlib
from collections.abc import Iterable
from typing import Final

import msgspec

KEPT_SECONDS: Final = 24 * 3600
"""How long an export is kept after it was asked for."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all records of an export, as JSON."""
_VERSION: Final = 1

Record = tuple[str, bytes]
"""An entry of a store: the store, and a JSON object in UTF-8."""


class Step(enum.IntEnum):
    """What comes next. A step that was interrupted is taken again, from its beginning."""

    COLLECT = 1
    """The services say what they keep."""
    ARCHIVE = 2
    """The archiver says what is in the archive, if there is one."""
    READY = 3
    FAILED = 4


class Part(enum.StrEnum):
    """Who collected some records."""

    SERVICES = "services"
    ARCHIVE = "archive"


class Export(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of an export. Times are Unix microseconds, 0 where that has not happened.

    The person's ids are there while data is collected, and then no more.
    """

    id: str
    requested_us: int
    user_ids: tuple[str, ...]
    pseudonyms: tuple[str, ...]
    """Of all ids of the person that are known so far, by which an erasure finds the export."""
    step: Step = Step.COLLECT
    byte_count: int = 0
    record_count: int = 0
    ready_us: int = 0
    trouble: str = ""
    """The reason of the error that keeps the step or made the export fail, empty if none does."""

    def __repr__(self) -> str:
        """Names the export, and nobody."""
        return f"Export({self.id!r}, {self.step.name})"

    @property
    def is_open(self) -> bool:
        """Whether there is something left to do."""
        return self.step in {Step.COLLECT, Step.ARCHIVE}

    @property
    def expires_us(self) -> int:
        """When it is deleted."""
        return self.requested_us + KEPT_SECONDS * 1_000_000


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(tuple[int, Export]).decode


def encode(export: Export) -> bytes:
    """An export as bytes, behind the version of their form."""
    return _ENCODE((_VERSION, export))


def decode(stored: bytes) -> Export:
    """The export from bytes."""
    _, export = _DECODE(stored)
    return export


def size(records: Iterable[Record]) -> int:
    """The bytes of records as JSON."""
    return sum(len(store) + len(said) for store, said in records)


def pack(records: Iterable[Record]) -> bytes:
    """Records as compressed lines."""
    return zlib.compress(b"\n".join(store.encode() + b" " + said for store, said in records))


def unpack(packed: bytes) -> list[Record]:
    """The records from compressed lines; JSON has no line breaks of its own."""
    lines = (line.partition(b" ") for line in zlib.decompress(packed).split(b"\n") if line)
    return [(store.decode(), said) for store, _, said in lines]


def ids_of(user_ids: Iterable[str]) -> list[Record]:
    """Which ids are the person's, as records."""
    return [("ids", json.dumps({"id": each}, ensure_ascii=False).encode()) for each in sorted(user_ids)]
