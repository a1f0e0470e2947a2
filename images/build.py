"""Builds the images: `make images`. Needs Python, and a working docker, podman or buildah."""

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
_NPM_REGISTRY: Final = "NPM_CONFIG_REGISTRY"
_PIP: Final = {"PIP_INDEX_URL": "index-url", "PIP_CERT": "cert"}


class Bases(NamedTuple):
    """The image that images are based on, and the one they are built in."""

    python: str
    builder: str


def main() -> int:
    """Builds the named images and prints their sizes; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m images.build", description="Builds the images.")
    parser.add_argument("--only", choices=IMAGES, metavar="SERVICE", help="a single image (default: all)")
    parser.add_argument(
        "--base",
        default=_PYTHON_IMAGE,
        metavar="IMAGE",
        help="base image with Python 3.11 or newer; `debootstrap` makes one of Debian (default: %(default)s)",
    )
    arguments = parser.parse_args()
    tool = working_tool()
    names = {service: name(service) for service in ([arguments.only] if arguments.only else IMAGES)}
    bases = _bases(tool, arguments.base)
    for service, tagged in names.items():
        print(f"== {tagged}", flush=True)
        build(tool, service, tagged, bases)
    if tool != "docker":  # whose image sizes only a registry can tell
        print(sizes.table(tool, names))
    return 0


def working_tool() -> str:
    """The first tool that works here; exits if none does."""
    for tool in _TOOLS:
        try:
            works = not subprocess.run([tool, "info"], capture_output=True, check=False).returncode
        except FileNotFoundError:
            continue
        if works:
            return tool
    sys.exit("journeymesh: building images needs docker, podman or buildah, and none of them works here.")


def name(service: str) -> str:
    """The tag of a service's image in this version."""
    return f"journeymesh/{service}:{_version()}"


def build(tool: str, service: str, tagged: str, bases: Bases, *options: str) -> None:
    """Builds one image; the same inputs give the same layers.

    Raises:
        CalledProcessError: the build failed; the tool has printed why.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "0")  # not the commit's time, so that unchanged layers stay identical
    arguments = {
        "PYTHON_IMAGE": bases.python,
        "BUILDER_IMAGE": bases.builder,
        "SERVICE": service,
        "TITLE": IMAGES[service].title,
        "VERSION": _version(),
        "REVISION": _revision(),
    }
    if tool == "docker":
        arguments["SOURCE_DATE_EPOCH"] = epoch
    else:
        options = ("--layers", "--timestamp", epoch, *options)
    if tool == "buildah" and os.geteuid() == 0:
        options = ("--isolation", "chroot", *options)  # all that root within a container may use
    with tempfile.TemporaryDirectory() as folder:
        secrets = _secrets(Path(folder), os.environ)
        values = (part for item in arguments.items() for part in ("--build-arg", "=".join(item)))
        subprocess.run([tool, "build", *options, *secrets, *values, "--tag", tagged, "."], check=True)


def _bases(tool: str, wanted: str) -> Bases:
    if wanted != "debootstrap":
        return Bases(wanted, wanted)
    if tool != "buildah":
        sys.exit(f"journeymesh: only buildah can make debootstrap's base; {tool} needs one from a registry.")
    base.bootstrap()
    return Bases(base.BASE, base.BUILDER)


def _secrets(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The machine's configuration of pip and npm as build secrets, which end up in no layer."""
    if registry := environment.get(_NPM_REGISTRY):
        (folder / "npmrc").write_text(f"registry={registry}\n", encoding="utf-8")
        yield f"--secret=id=npm,src={folder / 'npmrc'}"
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
    """The commit, marked if files differ from it; empty outside a checkout."""
    try:
        command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        return subprocess.run(command, check=True, text=True, capture_output=True).stdout.strip()
    except (subprocess.CalledProcessError, FileNotFoundError):
        return ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"journeymesh: `{' '.join(error.cmd[:2])}` failed with {error.returncode}; see above.")
