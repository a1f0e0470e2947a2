"""Boosting whose trees may look at any features: the form beside the additive one (`staged`), and a baseline.

How many trees there are is what is best on users that were not learned from, so that few users are not learned by
heart.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold

from offline.training.additive import Floats

PARAMETERS: Final[dict[str, Any]] = {
    "learning_rate": 0.03,
    "max_leaf_nodes": 8,
    "l2_regularization": 1.0,
    "early_stopping": False,
}
MAX_DEPTH: Final = 3
"""The splits of a path in the form; the baseline is free. Tables of deeper trees are larger and slower."""
TREES_MOST: Final = 300
_STEP: Final = 20
_FOLDS: Final = 5


class Examples(NamedTuple):
    """What is learned from, row by row, and how much each row counts."""

    rows: Floats
    is_true: npt.NDArray[np.bool_]
    users: npt.NDArray[np.str_]
    weights: Floats

    def where(self, places: npt.NDArray[Any]) -> "Examples":
        """The examples at these places."""
        return Examples(*(column[places] for column in self))


def booster(examples: Examples, leaf: int, seed: int, max_depth: int | None = None) -> HistGradientBoostingClassifier:
    """A model, not fitted yet, with the number of trees that is best on a fifth of the users: 20, 40 and so on to 300.

    300 if there are too few users to tell. `leaf` is how many examples a leaf has at least.
    """
    model = HistGradientBoostingClassifier(
        max_iter=TREES_MOST, max_depth=max_depth, min_samples_leaf=leaf, random_state=seed, **PARAMETERS
    )
    if len(set(examples.users)) < _FOLDS:
        return model
    known, unknown = map(examples.where, next(GroupKFold(_FOLDS).split(examples.rows, groups=examples.users)))
    if len(set(known.is_true)) < 2:
        return model
    fitted = HistGradientBoostingClassifier(**model.get_params()).fit(
        known.rows, known.is_true, sample_weight=known.weights
    )
    losses = [
        float(np.average(np.square(chances[:, 1] - unknown.is_true), weights=unknown.weights))
        for chances in fitted.staged_predict_proba(unknown.rows)
    ]
    return model.set_params(max_iter=_STEP * (1 + int(np.argmin(losses[_STEP - 1 :: _STEP]))))
