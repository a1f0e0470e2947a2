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
    lifetime_seconds: int = setting(
        "JOURNEYMESH_CUSTOMERS_LIFETIME_SECONDS",
        3 * 365 * 86_400,
        "How long a customer's purchases are kept after the last one.",
        minimum=3_600,
    )
