"""Who is helped, what comes of it, how messages go out, and what language models cost."""

from typing import Final

from mesh.observability import registry
from monitoring import limits
from monitoring.grafana import INTERVAL, RANGE, bars, dashboard, here, lines, names, number, states
from monitoring.promql import gauge, grown, largest, like, rate, share, summed

DASHBOARD: Final = dashboard(
    "interventions",
    "Interventions and cost",
    "Who is helped and what becomes of it, how messages go out, and what language models cost.",
    {
        "Decisions": [
            lines(
                "Decisions by reason",
                "Decisions a second, and why: most are for nothing, on purpose.",
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
        "What became of help": [
            bars(
                "Outcomes",
                "Shown, accepted, declined, expired, converted, withdrawn.",
                "short",
                (summed(grown(registry.OUTCOMES, INTERVAL, **here()), "outcome"), "{{outcome}}"),
            ),
            number(
                "Acceptance",
                "Of the help that was answered in the time shown, the share that was accepted.",
                "percentunit",
                share(
                    summed(grown(registry.OUTCOMES, RANGE, **here(outcome="accepted"))),
                    summed(grown(registry.OUTCOMES, RANGE, **here(outcome=like("accepted|declined")))),
                ),
            ),
            bars(
                "Withheld",
                "Help that users in the holdout did not get, so that what help changes can be measured.",
                "short",
                (summed(grown(registry.WITHHELD, INTERVAL, **here()), "action"), "{{action}}"),
            ),
            names(
                "Policy",
                "The version of the policy that decides. Two of them for longer than seconds: replicas differ.",
                (largest(gauge(registry.POLICY_LIVE, **here()), "version"), "{{version}}"),
            ),
        ],
        "Messages": [
            bars(
                "Deliveries",
                "How messages ended, by channel.",
                "short",
                (summed(grown(registry.DELIVERIES, INTERVAL, **here()), "channel", "state"), "{{channel}}: {{state}}"),
            ),
            lines(
                "Waiting messages",
                "Messages that wait for their time, or for another attempt.",
                "short",
                (largest(gauge(registry.OUTBOX, **here()), "channel"), "{{channel}}"),
            ),
            lines(
                "Overdue messages",
                "How long ago the oldest message that waits was due.",
                "s",
                (largest(gauge(registry.OUTBOX_AGE, **here()), "channel"), "{{channel}}"),
                limits=(limits.OLD_OUTBOX_SECONDS,),
            ),
        ],
        "Language models": [
            bars(
                "Calls of models",
                "Calls by model and how they ended.",
                "short",
                (summed(grown(registry.MODEL_CALLS, INTERVAL, **here()), "model", "ending"), "{{model}}: {{ending}}"),
            ),
            bars(
                "Tokens",
                "Tokens models were asked with and answered.",
                "short",
                (
                    summed(grown(registry.MODEL_TOKENS, INTERVAL, **here()), "model", "direction"),
                    "{{model}}: {{direction}}",
                ),
            ),
            states(
                "Templates instead of models",
                "Red: a model is set up, and templates speak; by reason.",
                (largest(gauge(registry.MODEL_DEGRADED, **here()), "reason"), "{{reason}}"),
            ),
            number(
                "Cost",
                "What models cost in the time shown.",
                "currencyUSD",
                summed(grown(registry.MODEL_COST, RANGE, **here())),
            ),
            number(
                "Cost of a call",
                "What a call costs on average in the time shown; words that were not used are paid, too.",
                "currencyUSD",
                summed(grown(registry.MODEL_COST, RANGE, **here()))
                / summed(grown(registry.MODEL_CALLS, RANGE, **here())),
            ),
            number(
                "Budget of the day",
                "Share that is spent, of tokens or money, whichever is more. It begins anew at midnight UTC.",
                "percentunit",
                largest(gauge(registry.BUDGET_USED, **here())),
                limits=(limits.SPENT_BUDGET_SHARE * 0.8, limits.SPENT_BUDGET_SHARE),
            ),
        ],
    },
)
