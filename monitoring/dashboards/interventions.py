"""Who is helped, what comes of it, how messages go out, and what language models cost."""

from typing import Final

from mesh import registry
from monitoring import limits
from monitoring.grafana import INTERVAL, RANGE, Dashboard, Form, Panel, Query, Row, here
from monitoring.promql import gauge, grown, largest, like, rate, share, summed

_DECISIONS: Final = Row(
    "Decisions",
    (
        Panel(
            "Decisions by reason",
            "Decisions a second, and why: most are for nothing, on purpose.",
            "short",
            (Query(summed(rate(registry.DECISIONS, INTERVAL, **here()), "reason"), "{{reason}}"),),
            width=12,
        ),
        Panel(
            "Help by action and channel",
            "Users who were helped.",
            "short",
            (Query(summed(grown(registry.HELP, INTERVAL, **here()), "action", "channel"), "{{action}} ({{channel}})"),),
            Form.BARS,
            width=12,
        ),
    ),
)
_OUTCOMES: Final = Row(
    "What became of help",
    (
        Panel(
            "Outcomes",
            "Shown, accepted, declined, expired, converted, withdrawn.",
            "short",
            (Query(summed(grown(registry.OUTCOMES, INTERVAL, **here()), "outcome"), "{{outcome}}"),),
            Form.BARS,
        ),
        Panel(
            "Acceptance",
            "Of the help that was answered in the time shown, the share that was accepted.",
            "percentunit",
            (
                Query(
                    share(
                        summed(grown(registry.OUTCOMES, RANGE, **here(outcome="accepted"))),
                        summed(grown(registry.OUTCOMES, RANGE, **here(outcome=like("accepted|declined")))),
                    )
                ),
            ),
            Form.NUMBER,
        ),
        Panel(
            "Withheld",
            "Help that users in the holdout did not get, so that what help changes can be measured.",
            "short",
            (Query(summed(grown(registry.WITHHELD, INTERVAL, **here()), "action"), "{{action}}"),),
            Form.BARS,
        ),
        Panel(
            "Policy",
            "The version of the policy that decides. Two of them for longer than seconds: replicas differ.",
            "none",
            (Query(largest(gauge(registry.POLICY_LIVE, **here()), "version"), "{{version}}"),),
            Form.NAMES,
        ),
    ),
)
_MESSAGES: Final = Row(
    "Messages",
    (
        Panel(
            "Deliveries",
            "How messages ended, by channel.",
            "short",
            (
                Query(
                    summed(grown(registry.DELIVERIES, INTERVAL, **here()), "channel", "state"), "{{channel}}: {{state}}"
                ),
            ),
            Form.BARS,
        ),
        Panel(
            "Waiting messages",
            "Messages that wait for their time, or for another attempt.",
            "short",
            (Query(largest(gauge(registry.OUTBOX, **here()), "channel"), "{{channel}}"),),
        ),
        Panel(
            "Overdue messages",
            "How long ago the oldest message that waits was due.",
            "s",
            (Query(largest(gauge(registry.OUTBOX_AGE, **here()), "channel"), "{{channel}}"),),
            limits=(limits.OLD_OUTBOX_SECONDS,),
        ),
    ),
)
_MODELS: Final = Row(
    "Language models",
    (
        Panel(
            "Calls of models",
            "Calls by model and how they ended.",
            "short",
            (
                Query(
                    summed(grown(registry.MODEL_CALLS, INTERVAL, **here()), "model", "ending"), "{{model}}: {{ending}}"
                ),
            ),
            Form.BARS,
        ),
        Panel(
            "Tokens",
            "Tokens models were asked with and answered.",
            "short",
            (
                Query(
                    summed(grown(registry.MODEL_TOKENS, INTERVAL, **here()), "model", "direction"),
                    "{{model}}: {{direction}}",
                ),
            ),
            Form.BARS,
        ),
        Panel(
            "Templates instead of models",
            "Red: a model is set up, and templates speak; by reason.",
            "none",
            (Query(largest(gauge(registry.MODEL_DEGRADED, **here()), "reason"), "{{reason}}"),),
            Form.STATES,
        ),
        Panel(
            "Cost",
            "What models cost in the time shown.",
            "currencyUSD",
            (Query(summed(grown(registry.MODEL_COST, RANGE, **here()))),),
            Form.NUMBER,
        ),
        Panel(
            "Cost of a call",
            "What a call costs on average in the time shown; words that were not used are paid, too.",
            "currencyUSD",
            (
                Query(
                    summed(grown(registry.MODEL_COST, RANGE, **here()))
                    / summed(grown(registry.MODEL_CALLS, RANGE, **here()))
                ),
            ),
            Form.NUMBER,
        ),
        Panel(
            "Budget of the day",
            "Share that is spent, of tokens or money, whichever is more. It begins anew at midnight UTC.",
            "percentunit",
            (Query(largest(gauge(registry.BUDGET_USED, **here()))),),
            Form.NUMBER,
            limits=(limits.SPENT_BUDGET_SHARE * 0.8, limits.SPENT_BUDGET_SHARE),
        ),
    ),
)

DASHBOARD: Final = Dashboard(
    "interventions",
    "Interventions and cost",
    "Who is helped and what becomes of it, how messages go out, and what language models cost.",
    (_DECISIONS, _OUTCOMES, _MESSAGES, _MODELS),
)
