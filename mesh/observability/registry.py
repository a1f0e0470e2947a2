"""Every metric a process of the mesh reports, declared once: its name, what it means, its labels, and who reports it.

Names are as Prometheus shows them; a counter's gets `_total` there, a histogram's `_bucket`, `_sum` and `_count`. The
dashboards, the alert rules and the table of docs/metrics.md are generated from these, so that none can name another.
A label has few values, all known beforehand or set by the operator: never a user's id, never a client's words.
What is counted per batch is counted again when a batch is repeated, as after a crash.
"""

from enum import Enum
from typing import Final, NamedTuple

# From a millisecond to longer than anybody waits.
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LONG_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_JOB_SECONDS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 10_800.0)
_SCORES: Final = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 75.0, 80.0, 90.0, 100.0)


class Kind(Enum):
    """How values are combined."""

    COUNTER = "counter"
    """Only grows, from 0 at the start of the process."""
    GAUGE = "gauge"
    """The last value set."""
    HISTOGRAM = "histogram"
    """Counts values per bucket."""


class Metric(NamedTuple):
    """A metric.

    `reported_by` are the processes that report it; none means every process. The three roles of ingest are `ingest`
    (the api), `dispatcher` and `archiver`.
    """

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    reported_by: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


def _counter(name: str, meaning: str, *reported_by: str, labels: tuple[str, ...] = ()) -> Metric:
    return Metric(f"journeymesh_{name}", Kind.COUNTER, meaning, labels, reported_by)


def _gauge(name: str, meaning: str, *reported_by: str, labels: tuple[str, ...] = ()) -> Metric:
    return Metric(f"journeymesh_{name}", Kind.GAUGE, meaning, labels, reported_by)


def _histogram(
    name: str, meaning: str, *reported_by: str, labels: tuple[str, ...] = (), bounds: tuple[float, ...] = _SECONDS
) -> Metric:
    return Metric(f"journeymesh_{name}", Kind.HISTOGRAM, meaning, labels, reported_by, bounds)


# Every process.
DEPENDENCY_UP: Final = _gauge(
    "dependency_up", "1 if a dependency of the process answers, 0 if not.", labels=("dependency",)
)
CERTIFICATE_EXPIRY: Final = _gauge(
    "certificate_expiry_timestamp_seconds",
    "When the process's own certificate expires, in Unix seconds; only with TLS.",
)
HTTP_CERTIFICATE_EXPIRY: Final = _gauge(
    "http_certificate_expiry_timestamp_seconds",
    "When the certificate that clients of the gateway see expires, in Unix seconds; only with TLS.",
    "gateway",
)

# Every service.
RPC_SECONDS: Final = _histogram(
    "rpc_duration_seconds",
    "How long RPCs took in the process that answered them; streams excluded.",
    "ingest",
    "archiver",
    "features",
    "scoring",
    "video",
    "intervention",
    "access",
    "analytics",
    "experiments",
    "customers",
    labels=("method", "status"),
)

# Requests and events.
REQUESTS: Final = _counter(
    "http_requests",
    "Requests answered.",
    "gateway",
    labels=("http_request_method", "http_route", "http_response_status_code"),
)
REQUEST_SECONDS: Final = _histogram(
    "http_request_duration_seconds",
    "From a request's head to the end of its answer; without streams, sockets, and refusals by the head alone.",
    "gateway",
    labels=("http_route",),
)
RATE_LIMITED_REQUESTS: Final = _counter(
    "rate_limited_requests",
    "Requests refused because a key or its tenant had spent its limit.",
    "gateway",
    labels=("limit",),
)
STREAMS: Final = _gauge("open_streams", "Open server-sent event streams and WebSockets.", "gateway")
EVENTS: Final = _counter("events", "Events sent by clients.", "gateway", labels=("verdict",))
REJECTED_EVENTS: Final = _counter(
    "rejected_events", "Events rejected, by the gateway or by ingest.", "ingest", labels=("reason",)
)
MASKED_VALUES: Final = _counter(
    "masked_values",
    "Personal data and secrets masked in events, by kind; the `kind` is the mask's name.",
    "ingest",
    labels=("kind",),
)
PERSONAL_IDS: Final = _counter(
    "personal_ids",
    "Events whose user or anonymous id holds an e-mail address or a phone number; send pseudonyms instead.",
    "ingest",
    labels=("kind",),
)
APPEND_SECONDS: Final = _histogram(
    "append_duration_seconds", "How long the stream took to acknowledge the records of one RPC.", "ingest"
)
STORE_MEMORY: Final = _gauge(
    "store_memory_bytes", "Memory the store reports to use; of a cluster, that of its fullest node.", "ingest"
)
STORE_MEMORY_LIMIT: Final = _gauge(
    "store_memory_limit_bytes", "Memory the store may use; absent without a limit.", "ingest"
)

# The stream and its readers.
LAG: Final = _gauge(
    "lag_seconds",
    "Age of the oldest record that a reader has not finished; every replica of ingest reports the same.",
    "ingest",
    labels=("reader", "shard"),
)
TROUBLE: Final = _gauge(
    "trouble",
    "1 if a reader is stuck on a shard, or nobody reads it.",
    "ingest",
    labels=("reader", "shard"),
)
STEP_SECONDS: Final = _histogram(
    "step_duration_seconds", "How long a step took to apply a batch.", "dispatcher", labels=("step",)
)
APPLIED_EVENTS: Final = _counter("applied_events", "Events that passed through the whole mesh.", "dispatcher")
DECISION_DELAY: Final = _histogram(
    "decision_delay_seconds",
    "From a record's arrival on the stream until its events are finally decided on, per record.",
    "dispatcher",
    bounds=_LONG_SECONDS,
)
SET_ASIDE: Final = _counter(
    "set_aside_records", "Records that could not be applied and were kept as failed events.", "dispatcher"
)
ARCHIVED_EVENTS: Final = _counter("archived_events", "Events written to the archive.", "archiver")
ARCHIVED_BYTES: Final = _counter("archived_bytes", "Bytes of the files written to the archive.", "archiver")
EXPIRED_ROWS: Final = _counter(
    "expired_rows", "Events and decisions deleted from the archive because they were over their days.", "archiver"
)
EXPIRED_FILES: Final = _counter(
    "expired_files", "Files of the archive deleted, or rewritten without what was over its days.", "archiver"
)

# Behaviour and risk.
SIGNALS: Final = _counter("signals", "Struggle signals found.", "features", labels=("signal",))
VECTORS: Final = _counter("vectors", "Feature vectors computed, one per user of a record.", "features")
BEATS: Final = _counter("video_events", "Playback events applied.", "video")
ASSESSMENTS: Final = _counter("assessments", "Risks assessed.", "scoring", labels=("level",))
RISK_SCORE: Final = _histogram(
    "risk_score", "Exit risk of the users of a batch after it, 0 to 100.", "scoring", bounds=_SCORES
)
MODEL_RUN_SECONDS: Final = _histogram("model_run_duration_seconds", "How long the model took for a batch.", "scoring")
MODEL_LIVE: Final = _gauge(
    "model_live", "1 for the version of the exit-risk model that scores.", "scoring", labels=("version",)
)
MODEL_FAILURES: Final = _counter(
    "model_failures", "Runs of exit-risk models that failed.", "scoring", labels=("version",)
)
MODEL_ROLLBACKS: Final = _counter("model_rollbacks", "Canaries that scoring took back by itself.", "scoring")
SHADOW_DIFFERENCE: Final = _histogram(
    "shadow_difference",
    "How far the score by the shadow is from the one that decided, 0 to 100.",
    "scoring",
    bounds=_SCORES,
)
SHADOW_LEVELS: Final = _counter(
    "shadow_levels",
    "Risks whose level would be `higher`, `lower` or the `same` by the shadow.",
    "scoring",
    labels=("change",),
)
MODEL_PROBLEMS: Final = _gauge(
    "model_problems", "Exit-risk models that should serve and cannot be loaded; others serve in their place.", "scoring"
)
DRIFT_INDEX: Final = _gauge(
    "model_drift_index",
    "Population stability index of a score, or of the points a reason gives, over 7 days against the 7 before.",
    "analytics",
    labels=("kind", "of"),
)
DRIFT_POINTS: Final = _gauge(
    "model_drift_points",
    "How many points of the score it moved, as a mean over all predictions, 0 to 100.",
    "analytics",
    labels=("kind", "of"),
)
CALIBRATION_ERROR: Final = _gauge(
    "model_calibration_error",
    "Expected calibration error of the last 7 days whose outcomes are known, 0 to 1.",
    "analytics",
    labels=("version",),
)
CALIBRATION_GAP: Final = _gauge(
    "model_calibration_gap",
    "The share that came true less the mean probability in these days, -1 to 1.",
    "analytics",
    labels=("version",),
)
KNOWN_OUTCOMES: Final = _gauge(
    "model_known_outcomes",
    "Predictions of these days whose outcome is known.",
    "analytics",
    labels=("version",),
)
EVENT_RATIO: Final = _gauge(
    "event_kind_ratio",
    "Events of a kind in 7 days, for each in the 7 before; only kinds that had 100 then.",
    "analytics",
    labels=("kind",),
)
JOBS: Final = _counter("jobs", "Jobs that ended by themselves: done or failed.", "analytics", labels=("kind", "state"))
JOBS_STARTED: Final = _counter(
    "jobs_started",
    "Jobs that were queued, by what started them: a person, drift, or calibration.",
    "analytics",
    labels=("kind", "by"),
)
JOB_SECONDS: Final = _histogram(
    "job_duration_seconds",
    "How long a job took that is done, from the beginning of its first attempt.",
    "analytics",
    labels=("kind",),
    bounds=_JOB_SECONDS,
)

# Decisions and help.
DECISIONS: Final = _counter(
    "decisions",
    "Decisions made, one per user of a record, by the decisive reason; nearly all are to do nothing.",
    "intervention",
    labels=("reason",),
)
HELP: Final = _counter(
    "interventions", "Interventions made, by their first channel.", "intervention", labels=("action", "channel")
)
WITHHELD: Final = _counter(
    "withheld", "Interventions withheld from users in the holdout.", "intervention", labels=("action",)
)
OUTCOMES: Final = _counter(
    "outcomes",
    "Outcomes of interventions; expiry is noticed at the user's next intervention or outcome.",
    "intervention",
    labels=("outcome",),
)
POLICY_LIVE: Final = _gauge(
    "policy_live", "1 for the version of the policy that decides.", "intervention", labels=("version",)
)
CONFIGURATIONS_REFUSED: Final = _counter(
    "configurations_refused",
    "Configurations of the experiment that compares policies that were refused: not signed by the trusted key, of "
    "another version, or unreadable.",
    "intervention",
)
DELIVERIES: Final = _counter(
    "deliveries",
    "Deliveries attempted or ended, by the state they are in.",
    "intervention",
    labels=("channel", "state"),
)
OUTBOX: Final = _gauge("outbox_messages", "Deliveries waiting in the outbox.", "intervention", labels=("channel",))
OUTBOX_AGE: Final = _gauge(
    "outbox_age_seconds",
    "How long the oldest waiting delivery has been due; 0 if none is due.",
    "intervention",
    labels=("channel",),
)

# Language models.
MODEL_TOKENS: Final = _counter(
    "model_tokens",
    "Input and output tokens of language models.",
    "intervention",
    labels=("model", "direction"),
)
MODEL_COST: Final = _counter(
    "model_cost_usd", "Cost of language models in US dollars.", "intervention", labels=("model",)
)
MODEL_CALLS: Final = _counter("model_calls", "Calls of language models.", "intervention", labels=("model", "ending"))
MODEL_DEGRADED: Final = _gauge(
    "model_degraded",
    "1 if templates are used although a model is configured; by reason.",
    "intervention",
    labels=("reason",),
)
BUDGET_USED: Final = _gauge(
    "model_budget_used_ratio",
    "Share of the day's budget spent, 0 to 1: the larger of tokens and money.",
    "intervention",
)
COST_BUDGET_USED: Final = _gauge(
    "cost_budget_used_ratio",
    "Share of the day's budget that the whole mesh has cost, of the tenant with most; above 1 beyond it.",
    "analytics",
)
INSIGHTS_OPEN: Final = _gauge(
    "insights_open",
    "Incidents of key figures that are open, of all tenants that are watched.",
    "analytics",
    labels=("severity",),
)
INSIGHTS_LAG: Final = _gauge(
    "insights_lag_seconds",
    "How far the watch of key figures is behind what has arrived, of the tenant that is most so.",
    "analytics",
)
INSIGHTS_FOUND: Final = _gauge(
    "insights_found",
    "Incidents of a key figure in the last 14 days, of the tenant with most: no more than these can have been false.",
    "analytics",
    labels=("metric",),
)

METRICS: Final = tuple(each for each in dict(globals()).values() if isinstance(each, Metric))
"""All of them, in the order above."""
