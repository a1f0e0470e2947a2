"""Alerts: messages, models, and the experiment that compares policies."""

from mesh.observability import registry
from monitoring import limits
from monitoring.alert import MINUTE, Alert, Severity, TimeScale
from monitoring.promql import gauge, grown, largest, like, summed, unlike


def alerts(scale: TimeScale) -> tuple[Alert, ...]:
    """The alerts of this group."""
    window = scale(30 * MINUTE)
    failed, tried = (
        summed(grown(registry.DELIVERIES, window, state=like(states)), "namespace", "channel")
        for states in ("failed|unknown", "sent|failed|unknown")
    )
    failing = (failed / tried).by_number(">", limits.FAILED_DELIVERY_SHARE)
    degraded = largest(gauge(registry.MODEL_DEGRADED, reason=unlike("budget")), "namespace", "reason")
    return (
        Alert(
            "JourneymeshDeliveriesFailing",
            Severity.TICKET,
            failing.where(failed.by_number(">=", limits.FAILED_DELIVERIES), "namespace", "channel"),
            5 * MINUTE,
            "{{ $value | humanizePercentage }} of messages by {{ $labels.channel }} fail in {{ $labels.namespace }}.",
            "The provider refuses messages, or it is unknown whether they were sent. The help itself is visible in the "
            "product.",
            (
                (
                    "`GET /api/interventions/{id}` names the reason: credentials, a wrong address, throttling. The log "
                    "of intervention has the provider's answer."
                ),
                "[channels.md](channels.md) says what each reason means and what is retried.",
            ),
        ),
        Alert(
            "JourneymeshOutboxStuck",
            Severity.TICKET,
            largest(gauge(registry.OUTBOX_AGE), "namespace", "channel").by_number(">", limits.OLD_OUTBOX_SECONDS),
            5 * MINUTE,
            "A {{ $labels.channel }} message was due {{ $value | humanizeDuration }} ago in {{ $labels.namespace }}.",
            "Due messages are not being tried: the circuit breaker is open after failures of the provider, or the "
            "provider hangs or is too slow.",
            (
                "Dashboard “Interventions and cost”: does the channel send anything?",
                "If it does: add replicas of intervention, or raise `JOURNEYMESH_CHANNEL_CONCURRENCY`.",
                "If it does not: check its provider and the log of intervention.",
            ),
        ),
        Alert(
            "JourneymeshConfigurationRefused",
            Severity.TICKET,
            summed(grown(registry.CONFIGURATIONS_REFUSED, scale(15 * MINUTE)), "namespace").by_number(">", 0),
            0,
            "Intervention in {{ $labels.namespace }} refuses how policies are compared.",
            "Who is in which arm was not signed by `JOURNEYMESH_EXPERIMENTS_PUBLIC_KEY`, or cannot be read. The last "
            "configuration that was accepted decides for a day, then the control.",
            (
                (
                    "The log of intervention says why. Was the key of the experiments service made anew, or does a "
                    "replica have another one? `GET /api/experiments:configuration` shows which one it signs with "
                    "([experiments.md](experiments.md#assigning-by-yourself))."
                ),
                "If neither: somebody answers in its place, or writes to the store. Find out who can.",
            ),
        ),
        Alert(
            "JourneymeshExitRiskModelUnusable",
            Severity.TICKET,
            largest(gauge(registry.MODEL_PROBLEMS), "namespace").by_number(">", 0),
            5 * MINUTE,
            "An exit-risk model that should serve in {{ $labels.namespace }} cannot be loaded.",
            "The last good model scores in its place, so nobody is scored by a damaged one.",
            (
                "`journeymesh model list` names the model and what is wrong with it; so does the log of scoring.",
                "Copy its folder into the registry again, or `journeymesh model rollback` ([models.md](models.md)).",
            ),
        ),
        Alert(
            "JourneymeshModelDegraded",
            Severity.TICKET,
            degraded.by_number("==", 1),
            15 * MINUTE,
            "Templates replace the language model in {{ $labels.namespace }}: {{ $labels.reason }}.",
            "A language model is configured but not called, because it failed. Help is still sent in time, with the "
            "template's text.",
            (
                "Dashboard “Interventions and cost”, “Calls of models”: how do calls end?",
                "Check credentials, region, access to the model, and its quota. Calls resume automatically.",
            ),
        ),
        Alert(
            "JourneymeshBudgetNearlySpent",
            Severity.TICKET,
            largest(gauge(registry.BUDGET_USED), "namespace").by_number(">", limits.SPENT_BUDGET_SHARE),
            5 * MINUTE,
            "{{ $value | humanizePercentage }} of the day's budget for models is spent in {{ $labels.namespace }}.",
            "Once it is spent, templates are used until midnight UTC.",
            (
                "Is the number of users as expected? Dashboard “Interventions and cost”: tokens by model.",
                "To raise the budget: `JOURNEYMESH_MODEL_DAILY_USD`, `JOURNEYMESH_MODEL_DAILY_TOKENS`.",
            ),
        ),
        Alert(
            "JourneymeshCostBudgetNearlySpent",
            Severity.TICKET,
            largest(gauge(registry.COST_BUDGET_USED), "namespace").by_number(">", limits.SPENT_BUDGET_SHARE),
            5 * MINUTE,
            "{{ $value | humanizePercentage }} of what a day may cost is spent in {{ $labels.namespace }}.",
            "All parts of the mesh together have cost a tenant nearly what the price file allows for a day, or more. "
            "Nothing is switched off.",
            (
                "The dashboard's Help page, or `POST /api/analytics/costs`: which part, since which day?",
                "More events than usual? A client that sends too much shows in “Events by verdict”.",
                "To raise it: `dailyBudgetUsd` of the file in `JOURNEYMESH_PRICES_FILE`.",
            ),
        ),
    )
