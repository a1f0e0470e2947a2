"""Serving: health, reflection, interceptors, signals, drain. A service brings its servicers and nothing else."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mesh.channel import MAX_MESSAGE_BYTES
from mesh.health import Check, watch
from mesh.interceptors import server_interceptors
from mesh.telemetry import Telemetry

Register = Callable[[grpc.aio.Server], None]
"""Adds a servicer to a server."""

_DRAIN_SECONDS: Final = 5.0
# Beyond it a call is refused at once, as RESOURCE_EXHAUSTED; open streams of interventions count too.
_CONCURRENT_CALLS: Final = 4096

_CANCEL_AGAIN_SECONDS: Final = 0.5

_log = logging.getLogger(__name__)


async def serve(
    listen: str, registers: Sequence[Register], names: Sequence[str], checks: Mapping[str, Check], telemetry: Telemetry
) -> None:
    """Serves until the process is told to end, then lets running calls finish.

    Args:
        listen: host and port.
        registers: what to serve.
        names: full names of the services, for health and reflection.
        checks: the dependencies that must answer for the process to be ready.
        telemetry: the process's tracer.
    """
    stop = stop_signal()
    spare_collections()
    async with serving(listen, registers, names, checks, telemetry) as port:
        _log.info("listening on port %d", port)
        await stop.wait()
        _log.info("draining")


@contextlib.asynccontextmanager
async def serving(
    listen: str, registers: Sequence[Register], names: Sequence[str], checks: Mapping[str, Check], telemetry: Telemetry
) -> AsyncIterator[int]:
    """A server that runs within the block; gives its port (0 takes a free one). Ends the process if it is taken."""
    server = grpc.aio.server(
        interceptors=server_interceptors(telemetry),
        maximum_concurrent_rpcs=_CONCURRENT_CALLS,
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ],
    )
    for register in registers:
        register(server)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError:
        sys.exit(f"journeymesh: {listen} is taken by another process; end it or choose another address.")
    await server.start()
    watching = asyncio.create_task(watch(health_servicer, list(names), checks))
    try:
        yield port
    finally:
        watching.cancel()
        await health_servicer.enter_graceful_shutdown()
        await server.stop(_DRAIN_SECONDS)


@contextlib.asynccontextmanager
async def beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Works that go on beside the block and end with it. One that fails ends the block.

    They are cancelled again and again: up to Python 3.11 `asyncio.wait_for`, which the store's client uses, now and
    then swallows a cancellation.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        finally:
            while left := [task for task in tasks if not task.done()]:
                for task in left:
                    task.cancel()
                await asyncio.wait(left, timeout=_CANCEL_AGAIN_SECONDS)


def spare_collections() -> None:
    """Keeps the garbage collector from looking through what was made at the start, and from looking too often.

    A batch makes thousands of objects that live for a few milliseconds; with the defaults each batch costs several
    collections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def stop_signal() -> asyncio.Event:
    """An event that is set once the process is told to end (SIGTERM, SIGINT), or its terminal is closed (SIGHUP).

    A closed terminal stays without effect where it was made so, as `nohup` does.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, stop.set)
    return stop
