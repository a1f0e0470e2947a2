"""Who may read the files of analytics: the owner, and the group where it may read their folder."""

from pathlib import Path
from typing import Final

_FOLDER: Final = 0o750
_FILE: Final = 0o640


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, where they are missing."""
    path.mkdir(parents=True, exist_ok=True, mode=_FOLDER)


def restrict(file: Path, folder: Path) -> None:
    """Gives a file that is in a folder, or will be, the rights of that folder, and no more than it may have."""
    file.chmod(_FILE & folder.stat().st_mode)
