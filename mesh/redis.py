"""One way to reach Redis: connection, errors, key layout."""

import contextlib
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import hiredis
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from mesh.errors import Unavailable

# The number of hash tags. Fixed for good: changing it moves every key. With Redis Cluster a batch touches at most so
# many slots, whatever the number of users in it.
PARTITION_COUNT: Final = 16

Client = redis.asyncio.Redis


class _Packing:
    """Packs commands in C, as the client does when it is synchronous: four times as fast for a batch of ids."""

    def pack_command(self, *args: Any) -> list[bytes]:  # noqa: ANN401 - as in the client
        return [hiredis.pack_command((*args[0].split(), *args[1:]) if " " in args[0] else args)]


class _Connection(_Packing, redis.asyncio.Connection):
    """A plain connection."""


class _TlsConnection(_Packing, redis.asyncio.SSLConnection):
    """A connection over TLS."""


_TIMEOUT_SECONDS: Final = 5.0
_RETRIES: Final = 3


def connect(url: str, password: str | None = None) -> Client:
    """A client that reconnects by itself and gives up a command after seconds, not minutes."""
    options: dict[str, Any] = {} if password is None else {"password": password}
    pool = redis.asyncio.ConnectionPool.from_url(
        url,
        connection_class=_TlsConnection if url.startswith("rediss://") else _Connection,
        protocol=2,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.02), _RETRIES),
        **options,
    )
    return redis.asyncio.Redis.from_pool(pool)


@contextlib.contextmanager
def translating_errors() -> Iterator[None]:
    """Turns the client's connection errors into `Unavailable`; a script or type error stays what it is: a fault."""
    try:
        yield
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store cannot be reached.") from error
    except redis.exceptions.ResponseError as error:
        # What a server says while it loads its file, is out of memory, or changes its role.
        if str(error).startswith(("LOADING", "BUSY", "READONLY", "MASTERDOWN", "OOM", "MISCONF")):
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store cannot take the command now.") from error
        raise


async def ping(client: Client) -> None:
    """Returns if the server answers.

    Raises:
        Unavailable: it does not.
    """
    with translating_errors():
        await client.ping()


def partition(name: str) -> int:
    """The hash tag of a user, event id or the like: stable over processes and time."""
    return zlib.crc32(name.encode()) % PARTITION_COUNT


class Call(NamedTuple):
    """One run of a script: its keys, which share a hash tag, and its arguments."""

    keys: Sequence[str]
    arguments: Sequence[str | bytes | int]


class Script:
    """A Lua script that is run by its digest, and loaded where the server does not know it yet."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - the server's own name for it

    async def run(self, client: Client, *calls: Call) -> list[Any]:
        """The answers of all calls, which go out at once; the script may run twice where the server just restarted.

        Raises:
            Unavailable: the server cannot be reached; some calls may have been run.
        """
        with translating_errors():
            try:
                return await self._send(client, calls)
            except redis.exceptions.NoScriptError:
                await client.script_load(self._text)
                return await self._send(client, calls)

    async def _send(self, client: Client, calls: Sequence[Call]) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command("EVALSHA", self._digest, len(call.keys), *call.keys, *call.arguments)
        return await pipeline.execute()
