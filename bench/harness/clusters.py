"""A cluster of three primaries of the embedded server, on free ports."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
import redis

from bench.harness.sides import await_so, is_there, running
from mesh.store import embedded
from tests.conftest import free_port

_PRIMARIES: Final = 3
_SLOTS: Final = 16_384


class Cluster(NamedTuple):
    """A cluster whose slots are all served."""

    ports: list[int]
    processes: list[psutil.Process]


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Three primaries for the duration of the block, each with its own folder."""
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
    info = client.execute_command("CLUSTER INFO")
    fields = info if isinstance(info, dict) else dict(line.split(":", 1) for line in info.decode().splitlines())
    return bool(fields["cluster_state"] == "ok" and fields["cluster_known_nodes"] == str(_PRIMARIES))
