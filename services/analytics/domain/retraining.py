"""When a model is due to be trained anew without anybody asking: what gauges tell is beyond a threshold. Pure.

The thresholds are those of the alerts that would ask somebody to look (`monitoring.limits`). Figures are of whole
weeks, so one look is enough.
"""

from collections.abc import Collection
from typing import Final

from services.analytics.domain.gauged import Figures
from services.analytics.domain.job import By

LABEL: Final = "no event for 14 days, at events"
"""What a model is trained to foretell if nobody says."""
DRIFT_INDEX: Final = 0.25
"""Above it, a distribution is commonly held to have changed: the population stability index."""
DRIFT_POINTS: Final = 1.0
"""Of the score, from here on, as a mean over predictions: what moves it by less changes no decision."""
CALIBRATION_ERROR: Final = 0.05
"""Above it, the model says something else than what comes true; 0 to 1."""
KNOWN_OUTCOMES: Final = 300
"""Of fewer, chance alone makes such an error."""


def cause(figures: Figures, wanted: Collection[By]) -> By | None:
    """What makes a new model due; None if nothing does that is wanted. What came true says more than what moved."""
    if By.CALIBRATION in wanted and any(
        each.error > CALIBRATION_ERROR and each.outcome_count >= KNOWN_OUTCOMES for each in figures.calibrated.values()
    ):
        return By.CALIBRATION
    if By.DRIFT in wanted and any(
        each.psi > DRIFT_INDEX and each.points >= DRIFT_POINTS for each in figures.moved.values()
    ):
        return By.DRIFT
    return None
