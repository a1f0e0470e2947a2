"""A real cluster of three primaries, and slots that move between them."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from mesh.store import embedded
from mesh.store.cluster import Cluster
from mesh.store.redis import Client
from tests.conftest import free_port

PRIMARIES: Final = 3
_PATIENCE_SECONDS: Final = 60.0
_NODE_TIMEOUT_MS: Final = 5_000
_KEYS_AT_ONCE: Final = 100


class StoreCluster:
    """Three primaries on loopback, each with a third of the slots and an append-only file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ports = [free_port() for _ in range(PRIMARIES)]
        self._bus_ports = [free_port() for _ in range(PRIMARIES)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.nodes: list[Any] = [redis.Redis(port=port, socket_timeout=10) for port in self.ports]

    @property
    def url(self) -> str:
        """How a client finds it."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def start(self, number: int) -> None:
        """Starts a node, with what its folder holds; returns once it answers."""
        port, folder = self.ports[number], self._folder / str(number)
        folder.mkdir(exist_ok=True)
        options = {"enabled": "yes", "port": str(self._bus_ports[number]), "node-timeout": str(_NODE_TIMEOUT_MS)}
        command = [
            # What was written outlives the process. With `everysec` a slow disk makes it wait for up to two seconds.
            *embedded.server_command(port, folder, "no"),
            *(part for name, value in options.items() for part in (f"--cluster-{name}", value)),
        ]
        self._processes[number] = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _await(lambda: bool(self.nodes[number].ping()))

    def kill(self, number: int) -> None:
        """Kills a node at once."""
        self._processes[number].kill()
        self._processes[number].wait()

    def join(self) -> None:
        """Makes the nodes one cluster."""
        share = REDIS_CLUSTER_HASH_SLOTS // PRIMARIES
        for number, node in enumerate(self.nodes):
            last = REDIS_CLUSTER_HASH_SLOTS if number == PRIMARIES - 1 else (number + 1) * share
            node.execute_command("CLUSTER ADDSLOTSRANGE", number * share, last - 1)
            node.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes:
            for port, bus_port in zip(self.ports, self._bus_ports, strict=True):
                node.execute_command("CLUSTER MEET", "127.0.0.1", port, bus_port)
        self.await_ok()

    def await_ok(self) -> None:
        """Returns once every node knows every slot and that all are served."""
        for node in self.nodes:
            _await(lambda node=node: _is_whole(node))

    def keeper(self, slot: int) -> int:
        """The number of the node that keeps a slot."""
        for first, last, (_, port, *_), *_ in self._told(0, "CLUSTER SLOTS"):
            if first <= slot <= last:
                return self.ports.index(port)
        raise LookupError(slot)

    @contextlib.contextmanager
    def moving(self, slot: int) -> Iterator[None]:
        """Within the block a slot is on its way to the next node, with its keys still where they were."""
        source = self.keeper(slot)
        target = (source + 1) % PRIMARIES
        ids = [self._told(number, "CLUSTER MYID").decode() for number in range(PRIMARIES)]
        self._told(target, "CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
        self._told(source, "CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
        try:
            yield
            while self.move_keys(slot, source, _KEYS_AT_ONCE):
                pass
        finally:
            for number in (target, source, 3 - source - target):
                self._told(number, "CLUSTER SETSLOT", slot, "NODE", ids[target])

    def move_at_once(self, slot: int) -> None:
        """Moves a slot to the next node as a whole, as Valkey 9 can; returns once it is there."""
        target = (self.keeper(slot) + 1) % PRIMARIES
        target_id = self._told(target, "CLUSTER MYID").decode()
        self._told(self.keeper(slot), "CLUSTER MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target_id)
        _await(lambda: self.keeper(slot) == target)

    def move_keys(self, slot: int, source: int, most: int) -> int:
        """Moves so many keys of a slot that is moving to the next node; gives how many it moved."""
        keys = self._told(source, "CLUSTER GETKEYSINSLOT", slot, most)
        if keys:
            target = self.ports[(source + 1) % PRIMARIES]
            self._told(source, "MIGRATE", "127.0.0.1", target, "", 0, 10_000, "KEYS", *keys)
        return len(keys)

    def _told(self, number: int, *command: Any) -> Any:
        return self.nodes[number].execute_command(*command)

    def end(self) -> None:
        """Ends all nodes."""
        for node in self.nodes:
            node.close()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait()


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[StoreCluster]:
    """A cluster that serves within the block and ends with it."""
    cluster = StoreCluster(folder)
    try:
        for number in range(PRIMARIES):
            cluster.start(number)
        cluster.join()
        yield cluster
    finally:
        cluster.end()


async def stored(client: Client) -> list[bytes]:
    """All keys of a server or a cluster."""
    told: list[Any] = await client.each("KEYS", "*") if isinstance(client, Cluster) else [await client.keys("*")]
    return sorted(key for keys in told for key in keys)


def _is_whole(node: Any) -> bool:
    told = node.execute_command("CLUSTER INFO")
    return bool(told["cluster_state"] == "ok" and int(told["cluster_known_nodes"]) == PRIMARIES)


def _await(is_so: Any) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            if is_so():
                return
        except redis.ConnectionError:  # it starts
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)
