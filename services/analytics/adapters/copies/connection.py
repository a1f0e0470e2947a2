"""Connections to DuckDB: bounded, and able to reach one folder only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import duckdb

_PLAIN: Final = """CREATE TEMP MACRO plain(some_id) AS CASE WHEN starts_with(some_id, chr(31))
THEN substr(some_id, length(split_part(some_id, chr(31), 2)) + 3) ELSE some_id END"""
_TENANT: Final = """CREATE TEMP MACRO tenant_of(some_id) AS CASE WHEN starts_with(some_id, chr(31))
THEN split_part(some_id, chr(31), 2) ELSE '' END"""


class Bounds(NamedTuple):
    """What one statement may take."""

    memory_mib: int = 256
    thread_count: int = 2
    temporary_gib: int = 4


_USUAL: Final = Bounds()


def opened(temporary: Path, folders: Sequence[str], bounds: Bounds = _USUAL) -> duckdb.DuckDBPyConnection:
    """A database in memory that reads and writes in these folders only, downloads nothing, and stays as it is set.

    Only its time zone may be set later.
    """
    connection = duckdb.connect(
        config={
            "memory_limit": f"{bounds.memory_mib}MiB",
            "threads": bounds.thread_count,
            "temp_directory": str(temporary),
            "max_temp_directory_size": f"{bounds.temporary_gib}GiB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET allowed_configs = ['TimeZone']")
    connection.execute("SET allowed_directories = $folders", {"folders": [f"{each}/" for each in folders]})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    connection.execute(_PLAIN)
    connection.execute(_TENANT)
    return connection
