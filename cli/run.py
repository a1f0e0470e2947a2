"""`journeymesh run`: the whole mesh on this machine, needing nothing but its embedded store."""

import argparse
import asyncio
import contextlib
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpx
from rich.console import Console

import topology
from cli.local import programs
from cli.local.forking import best_way
from cli.local.guard import guarding
from cli.local.processes import Program
from cli.local.programs import RunSettings
from cli.local.store import CannotRunError, answering, credentials, taken
from cli.local.supervisor import Supervisor
from cli.local.watch import NO_CHECK, Probe, over_grpc, over_http, over_redis, watch
from mesh.process import lifecycle
from mesh.settings import read_or_exit

_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
# What the mesh writes tells of people: other users of the machine may not read it.
_UMASK: Final = 0o077
_ADDRESSES: Final = {each.listen_setting: each.address for each in topology.PROCESSES.values()}
_README_URL: Final = "http://127.0.0.1:8080"
EXAMPLE: Final = (
    """curl -X POST http://127.0.0.1:8080/api/events/track -H 'content-type: application/json' -d '{"events": [
  {"userId": "demo-user", "eventType": "page_view", "properties": {"page": "/calculator"}},
  {"userId": "demo-user", "eventType": "feature_interaction", "properties": """
    """{"page": "/calculator", "feature": "loan_amount"}},
  {"userId": "demo-user", "eventType": "struggle_signal", "properties": {"page": "/calculator", "attempts": 3}}]}'
curl http://127.0.0.1:8080/api/interventions/demo-user/pending"""
)
"""The README's example: a struggling user, and the help."""
_WITH_KEY: Final = (
    ".venv/bin/journeymesh keys create --kind secret --name trial   # prints a key",
    "export JOURNEYMESH_KEY=jm_sk_…",
)


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Adds nothing: this command has settings only."""


async def main(_: argparse.Namespace) -> int:
    """Runs the mesh until Ctrl-C; returns the exit code."""
    lifecycle.dump_no_core()
    read_or_exit(RunSettings)
    console = Console(highlight=False)
    stopping = asyncio.create_task(lifecycle.stop_signal().wait())
    working = asyncio.create_task(_run(console, dict(os.environ)))
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    working.cancel()
    try:
        await working
    except CannotRunError as error:
        console.print(f"journeymesh: {error}", markup=False)
        return 1
    except asyncio.CancelledError:
        return 0
    return 0


async def _run(console: Console, environment: Mapping[str, str]) -> None:
    async with running(console, environment) as mesh:
        try:
            _greet(mesh, is_ready=await mesh.readiness)
            raise CannotRunError(await mesh.supervisor.refusal)
        finally:
            mesh.supervisor.say("stopping")


class Mesh(NamedTuple):
    """A running mesh; `readiness` resolves to whether it became ready.

    It raises `CannotRunError` if a program cannot run as it is set up.
    """

    supervisor: Supervisor
    readiness: asyncio.Task[bool]
    url: str
    started: float
    is_key_required: bool


@contextlib.asynccontextmanager
async def running(console: Console, environment: Mapping[str, str]) -> AsyncIterator[Mesh]:
    """The whole mesh, for as long as the block lasts.

    Raises:
        CannotRunError: the folder or an address is in use, or the store does not start.
    """
    settings = read_or_exit(RunSettings, environment)
    folder = Path(settings.folder).resolve()
    with contextlib.ExitStack() as stack:
        stack.callback(os.umask, os.umask(_UMASK))
        lock = stack.enter_context(taken(folder))
        if complaint := _address_in_use(environment, settings):
            raise CannotRunError(complaint)
        guard = stack.enter_context(guarding([lock]))
        sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="journeymesh-"))
        own = None if programs.has_own_store(environment) else credentials(folder)
        shared = programs.environment(settings, folder, environment, own)
        way = stack.enter_context(best_way(shared, programs.SHARED_MODULES))
        supervisor = Supervisor(console, way.start, guard)
        store = None if own is None else programs.store(settings, folder, lock, own)
        services = programs.services(settings, sockets)
        async with _supervised(supervisor, settings, way.first, store, services, own and own.password) as mesh:
            yield mesh


@contextlib.asynccontextmanager
async def _supervised(
    supervisor: Supervisor,
    settings: RunSettings,
    first: Sequence[Program],
    store: Program | None,
    services: Sequence[Program],
    password: str | None,
) -> AsyncIterator[Mesh]:
    started = time.monotonic()
    if addresses := programs.metrics_addresses(settings):
        ports = [f"{name} {address.rpartition(':')[2]}" for name, address in addresses.items()]
        supervisor.say(f"metrics on 127.0.0.1: {', '.join(ports)}")
    probes = _probes(settings, services)
    if store is not None:
        probes[store.name] = over_redis(settings.store_url, password)
    watching = asyncio.create_task(watch(probes, supervisor.pid, supervisor.say))
    try:
        for program in first:
            await supervisor.start(program)
        if store is not None:
            await supervisor.start(store)
            await answering(settings.store_url, supervisor.say, password)
        for program in services:
            await supervisor.start(program)
        readiness = asyncio.create_task(_await_ready(settings.gateway_url, supervisor.refusal))
        try:
            yield Mesh(supervisor, readiness, settings.gateway_url, started, settings.keys == "required")
        finally:
            readiness.cancel()
    finally:
        watching.cancel()
        await supervisor.stop()


def _probes(settings: RunSettings, services: Sequence[Program]) -> dict[str, Probe]:
    """The liveness probe of each program."""
    listens = {each.name: each.environment["JOURNEYMESH_PROBE_LISTEN"] for each in services}
    return {
        "gateway": over_http(f"{settings.gateway_url}/healthz"),
        **{name: over_grpc(listen) for name, listen in listens.items() if listen},
    }


async def _await_ready(url: str, refusal: asyncio.Future[str]) -> bool:
    async with httpx.AsyncClient(base_url=url, timeout=1.0, verify=NO_CHECK) as client:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                if (await client.get("/readyz")).status_code == httpx.codes.OK:
                    return True
            except httpx.TransportError:
                pass
            if refusal.done():
                raise CannotRunError(refusal.result())
            await asyncio.sleep(_POLL_SECONDS)
    return False


def _greet(mesh: Mesh, *, is_ready: bool) -> None:
    url, seconds = mesh.url, time.monotonic() - mesh.started
    if not is_ready:
        mesh.supervisor.say(f"not ready after {_PATIENCE_SECONDS:.0f} s; see {url}/readyz for what is missing")
        return
    for line in greeting(url, seconds, is_key_required=mesh.is_key_required):
        mesh.supervisor.say(line)


def greeting(url: str, seconds: float, *, is_key_required: bool = False) -> list[str]:
    """What to print once the mesh is ready: the README's example, at its address, with a key if one is required."""
    example = EXAMPLE.replace(_README_URL, url)
    if is_key_required:
        sending = example.replace("curl ", 'curl -H "Authorization: Bearer $JOURNEYMESH_KEY" ')
        example = "\n".join((*_WITH_KEY, sending))
    return [
        f"ready after {seconds:.1f} s: {url}",
        "try, in another terminal:",
        *example.splitlines(),
        *([] if is_key_required else [f"or struggle in a browser, and see help come: {url}/demo"]),
        f"{url}/app shows what it knows: figures, journeys, struggles, help",
        f"{url}/docs has every route; once this mesh is stopped, `make demo` runs its own",
        "Ctrl-C stops everything; data is kept under var/",
    ]


def _address_in_use(environment: Mapping[str, str], settings: RunSettings) -> str | None:
    """A sentence about the first address that is not free; None if all are."""
    addresses = {name: environment.get(name, default) for name, default in _ADDRESSES.items()}
    wanted = [*addresses.items()]
    if not programs.has_own_store(environment):
        wanted.append(("JOURNEYMESH_STORE_PORT", f"127.0.0.1:{settings.store_port}"))
    wanted += [("JOURNEYMESH_METRICS_PORT", address) for address in programs.metrics_addresses(settings).values()]
    for name, address in wanted:
        parts = urlsplit(f"//{address}")
        try:
            host, port = parts.hostname or "", parts.port
        except ValueError:
            port = None
        if not port:
            return f"{name} must be a host and a port such as 127.0.0.1:8080, not {address!r}."
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                return f"{address} is not available ({error.strerror}); stop what listens there or set {name}."
    return None
