"""Saved segments: groups of users with a name. Times are Unix microseconds."""

import dataclasses

from services.analytics.domain.question import UserFilter


@dataclasses.dataclass(frozen=True)
class Draft:
    """What somebody says of a segment."""

    name: str
    description: str
    users: UserFilter


@dataclasses.dataclass(frozen=True)
class Segment:
    """A saved segment."""

    segment_id: str
    name: str
    description: str
    users: UserFilter
    revision: int
    created_us: int
    changed_us: int


Segments = tuple[Segment, ...]
"""Those of a tenant, in no order."""
