"""Is it well: for a first look, and for a screen on the wall."""

from typing import Final

from mesh import registry
from monitoring import limits
from monitoring.grafana import INTERVAL, Dashboard, Form, Panel, Query, Row, here
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
    seen_within,
    share,
    summed,
    told,
    unlike,
)

_OURS: Final = gauge(registry.DEPENDENCY_UP, **here())
_CLIENTS: Final = here(http_route=unlike(limits.NOT_OF_CLIENTS))
_REQUESTS: Final = summed(rate(registry.REQUESTS, INTERVAL, **_CLIENTS))


def _of_ours(vector: Vector) -> Vector:
    """Of what every process tells, that of ours; also for an hour after they are gone."""
    return vector.where(seen_within(_OURS, "1h"), *sorted(TARGET_LABELS))


def _answered(statuses: str) -> Vector:
    """The share of requests that were answered so."""
    return share(
        summed(rate(registry.REQUESTS, INTERVAL, **_CLIENTS, http_response_status_code=like(statuses))), _REQUESTS
    )


_NOW: Final = Row(
    "Is it well?",
    (
        Panel(
            "Events a second",
            "Events that were accepted.",
            "short",
            (Query(summed(rate(registry.EVENTS, INTERVAL, **here(verdict="accepted")))),),
            Form.NUMBER,
            width=4,
        ),
        Panel(
            "Decision delay, p99",
            "Ninety-nine in a hundred events are decided on within this time of their arrival on the stream.",
            "s",
            (Query(quantile(0.99, registry.DECISION_DELAY, INTERVAL, **here())),),
            Form.NUMBER,
            width=4,
            limits=(limits.SLOW_DECISION_SECONDS / 2, limits.SLOW_DECISION_SECONDS),
        ),
        Panel(
            "Lag",
            "Age of the oldest event that waits for a decision, in the shard that is latest.",
            "s",
            (Query(largest(gauge(registry.LAG, **here(reader="dispatcher")))),),
            Form.NUMBER,
            width=4,
            limits=(limits.HIGH_LAG_SECONDS / 2, limits.HIGH_LAG_SECONDS),
        ),
        Panel(
            "Requests refused",
            "Share of requests answered 429 or 503: more came than the mesh takes, or something is away.",
            "percentunit",
            (Query(_answered(limits.OVERLOADED)),),
            Form.NUMBER,
            width=4,
            limits=(limits.REFUSED_SHARE / 5, limits.REFUSED_SHARE),
        ),
        Panel(
            "Errors",
            "Share of requests that ended in an error of ours.",
            "percentunit",
            (Query(_answered(limits.BROKEN)),),
            Form.NUMBER,
            width=4,
            limits=(limits.ERROR_SHARE / 5, limits.ERROR_SHARE),
        ),
        Panel(
            "Processes not reached",
            "Processes that told their metrics within the last hour and do not now.",
            "short",
            (Query(summed(_of_ours(told("up", **here())).by_number("== bool", 0))),),
            Form.NUMBER,
            width=4,
            limits=(1,),
        ),
    ),
)
_TRAFFIC: Final = Row(
    "What comes in",
    (
        Panel(
            "Events by verdict",
            "Accepted, known already (duplicate), or no event (rejected).",
            "short",
            (Query(summed(rate(registry.EVENTS, INTERVAL, **here()), "verdict"), "{{verdict}}"),),
        ),
        Panel(
            "Events rejected by reason",
            "What is wrong with what clients send; each is kept as a failed event.",
            "short",
            (Query(summed(grown(registry.REJECTED_EVENTS, INTERVAL, **here()), "reason"), "{{reason}}"),),
            Form.BARS,
        ),
        Panel(
            "Requests by status",
            "How clients' requests were answered.",
            "reqps",
            (
                Query(
                    summed(rate(registry.REQUESTS, INTERVAL, **_CLIENTS), "http_response_status_code"),
                    "{{http_response_status_code}}",
                ),
            ),
        ),
        Panel(
            "Duration of requests",
            "From a request's head to its answer's end; half of them, and all but one in a hundred.",
            "s",
            tuple(
                Query(quantile(each, registry.REQUEST_SECONDS, INTERVAL, **_CLIENTS), f"p{each * 100:.0f}")
                for each in (0.5, 0.99)
            ),
        ),
        Panel(
            "Slowest routes",
            "The same by route, for all but one request in a hundred.",
            "s",
            (Query(quantile(0.99, registry.REQUEST_SECONDS, INTERVAL, "http_route", **_CLIENTS), "{{http_route}}"),),
        ),
        Panel(
            "Open streams",
            "Pages that watch for help, by server-sent events or WebSocket.",
            "short",
            (Query(summed(gauge(registry.STREAMS, **here())), "open"),),
        ),
    ),
)
_OUTCOME: Final = Row(
    "What comes of it",
    (
        Panel(
            "Decision delay",
            "From an event's arrival on the stream to the decision on it.",
            "s",
            tuple(
                Query(quantile(each, registry.DECISION_DELAY, INTERVAL, **here()), f"p{each * 100:.0f}")
                for each in (0.5, 0.99)
            ),
            limits=(limits.SLOW_DECISION_SECONDS,),
        ),
        Panel(
            "Help given",
            "Users who were helped, by action.",
            "short",
            (Query(summed(grown(registry.HELP, INTERVAL, **here()), "action"), "{{action}}"),),
            Form.BARS,
        ),
        Panel(
            "Lag by reader",
            "Age of the oldest event that waits: for a decision (dispatcher), for the archive (archiver, which "
            "gathers a minute's events on purpose).",
            "s",
            (Query(largest(gauge(registry.LAG, **here()), "reader"), "{{reader}}"),),
        ),
    ),
)
_PROCESSES: Final = Row(
    "Processes",
    (
        Panel(
            "Dependencies",
            "Red: at least one process does not reach what it needs, and is not ready.",
            "none",
            (Query(largest(_OURS.by_number("== bool", 0), "dependency"), "{{dependency}}"),),
            Form.STATES,
        ),
        Panel(
            "Memory",
            "Resident memory by pod.",
            "bytes",
            (Query(largest(_of_ours(told("process_resident_memory_bytes", **here())), "pod"), "{{pod}}"),),
        ),
        Panel(
            "CPU",
            "Cores in use by pod.",
            "short",
            (Query(largest(_of_ours(per_second("process_cpu_seconds_total", INTERVAL, **here())), "pod"), "{{pod}}"),),
        ),
    ),
)

DASHBOARD: Final = Dashboard(
    "overview",
    "Overview",
    "Whether events come in, are decided on in time, and all processes have what they need.",
    (_NOW, _TRAFFIC, _OUTCOME, _PROCESSES),
)
