"""Users' signals and risk, and the model that scores it."""

from typing import Final

from mesh.observability import registry
from monitoring.grafana import INTERVAL, bars, dashboard, heat, here, lines, names, quantiles
from monitoring.promql import gauge, grown, largest, rate, runs, summed

DASHBOARD: Final = dashboard(
    "model",
    "Model",
    "Users' exit risk, the signals behind it, and the model that scores it.",
    {
        "Exit risk": [
            heat(
                "Scores",
                (
                    "Distribution of scores. A shift without a new version means that users behave differently or "
                    "clients send something else."
                ),
                "none",
                registry.RISK_SCORE,
            ),
            lines(
                "Median and highest tenth of scores",
                "Half of the scores are below p50, nine in ten below p90. From 75 on, a user is helped at once.",
                "none",
                *quantiles(registry.RISK_SCORE, (0.5, 0.9), **here()),
            ),
            lines(
                "Assessments by level",
                "Assessments per second; `unknown` if too little is known about a user.",
                "short",
                (summed(rate(registry.ASSESSMENTS, INTERVAL, **here()), "level"), "{{level}}"),
            ),
        ],
        "Behaviour": [
            bars(
                "Signals of struggle",
                "Signals found, by type.",
                "short",
                (summed(grown(registry.SIGNALS, INTERVAL, **here()), "signal"), "{{signal}}"),
                width=12,
            ),
            lines(
                "Vectors and playback",
                "Feature vectors computed and playback events applied, per second.",
                "short",
                (summed(rate(registry.VECTORS, INTERVAL, **here())), "feature vectors"),
                (summed(rate(registry.BEATS, INTERVAL, **here())), "playback events"),
                width=12,
            ),
        ],
        "Does it still hold": [
            lines(
                "Drift of reasons and scores",
                (
                    "Population stability index of 7 days against the 7 before. From 0.25 on a distribution is "
                    "commonly held to have changed."
                ),
                "none",
                (largest(gauge(registry.DRIFT_INDEX, **here()), "kind", "of"), "{{kind}} {{of}}"),
            ),
            lines(
                "Points moved",
                "By how many points of the score it moved, as a mean over all predictions.",
                "none",
                (largest(gauge(registry.DRIFT_POINTS, **here()), "kind", "of"), "{{kind}} {{of}}"),
            ),
            lines(
                "Calibration",
                (
                    "Of the last 7 days whose outcomes are known: how far probabilities are from the shares that came "
                    "true, and the share less the mean probability."
                ),
                "percentunit",
                (largest(gauge(registry.CALIBRATION_ERROR, **here()), "version"), "error of {{version}}"),
                (largest(gauge(registry.CALIBRATION_GAP, **here()), "version"), "gap of {{version}}"),
            ),
            lines(
                "Known outcomes",
                "Predictions that the calibration rests on. Of few, the error says little.",
                "short",
                (largest(gauge(registry.KNOWN_OUTCOMES, **here()), "version"), "{{version}}"),
                width=12,
            ),
            lines(
                "Events against the week before",
                "Events of a kind in 7 days, for each in the 7 before. Near 0: clients hardly send it any more.",
                "none",
                (largest(gauge(registry.EVENT_RATIO, **here()), "kind"), "{{kind}}"),
                width=12,
            ),
        ],
        "Running the model": [
            lines(
                "Duration of a run",
                "One run scores all vectors of a batch.",
                "s",
                *quantiles(registry.MODEL_RUN_SECONDS, (0.5, 0.99), **here()),
            ),
            lines(
                "Runs per second",
                "One run per batch, whatever its size.",
                "short",
                (summed(runs(registry.MODEL_RUN_SECONDS, INTERVAL, **here())), "runs"),
            ),
            names(
                "Live version",
                "The version that scores. Two versions: a roll-out is in progress or incomplete.",
                (largest(gauge(registry.MODEL_LIVE, **here()), "version"), "{{version}}"),
            ),
            lines(
                "Failed runs",
                "If a canary fails, the live model decides.",
                "short",
                (summed(grown(registry.MODEL_FAILURES, INTERVAL, **here()), "version"), "{{version}}"),
                (summed(grown(registry.MODEL_ROLLBACKS, INTERVAL, **here())), "canaries taken back"),
            ),
            lines(
                "Shadow: difference of scores",
                "How far its score is from the one that decided.",
                "none",
                *quantiles(registry.SHADOW_DIFFERENCE, (0.5, 0.99), **here()),
            ),
            lines(
                "Shadow: levels",
                "Assessments per second whose level would be higher, lower or the same by the shadow.",
                "short",
                (summed(rate(registry.SHADOW_LEVELS, INTERVAL, **here()), "change"), "{{change}}"),
            ),
            lines(
                "Models that cannot be loaded",
                "They should serve; the last good ones serve in their place.",
                "short",
                (largest(gauge(registry.MODEL_PROBLEMS, **here())), "models"),
            ),
        ],
    },
)
