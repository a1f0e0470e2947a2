"""Boosting in two stages: first each tree looks at one feature, then some trees look at pairs of features.

The pairs are those for which a boosted model with two splits per path gained most. How many trees they get is what is
best on users that were not learned from; it may be none.
"""

from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier

from offline.training.additive import Floats

Pairs = tuple[tuple[int, int], ...]

PAIRS_MOST: Final = 20
FEWEST_USERS_FOR_PAIRS: Final = 300
PARAMETERS: Final[dict[str, Any]] = {
    "learning_rate": 0.06,
    "max_leaf_nodes": 4,
    "l2_regularization": 1.0,
    "early_stopping": False,
}
TREES: Final = 200
PAIR_TREES_MOST: Final = 150
_PAIR_TREES_STEP: Final = 10


class Boosted(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """See the module. `boosted_` is scikit-learn's model after both stages."""

    def __init__(
        self,
        pairs: Pairs = (),
        pair_trees: int = 0,
        directions: tuple[int, ...] = (),
        leaf: int = 100,
        seed: int = 0,
    ) -> None:
        self.pairs = pairs
        self.pair_trees = pair_trees
        self.directions = directions
        self.leaf = leaf
        self.seed = seed

    def fit(self, rows: Floats, is_true: npt.NDArray[np.bool_], sample_weight: Floats | None = None) -> Self:
        """Fits both stages."""
        boosted = HistGradientBoostingClassifier(
            max_iter=TREES,
            interaction_cst="no_interactions",
            monotonic_cst=list(self.directions) or None,
            min_samples_leaf=self.leaf,
            random_state=self.seed,
            warm_start=True,
            **PARAMETERS,
        ).fit(rows, is_true, sample_weight=sample_weight)
        if self.pairs and self.pair_trees:
            alone = [{index} for index in range(rows.shape[1])]
            boosted.set_params(max_iter=TREES + self.pair_trees, interaction_cst=[*alone, *map(set, self.pairs)])
            boosted.fit(rows, is_true, sample_weight=sample_weight)
        self.boosted_ = boosted
        self.classes_ = boosted.classes_
        return self

    def predict(self, rows: Floats) -> npt.NDArray[np.bool_]:
        """See scikit-learn."""
        return np.asarray(self.boosted_.predict(rows))

    def predict_proba(self, rows: Floats) -> Floats:
        """See scikit-learn."""
        return np.asarray(self.boosted_.predict_proba(rows))

    def decision_function(self, rows: Floats) -> Floats:
        """See scikit-learn."""
        return np.asarray(self.boosted_.decision_function(rows))


def best_pair_trees(model: Boosted, rows: Floats, is_true: npt.NDArray[np.bool_], sample_weight: Floats) -> int:
    """How many of a fitted model's trees of pairs are best on rows that it has not seen: 0, 10, 20 and so on."""
    losses = [
        float(np.average(np.square(chances[:, 1] - is_true), weights=sample_weight))
        for number, chances in enumerate(model.boosted_.staged_predict_proba(rows), start=1)
        if number >= TREES and (number - TREES) % _PAIR_TREES_STEP == 0
    ]
    return _PAIR_TREES_STEP * int(np.argmin(losses))


def ranked(rows: Floats, is_true: npt.NDArray[np.bool_], sample_weight: Floats, leaf: int, seed: int) -> Pairs:
    """The pairs that gained most in a boosted model whose paths have two splits, best first, at most 20."""
    boosted = HistGradientBoostingClassifier(
        max_iter=100, max_depth=2, min_samples_leaf=leaf, random_state=seed, **PARAMETERS
    ).fit(rows, is_true, sample_weight=sample_weight)
    gains: dict[tuple[int, int], float] = {}
    for (predictor,) in boosted._predictors:  # noqa: SLF001 - the trees are not public
        nodes = predictor.nodes
        for side in ("left", "right") if not nodes[0]["is_leaf"] else ():
            child = nodes[nodes[0][side]]
            first, second = sorted((int(nodes[0]["feature_idx"]), int(child["feature_idx"])))
            if not child["is_leaf"] and first != second:
                gains[first, second] = gains.get((first, second), 0.0) + float(child["gain"])
    return tuple(sorted(gains, key=lambda pair: (-gains[pair], pair))[:PAIRS_MOST])
