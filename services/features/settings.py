"""Settings of the features service."""

from dataclasses import dataclass

import topology
from mesh.settings import setting


@dataclass(frozen=True)
class Settings:
    """Where the service listens, and how long it keeps state."""

    listen: str = setting(
        "JOURNEYMESH_FEATURES_LISTEN", topology.address("features"), "Where the features service listens."
    )
    state_days: int = setting(
        "JOURNEYMESH_FEATURES_STATE_DAYS",
        400,
        "Days after the last event for which a user's features, profile and last events are kept.",
        minimum=28,
    )
    numbers: str = setting(
        "JOURNEYMESH_FEATURES_NUMBERS",
        "",
        "Properties of events that are numbers a model may take, with commas between them; at most 32.",
    )
    words: str = setting(
        "JOURNEYMESH_FEATURES_WORDS",
        "",
        "Properties of events that are words a model may take, with commas between them; at most 32.",
    )
