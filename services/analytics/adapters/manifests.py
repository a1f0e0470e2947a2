"""The manifest as a file: `manifest.json`, replaced as a whole."""

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from services.analytics.domain.layout import VERSION, Partition
from services.analytics.domain.manifest import EMPTY, Manifest, Part, Source, Stamp

_NAME: Final = "manifest.json"
_FORMAT: Final = 2


def read(root: Path) -> Manifest:
    """The manifest of copies; an empty one if there is none, or one of another version: then they are made again."""
    try:
        written: dict[str, Any] = msgspec.json.decode((root / _NAME).read_bytes())
    except FileNotFoundError:
        return EMPTY
    if (written.get("format"), written.get("columns")) != (_FORMAT, VERSION):
        return EMPTY
    sources = {
        path: Source(Stamp(size, modified), frozenset(Partition(*each) for each in days))
        for path, size, modified, days in written["sources"]
    }
    parts = {(kind, Partition(tenant, day)): Part(name, rows) for kind, tenant, day, name, rows in written["parts"]}
    return Manifest(sources, parts, written["watermark_us"], written.get("summaries", ""))


def write(root: Path, manifest: Manifest) -> None:
    """Puts a manifest in the place of the last one; readers see the one or the other."""
    written = {
        "format": _FORMAT,
        "columns": VERSION,
        "watermark_us": manifest.watermark_us,
        "summaries": manifest.summaries,
        "sources": [[path, *each.stamp, sorted(each.partitions)] for path, each in sorted(manifest.sources.items())],
        "parts": [[kind, *partition, *part] for (kind, partition), part in sorted(manifest.parts.items())],
    }
    aside = root / f".{_NAME}"
    with aside.open("wb") as file:
        file.write(msgspec.json.encode(written))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(root / _NAME)
