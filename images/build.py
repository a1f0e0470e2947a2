"""Builds the images: `make images`. Needs Python, and docker, podman or buildah, whichever is there and works."""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from images import base, sizes
from images.contents import IMAGES

_TOOLS: Final = ("docker", "podman", "buildah")
_PYTHON_IMAGE: Final = "python:3.11-slim-bookworm"
_PIP: Final = {"PIP_INDEX_URL": "index-url", "PIP_CERT": "cert"}


class Bases(NamedTuple):
    """What images stand on, and what they are built in."""

    python: str
    builder: str


def main() -> int:
    """Builds what the arguments name, and prints how large it became; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m images.build", description="Builds the images.")
    parser.add_argument("--only", choices=IMAGES, metavar="SERVICE", help="one of them (default: all)")
    parser.add_argument(
        "--base",
        default=_PYTHON_IMAGE,
        metavar="IMAGE",
        help="one with Python 3.11 or newer; `debootstrap`: made here, of Debian's packages (default: %(default)s)",
    )
    arguments = parser.parse_args()
    tool = working_tool()
    names = {service: name(service) for service in ([arguments.only] if arguments.only else IMAGES)}
    bases = _bases(tool, arguments.base)
    for service, tagged in names.items():
        print(f"== {tagged}", flush=True)
        build(tool, service, tagged, bases)
    if tool != "docker":  # whose images are measured by the registry they are pushed to
        print(sizes.table(tool, names))
    return 0


def working_tool() -> str:
    """The first that works here; ends the process where none does."""
    for tool in _TOOLS:
        try:
            works = not subprocess.run([tool, "info"], capture_output=True, check=False).returncode
        except FileNotFoundError:
            continue
        if works:
            return tool
    sys.exit("journeymesh: images need docker, podman or buildah, and none of them works here.")


def name(service: str) -> str:
    """What the image of a service is called in this version."""
    return f"journeymesh/{service}:{_version()}"


def build(tool: str, service: str, tagged: str, bases: Bases, *options: str) -> None:
    """Builds one image; the same inputs give the same layers.

    Raises:
        CalledProcessError: it cannot be built; the tool has printed why.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "0")  # not the commit's: layers that hold the same stay the same
    told = {
        "PYTHON_IMAGE": bases.python,
        "BUILDER_IMAGE": bases.builder,
        "SERVICE": service,
        "TITLE": IMAGES[service].title,
        "VERSION": _version(),
        "REVISION": _revision(),
    }
    if tool == "docker":
        told["SOURCE_DATE_EPOCH"] = epoch
    else:
        options = ("--layers", "--timestamp", epoch, *options)
    if tool == "buildah" and os.geteuid() == 0:
        options = ("--isolation", "chroot", *options)  # root within a container may do no more
    with tempfile.TemporaryDirectory() as folder:
        secrets = _secrets(Path(folder), os.environ)
        values = (part for item in told.items() for part in ("--build-arg", "=".join(item)))
        subprocess.run([tool, "build", *options, *secrets, *values, "--tag", tagged, "."], check=True)


def _bases(tool: str, wanted: str) -> Bases:
    if wanted != "debootstrap":
        return Bases(wanted, wanted)
    if tool != "buildah":
        sys.exit(f"journeymesh: debootstrap's base is made with buildah; {tool} takes one from a registry.")
    base.bootstrap()
    return Bases(base.BASE, base.BUILDER)


def _secrets(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """What pip must know of this machine, for the time of the build; it stands in no layer."""
    known = {option: environment[variable] for variable, option in _PIP.items() if environment.get(variable)}
    if "cert" in known:
        yield f"--secret=id=ca,src={known['cert']}"
        known["cert"] = "/run/secrets/ca"
    if known:
        configuration = folder / "pip.conf"
        lines = ["[global]", *(f"{option} = {value}" for option, value in known.items()), ""]
        configuration.write_text("\n".join(lines), encoding="utf-8")
        yield f"--secret=id=pip,src={configuration}"


def _version() -> str:
    return str(tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def _revision() -> str:
    """The commit, with a mark where files differ from it; empty where this is no checkout."""
    try:
        command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        return subprocess.run(command, check=True, text=True, capture_output=True).stdout.strip()
    except (subprocess.CalledProcessError, FileNotFoundError):
        return ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"journeymesh: `{' '.join(error.cmd[:2])}` ended with {error.returncode}; it says why above.")
