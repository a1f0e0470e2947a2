"""Is it well: for a first look, and for a screen on the wall."""

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
    """The share of requests that were answered so."""
    return share(
        summed(rate(registry.REQUESTS, INTERVAL, **_CLIENTS, http_response_status_code=like(statuses))), _REQUESTS
    )


DASHBOARD: Final = dashboard(
    "overview",
    "Overview",
    "Whether events come in, are decided on in time, and all processes have what they need.",
    {
        "Is it well?": [
            number(
                "Events a second",
                "Events that were accepted.",
                "short",
                summed(rate(registry.EVENTS, INTERVAL, **here(verdict="accepted"))),
                width=4,
            ),
            number(
                "Decision delay, p99",
                "Ninety-nine in a hundred events are decided on within this time of their arrival on the stream.",
                "s",
                quantile(0.99, registry.DECISION_DELAY, INTERVAL, **here()),
                width=4,
                limits=(limits.SLOW_DECISION_SECONDS / 2, limits.SLOW_DECISION_SECONDS),
            ),
            number(
                "Lag",
                "Age of the oldest event that waits for a decision, in the shard that is latest.",
                "s",
                largest(gauge(registry.LAG, **here(reader="dispatcher"))),
                width=4,
                limits=(limits.HIGH_LAG_SECONDS / 2, limits.HIGH_LAG_SECONDS),
            ),
            number(
                "Requests refused",
                "Share of requests answered 429 or 503: more came than the mesh takes, or something is away.",
                "percentunit",
                _answered(limits.OVERLOADED),
                width=4,
                limits=(limits.REFUSED_SHARE / 5, limits.REFUSED_SHARE),
            ),
            number(
                "Errors",
                "Share of requests that ended in an error of ours.",
                "percentunit",
                _answered(limits.BROKEN),
                width=4,
                limits=(limits.ERROR_SHARE / 5, limits.ERROR_SHARE),
            ),
            number(
                "Processes not reached",
                "Processes that reported their metrics within the last hour and do not now.",
                "short",
                summed(_of_ours(reported("up", **here())).by_number("== bool", 0)),
                width=4,
                limits=(1,),
            ),
        ],
        "What comes in": [
            lines(
                "Events by verdict",
                "Accepted, known already (duplicate), or no event (rejected).",
                "short",
                (summed(rate(registry.EVENTS, INTERVAL, **here()), "verdict"), "{{verdict}}"),
            ),
            bars(
                "Events rejected by reason",
                "What is wrong with what clients send; each is kept as a failed event.",
                "short",
                (summed(grown(registry.REJECTED_EVENTS, INTERVAL, **here()), "reason"), "{{reason}}"),
            ),
            lines(
                "Requests by status",
                "How clients' requests were answered.",
                "reqps",
                (
                    summed(rate(registry.REQUESTS, INTERVAL, **_CLIENTS), "http_response_status_code"),
                    "{{http_response_status_code}}",
                ),
            ),
            lines(
                "Duration of requests",
                "From a request's head to its answer's end; half of them, and all but one in a hundred.",
                "s",
                *quantiles(registry.REQUEST_SECONDS, (0.5, 0.99), **_CLIENTS),
            ),
            lines(
                "Slowest routes",
                "The same by route, for all but one request in a hundred.",
                "s",
                (quantile(0.99, registry.REQUEST_SECONDS, INTERVAL, "http_route", **_CLIENTS), "{{http_route}}"),
            ),
            lines(
                "Open streams",
                "Pages that watch for help, by server-sent events or WebSocket.",
                "short",
                (summed(gauge(registry.STREAMS, **here())), "open"),
            ),
        ],
        "What comes of it": [
            lines(
                "Decision delay",
                "From an event's arrival on the stream to the decision on it.",
                "s",
                *quantiles(registry.DECISION_DELAY, (0.5, 0.99), **here()),
                limits=(limits.SLOW_DECISION_SECONDS,),
            ),
            bars(
                "Help given",
                "Users who were helped, by action.",
                "short",
                (summed(grown(registry.HELP, INTERVAL, **here()), "action"), "{{action}}"),
            ),
            lines(
                "Lag by reader",
                (
                    "Age of the oldest event that waits: for a decision (dispatcher), for the archive (archiver, which "
                    "gathers a minute's events on purpose)."
                ),
                "s",
                (largest(gauge(registry.LAG, **here()), "reader"), "{{reader}}"),
            ),
        ],
        "Processes": [
            states(
                "Dependencies",
                "Red: at least one process does not reach what it needs, and is not ready.",
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
