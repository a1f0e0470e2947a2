"""A base image for when no registry can be reached: Debian's Python, installed by debootstrap."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

BASE: Final = "journeymesh/base"
BUILDER: Final = "journeymesh/base-builder"

_RELEASE: Final = "bookworm"
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_NEEDED: Final = (
    *("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale"),
    *("var/cache/apt", "var/lib/apt/lists", "var/log", "etc/resolv.conf", "etc/hostname"),
)


def bootstrap() -> None:
    """Makes the base image and the builder, which adds Debian's venv, with buildah as root, unless they exist."""
    if not _output("buildah", "images", "--quiet", "--filter", f"reference={BUILDER}"):
        container = _output("buildah", "from", "scratch")
        try:
            _fill(container, Path(_output("buildah", "mount", container)))
        finally:
            _run("buildah", "rm", container)


def _fill(container: str, root: Path) -> None:
    _run("debootstrap", "--variant=minbase", "--include=python3,ca-certificates", _RELEASE, str(root))
    for name in _NOT_NEEDED:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    (root / "var/log").mkdir()
    _run("buildah", "config", "--env", f"PATH={_PATH}", container)
    _run("buildah", "commit", "--quiet", container, BASE)
    apt = f"buildah run --isolation=chroot {container} -- env DEBIAN_FRONTEND=noninteractive apt-get -qq".split()
    _run(*apt, "update")
    _run(*apt, "install", "--yes", "--no-install-recommends", "python3-venv")
    _run("buildah", "commit", "--quiet", container, BUILDER)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
