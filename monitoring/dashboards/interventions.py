"""Who is helped, with which outcome, how messages are delivered, and what language models cost."""

from typing import Final

from mesh.observability import registry
from monitoring import limits
from monitoring.grafana import INTERVAL, RANGE, bars, dashboard, here, lines, names, number, states
from monitoring.promql import gauge, grown, largest, like, rate, share, summed

DASHBOARD: Final = dashboard(
    "interventions",
    "Interventions and cost",
    "Who is helped, with which outcome, how messages are delivered, and what language models cost.",
    {
        "Decisions": [
            lines(
                "Decisions by reason",
                "Decisions per second by reason; most of them are not to help, on purpose.",
                "short",
                (summed(rate(registry.DECISIONS, INTERVAL, **here()), "reason"), "{{reason}}"),
                width=12,
            ),
            bars(
                "Help by action and channel",
                "Users who were helped.",
                "short",
                (summed(grown(registry.HELP, INTERVAL, **here()), "action", "channel"), "{{action}} ({{channel}})"),
                width=12,
            ),
        ],
        "Outcomes of help": [
            bars(
                "Outcomes",
                "Shown, accepted, declined, expired, converted, withdrawn.",
                "short",
                (summed(grown(registry.OUTCOMES, INTERVAL, **here()), "outcome"), "{{outcome}}"),
            ),
            number(
                "Acceptance",
                "Share of the help accepted, out of all that was accepted or declined in the time shown.",
                "percentunit",
                share(
                    summed(grown(registry.OUTCOMES, RANGE, **here(outcome="accepted"))),
                    summed(grown(registry.OUTCOMES, RANGE, **here(outcome=like("accepted|declined")))),
                ),
            ),
            bars(
                "Withheld",
                "Help withheld from users in the holdout, to measure the effect of help.",
                "short",
                (summed(grown(registry.WITHHELD, INTERVAL, **here()), "action"), "{{action}}"),
            ),
            names(
                "Policy",
                "The version of the policy in force. If there are two for more than a few seconds, replicas differ.",
                (largest(gauge(registry.POLICY_LIVE, **here()), "version"), "{{version}}"),
            ),
        ],
        "Messages": [
            bars(
                "Deliveries",
                "Results of deliveries, by channel.",
                "short",
                (summed(grown(registry.DELIVERIES, INTERVAL, **here()), "channel", "state"), "{{channel}}: {{state}}"),
            ),
            lines(
                "Waiting messages",
                "Messages that wait until they are due or for another attempt.",
                "short",
                (largest(gauge(registry.OUTBOX, **here()), "channel"), "{{channel}}"),
            ),
            lines(
                "Overdue messages",
                "How long the oldest waiting message has been due.",
                "s",
                (largest(gauge(registry.OUTBOX_AGE, **here()), "channel"), "{{channel}}"),
                limits=(limits.OLD_OUTBOX_SECONDS,),
            ),
        ],
        "Language models": [
            bars(
                "Calls of models",
                "Calls by model and result.",
                "short",
                (summed(grown(registry.MODEL_CALLS, INTERVAL, **here()), "model", "ending"), "{{model}}: {{ending}}"),
            ),
            bars(
                "Tokens",
                "Input and output tokens by model.",
                "short",
                (
                    summed(grown(registry.MODEL_TOKENS, INTERVAL, **here()), "model", "direction"),
                    "{{model}}: {{direction}}",
                ),
            ),
            states(
                "Templates instead of models",
                "Red: a model is configured but templates are used; by reason.",
                (largest(gauge(registry.MODEL_DEGRADED, **here()), "reason"), "{{reason}}"),
            ),
            number(
                "Cost",
                "Cost of models in the time shown.",
                "currencyUSD",
                summed(grown(registry.MODEL_COST, RANGE, **here())),
            ),
            number(
                "Cost of a call",
                "Average cost of a call in the time shown, including calls whose copy was not used.",
                "currencyUSD",
                summed(grown(registry.MODEL_COST, RANGE, **here()))
                / summed(grown(registry.MODEL_CALLS, RANGE, **here())),
            ),
            number(
                "Budget of the day",
                "Share of tokens or money that is spent, whichever is higher. Reset at midnight UTC.",
                "percentunit",
                largest(gauge(registry.BUDGET_USED, **here())),
                limits=(limits.SPENT_BUDGET_SHARE * 0.8, limits.SPENT_BUDGET_SHARE),
            ),
            number(
                "Budget of all parts",
                "Share of what a day of the tenant with most may cost, by the price file. Empty without a budget.",
                "percentunit",
                largest(gauge(registry.COST_BUDGET_USED, **here())),
                limits=(limits.SPENT_BUDGET_SHARE * 0.8, limits.SPENT_BUDGET_SHARE),
            ),
        ],
    },
)
