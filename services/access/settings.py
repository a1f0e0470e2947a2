"""Settings of the access service."""

import dataclasses

import topology
from mesh.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the access service."""

    listen: str = setting("JOURNEYMESH_ACCESS_LISTEN", topology.address("access"), "Where the access service listens.")
