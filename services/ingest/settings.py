"""Settings of ingest."""

import dataclasses

from mesh.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where ingest listens, what it reads and writes, and whom it calls."""

    listen: str = setting("JOURNEYMESH_INGEST_LISTEN", "127.0.0.1:7101", "Where ingest's api listens.")
    dispatcher_listen: str = setting(
        "JOURNEYMESH_DISPATCHER_LISTEN", "127.0.0.1:7106", "Where the dispatcher answers health checks."
    )
    redis_url: str = setting("JOURNEYMESH_REDIS_URL", "redis://127.0.0.1:7100/0", "The Redis-compatible server.")
    redis_password_file: str = setting("JOURNEYMESH_REDIS_PASSWORD_FILE", "", "File with the server's password.")
    shard_count: int = setting(
        "JOURNEYMESH_SHARD_COUNT", 2, "Shards of the stream; fixed once events are on it.", minimum=1, maximum=64
    )
    max_waiting_records: int = setting(
        "JOURNEYMESH_MAX_WAITING_RECORDS",
        20_000,
        "Records that may wait in one shard before ingest refuses events.",
        minimum=1,
    )
    max_batch_events: int = setting(
        "JOURNEYMESH_MAX_BATCH_EVENTS", 2_000, "Events the dispatcher takes on at once.", minimum=1, maximum=10_000
    )
    dispatch_period_seconds: float = setting(
        "JOURNEYMESH_DISPATCH_PERIOD_SECONDS",
        0.02,
        "How long a shard rests between two batches, so that what comes meanwhile makes one; none while it is idle.",
        minimum=0,
        maximum=1,
    )
    features_target: str = setting("JOURNEYMESH_FEATURES_TARGET", "127.0.0.1:7102", "Where features is reached.")
    scoring_target: str = setting("JOURNEYMESH_SCORING_TARGET", "127.0.0.1:7103", "Where scoring is reached.")
    video_target: str = setting("JOURNEYMESH_VIDEO_TARGET", "127.0.0.1:7104", "Where video is reached.")
    intervention_target: str = setting(
        "JOURNEYMESH_INTERVENTION_TARGET", "127.0.0.1:7105", "Where intervention is reached."
    )
