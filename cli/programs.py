"""What a mesh on this machine consists of: its programs, and what each is told."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import topology
from cli.supervisor import Program, python
from mesh import embedded
from mesh.settings import setting

# Beside the code, so that the command may be called from any folder.
_MODELS: Final = Path(__file__).parent.parent / "models" / "exit-risk"
POLICY: Final = Path(__file__).parent.parent / "policies" / "default.yaml"
# The gateway, then the others by their ports.
METRICS_ORDER: Final = sorted(topology.PROCESSES, key=lambda name: (name != "gateway", topology.PROCESSES[name].port))

_STORE_MEANINGS: Final = {
    "Memory overcommit must be enabled": (
        "memory overcommit is off here (vm.overcommit_memory), which costs no data: where memory is short, the store's "
        "file is tidied later"
    )
}


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Where `journeymesh run` puts things."""

    folder: str = setting("JOURNEYMESH_VAR", "var", "Folder of the embedded store's files; one mesh at a time has it.")
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
        "nothing is thrown away. 0: no bound.",
        minimum=0,
    )
    http_address: str = setting("JOURNEYMESH_HTTP_ADDRESS", topology.address("gateway"), "Where the gateway listens.")
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

    @property
    def store_url(self) -> str:
        """Where the embedded store is reached."""
        return f"redis://127.0.0.1:{self.store_port}/0"

    @property
    def gateway_url(self) -> str:
        """Where the gateway is reached."""
        return f"http://{self.http_address}"


def store(settings: RunSettings, folder: Path, lock: int) -> Program:
    """The store, which keeps the lock of its folder for as long as it runs."""
    command = embedded.server_command(settings.store_port, folder, settings.fsync, settings.store_max_bytes)
    return Program("store", command, files=[lock], meanings=_STORE_MEANINGS)


def services(settings: RunSettings, sockets: str) -> list[Program]:
    """The others, in the order of their start; their end is in the reverse order, so that nobody is asked after it.

    `sockets` is the folder in which all but the gateway answer probes, each at a socket with its name.
    """
    programs = list(_programs(settings))
    told = metrics_addresses(settings)
    return [
        each._replace(
            environment={
                **each.environment,
                "JOURNEYMESH_METRICS_LISTEN": told.get(each.name, ""),
                "JOURNEYMESH_PROBE_LISTEN": "" if each.name == "gateway" else f"unix:{sockets}/{each.name}",
            }
        )
        for each in programs
    ]


def metrics_addresses(settings: RunSettings) -> dict[str, str]:
    """Where each program tells its metrics; none where none does."""
    if not settings.metrics_port:
        return {}
    names = [*METRICS_ORDER, *_further(settings)]
    return {name: f"127.0.0.1:{port}" for port, name in enumerate(names, settings.metrics_port)}


def has_own_store(given: Mapping[str, str]) -> bool:
    """Whether another store than the embedded one is named, as a cluster is."""
    return bool(given.get("JOURNEYMESH_REDIS_URL"))


def environment(settings: RunSettings, folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    """What all programs are told."""
    defaults = {
        "JOURNEYMESH_MODELS": str(_MODELS),
        "JOURNEYMESH_POLICY": str(POLICY),
        "JOURNEYMESH_ARCHIVE_URL": (folder / "archive").as_uri(),
        "PYTHONUNBUFFERED": "1",
    }
    fixed = {} if has_own_store(given) else {"JOURNEYMESH_REDIS_URL": settings.store_url}
    if settings.archive == "off":
        fixed["JOURNEYMESH_ARCHIVE_URL"] = ""  # else the stream would be kept for an archiver that does not run
    return {**defaults, **given, **fixed}


def _programs(settings: RunSettings) -> Iterator[Program]:
    for process in topology.in_start_order():
        if process.name == "archiver" and settings.archive == "off":
            continue
        roles = [process.role] if process.role else []
        command = python(topology.service_of(process.name).module, *roles)
        yield Program(process.name, command)
        if process.name == "dispatcher":
            # A name of its own, and any port: nobody calls a dispatcher.
            for name in _further(settings):
                own = {"JOURNEYMESH_READER_NAME": name, process.listen_setting: f"{topology.LOOPBACK}:0"}
                yield Program(name, command, own)


def _further(settings: RunSettings) -> list[str]:
    return [f"dispatcher-{number}" for number in range(2, settings.dispatcher_count + 1)]
