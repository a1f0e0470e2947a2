"""The state of the mesh at a glance, also for a screen on the wall."""

from typing import Final

from mesh.observability import registry
from monitoring import limits
from monitoring.grafana import INTERVAL, bars, dashboard, here, lines, number, quantiles, states
from monitoring.promql import (
    TARGET_LABELS,
    Vector,
    gauge,
    grown,
    largest,
    like,
    per_second,
    quantile,
    rate,
    reported,
    seen_within,
    share,
    summed,
    unlike,
)

_OURS: Final = gauge(registry.DEPENDENCY_UP, **here())
_CLIENTS: Final = here(http_route=unlike(limits.NOT_OF_CLIENTS))
_REQUESTS: Final = summed(rate(registry.REQUESTS, INTERVAL, **_CLIENTS))


def _of_ours(vector: Vector) -> Vector:
    """Restricts what every process reports to our processes, up to an hour after they are gone."""
    return vector.where(seen_within(_OURS, "1h"), *sorted(TARGET_LABELS))


def _answered(statuses: str) -> Vector:
    """The share of requests with these status codes."""
    return share(
        summed(rate(registry.REQUESTS, INTERVAL, **_CLIENTS, http_response_status_code=like(statuses))), _REQUESTS
    )


DASHBOARD: Final = dashboard(
    "overview",
    "Overview",
    "Whether events arrive and are decided on in time, and whether all processes reach their dependencies.",
    {
        "Health": [
            number(
                "Events per second",
                "Accepted events.",
                "short",
                summed(rate(registry.EVENTS, INTERVAL, **here(verdict="accepted"))),
                width=4,
            ),
            number(
                "Decision delay, p99",
                "99% of events are decided on within this time after their arrival on the stream.",
                "s",
                quantile(0.99, registry.DECISION_DELAY, INTERVAL, **here()),
                width=4,
                limits=(limits.SLOW_DECISION_SECONDS / 2, limits.SLOW_DECISION_SECONDS),
            ),
            number(
                "Lag",
                "Age of the oldest event that waits for a decision, in the slowest shard.",
                "s",
                largest(gauge(registry.LAG, **here(reader="dispatcher"))),
                width=4,
                limits=(limits.HIGH_LAG_SECONDS / 2, limits.HIGH_LAG_SECONDS),
            ),
            number(
                "Requests refused",
                "Share of requests answered 429 or 503: too much load, or a dependency is down.",
                "percentunit",
                _answered(limits.OVERLOADED),
                width=4,
                limits=(limits.REFUSED_SHARE / 5, limits.REFUSED_SHARE),
            ),
            number(
                "Errors",
                "Share of requests that ended in a server error.",
                "percentunit",
                _answered(limits.BROKEN),
                width=4,
                limits=(limits.ERROR_SHARE / 5, limits.ERROR_SHARE),
            ),
            number(
                "Processes not reached",
                "Processes that reported metrics within the last hour but do not now.",
                "short",
                summed(_of_ours(reported("up", **here())).by_number("== bool", 0)),
                width=4,
                limits=(1,),
            ),
        ],
        "Key figures": [
            lines(
                "Open incidents",
                "Incidents of key figures that are open, by severity.",
                "none",
                (largest(gauge(registry.INSIGHTS_OPEN, **here()), "severity"), "{{severity}}"),
            ),
            lines(
                "Watch behind",
                "How far the watch of key figures is behind what has arrived.",
                "s",
                (largest(gauge(registry.INSIGHTS_LAG, **here())), "behind"),
            ),
            lines(
                "Incidents of 14 days",
                "Incidents of a key figure in the last 14 days. At most so many were false.",
                "none",
                (largest(gauge(registry.INSIGHTS_FOUND, **here()), "metric"), "{{metric}}"),
                width=12,
            ),
        ],
        "Incoming events and requests": [
            lines(
                "Events by verdict",
                "Accepted, duplicate, or rejected as invalid.",
                "short",
                (summed(rate(registry.EVENTS, INTERVAL, **here()), "verdict"), "{{verdict}}"),
            ),
            bars(
                "Events rejected by reason",
                "Why events were rejected; each is kept as a failed event.",
                "short",
                (summed(grown(registry.REJECTED_EVENTS, INTERVAL, **here()), "reason"), "{{reason}}"),
            ),
            lines(
                "Requests by status",
                "Status codes of responses to clients.",
                "reqps",
                (
                    summed(rate(registry.REQUESTS, INTERVAL, **_CLIENTS), "http_response_status_code"),
                    "{{http_response_status_code}}",
                ),
            ),
            lines(
                "Duration of requests",
                "From the head of a request to the end of its response: p50 and p99.",
                "s",
                *quantiles(registry.REQUEST_SECONDS, (0.5, 0.99), **_CLIENTS),
            ),
            lines(
                "Slowest routes",
                "p99 by route.",
                "s",
                (quantile(0.99, registry.REQUEST_SECONDS, INTERVAL, "http_route", **_CLIENTS), "{{http_route}}"),
            ),
            bars(
                "Requests over a limit",
                "Requests refused because a key or a tenant had spent its limit.",
                "short",
                (summed(grown(registry.RATE_LIMITED_REQUESTS, INTERVAL, **here()), "limit"), "of a {{limit}}"),
            ),
            lines(
                "Open streams",
                "Pages that watch for help by server-sent events or WebSocket.",
                "short",
                (summed(gauge(registry.STREAMS, **here())), "open"),
            ),
            bars(
                "Personal data in events",
                "Values that were masked; e-mail addresses and phone numbers as ids, which stay: send pseudonyms.",
                "short",
                (summed(grown(registry.MASKED_VALUES, INTERVAL, **here()), "kind"), "{{kind}} masked"),
                (summed(grown(registry.PERSONAL_IDS, INTERVAL, **here()), "kind"), "{{kind}} as id"),
            ),
        ],
        "Decisions and help": [
            lines(
                "Decision delay",
                "From the arrival of an event on the stream to its decision.",
                "s",
                *quantiles(registry.DECISION_DELAY, (0.5, 0.99), **here()),
                limits=(limits.SLOW_DECISION_SECONDS,),
            ),
            bars(
                "Help given",
                "Interventions by action.",
                "short",
                (summed(grown(registry.HELP, INTERVAL, **here()), "action"), "{{action}}"),
            ),
            lines(
                "Lag by consumer group",
                (
                    "Age of the oldest waiting event: for a decision (dispatcher), or for the archive (archiver, which "
                    "collects events for a minute on purpose)."
                ),
                "s",
                (largest(gauge(registry.LAG, **here()), "reader"), "{{reader}}"),
            ),
        ],
        "Processes": [
            states(
                "Dependencies",
                "Red: at least one process cannot reach it and is not ready.",
                (largest(_OURS.by_number("== bool", 0), "dependency"), "{{dependency}}"),
            ),
            lines(
                "Memory",
                "Resident memory by pod.",
                "bytes",
                (largest(_of_ours(reported("process_resident_memory_bytes", **here())), "pod"), "{{pod}}"),
            ),
            lines(
                "CPU",
                "Cores in use by pod.",
                "short",
                (largest(_of_ours(per_second("process_cpu_seconds_total", INTERVAL, **here())), "pod"), "{{pod}}"),
            ),
        ],
    },
)
