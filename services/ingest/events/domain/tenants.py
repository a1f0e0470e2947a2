"""What was set for tenants that concerns their events. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class TenantSettings(NamedTuple):
    """What was set for a tenant, beside what holds for the mesh."""

    retention_days: int = 0
    """For how many days the archive keeps what it sent; 0: as long as the mesh's."""
    masked_kinds: frozenset[str] = frozenset()
    """Kinds that are masked, too."""
    masked_names: frozenset[str] = frozenset()
    """Names of members whose values are masked, too."""


Settings = Mapping[str, TenantSettings]
"""By tenant; those for which nothing was set are missing."""

NONE: Final[Settings] = {}
"""Nothing was set for anybody."""
