"""For each alert: series that make it true, and series that nearly do.

Values are written as promtool reads them, one every 15 s: `0+2x20` begins at 0 and grows by 2 twenty times, `_` is
nothing, `stale` ends a series. Time begins at Unix second 0.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from mesh.observability import registry
from mesh.observability.registry import Kind, Metric

Series = Mapping[str, str]

DAY: Final = 24 * 3600


class Case(NamedTuple):
    """Series, when to evaluate, and the alert expected then: its own labels and its summary, or None for no alert."""

    alert: str
    name: str
    series: Series
    at: str
    labels: Mapping[str, str] = {}
    summary: str | None = None


def one(metric: Metric, values: str, pod: str = "pod-1", bound: str = "", **labels: str) -> Series:
    """A series of a pod; of a histogram that of a bucket with a bound."""
    suffix = {Kind.COUNTER: "_total", Kind.GAUGE: "", Kind.HISTOGRAM: "_bucket"}[metric.kind]
    assert set(labels) == set(metric.labels)
    return named(metric.name + suffix, values, pod, **labels, **({"le": bound} if bound else {}))


def named(name: str, values: str, pod: str, **labels: str) -> Series:
    """A series of a pod by its name."""
    whole = {"namespace": "shop", "pod": pod, "instance": f"{pod}:9464", "job": "mesh", **labels}
    listed = ", ".join(f'{key}="{value}"' for key, value in whole.items())
    return {f"{name}{{{listed}}}": values}


def requests(**counts: str) -> Series:
    """Requests to a route of clients, by status."""
    return {
        name: values
        for status, values in counts.items()
        for name, values in one(
            registry.REQUESTS,
            values,
            http_request_method="POST",
            http_route="/api/events/track",
            http_response_status_code=status.removeprefix("s"),
        ).items()
    }


def probes(values: str) -> Series:
    """Probes that were answered 503."""
    labels = {"http_request_method": "GET", "http_route": "/readyz", "http_response_status_code": "503"}
    return one(registry.REQUESTS, values, **labels)


def delays(within_a_second: int, pod: str = "pod-1") -> Series:
    """So many of a thousand decisions a quarter of a minute within a second, and all within 2.5."""
    return {
        **one(registry.DECISION_DELAY, f"0+{within_a_second}x80", pod, "1.0"),
        **one(registry.DECISION_DELAY, "0+1000x80", pod, "2.5"),
        **one(registry.DECISION_DELAY, "0+1000x80", pod, "+Inf"),
    }


def moved(index: str, points: str, kind: str = "reason", of: str = "rage_clicks") -> Series:
    """How far something moved, as an index and in points."""
    return {
        **one(registry.DRIFT_INDEX, index, kind=kind, of=of),
        **one(registry.DRIFT_POINTS, points, kind=kind, of=of),
    }


def up(values: str, pod: str) -> Series:
    """Whether a pod is reached."""
    return named("up", values, pod)


ACCEPTED: Final = one(registry.EVENTS, "0+15x100", verdict="accepted")
NEVER_DECIDED: Final = "shop accepts events but makes no decisions."

CASES: Final = (
    Case(
        "JourneymeshGatewayGone",
        "all gateways are gone",
        {**one(registry.STREAMS, "3x20 stale"), **one(registry.STREAMS, "0x16 stale", "pod-2")},
        "8m",
        summary="No gateway in shop reports its metrics.",
    ),
    Case(
        "JourneymeshGatewayGone",
        "one of two is gone",
        {**one(registry.STREAMS, "3x20 stale"), **one(registry.STREAMS, "0x80", "pod-2")},
        "15m",
    ),
    Case(
        "JourneymeshGatewayGone", "it was replaced within a minute", one(registry.STREAMS, "3x20 stale _x3 0x80"), "8m"
    ),
    Case("JourneymeshGatewayGone", "it was removed long ago", one(registry.STREAMS, "3x20 stale"), "70m"),
    Case(
        "JourneymeshDecisionsSlow",
        "of two dispatchers one is slow",
        {**delays(1000), **delays(940, "pod-2")},
        "11m",
        # 97 % within 1 s and all within 2.5 s: two thirds of the way at 99 %.
        summary="One decision in a hundred in shop takes longer than 2s.",
    ),
    Case("JourneymeshDecisionsSlow", "one in two hundred is slow", {**delays(1000), **delays(990, "pod-2")}, "15m"),
    Case("JourneymeshDecisionsSlow", "nothing comes", dict.fromkeys(delays(1), "5x80"), "15m"),
    Case(
        "JourneymeshNobodyDecides",
        "decisions end",
        {**ACCEPTED, **one(registry.DECISIONS, "0+15x20 300x80", reason="low_risk")},
        "14m",
        summary=NEVER_DECIDED,
    ),
    Case("JourneymeshNobodyDecides", "nobody ever decided", ACCEPTED, "9m", summary=NEVER_DECIDED),
    Case(
        "JourneymeshNobodyDecides",
        "another replica decides",
        {
            **ACCEPTED,
            **one(registry.DECISIONS, "0+15x20 stale", reason="low_risk"),
            **one(registry.DECISIONS, "_x22 1+15x80", "pod-2", reason="low_risk"),
        },
        "14m",
    ),
    Case(
        "JourneymeshNobodyDecides",
        "one event in all, and one decision",
        {
            **one(registry.EVENTS, "0x20 1x80", verdict="accepted"),
            **one(registry.DECISIONS, "_x20 1x80", reason="low_risk"),
        },
        "9m",
    ),
    Case(
        "JourneymeshNobodyDecides",
        "nothing is accepted",
        one(registry.EVENTS, "0+15x80", verdict="rejected"),
        "15m",
    ),
    Case(
        "JourneymeshRequestsRefused",
        "six in a hundred",
        requests(s202="0+940x80", s503="0+35x80", s429="0+25x80"),
        "11m",
        summary="6% of the requests to shop are answered 429 or 503.",
    ),
    Case(
        "JourneymeshRequestsRefused",
        "fewer than five in a hundred, and many probes",
        {**requests(s202="0+955x80", s503="0+45x80"), **probes("0+500x80")},
        "15m",
    ),
    Case(
        "JourneymeshRequestsRefused",
        "many for a short time",
        requests(s202="0+100x80", s503="0x20 0+100x4 400x80"),
        "9m",
    ),
    Case(
        "JourneymeshGatewayErrors",
        "two in a hundred",
        requests(s202="0+980x80", s500="0+15x80", s504="0+5x80"),
        "11m",
        summary="2% of the requests to shop end in a server error.",
    ),
    Case(
        "JourneymeshGatewayErrors",
        "nine in a thousand, many refused and many wrong",
        requests(s202="0+491x80", s500="0+9x80", s503="0+300x80", s400="0+200x80"),
        "15m",
    ),
    Case(
        "JourneymeshEventsRejected",
        "one in eight",
        {**one(registry.EVENTS, "0+7x120", verdict="accepted"), **one(registry.EVENTS, "0+1x120", verdict="rejected")},
        "21m",
        summary="12.5% of the events sent to shop are rejected.",
    ),
    Case(
        "JourneymeshEventsRejected",
        "one in twelve",
        {
            **one(registry.EVENTS, "0+10x120", verdict="accepted"),
            **one(registry.EVENTS, "0+1x120", verdict="duplicate"),
            **one(registry.EVENTS, "0+1x120", verdict="rejected"),
        },
        "30m",
    ),
    Case(
        "JourneymeshLagHigh",
        "one shard is late",
        {
            **one(registry.LAG, "6x40", reader="dispatcher", shard="0"),
            **one(registry.LAG, "0x40", reader="dispatcher", shard="1"),
            **one(registry.LAG, "6x40", "pod-2", reader="dispatcher", shard="0"),
        },
        "3m",
        summary="Decisions in shop are 6s late.",
    ),
    Case(
        "JourneymeshLagHigh",
        "nearly late, and the archiver gathers",
        {
            **one(registry.LAG, "4.9x40", reader="dispatcher", shard="0"),
            **one(registry.LAG, "60x40", reader="archiver", shard="0"),
        },
        "10m",
    ),
    Case(
        "JourneymeshLagHigh", "late for a minute", one(registry.LAG, "9x4 0x40", reader="dispatcher", shard="0"), "3m"
    ),
    Case(
        "JourneymeshReaderStuck",
        "one of two shards",
        {
            **one(registry.TROUBLE, "0x40", reader="dispatcher", shard="0"),
            **one(registry.TROUBLE, "1x40", reader="dispatcher", shard="1"),
        },
        "3m",
        {"shard": "1"},
        "Shard 1 in shop has no consumer or makes no progress.",
    ),
    Case(
        "JourneymeshReaderStuck",
        "another takes it, and the archiver is stuck",
        {
            **one(registry.TROUBLE, "1x6 0x40", reader="dispatcher", shard="1"),
            **one(registry.TROUBLE, "1x40", reader="archiver", shard="1"),
        },
        "3m",
    ),
    Case(
        "JourneymeshEventsSetAside",
        "the first ever, of a process that counted none",
        {**one(registry.SET_ASIDE, "_x40 1x20"), **one(registry.SET_ASIDE, "0x60", "pod-2")},
        "11m",
        summary="Records with failed events in shop within 15 minutes: 1.",
    ),
    Case(
        "JourneymeshEventsSetAside",
        "two more, of a process that counted some",
        one(registry.SET_ASIDE, "5x80 7x20"),
        "21m",
        summary="Records with failed events in shop within 15 minutes: 2.",
    ),
    Case("JourneymeshEventsSetAside", "some long ago, and a restart", one(registry.SET_ASIDE, "7x80 0x80"), "25m"),
    Case(
        "JourneymeshConfigurationRefused",
        "one that nobody signed",
        one(registry.CONFIGURATIONS_REFUSED, "0x40 1x20"),
        "11m",
        summary="Intervention in shop refuses how policies are compared.",
    ),
    Case(
        "JourneymeshConfigurationRefused",
        "some long ago",
        one(registry.CONFIGURATIONS_REFUSED, "3x100"),
        "25m",
    ),
    Case(
        "JourneymeshStoreNearlyFull",
        "six sevenths",
        {**one(registry.STORE_MEMORY, "860x60"), **one(registry.STORE_MEMORY_LIMIT, "1000x60")},
        "6m",
        summary="The store of shop is 86% full.",
    ),
    Case(
        "JourneymeshStoreNearlyFull",
        "five sixths",
        {**one(registry.STORE_MEMORY, "840x60"), **one(registry.STORE_MEMORY_LIMIT, "1000x60")},
        "15m",
    ),
    Case("JourneymeshStoreNearlyFull", "a store without a limit", one(registry.STORE_MEMORY, "9e12x60"), "15m"),
    Case(
        "JourneymeshArchiveLate",
        "events wait for long",
        one(registry.LAG, "901x80", reader="archiver", shard="0"),
        "11m",
        summary="The archive of shop is late, or a shard has no archiver.",
    ),
    Case(
        "JourneymeshArchiveLate",
        "nobody archives",
        {
            **one(registry.LAG, "0x80", reader="archiver", shard="0"),
            **one(registry.TROUBLE, "1x80", reader="archiver", shard="0"),
        },
        "11m",
        summary="The archive of shop is late, or a shard has no archiver.",
    ),
    Case(
        "JourneymeshArchiveLate",
        "as late as can be, and a restart",
        {
            **one(registry.LAG, "899x80", reader="archiver", shard="0"),
            **one(registry.TROUBLE, "1x20 0x80", reader="archiver", shard="0"),
        },
        "15m",
    ),
    Case(
        "JourneymeshDependencyDown",
        "two processes miss the store",
        {
            **one(registry.DEPENDENCY_UP, "0x40", dependency="store"),
            **one(registry.DEPENDENCY_UP, "0x40", "pod-2", dependency="store"),
            **one(registry.DEPENDENCY_UP, "1x40", "pod-3", dependency="video"),
        },
        "3m",
        {"dependency": "store"},
        "2 processes of shop cannot reach store.",
    ),
    Case(
        "JourneymeshDependencyDown",
        "missed for a minute",
        one(registry.DEPENDENCY_UP, "1x4 0x6 1x40", dependency="store"),
        "3m",
    ),
    Case(
        "JourneymeshProcessGone",
        "it was there a while ago",
        {**up("1x20 0x60", "pod-1"), **one(registry.DEPENDENCY_UP, "1x20 stale", dependency="store")},
        "11m",
        {"pod": "pod-1", "instance": "pod-1:9464", "job": "mesh"},
        "pod-1 in shop does not report its metrics.",
    ),
    Case(
        "JourneymeshProcessGone",
        "it restarts, a stranger is gone, another was ended in order",
        {
            **up("1x20 0x16 1x60", "pod-1"),
            **one(registry.DEPENDENCY_UP, "1x20 stale _x16 1x60", dependency="store"),
            **up("0x99", "stranger"),
            **up("1x20 stale", "pod-2"),
            **one(registry.DEPENDENCY_UP, "1x20 stale", "pod-2", dependency="store"),
        },
        "15m",
    ),
    Case(
        "JourneymeshCertificateEnds",
        "thirteen days and a half are left",
        one(registry.CERTIFICATE_EXPIRY, f"{int(13.5 * DAY) + 3660}x300"),
        "61m",
        {"pod": "pod-1"},
        "The certificate of pod-1 in shop ends in 13d 12h 0m 0s.",
    ),
    Case(
        "JourneymeshCertificateEnds",
        "fifteen days are left, and of another until it was renewed ten",
        {
            **one(registry.CERTIFICATE_EXPIRY, f"{15 * DAY}x300"),
            **one(registry.CERTIFICATE_EXPIRY, f"{10 * DAY}x200 {90 * DAY}x100", "pod-2"),
        },
        "61m",
    ),
    Case(
        "JourneymeshHttpCertificateEnds",
        "thirteen days and a half are left",
        one(registry.HTTP_CERTIFICATE_EXPIRY, f"{int(13.5 * DAY) + 3660}x300"),
        "61m",
        {"pod": "pod-1"},
        "The certificate that clients of pod-1 in shop see ends in 13d 12h 0m 0s.",
    ),
    Case(
        "JourneymeshHttpCertificateEnds",
        "fifteen days are left, and of another until it was renewed ten",
        {
            **one(registry.HTTP_CERTIFICATE_EXPIRY, f"{15 * DAY}x300"),
            **one(registry.HTTP_CERTIFICATE_EXPIRY, f"{10 * DAY}x200 {90 * DAY}x100", "pod-2"),
        },
        "61m",
    ),
    Case(
        "JourneymeshDeliveriesFailing",
        "one in four",
        {
            **one(registry.DELIVERIES, "0+3x160", channel="email", state="sent"),
            **one(registry.DELIVERIES, "0+1x160", channel="email", state="failed"),
            **one(registry.DELIVERIES, "0+1x160", channel="chat", state="sent"),
        },
        "38m",
        {"channel": "email"},
        "25% of messages by email fail in shop.",
    ),
    Case(
        "JourneymeshDeliveriesFailing",
        "the first five of a process, with unknown results",
        one(registry.DELIVERIES, "_x40 5x80", channel="chat", state="unknown"),
        "16m",
        {"channel": "chat"},
        "100% of messages by chat fail in shop.",
    ),
    Case(
        "JourneymeshDeliveriesFailing",
        "one in ten, four of four, and some that were not wanted any more",
        {
            **one(registry.DELIVERIES, "0+9x160", channel="email", state="sent"),
            **one(registry.DELIVERIES, "0+1x160", channel="email", state="failed"),
            **one(registry.DELIVERIES, "_x40 4x120", channel="ticket", state="failed"),
            **one(registry.DELIVERIES, "0+9x160", channel="push", state="cancelled"),
        },
        "38m",
    ),
    Case(
        "JourneymeshOutboxStuck",
        "six minutes overdue",
        {**one(registry.OUTBOX_AGE, "360x60", channel="chat"), **one(registry.OUTBOX_AGE, "0x60", channel="email")},
        "6m",
        {"channel": "chat"},
        "A chat message was due 6m 0s ago in shop.",
    ),
    Case(
        "JourneymeshOutboxStuck",
        "five minutes, and longer for a short time",
        {
            **one(registry.OUTBOX_AGE, "299x60", channel="chat"),
            **one(registry.OUTBOX_AGE, "0+15x40 0x20", channel="email"),
        },
        "9m45s",
    ),
    Case(
        "JourneymeshExitRiskModelUnusable",
        "nobody mends it",
        one(registry.MODEL_PROBLEMS, "1x40"),
        "6m",
        {},
        "An exit-risk model that should serve in shop cannot be loaded.",
    ),
    Case(
        "JourneymeshExitRiskModelUnusable",
        "it is mended at once",
        one(registry.MODEL_PROBLEMS, "1x10 0x40"),
        "6m",
    ),
    Case(
        "JourneymeshFeatureDrift",
        "a reason has moved, and scores by it",
        {**moved("0.31x300", "2.5x300"), **moved("0.9x300", "0.4x300", of="error_count")},
        "62m",
        {"of": "rage_clicks"},
        "What users do has changed in shop: rage_clicks, index 0.31.",
    ),
    Case(
        "JourneymeshFeatureDrift",
        "it moved little, or moves no score, or is a score",
        {
            **moved("0.25x300", "2.5x300"),
            **moved("0.9x300", "0.99x300", of="error_count"),
            **moved("0.9x300", "9x300", kind="score", of="model"),
        },
        "70m",
    ),
    Case(
        "JourneymeshScoreDrift",
        "a score has moved",
        moved("0.5x300", "6x300", kind="score", of="model"),
        "62m",
        {"of": "model"},
        "The score of model has moved in shop: index 0.50.",
    ),
    Case("JourneymeshScoreDrift", "only for a short time", moved("0.5x200 0.1x100", "6x300", kind="score"), "62m"),
    Case(
        "JourneymeshModelUncalibrated",
        "probabilities are off",
        {
            **one(registry.CALIBRATION_ERROR, "0.08x300", version="m-1"),
            **one(registry.KNOWN_OUTCOMES, "300x300", version="m-1"),
        },
        "62m",
        {"version": "m-1"},
        "m-1 is 8% off in shop.",
    ),
    Case(
        "JourneymeshModelUncalibrated",
        "too few outcomes to tell, and another model is good",
        {
            **one(registry.CALIBRATION_ERROR, "0.2x300", version="m-1"),
            **one(registry.KNOWN_OUTCOMES, "299x300", version="m-1"),
            **one(registry.CALIBRATION_ERROR, "0.05x300", version="m-2"),
            **one(registry.KNOWN_OUTCOMES, "9000x300", version="m-2"),
        },
        "70m",
    ),
    Case(
        "JourneymeshJobsFail",
        "the first job of a process failed",
        one(registry.JOBS, "_x4 1x300", kind="customers_fit", state="failed"),
        "70m",
        {"kind": "customers_fit"},
        "A job customers_fit has failed in shop, and none was done since yesterday.",
    ),
    Case(
        "JourneymeshJobsFail",
        "it was done after all",
        {
            **one(registry.JOBS, "_x4 1x300", kind="customers_fit", state="failed"),
            **one(registry.JOBS, "_x40 1x300", kind="customers_fit", state="done"),
        },
        "70m",
    ),
    Case(
        "JourneymeshEventsMissing",
        "a kind has nearly ceased",
        {
            **one(registry.EVENT_RATIO, "0.02x300", kind="form_error"),
            **one(registry.EVENT_RATIO, "1x300", kind="click"),
        },
        "62m",
        {"kind": "form_error"},
        "Only 2% of form_error come in shop.",
    ),
    Case("JourneymeshEventsMissing", "there are fewer", one(registry.EVENT_RATIO, "0.1x300", kind="click"), "70m"),
    Case(
        "JourneymeshInsightSevere",
        "two are open",
        {
            **one(registry.INSIGHTS_OPEN, "0x10 1x20", severity="high"),
            **one(registry.INSIGHTS_OPEN, "0x10 1x20", severity="critical"),
            **one(registry.INSIGHTS_OPEN, "0x10 1x20", "pod-2", severity="critical"),
            **one(registry.INSIGHTS_OPEN, "2x40", severity="medium"),
        },
        "7m",
        {},
        "2 high or critical incidents of key figures are open in shop.",
    ),
    Case("JourneymeshInsightSevere", "none is", one(registry.INSIGHTS_OPEN, "3x40", severity="medium"), "9m"),
    Case(
        "JourneymeshWatchLate",
        "nothing is judged",
        one(registry.INSIGHTS_LAG, "7200x80"),
        "16m",
        {},
        "Key figures of shop are judged 2h 0m 0s late.",
    ),
    Case("JourneymeshWatchLate", "hours are judged as they end", one(registry.INSIGHTS_LAG, "900x80"), "19m"),
    Case(
        "JourneymeshModelDegraded",
        "it is left alone",
        one(registry.MODEL_DEGRADED, "1x80", reason="breaker_open"),
        "16m",
        {"reason": "breaker_open"},
        "Templates replace the language model in shop: breaker_open.",
    ),
    Case(
        "JourneymeshModelDegraded",
        "it is asked again, and a budget is spent",
        {
            **one(registry.MODEL_DEGRADED, "1x50 0x80", reason="breaker_open"),
            **one(registry.MODEL_DEGRADED, "1x120", "pod-2", reason="budget"),
        },
        "20m",
    ),
    Case(
        "JourneymeshCostBudgetNearlySpent",
        "more than there is",
        one(registry.COST_BUDGET_USED, "1.25x40"),
        "6m",
        {},
        "125% of what a day may cost is spent in shop.",
    ),
    Case("JourneymeshCostBudgetNearlySpent", "nine tenths", one(registry.COST_BUDGET_USED, "0.9x40"), "9m"),
    Case(
        "JourneymeshBudgetNearlySpent",
        "nine tenths and more",
        {**one(registry.BUDGET_USED, "0.9125x60"), **one(registry.BUDGET_USED, "0.9x60", "pod-2")},
        "6m",
        summary="91.25% of the day's budget for models is spent in shop.",
    ),
    Case("JourneymeshBudgetNearlySpent", "nine tenths", one(registry.BUDGET_USED, "0.9x60"), "15m"),
)
