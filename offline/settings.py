"""Settings of training and evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesh.settings import setting

_REPOSITORY: Final = Path(__file__).parent.parent


@dataclass(frozen=True)
class Settings:
    """What is read and where models go."""

    data: str = setting(
        "JOURNEYMESH_DATA", str(_REPOSITORY.parent / "shared" / "data"), "Directory of the data sets, one folder each."
    )
    models_directory: str = setting(
        "JOURNEYMESH_MODELS",
        str(_REPOSITORY / "models" / "exit-risk"),
        "Directory of the exit-risk models and their `live` pointer.",
    )
