"""A cluster of three primaries of the embedded server, on free ports of this machine."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
import redis

from bench.harness.sides import await_so, is_there, running
from mesh import embedded
from tests.conftest import free_port

_PRIMARIES: Final = 3
_SLOTS: Final = 16_384


class Cluster(NamedTuple):
    """A cluster that takes commands for every slot."""

    ports: list[int]
    processes: list[psutil.Process]


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Three primaries within the block, with append-only files in folders of their own."""
    with contextlib.ExitStack() as stack:
        ports, buses = ([free_port() for _ in range(_PRIMARIES)] for _ in range(2))
        processes, clients = [], []
        for port, bus in zip(ports, buses, strict=True):
            own = folder / str(port)
            own.mkdir()
            command = embedded.server_command(port, own, "everysec")
            command += ["--cluster-enabled", "yes", "--cluster-port", str(bus)]
            processes.append(stack.enter_context(running(command, dict(os.environ))))
            clients.append(stack.enter_context(redis.Redis(port=port)))
        for port in ports:
            await_so(lambda port=port: is_there(port))  # type: ignore[misc] # mypy infers no type of a default
        for number, client in enumerate(clients):
            ends = (_SLOTS * number // _PRIMARIES, _SLOTS * (number + 1) // _PRIMARIES - 1)
            client.execute_command("CLUSTER ADDSLOTSRANGE", *ends)
            client.execute_command("CLUSTER MEET", "127.0.0.1", ports[0], buses[0])
        await_so(lambda: all(map(_is_whole, clients)))
        yield Cluster(ports, processes)


def _is_whole(client: Any) -> bool:  # noqa: ANN401 - the client's answers have no types
    told = client.execute_command("CLUSTER INFO")
    fields: dict[str, str] = (
        told if isinstance(told, dict) else dict(_pair(line) for line in told.decode().splitlines())
    )
    return fields["cluster_state"] == "ok" and fields["cluster_known_nodes"] == str(_PRIMARIES)


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value
