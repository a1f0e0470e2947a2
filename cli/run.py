"""`journeymesh run`: the whole mesh on this machine, with an embedded store and nothing else."""

import asyncio
import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpx
import redis.asyncio
import redis.exceptions
from rich.console import Console

from cli.supervisor import Program, Supervisor, python
from mesh import embedded, server
from mesh.settings import read_or_exit, setting

_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
# Beside the code, so that the command may be called from any folder.
_MODELS: Final = Path(__file__).parent.parent / "models" / "exit-risk"
POLICY: Final = Path(__file__).parent.parent / "policies" / "default.yaml"


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Where `journeymesh run` puts things."""

    folder: str = setting("JOURNEYMESH_VAR", "var", "Folder of the embedded store's files.")
    store_port: int = setting("JOURNEYMESH_STORE_PORT", 7100, "Port of the embedded store.", minimum=1, maximum=65535)
    fsync: str = setting(
        "JOURNEYMESH_STORE_FSYNC",
        "everysec",
        "When the embedded store's file is forced to disk: every second (a power loss may cost that second) or always.",
        choices=("everysec", "always"),
    )
    http_address: str = setting("JOURNEYMESH_HTTP_ADDRESS", "127.0.0.1:8080", "Where the gateway listens.")
    dispatcher_count: int = setting(
        "JOURNEYMESH_DISPATCHER_COUNT", 1, "Dispatchers, which share the shards.", minimum=1, maximum=16
    )
    metrics_port: int = setting(
        "JOURNEYMESH_METRICS_PORT",
        7200,
        "Port on loopback at which the gateway tells its metrics; the others follow it in the order of their own "
        "ports, then further dispatchers. 0: none are told.",
        minimum=0,
        maximum=65_000,
    )
    archive: str = setting(
        "JOURNEYMESH_ARCHIVE",
        "on",
        "Whether events and decisions are archived: under the folder, or where JOURNEYMESH_ARCHIVE_URL says.",
        choices=("on", "off"),
    )


# In the order of their start; they are ended in the reverse order, so that nobody is asked after its end.
def _programs(settings: RunSettings) -> list[Program]:
    dispatcher = python("services.ingest", "dispatcher")
    # A name of its own, and any port: nobody calls a dispatcher.
    further = [
        Program(name, dispatcher, {"JOURNEYMESH_READER_NAME": name, "JOURNEYMESH_DISPATCHER_LISTEN": "127.0.0.1:0"})
        for name in (f"dispatcher-{number}" for number in range(2, settings.dispatcher_count + 1))
    ]
    archiver = [Program("archiver", python("services.ingest", "archiver"))] if settings.archive == "on" else []
    programs = [
        Program("features", python("services.features")),
        Program("scoring", python("services.scoring")),
        Program("video", python("services.video")),
        Program("intervention", python("services.intervention")),
        *archiver,
        Program("dispatcher", dispatcher),
        *further,
        Program("ingest", python("services.ingest", "api")),
        Program("gateway", python("gateway")),
    ]
    told = _metrics_addresses(settings)
    return [
        each._replace(environment={**each.environment, "JOURNEYMESH_METRICS_LISTEN": told.get(each.name, "")})
        for each in programs
    ]


def _metrics_addresses(settings: RunSettings) -> dict[str, str]:
    """Where each program tells its metrics; none where none does."""
    if not settings.metrics_port:
        return {}
    further = [f"dispatcher-{number}" for number in range(2, settings.dispatcher_count + 1)]
    names = [*_METRICS_ORDER, *further]
    return {name: f"127.0.0.1:{port}" for port, name in enumerate(names, settings.metrics_port)}


_METRICS_ORDER: Final = (
    "gateway",
    "ingest",
    "features",
    "scoring",
    "video",
    "intervention",
    "dispatcher",
    "archiver",
)
_ADDRESSES: Final = {
    "JOURNEYMESH_HTTP_ADDRESS": "127.0.0.1:8080",
    "JOURNEYMESH_INGEST_LISTEN": "127.0.0.1:7101",
    "JOURNEYMESH_FEATURES_LISTEN": "127.0.0.1:7102",
    "JOURNEYMESH_SCORING_LISTEN": "127.0.0.1:7103",
    "JOURNEYMESH_VIDEO_LISTEN": "127.0.0.1:7104",
    "JOURNEYMESH_INTERVENTION_LISTEN": "127.0.0.1:7105",
    "JOURNEYMESH_DISPATCHER_LISTEN": "127.0.0.1:7106",
    "JOURNEYMESH_ARCHIVER_LISTEN": "127.0.0.1:7107",
}


async def main() -> int:
    """Runs the mesh until Ctrl-C; returns the exit code."""
    console = Console(highlight=False)
    stop = server.stop_signal()
    try:
        async with running(console, dict(os.environ)) as mesh:
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait((mesh.readiness, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                _greet(mesh, is_ready=mesh.readiness.result())
                await stopping
            mesh.supervisor.say("ending")
    except CannotRunError as error:
        console.print(f"journeymesh: {error}")
        return 1
    return 0


class CannotRunError(Exception):
    """The mesh cannot run here; the text is one sentence."""


class Mesh(NamedTuple):
    """A mesh that runs: `readiness` ends with whether it became ready."""

    supervisor: Supervisor
    readiness: asyncio.Task[bool]
    url: str
    started: float


@contextlib.asynccontextmanager
async def running(console: Console, environment: Mapping[str, str]) -> AsyncIterator[Mesh]:
    """The whole mesh, for as long as the block lasts.

    Raises:
        CannotRunError: an address is taken, or the store does not start.
    """
    settings = read_or_exit(RunSettings, environment)
    taken = _taken(environment, settings)
    if taken:
        raise CannotRunError(taken)
    started = time.monotonic()
    defaults = {
        "JOURNEYMESH_MODELS": str(_MODELS),
        "JOURNEYMESH_POLICY": str(POLICY),
        "JOURNEYMESH_ARCHIVE_URL": (Path(settings.folder) / "archive").resolve().as_uri(),
        "PYTHONUNBUFFERED": "1",
    }
    given = {"JOURNEYMESH_REDIS_URL": _store_url(settings)}
    if settings.archive == "off":
        given["JOURNEYMESH_ARCHIVE_URL"] = ""  # else the stream would be kept for an archiver that does not run
    supervisor = Supervisor(console, {**defaults, **environment, **given})
    url = f"http://{settings.http_address}"
    readiness = asyncio.create_task(_await_ready(url))
    if settings.metrics_port:
        told = [f"{name} {address.rpartition(':')[2]}" for name, address in _metrics_addresses(settings).items()]
        supervisor.say(f"metrics on 127.0.0.1: {', '.join(told)}")
    try:
        await _start_store(supervisor, settings)
        for program in _programs(settings):
            await supervisor.start(program)
        yield Mesh(supervisor, readiness, url, started)
    finally:
        readiness.cancel()
        await supervisor.stop()


def _store_url(settings: RunSettings) -> str:
    return f"redis://127.0.0.1:{settings.store_port}/0"


async def _start_store(supervisor: Supervisor, settings: RunSettings) -> None:
    folder = Path(settings.folder)
    folder.mkdir(parents=True, exist_ok=True)
    command = embedded.server_command(settings.store_port, folder.resolve(), settings.fsync)
    await supervisor.start(Program("store", command))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    async with redis.asyncio.Redis.from_url(_store_url(settings)) as client:
        while time.monotonic() < deadline:  # a large file takes a while to load
            try:
                await client.ping()
            except redis.exceptions.ConnectionError:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return
    message = f"The embedded store does not answer after {_PATIENCE_SECONDS:.0f} s."
    raise CannotRunError(message)


async def _await_ready(url: str) -> bool:
    async with httpx.AsyncClient(base_url=url, timeout=1.0) as client:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                if (await client.get("/readyz")).status_code == httpx.codes.OK:
                    return True
            except httpx.TransportError:
                pass
            await asyncio.sleep(_POLL_SECONDS)
    return False


def _greet(mesh: Mesh, *, is_ready: bool) -> None:
    url, seconds = mesh.url, time.monotonic() - mesh.started
    if not is_ready:
        mesh.supervisor.say(f"not ready after {_PATIENCE_SECONDS:.0f} s; {url}/readyz says what is missing")
        return
    event = (
        '{"userId": "demo-user", "eventType": "struggle_signal", "properties": {"page": "/calculator", "attempts": 3}}'
    )
    for line in (
        f"ready after {seconds:.1f} s: {url}",
        "try, in another terminal:",
        f"  curl -X POST {url}/api/events/track -H 'content-type: application/json' \\",
        f"       -d '{event}'",
        f"  curl {url}/api/interventions/demo-user/pending",
        f"  make demo                  or read {url}/docs",
        "Ctrl-C ends everything; what was sent is kept under var/",
    ):
        mesh.supervisor.say(line)


def _taken(environment: Mapping[str, str], settings: RunSettings) -> str | None:
    """A sentence about the first address that is not to be had; None where all are."""
    addresses = {name: environment.get(name, default) for name, default in _ADDRESSES.items()}
    wanted = [*addresses.items(), ("JOURNEYMESH_STORE_PORT", f"127.0.0.1:{settings.store_port}")]
    wanted += [("JOURNEYMESH_METRICS_PORT", address) for address in _metrics_addresses(settings).values()]
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
                return f"{address} cannot be used ({error.strerror}); end what listens there or set {name}."
    return None
