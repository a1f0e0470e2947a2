"""Settings of the analytics service."""

from dataclasses import dataclass

import topology
from mesh.settings import setting


@dataclass(frozen=True)
class Settings:
    """Where the service listens, what it reads, and where its copies are."""

    listen: str = setting(
        "JOURNEYMESH_ANALYTICS_LISTEN", topology.address("analytics"), "Where the analytics service listens."
    )
    archive_url: str = setting(
        "JOURNEYMESH_ARCHIVE_URL",
        "",
        "The archive to answer from: `file:///folder` or `s3://bucket/prefix`. Empty: every question is refused.",
    )
    folder: str = setting(
        "JOURNEYMESH_ANALYTICS_FOLDER",
        "var/analytics",
        "Folder of the copies by tenant, day and user, which one process writes. They can be made again at any time.",
    )
    period_seconds: float = setting(
        "JOURNEYMESH_ANALYTICS_PERIOD_SECONDS",
        15.0,
        "How often the archive is looked at for new files.",
        minimum=0.1,
        maximum=3600,
    )
    prices_file: str = setting(
        "JOURNEYMESH_PRICES_FILE",
        "",
        "A JSON file of what the mesh's parts cost, for questions about costs; empty: only language models are told.",
    )
    intervention_target: str = setting(
        "JOURNEYMESH_INTERVENTION_TARGET",
        topology.address("intervention"),
        "Where the intervention service is, which counts what language models cost.",
    )
    watch_seconds: float = setting(
        "JOURNEYMESH_ANALYTICS_WATCH_SECONDS",
        3600.0,
        "How often drift, calibration and missing events are looked at, for the metrics of the same names.",
        minimum=1,
        maximum=86_400,
    )
    worker_count: int = setting(
        "JOURNEYMESH_ANALYTICS_WORKER_COUNT",
        1,
        "How many questions are answered at once, each in a process of about 512 MiB at most and two threads.",
        minimum=1,
        maximum=16,
    )
    most_rows: int = setting(
        "JOURNEYMESH_ANALYTICS_MOST_ROWS",
        30_000_000,
        "Rows that a question may read; one that would read more is refused, with what would fit.",
        minimum=1_000,
    )
