"""Settings of the features service."""

from dataclasses import dataclass

from mesh.settings import setting


@dataclass(frozen=True)
class Settings:
    """Where it listens, where its state stands and how long it is kept."""

    listen: str = setting("JOURNEYMESH_FEATURES_LISTEN", "127.0.0.1:7102", "Where the features service listens.")
    redis_url: str = setting("JOURNEYMESH_REDIS_URL", "redis://127.0.0.1:7100/0", "The Redis that keeps state.")
    redis_password_file: str = setting(
        "JOURNEYMESH_REDIS_PASSWORD_FILE", "", "File that holds the Redis password; empty: none is needed."
    )
    state_days: int = setting(
        "JOURNEYMESH_FEATURES_STATE_DAYS",
        400,
        "Days after the last event for which a user's features, profile and last events are kept.",
        minimum=28,
    )
