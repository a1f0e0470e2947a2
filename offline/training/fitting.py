"""From snapshots to a fitted, exported, checked and measured model. Reads and writes no files."""

from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from offline.training import additive, metrics, parity, plots
from offline.training.snapshots import HORIZON_DAYS, Table
from services.scoring.domain.schema import FEATURES, SCHEMA_VERSION

SEED: Final = 20260102
# Of ten users, how many are held back for validation.
VALIDATION_TENTHS: Final = 3
# The time-ordered split: trained on what was known before this day of the course, tested on the days from it on.
CUT_DAY: Final = 105
LATER_DAYS: Final = "same users, later days, weekly"
# The weight of an at-event snapshot: enough to learn what a user in the middle of a session looks like.
EVENT_WEIGHT: Final = 0.15
# The directions that are certain; features that are not measured have no effect at all.
DIRECTIONS: Final = {
    "error_count": 1,
    "retry_count": 1,
    "form_abandons": 1,
    "click_frustration": 1,
    "success_rate": -1,
    "engagement_score": -1,
    "time_since_last_success": 1,
    "session_count": -1,
    "unique_pages_visited": -1,
}
PARAMETERS: Final[dict[str, Any]] = {
    "max_iter": 200,
    "learning_rate": 0.06,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 100,
    "l2_regularization": 1.0,
    "early_stopping": False,
}


@dataclass(frozen=True)
class Trained:
    """A model, exported and measured."""

    file: bytes
    reports: dict[str, metrics.Report]
    gains: dict[str, metrics.Gain]
    reliability: bytes
    parity_difference: float
    counts: dict[str, int]
    shapes: dict[str, list[tuple[float, float]]]
    share_gone_at_events: float


def fit(known: Table, measured: frozenset[str]) -> CalibratedClassifierCV:
    """Fits a boosted sum of one function per feature, calibrated by a sigmoid over folds that never split a user."""
    boosted = HistGradientBoostingClassifier(
        interaction_cst="no_interactions",
        monotonic_cst=[DIRECTIONS.get(name, 0) for name in FEATURES],
        random_state=SEED,
        **PARAMETERS,
    )
    folds = list(GroupKFold(5).split(known.values, known.is_gone, known.users))
    model = CalibratedClassifierCV(boosted, method="sigmoid", cv=folds, ensemble=False)
    # Sums over threads depend on their number; with one thread the bytes are the same everywhere.
    with threadpool_limits(1):
        rows = known.values * np.array([name in measured for name in FEATURES])
        return model.fit(rows, known.is_gone, sample_weight=np.where(known.is_weekly, 1.0, EVENT_WEIGHT))


def train(snapshots: Table, measured: frozenset[str], source: str) -> Trained:
    """Trains, exports and measures.

    Raises:
        ParityError: the exported model disagrees with the trained one.
    """
    is_kept_back = kept_back(snapshots.users)
    known, unknown = snapshots.where(~is_kept_back), snapshots.where(is_kept_back)
    model = fit(known, measured)
    sum_of_steps = additive.read(model, known.values)
    metadata = (("source", source), ("feature_schema_version", SCHEMA_VERSION), ("features", ",".join(FEATURES)))
    file = additive.to_onnx(sum_of_steps, metadata)
    difference = parity.require(file, model, unknown.values)
    usual = float(known.is_gone[known.is_weekly].mean())
    reports, curves, gains = {}, {}, {}
    for name, part in parts(unknown).items():
        probabilities = model.predict_proba(part.values)[:, 1]
        reports[f"other users, {name}"] = metrics.report(probabilities, part, usual)
        gains[f"other users, {name}"] = metrics.gain(probabilities, part)
        curves[name] = metrics.bins(probabilities, part.is_gone)
    reports[LATER_DAYS], gains[LATER_DAYS] = _time_ordered(snapshots, measured)
    counts = {"users": len(set(known.users)), "snapshots": len(known), "validation_snapshots": len(unknown)}
    shapes = {
        name: [(float(x), round(float(y), 3)) for x, y in zip([*steps.bounds, np.inf], steps.values, strict=True)]
        for name, steps in zip(FEATURES, sum_of_steps.steps, strict=True)
        if len(steps.bounds)
    }
    share_gone = float(snapshots.is_gone[~snapshots.is_weekly].mean())
    return Trained(file, reports, gains, plots.reliability(curves), difference, counts, shapes, share_gone)


def kept_back(users: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Which rows belong to the users held back for validation, always the same."""
    return np.array([crc32(user.encode()) % 10 < VALIDATION_TENTHS for user in users], bool)


def parts(snapshots: Table) -> dict[str, Table]:
    """The snapshots by kind of moment, under the names they are reported by."""
    return {
        "weekly": snapshots.where(snapshots.is_weekly),
        "at events": snapshots.where(~snapshots.is_weekly),
    }


def _time_ordered(snapshots: Table, measured: frozenset[str]) -> tuple[metrics.Report, metrics.Gain]:
    """Measures another model, trained on what was known on the cut day, on the days from then on."""
    before = snapshots.where(snapshots.days + HORIZON_DAYS < CUT_DAY)
    later = snapshots.where(snapshots.is_weekly & (snapshots.days >= CUT_DAY))
    model = fit(before, measured)
    usual = float(before.is_gone[before.is_weekly].mean())
    probabilities = model.predict_proba(later.values)[:, 1]
    return metrics.report(probabilities, later, usual), metrics.gain(probabilities, later)
