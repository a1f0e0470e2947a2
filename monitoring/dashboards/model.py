"""What is known of users: signals of struggle, their risk, and the model that scores it."""

from typing import Final

from mesh import registry
from monitoring.grafana import INTERVAL, Dashboard, Form, Panel, Query, Row, here
from monitoring.promql import buckets, gauge, grown, largest, quantile, rate, runs, summed

_RISK: Final = Row(
    "Exit risk",
    (
        Panel(
            "Scores",
            "How many assessments fell between which scores. A shift without a new version is a change in behaviour, "
            "or in what clients send.",
            "none",
            (Query(buckets(registry.RISK_SCORE, INTERVAL, **here()), "{{le}}"),),
            Form.HEAT,
        ),
        Panel(
            "Score of half, and of the highest tenth",
            "Half of the assessments lie below p50, nine in ten below p90. From 75 on a user is helped at once.",
            "none",
            tuple(
                Query(quantile(each, registry.RISK_SCORE, INTERVAL, **here()), f"p{each * 100:.0f}")
                for each in (0.5, 0.9)
            ),
        ),
        Panel(
            "Assessments by level",
            "Assessments a second; unknown where too little is known of a user.",
            "short",
            (Query(summed(rate(registry.ASSESSMENTS, INTERVAL, **here()), "level"), "{{level}}"),),
        ),
    ),
)
_BEHAVIOUR: Final = Row(
    "Behaviour",
    (
        Panel(
            "Signals of struggle",
            "Signals that were found, by kind.",
            "short",
            (Query(summed(grown(registry.SIGNALS, INTERVAL, **here()), "signal"), "{{signal}}"),),
            Form.BARS,
            width=12,
        ),
        Panel(
            "Vectors and playback",
            "Feature vectors computed and playback events applied, a second.",
            "short",
            (
                Query(summed(rate(registry.VECTORS, INTERVAL, **here())), "feature vectors"),
                Query(summed(rate(registry.BEATS, INTERVAL, **here())), "playback events"),
            ),
            width=12,
        ),
    ),
)
_RUNS: Final = Row(
    "The model at work",
    (
        Panel(
            "Run of the model",
            "How long one run takes for all vectors of a batch.",
            "s",
            tuple(
                Query(quantile(each, registry.MODEL_RUN_SECONDS, INTERVAL, **here()), f"p{each * 100:.0f}")
                for each in (0.5, 0.99)
            ),
        ),
        Panel(
            "Runs a second",
            "One a batch, whatever its size.",
            "short",
            (Query(summed(runs(registry.MODEL_RUN_SECONDS, INTERVAL, **here())), "runs"),),
        ),
        Panel(
            "Live version",
            "The version that scores. Two of them: a roll-out is under way, or was left half done.",
            "none",
            (Query(largest(gauge(registry.MODEL_LIVE, **here()), "version"), "{{version}}"),),
            Form.NAMES,
        ),
    ),
)

DASHBOARD: Final = Dashboard(
    "model",
    "Model",
    "How high users' exit risk is, which signals led to it, and which model scored it how fast.",
    (_RISK, _BEHAVIOUR, _RUNS),
)
