"""Settings of the analytics service."""

import datetime as dt
import re
import zoneinfo
from dataclasses import dataclass
from typing import Final

import topology
from mesh import webhook
from mesh.rpc.tls import Files
from mesh.settings import SettingError, secret, setting
from services.analytics.domain.retraining import LABEL

_SCHEDULER: Final = re.compile(r"tls://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_PORTS: Final = range(1, 1 << 16)


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
        "Folder of the copies by tenant, day and user, and of what jobs write while they work, which one process "
        "writes. It can be made again at any time.",
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
    ingest_target: str = setting(
        "JOURNEYMESH_INGEST_TARGET",
        topology.address("ingest"),
        "Where ingest is, which jobs send segment changes to.",
    )
    intervention_target: str = setting(
        "JOURNEYMESH_INTERVENTION_TARGET",
        topology.address("intervention"),
        "Where the intervention service is, which counts what language models cost.",
    )
    scoring_target: str = setting(
        "JOURNEYMESH_SCORING_TARGET",
        topology.address("scoring"),
        "Where the scoring service is, which knows when models changed.",
    )
    experiments_target: str = setting(
        "JOURNEYMESH_EXPERIMENTS_TARGET",
        topology.address("experiments"),
        "Where the experiments service is, which knows when experiments changed.",
    )
    gauges_seconds: float = setting(
        "JOURNEYMESH_ANALYTICS_GAUGES_SECONDS",
        3600.0,
        "How often drift, calibration and missing events are asked about, to be reported as metrics.",
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
    job_memory_mib: int = setting(
        "JOURNEYMESH_JOB_MEMORY_MIB",
        384,
        "How much memory a job may take, in MiB; one that needs more fails and says so.",
        minimum=256,
        maximum=65_536,
    )
    jobs_cluster: str = setting(
        "JOURNEYMESH_JOBS_CLUSTER",
        "",
        "The scheduler of a Dask cluster whose workers read the archive for jobs of customers: `tls://host:8786` "
        "(docs/customers.md). Empty: the job reads it by itself.",
    )
    jobs_cluster_ca_file: str = setting(
        "JOURNEYMESH_JOBS_CLUSTER_CA_FILE", "", "With a cluster: the authority whose certificates are believed, as PEM."
    )
    jobs_cluster_cert_file: str = setting(
        "JOURNEYMESH_JOBS_CLUSTER_CERT_FILE", "", "With a cluster: the certificate that is shown to it, as PEM."
    )
    jobs_cluster_key_file: str = setting(
        "JOURNEYMESH_JOBS_CLUSTER_KEY_FILE", "", "With a cluster: the key of that certificate, as PEM."
    )
    training_memory_mib: int = setting(
        "JOURNEYMESH_TRAINING_MEMORY_MIB",
        1024,
        "How much memory a job that trains a model may take, in MiB; one that needs more fails and says so.",
        minimum=512,
        maximum=65_536,
    )
    training_start: str = setting(
        "JOURNEYMESH_TRAINING_START",
        "no",
        "What starts a job `model_training` by itself, beyond the threshold of its alert: `drift`, `calibration`, "
        "`both` or `no`.",
        choices=("no", "drift", "calibration", "both"),
    )
    training_interval_days: float = setting(
        "JOURNEYMESH_TRAINING_INTERVAL_DAYS",
        30.0,
        "How many days lie between two such starts at least.",
        minimum=1,
        maximum=365,
    )
    training_label: str = setting(
        "JOURNEYMESH_TRAINING_LABEL",
        LABEL,
        "What a job `model_training` trains a model to foretell if it does not say so itself (docs/training.md).",
    )
    training_promote: str = setting(
        "JOURNEYMESH_TRAINING_PROMOTE",
        "no",
        "Whether it goes live if it is shown to be no worse than the live one: `yes`, or `no`, and it is a candidate.",
        choices=("no", "yes"),
    )
    insights_period_seconds: float = setting(
        "JOURNEYMESH_INSIGHTS_PERIOD_SECONDS",
        60.0,
        "How often the complete hours of key figures are judged again.",
        minimum=1,
        maximum=3600,
    )
    insights_time_zone: str = setting(
        "JOURNEYMESH_INSIGHTS_TIME_ZONE",
        "UTC",
        "IANA name of the zone by which the hours of a week are compared when key figures are watched.",
    )
    insights_webhook_url: str = setting(
        "JOURNEYMESH_INSIGHTS_WEBHOOK_URL",
        "",
        "Where incidents that open and close are posted; all tenants are watched then. Empty: nowhere.",
    )
    insights_digest_time: str = setting(
        "JOURNEYMESH_INSIGHTS_DIGEST_TIME",
        "",
        "With a webhook: from which time of day on, such as `08:00`, the incidents of the day before are posted in one "
        "message; both in `JOURNEYMESH_INSIGHTS_TIME_ZONE`. Empty: they are not.",
    )
    webhook_secret_file: str = setting(
        "JOURNEYMESH_WEBHOOK_SECRET_FILE", "", "With a webhook: file that holds the secret posts are signed with."
    )

    def __post_init__(self) -> None:
        """Raises `SettingError` where a zone or time is none, or the webhook or the cluster cannot be used."""
        if self.jobs_cluster and not (_is_scheduler(self.jobs_cluster) and all(self.jobs_cluster_files)):
            message = (
                "JOURNEYMESH_JOBS_CLUSTER must be like `tls://host:8786`, and needs JOURNEYMESH_JOBS_CLUSTER_CA_FILE, "
                "JOURNEYMESH_JOBS_CLUSTER_CERT_FILE and JOURNEYMESH_JOBS_CLUSTER_KEY_FILE: a scheduler runs what it is "
                "sent."
            )
            raise SettingError(message)
        if self.insights_webhook_url:
            webhook.require_usable({"JOURNEYMESH_INSIGHTS_WEBHOOK_URL": self.insights_webhook_url}, self.webhook_secret)
        try:
            zoneinfo.ZoneInfo(self.insights_time_zone)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            message = "JOURNEYMESH_INSIGHTS_TIME_ZONE must be an IANA name such as `Europe/Berlin`."
            raise SettingError(message) from None

        if self.insights_digest_time and not self.insights_webhook_url:
            raise SettingError("JOURNEYMESH_INSIGHTS_DIGEST_TIME needs JOURNEYMESH_INSIGHTS_WEBHOOK_URL.")
        self.digest_at  # noqa: B018 - refuses what is none

    @property
    def jobs_cluster_files(self) -> Files:
        """What is shown to the cluster, and whom of it is believed."""
        return Files(self.jobs_cluster_cert_file, self.jobs_cluster_key_file, self.jobs_cluster_ca_file)

    @property
    def digest_at(self) -> dt.time | None:
        """The time of day of the digest; None: there is none.

        Raises:
            SettingError: it is no time.
        """
        if not self.insights_digest_time:
            return None
        try:
            return dt.datetime.strptime(self.insights_digest_time, "%H:%M").time()  # noqa: DTZ007 - of any day
        except ValueError:
            message = "JOURNEYMESH_INSIGHTS_DIGEST_TIME must be a time of day such as `08:00`."
            raise SettingError(message) from None

    @property
    def webhook_secret(self) -> bytes:
        """The secret as it stands in its file; empty where no file is named."""
        return (secret(self.webhook_secret_file) or "").encode()


def _is_scheduler(address: str) -> bool:
    found = _SCHEDULER.fullmatch(address)
    return found is not None and int(found[2]) in _PORTS
