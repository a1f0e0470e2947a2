"""Alerts: messages and language models."""

from mesh.observability import registry
from monitoring import limits
from monitoring.alert import MINUTE, Alert, Pace, Severity
from monitoring.promql import gauge, grown, largest, like, summed, unlike


def alerts(pace: Pace) -> tuple[Alert, ...]:
    """Those alerts."""
    window = pace(30 * MINUTE)
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
            "Messages are refused by their provider, or nobody knows whether they went out. The help itself is "
            "visible in the product.",
            (
                (
                    "`GET /api/interventions/{id}` names the reason: credentials, a wrong address, throttling. The log "
                    "of intervention has the provider's answer."
                ),
                "[channels.md](channels.md) says what each reason means, and what is tried again.",
            ),
        ),
        Alert(
            "JourneymeshOutboxStuck",
            Severity.TICKET,
            largest(gauge(registry.OUTBOX_AGE), "namespace", "channel").by_number(">", limits.OLD_OUTBOX_SECONDS),
            5 * MINUTE,
            "A {{ $labels.channel }} message was due {{ $value | humanizeDuration }} ago in {{ $labels.namespace }}.",
            "Messages that are due are not even tried: the provider is left alone after failures, hangs, or is too "
            "slow for what comes.",
            (
                "Dashboard “Interventions and cost”: does the channel send at all?",
                "If it does: more replicas of intervention, or a larger `JOURNEYMESH_CHANNEL_CONCURRENCY`.",
                "If it does not: its provider, and the log of intervention.",
            ),
        ),
        Alert(
            "JourneymeshModelDegraded",
            Severity.TICKET,
            degraded.by_number("==", 1),
            15 * MINUTE,
            "Templates speak instead of the language model in {{ $labels.namespace }}: {{ $labels.reason }}.",
            "The language model is set up and not asked, because it failed. Help goes out in the template's words, and "
            "in time.",
            (
                "Dashboard “Interventions and cost”, “Calls of models”: how do they end?",
                "Credentials, the region, access to the model, its quota. It is asked again by itself.",
            ),
        ),
        Alert(
            "JourneymeshBudgetNearlySpent",
            Severity.TICKET,
            largest(gauge(registry.BUDGET_USED), "namespace").by_number(">", limits.SPENT_BUDGET_SHARE),
            5 * MINUTE,
            "{{ $value | humanizePercentage }} of the day's budget for models is spent in {{ $labels.namespace }}.",
            "When it is spent, templates speak until midnight UTC.",
            (
                "Is it as many users as it should be? Dashboard “Interventions and cost”: tokens by model.",
                "A larger budget: `JOURNEYMESH_MODEL_DAILY_USD`, `JOURNEYMESH_MODEL_DAILY_TOKENS`.",
            ),
        ),
    )
