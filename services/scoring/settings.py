"""Settings of the scoring service."""

from dataclasses import dataclass

import topology
from mesh.settings import setting


@dataclass(frozen=True)
class Settings:
    """Where the service listens, where its models are, and how long it keeps state."""

    listen: str = setting(
        "JOURNEYMESH_SCORING_LISTEN", topology.address("scoring"), "Where the scoring service listens."
    )
    models_directory: str = setting(
        "JOURNEYMESH_MODELS",
        "models/exit-risk",
        "Registry of the exit-risk models: a folder, or `s3://bucket/prefix` (docs/models.md).",
    )
    state_days: int = setting(
        "JOURNEYMESH_SCORING_STATE_DAYS",
        90,
        "Days after the last event for which a user's signals and risk history are kept.",
        minimum=1,
    )
