"""What a store and an archive hold of one format, as JSON, and its shape."""

import base64
import io
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import pyarrow.parquet as pq

from mesh.store import redis

Kept = dict[str, Any]
"""By key, the type and the value as Redis has it; by path, a file. Bytes are base64."""

_PARQUET: Final = ".parquet"


async def kept(client: redis.Client, folder: Path) -> Kept:
    """All that a store and a folder hold."""
    keys = sorted(cast("list[bytes]", await client.keys("*")))
    return {"keys": {key.decode(): await _value(client, key) for key in keys}, "files": _files(folder)}


async def put(told: Kept, client: redis.Client, folder: Path) -> None:
    """Fills an empty store and an empty folder."""
    for key, (kind, value) in told["keys"].items():
        await _put(client, key, kind, value)
    for name, text in told["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_bytes(text))


def shape(told: Kept) -> Kept:
    """Names and types without values: two of one format have the same."""
    keys = {key: [kind, _shape_of(value)] for key, (kind, value) in told["keys"].items()}
    return {"keys": keys, "files": {name: _file_shape(name, text) for name, text in told["files"].items()}}


def _files(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): _text(path.read_bytes()) for path in paths}


async def _value(client: redis.Client, key: bytes) -> tuple[str, Any]:
    some: Any = client
    kind = (await some.type(key)).decode()
    if kind == "string":
        return kind, _text(await some.get(key))
    if kind == "hash":
        return kind, {name.decode(): _text(value) for name, value in sorted((await some.hgetall(key)).items())}
    if kind == "list":
        return kind, [_text(each) for each in await some.lrange(key, 0, -1)]
    if kind == "set":
        return kind, sorted(_text(each) for each in await some.smembers(key))
    if kind == "zset":
        return kind, [[_text(each), score] for each, score in await some.zrange(key, 0, -1, withscores=True)]
    # Without the ids, which are times of the server.
    return kind, [{name.decode(): _text(value) for name, value in entry.items()} for _, entry in await some.xrange(key)]


async def _put(client: redis.Client, key: str, kind: str, value: Any) -> None:
    some: Any = client
    if kind == "string":
        await some.set(key, _bytes(value))
    elif kind == "hash":
        await some.hset(key, mapping={name: _bytes(each) for name, each in value.items()})
    elif kind == "list":
        await some.rpush(key, *map(_bytes, value))
    elif kind == "set":
        await some.sadd(key, *map(_bytes, value))
    elif kind == "zset":
        await some.zadd(key, {_bytes(each): score for each, score in value})
    else:
        for number, entry in enumerate(value, start=1):
            await some.xadd(key, {name: _bytes(each) for name, each in entry.items()}, id=f"{number}-0")


def _shape_of(value: Any) -> Any:
    if isinstance(value, str):
        return _bytes_shape(_bytes(value))
    if isinstance(value, dict):
        return {name: _shape_of(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shape_of(each) for each in value]
    return type(value).__name__


def _bytes_shape(blob: bytes) -> Any:
    """That of the message that bytes are, and of those within it; what is none is just bytes."""
    if not blob or blob[0] < 0x80 or (blob[0] >= 0xC0 and blob[0] not in range(0xDC, 0xE0)):  # no list or dictionary
        return "bytes"
    try:
        return _message_shape(msgspec.msgpack.decode(blob))
    except (msgspec.DecodeError, ValueError):
        return "bytes"


def _message_shape(value: Any) -> Any:
    if isinstance(value, bytes):
        return _bytes_shape(value)
    if isinstance(value, list):
        return [_message_shape(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _message_shape(each) for name, each in value.items()}
    return type(value).__name__


def _file_shape(name: str, text: str) -> Any:
    if not name.endswith(_PARQUET):
        return "bytes"
    schema = pq.read_schema(io.BytesIO(_bytes(text)))
    metadata = {str(key): str(value) for key, value in (schema.metadata or {}).items() if key != b"ARROW:schema"}
    return {"metadata": metadata, "columns": {field.name: str(field.type) for field in schema}}


def _text(blob: bytes) -> str:
    return base64.b64encode(blob).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
