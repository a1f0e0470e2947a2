"""A folder with models: one folder per version, and the stages beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.scoring.adapters.stages_file import StagesFile

DESCRIPTION: Final = "model.json"
"""Written last: a folder that has it is complete."""


class ModelFolder:
    """See `services.scoring.adapters.model_directory.Place`."""

    look_seconds: Final = 1.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self.stages = StagesFile(path)

    def __str__(self) -> str:
        return str(self._path)

    def is_folder(self, path: Path) -> bool:
        """See `Place`."""
        return self._path.resolve() == path.resolve()

    def names(self) -> set[str]:
        """See `Place`."""
        return {file.parent.name for file in self._path.glob(f"*/{DESCRIPTION}")}

    def folder(self, version: str) -> Path | None:
        """See `Place`."""
        found = self._path / version
        return found if found.is_dir() else None

    def write(self, version: str, files: Mapping[str, bytes]) -> None:
        """See `Place`."""
        folder = self._path / version
        folder.mkdir(parents=True, exist_ok=True)
        for name in sorted(files, key=lambda name: name == DESCRIPTION):
            (folder / name).write_bytes(files[name])
