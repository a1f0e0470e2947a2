"""The manifest as a file: `manifest.json`, replaced as a whole; and with which tail it goes.

The tail is in `tail-<id>.json`, where the id follows from the manifest's bytes. That of a new manifest is there before
the manifest is: so whoever reads sees a manifest with a tail that was made for it, and never rows twice.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from services.analytics.domain.layout import VERSION, Partition
from services.analytics.domain.manifest import EMPTY, NO_TAIL, Manifest, Part, Source, Stamp, Tail

_NAME: Final = "manifest.json"
_FORMAT: Final = 2
_TAIL_FORMAT: Final = 1
_NONE: Final = (0, 0)
_ID_DIGITS: Final = 16


class Manifests:
    """The manifest below a root: what was read is kept until it is replaced."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stamps = _NONE, _NONE
        self._manifest = EMPTY

    def read(self) -> Manifest:
        """The manifest with its tail; an empty one if there is none."""
        stamps = _stamp(self._root / _NAME), _stamp(self._root / _tail_name(self._manifest.id))
        if stamps == self._stamps:
            return self._manifest
        tail = _tail(self._root, self._manifest.id) if stamps[0] == self._stamps[0] else None
        if tail is not None:
            self._manifest, self._stamps = self._manifest._replace(tail=tail), stamps
        else:
            # The stamps are those of before, so that what is replaced meanwhile is read the next time.
            self._manifest, self._stamps = read(self._root), (stamps[0], _NONE)
        return self._manifest


def read(root: Path) -> Manifest:
    """The manifest of copies with its tail.

    It is empty if there is none, or one of another version: then they are made again.
    """
    while True:
        stamp = _stamp(root / _NAME)
        found = _read(root)
        tail = _tail(root, found.id)
        if tail is not None or stamp == _stamp(root / _NAME):
            return found._replace(tail=tail or NO_TAIL)


def _read(root: Path) -> Manifest:
    try:
        whole = (root / _NAME).read_bytes()
    except FileNotFoundError:
        return EMPTY
    written: dict[str, Any] = msgspec.json.decode(whole)
    if (written.get("format"), written.get("columns")) != (_FORMAT, VERSION):
        return EMPTY
    sources = {
        path: Source(Stamp(size, modified), frozenset(Partition(*each) for each in days))
        for path, size, modified, days in written["sources"]
    }
    summaries = written.get("summaries", "")
    return Manifest(sources, _parts(written["parts"]), written["watermark_us"], summaries, _id(whole))


def write(root: Path, manifest: Manifest) -> None:
    """Puts a manifest and its tail in the place of the last ones; readers see those or these."""
    whole = msgspec.json.encode(
        {
            "format": _FORMAT,
            "columns": VERSION,
            "watermark_us": manifest.watermark_us,
            "summaries": manifest.summaries,
            "sources": [
                [path, *each.stamp, sorted(each.partitions)] for path, each in sorted(manifest.sources.items())
            ],
            "parts": _listed(manifest),
        }
    )
    its = _id(whole)
    write_tail(root, its, manifest.tail)
    _put(root / _NAME, whole)
    for path in root.glob("tail-*.json"):
        if path.name != _tail_name(its):
            path.unlink(missing_ok=True)


def write_tail(root: Path, manifest_id: str, tail: Tail) -> None:
    """Puts a tail in the place of the last one of the same manifest."""
    written = {
        "format": _TAIL_FORMAT,
        "columns": VERSION,
        "watermark_us": tail.watermark_us,
        "sources": sorted(tail.sources),
        "parts": _listed(tail),
    }
    _put(root / _tail_name(manifest_id), msgspec.json.encode(written))


def _tail(root: Path, manifest_id: str) -> Tail | None:
    """The tail of a manifest; None if there is no file of it, as the manifest was replaced or is an older version's."""
    try:
        written: dict[str, Any] = msgspec.json.decode((root / _tail_name(manifest_id)).read_bytes())
    except FileNotFoundError:
        return None
    if (written.get("format"), written.get("columns")) != (_TAIL_FORMAT, VERSION):
        return NO_TAIL
    return Tail(frozenset(written["sources"]), _parts(written["parts"]), written["watermark_us"])


def _listed(of: Manifest | Tail) -> list[list[object]]:
    return [[kind, *partition, *part] for (kind, partition), part in sorted(of.parts.items())]


def _parts(listed: list[Any]) -> dict[tuple[str, Partition], Part]:
    return {(kind, Partition(tenant, day)): Part(name, rows) for kind, tenant, day, name, rows in listed}


def _tail_name(manifest_id: str) -> str:
    return f"tail-{manifest_id}.json"


def _id(whole: bytes) -> str:
    return hashlib.sha256(whole).hexdigest()[:_ID_DIGITS]


def _stamp(path: Path) -> tuple[int, int]:
    with contextlib.suppress(FileNotFoundError):
        stat = path.stat()
        return stat.st_mtime_ns, stat.st_ino
    return _NONE


def _put(path: Path, whole: bytes) -> None:
    aside = path.with_name(f".{path.name}")
    with aside.open("wb") as file:
        file.write(whole)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
