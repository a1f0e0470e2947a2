"""Virtual environments of what the mesh is compared with, which share no package with its own."""

import subprocess
import sys
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
_CACHE: Final = _ROOT / ".cache" / "bench"
LOCKS: Final = _ROOT / "requirements" / "bench"


class NotInstalledError(Exception):
    """The environment is missing, and may not or cannot be created."""


def python(name: str, *, installs: bool) -> Path:
    """The interpreter of an environment pinned by `requirements/bench/<name>.lock`, created if missing.

    Raises:
        NotInstalledError: it is missing and `installs` is false, or its packages could not be installed.
    """
    lock, folder = LOCKS / f"{name}.lock", _CACHE / name
    mark, interpreter = folder / ".made", folder / "bin" / "python"
    if mark.exists() and mark.read_text(encoding="utf-8") == lock.read_text(encoding="utf-8"):
        return interpreter
    if not installs:
        message = f"{name} is not installed; `python -m bench --only` with the section's name installs it"
        raise NotInstalledError(message)
    install = f"-m pip install --quiet --disable-pip-version-check --require-hashes --requirement {lock}".split()
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True)  # noqa: S603 - of this module
        subprocess.run([str(interpreter), *install], check=True, capture_output=True)  # noqa: S603 - the same
    except (OSError, subprocess.CalledProcessError) as error:
        message = f"{name} could not be installed ({type(error).__name__})"
        raise NotInstalledError(message) from error
    mark.write_text(lock.read_text(encoding="utf-8"), encoding="utf-8")
    return interpreter
