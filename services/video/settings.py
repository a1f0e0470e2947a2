"""Settings of the video service."""

import dataclasses

from mesh.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the video service."""

    listen: str = setting("JOURNEYMESH_VIDEO_LISTEN", "127.0.0.1:7104", "Where the video service listens.")
    lifetime_seconds: int = setting(
        "JOURNEYMESH_VIDEO_LIFETIME_SECONDS",
        90 * 86_400,
        "How long a viewer or a video is kept after the last event.",
        minimum=3_600,
    )
