"""Settings of the customers service."""

import dataclasses

import topology
from mesh.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the customers service."""

    listen: str = setting(
        "JOURNEYMESH_CUSTOMERS_LISTEN", topology.address("customers"), "Where the customers service listens."
    )
