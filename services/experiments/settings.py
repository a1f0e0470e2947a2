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
    most_units: int = setting(
        "JOURNEYMESH_EXPERIMENTS_MOST_UNITS",
        1_000_000,
        "How many units an experiment counts; further ones get their arms, and are left out. A unit takes about 200 "
        "bytes of the store until 30 days after the end.",
        minimum=1_000,
    )
