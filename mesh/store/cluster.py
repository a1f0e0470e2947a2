"""A Redis Cluster as one client: each command goes to the node that keeps the slot of its key.

While slots move it follows MOVED and ASK, and repeats after TRYAGAIN and CLUSTERDOWN for about two seconds. Commands
of a node that is away are repeated only if another has taken over its slots. Commands are sent at least once, as to a
single server. `docs/adr/045` says why this is not the cluster client of redis-py.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import redis.asyncio
from redis.asyncio.client import Pipeline
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - not the built-in one, but it is what is raised
    DataError,
    MovedError,
    RedisError,
    TimeoutError,  # noqa: A004 - the same
    TryAgainError,
)

# The pause after each round, in seconds: while slots move, answers point to and fro for some milliseconds.
_PAUSES: Final = (0.0, 0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3)
_AWAY: Final = (ConnectionError, TimeoutError, OSError)
# Errors that count as no answer, like a lost connection to a single server.
_UNANSWERED: Final = (*_AWAY, AskError, ClusterDownError, TryAgainError)
_KEYLESS: Final = "A command that names no key goes to each node, or follows one that does."
_UNCOVERED: Final = "No node keeps the slot."

Dial = Callable[[str], "redis.asyncio.Redis"]
"""Makes the client of one node from `host:port`."""
_Options = Mapping[str, Any]


class _Command(NamedTuple):
    arguments: tuple[Any, ...]
    options: _Options
    slot: int


class Cluster(redis.asyncio.Redis):
    """A client of a cluster, with those commands of a single server's client that name a key.

    The keys of a command must share a slot. In a pipeline a command without a key follows the one before it; `each`
    asks every node. Transactions are not supported.
    """

    def __init__(self, seeds: Sequence[str], dial: Dial) -> None:
        """`seeds` are nodes, at least one, to learn the others from, as `host:port`."""
        self._seeds = seeds
        self._dial = dial
        self._nodes: dict[str, redis.asyncio.Redis] = {}
        # By slot, the node that keeps it, or "" if none does; empty until known.
        self._keepers: list[str] = []
        self._looking = asyncio.Lock()
        super().__init__(connection_pool=self._node(seeds[0]).connection_pool)

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as in the client
        """See `redis.asyncio.Redis`."""
        (answer,) = await self.send([(args, options)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pipeline(self, transaction: bool = False, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002 - as in the client
        """See `redis.asyncio.Redis`."""
        if transaction or shard_hint:
            raise DataError("A cluster has no transactions.")
        return _ClusterPipeline(self)

    async def each(self, *args: Any) -> list[Any]:  # noqa: ANN401 - as in the client
        """What every node that keeps slots answers to a command.

        Raises:
            RedisError: one of them cannot be reached, or refuses it.
        """
        if not self._keepers:
            await self._look(self._keepers)
        asked = self._keepers
        try:
            return await self._each(args)
        except _AWAY:  # another node may have taken over
            await self._look(asked)
            return await self._each(args)

    async def nodes(self) -> list[Callable[..., Awaitable[Any]]]:
        """A way to ask each node that keeps slots.

        Raises:
            RedisError: none of them can be reached.
        """
        if not self._keepers:
            await self._look(self._keepers)
        return [functools.partial(self._ask_alone, node) for node in sorted(set(self._keepers) - {""})]

    async def _each(self, args: Sequence[Any]) -> list[Any]:
        nodes = sorted(set(self._keepers) - {""})
        return await asyncio.gather(*(self._ask_alone(node, *args) for node in nodes))

    async def _ask_alone(self, node: str, *args: Any) -> Any:  # noqa: ANN401 - as in the client
        return await self._node(node).execute_command(*args)  # type: ignore[no-untyped-call]

    async def send(self, commands: Iterable[tuple[tuple[Any, ...], _Options]]) -> list[Any]:
        """The answers to commands, in order, an error where one failed. Each node receives its commands in order."""
        placed = _placed(commands)
        answers: list[Any] = [None] * len(placed)
        left = list(range(len(placed)))
        asked: dict[int, str] = {}
        for pause in _PAUSES:
            if not self._keepers:
                await self._look(self._keepers)
            keepers = self._keepers
            groups: dict[tuple[str, bool], list[int]] = {}
            for index in left:
                where = (asked[index], True) if index in asked else (keepers[placed[index].slot], False)
                groups.setdefault(where, []).append(index)
            parts = [self._ask(*where, [placed[index] for index in of]) for where, of in groups.items()]
            replies = [await parts[0]] if len(parts) == 1 else await asyncio.gather(*parts)
            for of, part in zip(groups.values(), replies, strict=True):
                for index, answer in zip(of, part, strict=True):
                    answers[index] = answer
            asked, left = await self._redirected(placed, answers, groups, keepers)
            if not left:
                break
            await asyncio.sleep(pause)
        return answers

    async def _redirected(
        self,
        placed: Sequence[_Command],
        answers: Sequence[Any],
        groups: dict[tuple[str, bool], list[int]],
        keepers: list[str],
    ) -> tuple[dict[int, str], list[int]]:
        """The commands to send again: those redirected by ASK, with the node it names; and all of them, ascending."""
        asked: dict[int, str] = {}
        again: list[int] = []
        lost: list[tuple[int, str]] = []
        for (node, _), of in groups.items():
            for index in of:
                answer, slot = answers[index], placed[index].slot
                if isinstance(answer, MovedError):
                    self._keepers[slot] = _address(answer.host, answer.port, node)
                elif isinstance(answer, AskError):
                    asked[index] = _address(answer.host, answer.port, node)
                elif isinstance(answer, (*_AWAY, ClusterDownError)):
                    lost.append((index, node))
                elif not isinstance(answer, TryAgainError):
                    continue
                again.append(index)
        if lost:
            await self._look(keepers, {node for _, node in lost})
            final = {
                index
                for index, node in lost
                if self._keepers[placed[index].slot] == node and isinstance(answers[index], _AWAY)
            }
            again = [index for index in again if index not in final]
        return asked, sorted(again)

    async def _ask(self, node: str, is_asking: bool, commands: Sequence[_Command]) -> list[Any]:  # noqa: FBT001 - a member of a key
        if not node:
            return [ClusterDownError(_UNCOVERED)] * len(commands)
        pipeline = self._node(node).pipeline(transaction=False)
        for arguments, options, _ in commands:
            if is_asking:  # applies to the next command on this connection
                pipeline.execute_command("ASKING")
            pipeline.execute_command(*arguments, **options)
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except _AWAY as error:
            return [error] * len(commands)
        return answers[1::2] if is_asking else answers

    async def _look(self, seen: list[str], doubted: Container[str] = ()) -> None:
        """Learns who keeps which slot, unless that happened since `seen`; doubted nodes are asked last."""
        async with self._looking:
            if seen is not self._keepers:
                return
            known = sorted({*self._keepers, *self._seeds} - {""}, key=doubted.__contains__)
            for node in known:
                try:
                    slots = await self._ask_alone(node, "CLUSTER SLOTS")
                except _AWAY as error:
                    failure: RedisError | OSError = error
                else:
                    self._keepers = _keepers(slots, node)
                    return
            raise failure

    def _node(self, address: str) -> redis.asyncio.Redis:
        if address not in self._nodes:
            self._nodes[address] = self._dial(address)
        return self._nodes[address]

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - as in the client
        """See `redis.asyncio.Redis`."""
        nodes, self._nodes = list(self._nodes.values()), {}
        await asyncio.gather(*(node.aclose(close_connection_pool) for node in nodes))


class _ClusterPipeline(Pipeline):
    """Commands that are sent together, node by node."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.connection_pool, cluster.response_callbacks, transaction=False, shard_hint=None)
        self._cluster = cluster

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as in the client
        commands, self.command_stack = self.command_stack, []
        answers = await self._cluster.send(commands)
        for answer in answers:
            if isinstance(answer, Exception if raise_on_error else _UNANSWERED):
                raise answer
        return answers


def _placed(commands: Iterable[tuple[tuple[Any, ...], _Options]]) -> list[_Command]:
    placed: list[_Command] = []
    for arguments, options in commands:
        key = _key(arguments)
        if key is not None:
            slot = key_slot(key if isinstance(key, bytes) else key.encode())
        elif placed:
            slot = placed[-1].slot
        else:
            raise DataError(_KEYLESS)
        placed.append(_Command(arguments, options, slot))
    return placed


def _key(arguments: Sequence[Any]) -> str | bytes | None:
    """The first key of a command; None where it has none."""
    match arguments[0]:
        case "EVALSHA" | "EVAL":
            return arguments[3]  # type: ignore[no-any-return]
        case "XREAD":
            return arguments[arguments.index(b"STREAMS") + 1]  # type: ignore[no-any-return]
        case "CONFIG SET" | "INFO" | "KEYS" | "SCAN":
            return None
        case _:
            return arguments[1] if len(arguments) > 1 else None


def _keepers(slots: Sequence[Sequence[Any]], node: str) -> list[str]:
    """Parses the answer to CLUSTER SLOTS: by slot, the node that keeps it; empty if none does."""
    keepers = [""] * REDIS_CLUSTER_HASH_SLOTS
    for first, last, (host, port, *_), *_ in slots:
        address = _address((host or b"").decode(), port, node)
        keepers[first : last + 1] = [address] * (last + 1 - first)
    return keepers


def _address(host: str, port: int, node: str) -> str:
    """`host:port`; a node that does not know a host name means the host it was reached by."""
    if host in {"", "?"}:
        return f"{node.rpartition(':')[0]}:{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
