"""Image sizes, from their layers as a registry would store them."""

import gzip
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

_OWN_LAYERS: Final = 2
"""The Dockerfile adds two layers to its base: the libraries and our modules."""


class Layer(NamedTuple):
    """One layer: its digest, and its size compressed and unpacked."""

    digest: str
    compressed_bytes: int
    unpacked_bytes: int


def layers(tool: str, images: Mapping[str, str]) -> dict[str, Sequence[Layer]]:
    """The layers of images, lowest first, as pushed by `buildah` or `podman`."""
    with tempfile.TemporaryDirectory() as folder:
        for key, name in images.items():
            subprocess.run([tool, "push", "--quiet", name, f"oci:{folder}:{key}"], check=True)
        index = json.loads((Path(folder) / "index.json").read_text(encoding="utf-8"))
        return {
            entry["annotations"]["org.opencontainers.image.ref.name"]: list(_layers(Path(folder), entry["digest"]))
            for entry in index["manifests"]
        }


def _layers(folder: Path, digest: str) -> Iterator[Layer]:
    manifest: Any = json.loads(_blob(folder, digest).read_text(encoding="utf-8"))
    diffs = json.loads(_blob(folder, manifest["config"]["digest"]).read_text(encoding="utf-8"))["rootfs"]["diff_ids"]
    for diff, one in zip(diffs, manifest["layers"], strict=True):
        with gzip.open(_blob(folder, one["digest"])) as unpacked:
            yield Layer(diff, one["size"], unpacked.seek(0, 2))


def _blob(folder: Path, digest: str) -> Path:
    return folder / "blobs" / digest.replace(":", "/")


def table(tool: str, images: Mapping[str, str]) -> str:
    """The sizes as Markdown, in megabytes; the shared base has its own row."""
    found = layers(tool, images)
    lines = ["| image | compressed, MB | unpacked, MB | libraries | our modules |", "|---|---|---|---|---|"]
    base = next(iter(found.values()))[:-_OWN_LAYERS]
    for name, own in {"base": base, **{name: of[-_OWN_LAYERS:] for name, of in found.items()}}.items():
        compressed, unpacked = sum(one.compressed_bytes for one in own), sum(one.unpacked_bytes for one in own)
        digests = " | ".join(one.digest[7:19] for one in own) if name != "base" else " | "
        lines.append(f"| {name} | {compressed / 1e6:.1f} | {unpacked / 1e6:.1f} | {digests} |")
    return "\n".join(lines)
