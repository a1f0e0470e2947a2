"""Settings of training and evaluation."""

from dataclasses import dataclass

from mesh.settings import setting


@dataclass(frozen=True)
class Settings:
    """Where data is read from and models are written to."""

    data: str = setting("JOURNEYMESH_DATA", "../shared/data", "Directory of the data sets, one folder each.")
    models_directory: str = setting(
        "JOURNEYMESH_MODELS", "models/exit-risk", "Directory of the exit-risk models and their `live` pointer."
    )
