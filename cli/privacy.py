"""`journeymesh privacy`: `check` is here, `erase`, `export`, `status` and `verify` are in `personal`.

`check` searches the store, the archive and files for ids in the clear.
"""

import argparse
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from rich.console import Console

from cli import personal
from cli.terminal import plain
from mesh.errors import Unavailable
from mesh.settings import SettingError, read_or_exit
from mesh.store import redis
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import DECISIONS, EVENTS

_READ_BYTES: Final = 4 * 1024 * 1024
_LONGEST_ID_BYTES: Final = 1_024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommand and its options."""
    doing = parser.add_subparsers(dest="doing", required=True)
    personal.add_arguments(doing)
    checked = doing.add_parser("check", help="search everything that is kept for ids; finds nothing after an erasure")
    checked.add_argument("--id", dest="ids", action="append", required=True, metavar="ID", help="of a user or an event")
    checked.add_argument("--no-store", action="store_true", help="leave out the store of JOURNEYMESH_REDIS_URL")
    checked.add_argument(
        "--archive", default="", metavar="URL", help="the archive: file:///folder or s3://bucket/prefix"
    )
    checked.add_argument("files", nargs="*", type=Path, metavar="FILE", help="other files, as the append-only file")


async def main(arguments: argparse.Namespace) -> int:
    """Prints where an id stands; returns the exit code: 0 nowhere, 1 somewhere or no answer. Or as `personal.main`."""
    if arguments.doing in personal.COMMANDS:
        return await personal.main(arguments)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if any(not 0 < len(each.encode()) <= _LONGEST_ID_BYTES for each in arguments.ids):
        console.print(f"journeymesh: an id has 1 to {_LONGEST_ID_BYTES} bytes.")
        return 1
    count = 0
    try:
        async for place in found(arguments):
            count += 1
            console.print(plain(place))
    except (SettingError, Unavailable, OSError, pa.ArrowInvalid) as error:
        console.print(f"journeymesh: {error}")
        return 1
    console.print("Nothing was found." if not count else f"{count} places name an id.")
    return int(bool(count))


async def found(arguments: argparse.Namespace) -> AsyncIterator[str]:
    """Where an id stands: keys of the store, files of the archive, other files."""
    ids = [each.encode() for each in arguments.ids]
    if not arguments.no_store:
        settings = read_or_exit(redis.RedisSettings)
        client = redis.connect(settings.url, settings.password, settings.ca_file)
        try:
            async for key in keys_naming(client, ids):
                yield f"store: {key}"
        finally:
            await client.aclose()
    if arguments.archive:
        for path in files_naming(ParquetArchive(arguments.archive), arguments.ids):
            yield f"archive: {path}"
    for path in arguments.files:
        if names(path, ids):
            yield f"file: {path}"


async def keys_naming(client: redis.Client, ids: Sequence[bytes]) -> AsyncIterator[str]:
    """The keys whose name or value holds an id, each once."""
    seen: set[str] = set()
    async for keys in redis.scan(client, "*"):
        for key in dict.fromkeys(keys):
            if key not in seen and any(each in piece for piece in await _pieces_of(client, key) for each in ids):
                seen.add(key)
                yield key


def files_naming(archive: ParquetArchive, ids: Collection[str]) -> Iterator[str]:
    """The files of the archive in which a text or bytes of any column hold an id."""
    wanted = [each.encode() for each in ids]
    for kind in (EVENTS, DECISIONS):
        for file in archive.files(kind):
            rows = (row for batch in archive.batches(file) for row in batch.to_pylist())
            if any(each in text for row in rows for text in _texts([*row.values()]) for each in wanted):
                yield file.path


def names(path: Path, ids: Sequence[bytes]) -> bool:
    """Whether the bytes of a file hold an id."""
    before = b""
    with path.open("rb") as file:
        while some := file.read(_READ_BYTES):
            whole = before + some
            if any(each in whole for each in ids):
                return True
            before = whole[-_LONGEST_ID_BYTES:]
    return False


async def _pieces_of(client: redis.Client, key: str) -> Sequence[bytes]:
    """A key's name, and all texts of its value."""
    with redis.translating_errors():
        match await client.type(key):
            case b"string":
                value: Any = await client.get(key)
            case b"hash":
                value = await client.hgetall(key)
            case b"set":
                value = await client.smembers(key)
            case b"zset":
                value = await client.zrange(key, 0, -1)
            case b"stream":
                value = await client.xrange(key)
            case b"list":
                value = await client.lrange(key, 0, -1)
            case _:  # passed meanwhile
                value = None
    return [key.encode(), *_texts(value)]


def _texts(value: Any) -> Iterator[bytes]:  # noqa: ANN401 - whatever is kept
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, str):
        yield value.encode()
    elif isinstance(value, dict):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, (list, tuple, set)):
        for each in value:
            yield from _texts(each)
