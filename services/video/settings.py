"""Settings of the video service."""

import dataclasses

import topology
from mesh.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the video service."""

    listen: str = setting("JOURNEYMESH_VIDEO_LISTEN", topology.address("video"), "Where the video service listens.")
    lifetime_seconds: int = setting(
        "JOURNEYMESH_VIDEO_LIFETIME_SECONDS",
        90 * 86_400,
        "How long a viewer or a video is kept after the last event.",
        minimum=3_600,
    )
