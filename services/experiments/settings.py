"""Settings of the experiments service."""

import dataclasses

import topology
from mesh.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the experiments service."""

    listen: str = setting(
        "JOURNEYMESH_EXPERIMENTS_LISTEN", topology.address("experiments"), "Where the experiments service listens."
    )
