"""How the commands of operators reach the access service, and what they say if they do not."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final

import grpc
from rich.console import Console

import topology
from cli.terminal import plain
from mesh.errors import MeshError, Unreachable
from mesh.observability import telemetry
from mesh.rpc import channel
from mesh.rpc.tls import Tls, TlsSettings
from mesh.settings import read_or_exit, setting

_LEAST_WIDTH: Final = 120
"""Columns of a table on a terminal that has fewer."""
_FILE_WIDTH: Final = 200
"""Columns of a table that goes to a file or a pipe."""


@dataclasses.dataclass(frozen=True)
class AccessSettings:
    """Whom the commands ask."""

    access: str = setting(
        "JOURNEYMESH_ACCESS_TARGET",
        topology.address("access"),
        "Where the access service is, which keeps the keys and the audit log.",
    )


async def asking(ask: Callable[[grpc.aio.Channel, Console, Console], Awaitable[int]]) -> int:
    """Asks the access service; returns the exit code: 1 if it refuses or does not answer, which one sentence says.

    Args:
        ask: gets a channel, where to print, and where to print errors and progress; returns the exit code.
    """
    settings, tls = read_or_exit(AccessSettings), Tls.wanted(read_or_exit(TlsSettings))
    console, errors = Console(highlight=False, markup=False), Console(highlight=False, markup=False, stderr=True)
    console.width = max(console.width, _LEAST_WIDTH) if console.is_terminal else _FILE_WIDTH
    try:
        async with channel.dial(settings.access, telemetry.off(), tls) as dialled:
            return await ask(dialled, console, errors)
    except Unreachable:
        errors.print(f"journeymesh: the access service does not answer at {settings.access}.", soft_wrap=True)
    except MeshError as error:
        errors.print(f"journeymesh: {plain(error.detail)}", soft_wrap=True)
    return 1
