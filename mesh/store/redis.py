"""One way to reach Redis: connection, errors, key layout."""

import contextlib
import dataclasses
import hashlib
import logging
import re
import ssl
import sys
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final, NamedTuple

import hiredis
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from mesh.errors import Unavailable
from mesh.settings import SettingError, secret, setting
from mesh.store.cluster import Cluster

# The number of hash tags. Never to be changed: it would move every key. On a Redis Cluster a batch touches at most that
# many slots, however many users it has.
PARTITION_COUNT: Final = 16

Client = redis.asyncio.Redis
_TIMEOUT_SECONDS: Final = 5.0
_RETRIES: Final = 3
_DEFAULT_PORT: Final = 6379
_SCANNED: Final = 1_000
_PORT: Final = re.compile(r":[0-9]+\Z")
_log = logging.getLogger(__name__)
# Errors of a server that is full, a replica, or without its replicas or disk. For some the client has classes, and
# removes the first word.
_PASSING: Final = (redis.exceptions.ReadOnlyError, redis.exceptions.ClusterDownError, redis.exceptions.TryAgainError)
_PASSING_WORDS: Final = ("READONLY ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN ", "UNBLOCKED ", "BUSY ", "NOREPLICAS ")
# Redirections that only a cluster client follows (MOVED and ASK), and an error that it never causes.
_CLUSTER_ALONE: Final = (redis.exceptions.AskError, redis.exceptions.ClusterCrossSlotError)
_NO_CLUSTER: Final = "cluster support disabled"
# The error of a script while the slot of its keys moves.
_MOVING: Final = "Script attempted to access a non local key"


@dataclasses.dataclass(frozen=True)
class RedisSettings:
    """The server that holds all state, and the credentials for it."""

    url: str = setting(
        "JOURNEYMESH_REDIS_URL",
        "redis://127.0.0.1:7100/0",
        "The server that holds all state; `rediss://` over TLS. It may name a user. A cluster is "
        "`redis+cluster://host:port,host:port`, or `rediss+cluster://`: one node is enough to find the others.",
    )
    password_file: str = setting(
        "JOURNEYMESH_REDIS_PASSWORD_FILE", "", "File that holds the server's password; empty: none is needed."
    )
    ca_file: str = setting(
        "JOURNEYMESH_REDIS_CA_FILE",
        "",
        "With `rediss`: the authorities whose certificates are trusted, as PEM; empty: the system's.",
    )

    def __post_init__(self) -> None:
        """Raises `SettingError` if the address is none, or a file cannot be used."""
        try:
            for each in _addresses(self.url):
                _dial(each, None, "")
        except ValueError as error:  # says nothing of the address, which may hold a password
            message = "JOURNEYMESH_REDIS_URL must be like redis://host:6379/0 or redis+cluster://host:6379,host:6380."
            raise SettingError(message) from error
        secret(self.password_file)
        if self.ca_file:
            if not self.url.startswith(("rediss://", "rediss+cluster://")):
                raise SettingError(
                    "JOURNEYMESH_REDIS_CA_FILE needs a JOURNEYMESH_REDIS_URL that begins with rediss:// or "
                    "rediss+cluster://."
                )
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(self.ca_file)
            except OSError as error:
                message = f"JOURNEYMESH_REDIS_CA_FILE={self.ca_file} holds no certificates in PEM, or cannot be read."
                raise SettingError(message) from error

    @property
    def password(self) -> str | None:
        """The password in the file; None without a file."""
        return secret(self.password_file)


class _Packing:
    """Packs commands in C, as the synchronous client does: four times as fast for a batch of ids."""

    def pack_command(self, *args: Any) -> list[bytes]:  # noqa: ANN401 - as in the client
        return [hiredis.pack_command((*args[0].split(), *args[1:]) if " " in args[0] else args)]


class _Connection(_Packing, redis.asyncio.Connection):
    """A plain connection."""


class _TlsConnection(_Packing, redis.asyncio.SSLConnection):
    """A connection over TLS."""


def connect(url: str, password: str | None = None, ca_file: str = "") -> Client:
    """Makes a client that reconnects by itself and gives up a command after seconds, not minutes.

    Args:
        url: `redis://` or, over TLS, `rediss://`, which may name a user. With `+cluster` before the colon, some nodes
            of a cluster.
        password: of that user, or of the default one.
        ca_file: the authorities to trust; empty: the system's.
    """
    if "+cluster://" not in url:
        return _dial(url, password, ca_file)
    before, seeds = _cluster(url)
    return Cluster(seeds, lambda node: _dial(before + node, password, ca_file))


def _addresses(url: str) -> list[str]:
    """Of each node that is named, the address of it alone."""
    if "+cluster://" not in url:
        return [url]
    before, seeds = _cluster(url)
    return [before + node for node in seeds]


def _cluster(url: str) -> tuple[str, list[str]]:
    """What stands before each node in its own address, and the nodes that are named."""
    scheme, _, rest = url.partition("+cluster://")
    user, at, hosts = rest.partition("/")[0].rpartition("@")
    seeds = [host if _PORT.search(host) else f"{host}:{_DEFAULT_PORT}" for host in hosts.split(",")]
    return f"{scheme}://{user}{at}", seeds


def _dial(url: str, password: str | None, ca_file: str) -> Client:
    options: dict[str, Any] = {} if password is None else {"password": password}
    if ca_file:
        options["ssl_ca_certs"] = ca_file
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


async def connect_or_exit(settings: RedisSettings) -> Client:
    """Connects to the configured server. Ends the process if the server refuses it, but not if it is away."""
    client = connect(settings.url, settings.password, settings.ca_file)
    try:
        await ping(client)
    except Refused as error:
        sys.exit(f"journeymesh: {error.detail}")
    except Unavailable as error:
        _log.warning("%s", error.detail)
    return client


class Refused(Unavailable):
    """The store refuses the configured connection: the settings or the store must be changed."""


@contextlib.contextmanager
def translating_errors() -> Iterator[None]:
    """Turns the client's connection errors into `Unavailable`; script and type errors are bugs and pass through."""
    try:
        yield
    except (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        detail = f"The store refuses the user or the password: {str(error).rstrip('.')}."
        raise Refused("DEPENDENCY_UNAVAILABLE", detail) from error
    except redis.exceptions.BusyLoadingError as error:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store is loading its data.") from error
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        doubt = _doubt(error)
        if doubt is not None:
            detail = f"The store's certificate is not trusted: {doubt.verify_message}."
            raise Refused("DEPENDENCY_UNAVAILABLE", detail) from error
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store cannot be reached.") from error
    except redis.exceptions.ResponseError as error:
        if _NO_CLUSTER in str(error):
            detail = "The store is not a cluster, but JOURNEYMESH_REDIS_URL says it is."
            raise Refused("DEPENDENCY_UNAVAILABLE", detail) from error
        detail = _hindrance(error)
        if detail:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", detail) from error
        raise


def _hindrance(error: redis.exceptions.ResponseError) -> str:
    """Why the server cannot take a command now, in a sentence; empty if the command is at fault."""
    # For a pipeline the client puts the command before the server's words, for a script its name behind them.
    words = str(error).rpartition("caused error: ")[2].lstrip("('\"").partition(" script: ")[0].rstrip("'\",).")
    if isinstance(error, redis.exceptions.OutOfMemoryError) or words.startswith("OOM "):
        return "The store is full."
    if words.startswith("MISCONF "):
        _, _, reason = words.partition(" to the AOF file: ")
        return f"The store cannot write to its disk{reason and ': '}{reason}."
    if isinstance(error, _CLUSTER_ALONE):
        return "The store is a cluster, but JOURNEYMESH_REDIS_URL does not say so, or its slots do not settle."
    if isinstance(error, _PASSING) or words.startswith(_PASSING_WORDS) or _MOVING in words:
        return "The store cannot take the command now."
    return ""


def _doubt(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The error of the server's certificate; None if it was something else."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


async def ping(client: Client) -> None:
    """Returns if the server answers.

    Raises:
        Unavailable: it does not.
    """
    with translating_errors():
        await (client.each("PING") if isinstance(client, Cluster) else client.ping())


async def memory(client: Client) -> list[dict[str, Any]]:
    """Each server's memory, by the names of `INFO memory`.

    Raises:
        Unavailable: one of them cannot be reached.
    """
    with translating_errors():
        return await client.each("INFO", "memory") if isinstance(client, Cluster) else [await client.info("memory")]


def partition(name: str) -> int:
    """The hash tag of a user, event id or the like; stable across processes and time."""
    return zlib.crc32(name.encode()) % PARTITION_COUNT


async def mget(client: Client, keys: Sequence[str]) -> list[bytes | None]:
    """The values in the order of the keys; None where a key has none. On a cluster one command per hash tag.

    Raises:
        Unavailable: the server cannot be reached.
    """
    with translating_errors():
        if not isinstance(client, Cluster):
            values: Any = await client.mget(keys)
            return list(values)
        places: dict[str, list[int]] = {}
        for place, key in enumerate(keys):
            places.setdefault(key[: key.find("}")], []).append(place)
        pipeline = client.pipeline(transaction=False)
        for its in places.values():
            pipeline.mget([keys[place] for place in its])
        found: list[bytes | None] = [None] * len(keys)
        for its, answer in zip(places.values(), await pipeline.execute(), strict=True):
            for place, value in zip(its, answer, strict=True):
                found[place] = value
        return found


async def scan(client: Client, pattern: str) -> AsyncIterator[list[str]]:
    """The keys that fit a pattern, in portions; a key may come twice. On a cluster node by node.

    This looks at every key of the store: for rare acts only. A key that is there throughout is found, unless its slot
    moves meanwhile.

    Raises:
        Unavailable: the server cannot be reached.
    """
    with translating_errors():
        ways = await client.nodes() if isinstance(client, Cluster) else [client.execute_command]
    for ask in ways:
        cursor = 0
        while True:
            with translating_errors():
                following, keys = await ask("SCAN", cursor, "MATCH", pattern, "COUNT", _SCANNED)
            yield [key.decode() for key in keys]
            cursor = int(following)
            if not cursor:
                break


class Call(NamedTuple):
    """One run of a script: its keys, which share a hash tag, and its arguments."""

    keys: Sequence[str]
    arguments: Sequence[str | bytes | int]


class Script:
    """A Lua script, run by its digest; a server that does not know it is sent the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - the server's own name for it

    async def run(self, client: Client, *calls: Call) -> list[Any]:
        """Sends all calls at once and returns their answers.

        Raises:
            Unavailable: the server cannot be reached; some calls may have been run.
        """
        with translating_errors():
            answers = await _send(client, "EVALSHA", self._digest, calls)
            unknown = [place for place, each in enumerate(answers) if isinstance(each, redis.exceptions.NoScriptError)]
            if unknown:
                fresh = await _send(client, "EVAL", self._text, [calls[place] for place in unknown])
                for place, answer in zip(unknown, fresh, strict=True):
                    answers[place] = answer
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
            return answers


async def _send(client: Client, command: str, script: str, calls: Sequence[Call]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for keys, arguments in calls:
        pipeline.execute_command(command, script, len(keys), *keys, *arguments)
    return await pipeline.execute(raise_on_error=False)
