"""Settings of ingest."""

import dataclasses

import topology
from mesh.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where ingest listens, what it reads and writes, and whom it calls."""

    listen: str = setting("JOURNEYMESH_INGEST_LISTEN", topology.address("ingest"), "Where ingest's api listens.")
    dispatcher_listen: str = setting(
        "JOURNEYMESH_DISPATCHER_LISTEN", topology.address("dispatcher"), "Where the dispatcher answers health checks."
    )
    archiver_listen: str = setting(
        "JOURNEYMESH_ARCHIVER_LISTEN", topology.address("archiver"), "Where the archiver answers health checks."
    )
    stream: str = setting(
        "JOURNEYMESH_STREAM",
        "redis",
        "What the stream is kept on. Kinesis is reached as the AWS environment says.",
        choices=("redis", "kinesis"),
    )
    stream_name: str = setting("JOURNEYMESH_STREAM_NAME", "events", "The stream's name; with Kinesis it must exist.")
    shard_count: int = setting(
        "JOURNEYMESH_SHARD_COUNT",
        2,
        "Shards of a stream on Redis; fixed once events are on it.",
        minimum=1,
        maximum=64,
    )
    lane_count: int = setting(
        "JOURNEYMESH_LANE_COUNT",
        32,
        "With Kinesis: groups of users that a split keeps together, and the most shards that are of use; fixed.",
        minimum=1,
        maximum=1024,
    )
    max_waiting_bytes: int = setting(
        "JOURNEYMESH_MAX_WAITING_BYTES",
        67_108_864,
        "Bytes that may wait in one shard of a stream on Redis before ingest refuses events.",
        minimum=1_048_576,
    )
    max_lag_seconds: float = setting(
        "JOURNEYMESH_MAX_LAG_SECONDS",
        5.0,
        "How late decisions may be before ingest refuses events, as long as a dispatcher is alive and not catching up. "
        "What was accepted until then may take three times as long.",
        minimum=0.1,
    )
    reader_name: str = setting(
        "JOURNEYMESH_READER_NAME",
        "",
        "Name under which a dispatcher or archiver holds shards: its own, and the same after a restart. Empty: host "
        "and address.",
    )
    lease_seconds: float = setting(
        "JOURNEYMESH_LEASE_SECONDS",
        5.0,
        "How long a dispatcher or archiver that was cut off keeps its shards from the others.",
        minimum=0.1,
        maximum=300,
    )
    tolerated_failure_share: float = setting(
        "JOURNEYMESH_TOLERATED_FAILURE_SHARE",
        0.5,
        "Share of a shard's last 100 records that may be set aside; beyond it the shard pauses.",
        minimum=0,
        maximum=1,
    )
    user_events_per_second: float = setting(
        "JOURNEYMESH_USER_EVENTS_PER_SECOND",
        100.0,
        "Events a second and process that one user may send for long; more are refused.",
        minimum=1,
    )
    user_burst_events: int = setting(
        "JOURNEYMESH_USER_BURST_EVENTS", 1_000, "Events that one user may send at once.", minimum=1
    )
    placeholder_ids: str = setting(
        "JOURNEYMESH_PLACEHOLDER_IDS",
        "",
        "More ids that stand for nobody, beside those of docs/text.md: separated by commas, in any case.",
    )
    page_hash_routes: bool = setting(
        "JOURNEYMESH_PAGE_HASH_ROUTES",
        True,
        "Whether what stands behind `#/` or `#!/` in an address tells pages apart.",
    )
    page_query: bool = setting(
        "JOURNEYMESH_PAGE_QUERY",
        True,
        "Whether the query of an address tells pages apart, without tracking parameters.",
    )
    masking: str = setting(
        "JOURNEYMESH_MASKING",
        "all",
        "Which personal data and secrets are masked in events (docs/privacy.md): `all`, `none`, or some of `email`, "
        "`phone`, `card`, `iban`, `ssn`, `token`, `secret`, separated by commas.",
    )
    masked_keys: str = setting(
        "JOURNEYMESH_MASKED_KEYS",
        "",
        "More names of properties and parameters whose values are masked, separated by commas; case, `_` and `-` do "
        "not matter.",
    )
    archive_url: str = setting(
        "JOURNEYMESH_ARCHIVE_URL",
        "",
        "Where events and decisions are kept for good: `file:///folder` or `s3://bucket/prefix`; empty keeps none. The "
        "same for all roles: where it is set, the stream keeps records until the archiver has them.",
    )
    archive_period_seconds: float = setting(
        "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS",
        60.0,
        "How long events are gathered for one file.",
        minimum=0.1,
        maximum=3600,
    )
    archive_tail_seconds: float = setting(
        "JOURNEYMESH_ARCHIVE_TAIL_SECONDS",
        1.0,
        "How often events that are gathered and in no file yet are shown to analytics, beside the archive; 0: never.",
        minimum=0,
        maximum=60,
    )
    retention_days: int = setting(
        "JOURNEYMESH_RETENTION_DAYS",
        0,
        "For how many days after they were received the archive keeps events and decisions; 0: until you delete them. "
        "`journeymesh tenants retention` sets it for one tenant.",
        minimum=0,
        maximum=36_500,
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
    features_target: str = setting(
        "JOURNEYMESH_FEATURES_TARGET", topology.address("features"), "Where features is reached."
    )
    scoring_target: str = setting(
        "JOURNEYMESH_SCORING_TARGET", topology.address("scoring"), "Where scoring is reached."
    )
    video_target: str = setting("JOURNEYMESH_VIDEO_TARGET", topology.address("video"), "Where video is reached.")
    experiments_target: str = setting(
        "JOURNEYMESH_EXPERIMENTS_TARGET", topology.address("experiments"), "Where the experiments service is."
    )
    intervention_target: str = setting(
        "JOURNEYMESH_INTERVENTION_TARGET", topology.address("intervention"), "Where intervention is reached."
    )
    customers_target: str = setting(
        "JOURNEYMESH_CUSTOMERS_TARGET", topology.address("customers"), "Where the customers service is."
    )
    access_target: str = setting("JOURNEYMESH_ACCESS_TARGET", topology.address("access"), "Where access is reached.")
