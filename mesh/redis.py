"""One way to reach Redis: connection, errors, key layout."""

import contextlib
import zlib
from collections.abc import Iterator
from typing import Final

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from mesh.errors import Unavailable

# The number of hash tags. Fixed for good: changing it moves every key. With Redis Cluster a batch touches at most so
# many slots, whatever the number of users in it.
PARTITION_COUNT: Final = 16

Client = redis.asyncio.Redis

_TIMEOUT_SECONDS: Final = 5.0
_RETRIES: Final = 3


def connect(url: str, password: str | None = None) -> Client:
    """A client that reconnects by itself and gives up a command after seconds, not minutes."""
    return redis.asyncio.Redis.from_url(
        url,
        password=password,
        protocol=2,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.02), _RETRIES),
    )


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
