"""The programs of a mesh on this machine, and their environment."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import topology
from cli.local import fork_server
from cli.local.processes import Program, python
from cli.local.store import Credentials
from mesh.settings import setting
from mesh.store import embedded

# Relative to the code, so that the command works from any folder.
_MODELS: Final = Path(__file__).parents[2] / "models" / "exit-risk"
POLICY: Final = Path(__file__).parents[2] / "policies" / "default.yaml"
# The gateway, then the others by their ports.
METRICS_ORDER: Final = sorted(topology.PROCESSES, key=lambda name: (name != "gateway", topology.PROCESSES[name].port))

SHARED_MODULES: Final = (
    "mesh.process.server",
    "mesh.process.started",
    "mesh.rpc.peer",
    "mesh.state.redis",
    "records.tenants",
)
"""With what they import, nearly all that nearly all services import."""
_OF_THE_ARCHIVE: Final = ("archiver", "analytics")

_STORE_MEANINGS: Final = {
    "Memory overcommit must be enabled": (
        "memory overcommit is off here (vm.overcommit_memory), which loses no data: when memory is short, the store's "
        "file is compacted later"
    )
}


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Where `journeymesh run` puts things."""

    folder: str = setting("JOURNEYMESH_VAR", "var", "Folder of the embedded store's files; one mesh at a time uses it.")
    store_port: int = setting("JOURNEYMESH_STORE_PORT", 7100, "Port of the embedded store.", minimum=1, maximum=65535)
    fsync: str = setting(
        "JOURNEYMESH_STORE_FSYNC",
        "everysec",
        "When the embedded store's file is forced to disk: every second (a power loss may cost that second) or always.",
        choices=("everysec", "always"),
    )
    store_max_bytes: int = setting(
        "JOURNEYMESH_STORE_MAX_BYTES",
        2_147_483_648,
        "Memory the embedded store may take for data; beyond it events are refused with 503 until there is room, and "
        "nothing is evicted. 0: no limit.",
        minimum=0,
    )
    http_address: str = setting("JOURNEYMESH_HTTP_ADDRESS", topology.address("gateway"), "Where the gateway listens.")
    certificate_file: str = setting(
        "JOURNEYMESH_HTTP_CERTIFICATE_FILE", "", "The certificate of the gateway; empty: it speaks plain HTTP."
    )
    keys: str = setting("JOURNEYMESH_KEYS", "none", "Whether the gateway's clients need a key.")
    dispatcher_count: int = setting(
        "JOURNEYMESH_DISPATCHER_COUNT", 1, "Dispatchers, which share the shards.", minimum=1, maximum=16
    )
    metrics_port: int = setting(
        "JOURNEYMESH_METRICS_PORT",
        7200,
        "Port on loopback at which the gateway serves its metrics; the others follow it in the order of their own "
        "ports, then further dispatchers. 0: none are served.",
        minimum=0,
        maximum=65_000,
    )
    archive: str = setting(
        "JOURNEYMESH_ARCHIVE",
        "on",
        "Whether events and decisions are archived: in the folder, or at JOURNEYMESH_ARCHIVE_URL.",
        choices=("on", "off"),
    )

    @property
    def store_url(self) -> str:
        """The embedded store's URL."""
        return f"redis://127.0.0.1:{self.store_port}/0"

    @property
    def gateway_url(self) -> str:
        """The gateway's URL."""
        return f"{'https' if self.certificate_file else 'http'}://{self.http_address}"


def store(settings: RunSettings, folder: Path, lock: int, credentials: Credentials) -> Program:
    """The store; it holds its folder's lock while it runs."""
    command = embedded.server_command(
        settings.store_port, folder, settings.fsync, settings.store_max_bytes, credentials.configuration
    )
    return Program("store", command, files=[lock], meanings=_STORE_MEANINGS)


def services(settings: RunSettings, sockets: str) -> list[Program]:
    """The others in start order; each needs those that it calls, so that none calls one that has stopped.

    `sockets` is the folder in which all but the gateway answer probes, each on a socket with its name.
    """
    metrics = metrics_addresses(settings)
    return [
        each._replace(
            environment={
                **each.environment,
                "JOURNEYMESH_METRICS_LISTEN": metrics.get(each.name, ""),
                "JOURNEYMESH_PROBE_LISTEN": "" if each.name == "gateway" else f"unix:{sockets}/{each.name}",
            }
        )
        for each in _programs(settings)
    ]


def metrics_addresses(settings: RunSettings) -> dict[str, str]:
    """The metrics address of each program; empty if metrics are off."""
    if not settings.metrics_port:
        return {}
    names = [*METRICS_ORDER, *_further(settings)]
    return {name: f"127.0.0.1:{port}" for port, name in enumerate(names, settings.metrics_port)}


def has_own_store(given: Mapping[str, str]) -> bool:
    """Whether a store other than the embedded one is configured, such as a cluster."""
    return bool(given.get("JOURNEYMESH_REDIS_URL"))


def environment(
    settings: RunSettings, folder: Path, given: Mapping[str, str], credentials: Credentials | None
) -> dict[str, str]:
    """The environment all programs share; with credentials, the store is the embedded one."""
    defaults = {
        "JOURNEYMESH_MODELS": str(_MODELS),
        "JOURNEYMESH_POLICY": str(POLICY),
        "JOURNEYMESH_ARCHIVE_URL": (folder / "archive").as_uri(),
        "JOURNEYMESH_ANALYTICS_FOLDER": str(folder / "analytics"),
        "JOURNEYMESH_AUDIT_HEADS_FILE": str(folder / "audit-heads.jsonl"),
        "JOURNEYMESH_AUDIT_KEY_FILE": str(folder / "audit-key.pem"),
        "PYTHONUNBUFFERED": "1",
    }
    fixed = {}
    if credentials is not None:
        fixed["JOURNEYMESH_REDIS_URL"] = settings.store_url
        fixed["JOURNEYMESH_REDIS_PASSWORD_FILE"] = str(credentials.password_file)
    if settings.archive == "off":
        fixed["JOURNEYMESH_ARCHIVE_URL"] = ""  # or the stream would be retained for an archiver that does not run
    return {**defaults, **given, **fixed}


def _programs(settings: RunSettings) -> Iterator[Program]:
    for process in topology.in_start_order():
        if process.name in _OF_THE_ARCHIVE and settings.archive == "off":
            continue
        roles = [process.role] if process.role else []
        command = python(topology.service_of(process.name).module, *roles)
        needs = {fork_server.NAME, "store", *topology.before(process)}
        yield Program(process.name, command, needs=needs)
        if process.name == "dispatcher":
            # Its own name, and any port: nobody calls a dispatcher.
            for name in _further(settings):
                own = {"JOURNEYMESH_READER_NAME": name, process.listen_setting: f"{topology.LOOPBACK}:0"}
                yield Program(name, command, own, needs=needs)


def _further(settings: RunSettings) -> list[str]:
    return [f"dispatcher-{number}" for number in range(2, settings.dispatcher_count + 1)]
