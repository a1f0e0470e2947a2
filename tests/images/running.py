"""Processes from the file systems of built images, as a cluster runs them: uid 10001, nothing to write but /tmp."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

USER: Final = 10001

# A file system of its own to see: the image's, for reading only, with an empty /tmp. `exec` all along, so that the
# process that is started is the image's own and signals reach it.
_ENTER: Final = """
mount --bind "$0" "$0"
mount --rbind /dev "$0/dev"
mount --rbind /proc "$0/proc"
mount -o remount,bind,ro "$0"
mount -t tmpfs -o mode=1777 tmpfs "$0/tmp"
exec chroot --userspec=10001:10001 --groups= "$0" "$@"
"""


class Root(NamedTuple):
    """An image's file system where it is mounted, and what the image says of its processes."""

    folder: Path
    entrypoint: Sequence[str]
    environment: Mapping[str, str]
    user: str

    def command(self, *arguments: str, program: Sequence[str] = ()) -> list[str]:
        """What runs a program of the image, its own one unless another is named."""
        inside = [*(program or self.entrypoint), *arguments]
        return ["unshare", "--mount", "sh", "-ec", _ENTER, str(self.folder), *inside]

    def start(self, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
        """The image's process, which runs until it is ended."""
        return subprocess.Popen(
            self.command(*arguments),
            env={**self.environment, **settings},
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, program: Sequence[str] = (), **settings: str) -> "subprocess.CompletedProcess[str]":
        """The result of a process of the image, once it has ended."""
        return subprocess.run(
            self.command(*arguments, program=program),
            env={**self.environment, **settings},
            text=True,
            capture_output=True,
            check=False,
            timeout=120,
        )

    def python(self, code: str) -> "subprocess.CompletedProcess[str]":
        """The result of Python code run by the image's interpreter."""
        return self.run("-c", code, program=["python"])


@contextlib.contextmanager
def mounted(image: str) -> Iterator[Root]:
    """The file system of an image of buildah's."""
    container = _said("buildah", "from", "--pull-never", image)
    try:
        config = json.loads(_said("buildah", "inspect", container))["OCIv1"]["config"]
        environment = dict(item.split("=", 1) for item in config["Env"])
        yield Root(Path(_said("buildah", "mount", container)), config["Entrypoint"], environment, config["User"])
    finally:
        _said("buildah", "rm", container)


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
