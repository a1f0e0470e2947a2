"""The mesh as a folder of code and an interpreter: this one, and those that were released."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
_CACHE: Final = ROOT / ".cache" / "upgrade"
_LOCK: Final = Path("requirements") / "run.lock"
_MADE: Final = ".made"


class Build(NamedTuple):
    """A version of the mesh that can be run."""

    name: str
    root: Path
    python: str

    def has(self, module: str) -> bool:
        """Whether it has this package."""
        return self.root.joinpath(*module.split(".")).is_dir()

    def environment(self) -> dict[str, str]:
        """What its processes are told beside their settings."""
        return {"PYTHONPATH": os.pathsep.join((str(self.root), str(self.root / "gen")))}


HERE: Final = Build("this version", ROOT, sys.executable)


def newest_release() -> str:
    """The newest version's tag; empty where there is none, as in a clone without tags or history."""
    try:
        tags = _git("tag", "--list", "v[0-9]*", "--sort=-v:refname", "--merged", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return (tags.splitlines() or [""])[0]


def built(ref: str) -> Build:
    """The version that a ref names, in a folder of its own with an environment made from its own lock file.

    Both are made once. An environment from the same lock file as this version's is this version's.
    """
    commit = _git("rev-parse", "--verify", f"{ref}^{{commit}}")
    root = _CACHE / commit
    if not (root / _MADE).exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        tree = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout  # noqa: S607
        subprocess.run(["tar", "-x", "-C", root], input=tree, check=True)  # noqa: S607
        python = _environment(root)
        (root / "gen").mkdir()
        protos = sorted(str(path.relative_to(root / "protos")) for path in (root / "protos").rglob("*.proto"))
        generated = ["--proto_path=protos", "--python_out=gen", "--grpc_python_out=gen", *protos]
        subprocess.run([python, "-m", "grpc_tools.protoc", *generated], cwd=root, check=True)
        (root / _MADE).write_text(python)
    return Build(ref, root, (root / _MADE).read_text())


def _environment(root: Path) -> str:
    """The interpreter of an environment with what a version's lock file names."""
    lock = root / _LOCK
    if lock.read_bytes() == (ROOT / _LOCK).read_bytes():
        return sys.executable
    subprocess.run([sys.executable, "-m", "venv", root / ".venv"], check=True)
    python = str(root / ".venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    subprocess.run([*install, "--requirement", lock], check=True)
    return python


def _git(*arguments: str) -> str:
    told = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    return told.stdout.strip()
