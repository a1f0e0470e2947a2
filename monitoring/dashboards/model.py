"""What is known of users: signals of struggle, their risk, and the model that scores it."""

from typing import Final

from mesh.observability import registry
from monitoring.grafana import INTERVAL, bars, dashboard, heat, here, lines, names, quantiles
from monitoring.promql import gauge, grown, largest, rate, runs, summed

DASHBOARD: Final = dashboard(
    "model",
    "Model",
    "How high users' exit risk is, which signals led to it, and which model scored it how fast.",
    {
        "Exit risk": [
            heat(
                "Scores",
                (
                    "How many assessments fell between which scores. A shift without a new version is a change in "
                    "behaviour, or in what clients send."
                ),
                "none",
                registry.RISK_SCORE,
            ),
            lines(
                "Score of half, and of the highest tenth",
                "Half of the assessments lie below p50, nine in ten below p90. From 75 on a user is helped at once.",
                "none",
                *quantiles(registry.RISK_SCORE, (0.5, 0.9), **here()),
            ),
            lines(
                "Assessments by level",
                "Assessments a second; unknown where too little is known of a user.",
                "short",
                (summed(rate(registry.ASSESSMENTS, INTERVAL, **here()), "level"), "{{level}}"),
            ),
        ],
        "Behaviour": [
            bars(
                "Signals of struggle",
                "Signals that were found, by kind.",
                "short",
                (summed(grown(registry.SIGNALS, INTERVAL, **here()), "signal"), "{{signal}}"),
                width=12,
            ),
            lines(
                "Vectors and playback",
                "Feature vectors computed and playback events applied, a second.",
                "short",
                (summed(rate(registry.VECTORS, INTERVAL, **here())), "feature vectors"),
                (summed(rate(registry.BEATS, INTERVAL, **here())), "playback events"),
                width=12,
            ),
        ],
        "The model at work": [
            lines(
                "Run of the model",
                "How long one run takes for all vectors of a batch.",
                "s",
                *quantiles(registry.MODEL_RUN_SECONDS, (0.5, 0.99), **here()),
            ),
            lines(
                "Runs a second",
                "One a batch, whatever its size.",
                "short",
                (summed(runs(registry.MODEL_RUN_SECONDS, INTERVAL, **here())), "runs"),
            ),
            names(
                "Live version",
                "The version that scores. Two of them: a roll-out is under way, or was left half done.",
                (largest(gauge(registry.MODEL_LIVE, **here()), "version"), "{{version}}"),
            ),
        ],
    },
)
