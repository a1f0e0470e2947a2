"""The predictors that give a model's measures their meaning: fitted to the same rows, measured on the same rows."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from offline.training import unconstrained
from offline.training.metrics import Floats, Said, measure
from offline.training.table import Table

RULE: Final = "best single rule"
IDLE_DAYS: Final = "idle_days"
_THRESHOLDS: Final = 200


class Rule(NamedTuple):
    """One column compared with one threshold; `sign` is 1 if it says yes from the threshold on, -1 if up to it.

    An infinite threshold never says yes: where few come true, that can be the most accurate.
    """

    name: str
    column: int
    threshold: float
    sign: int

    def __str__(self) -> str:
        if np.isinf(self.threshold):
            return f"never, ranked by {self.name}"
        return f"{self.name} {'>=' if self.sign > 0 else '<='} {self.threshold:.6g}"

    def said(self, table: Table) -> Said:
        """Yes or no as 1 or 0; ranked by the column, because yes and no alone cannot rank."""
        values = self.sign * _columns(table)[:, self.column]
        return Said((values >= self.sign * self.threshold).astype(np.float64), values)


class Baselines(NamedTuple):
    """Fitted baselines."""

    share: float
    rule: Rule
    others: dict[str, object]

    def said(self, table: Table) -> dict[str, Said]:
        """What each says of snapshots, by name."""
        usual = np.full(len(table), self.share)
        found = {"majority": Said(usual, usual), RULE: self.rule.said(table)}
        with threadpool_limits(1):
            for name, model in self.others.items():
                chances = model.predict_proba(_columns(table))[:, 1]  # type: ignore[attr-defined]
                found[name] = Said(chances, chances)
        return found


def fit(known: Table, seed: int, smallest_leaf: int) -> Baselines:
    """Fits all baselines to snapshots: the features, and the days since the last event."""
    columns, is_true = _columns(known), known.is_true
    with threadpool_limits(1):
        scaled = make_pipeline(FunctionTransformer(_flattened), StandardScaler(), LogisticRegression(max_iter=1000))
        examples = unconstrained.Examples(columns, is_true, known.users, np.ones(len(known)))
        boosted = unconstrained.booster(examples, smallest_leaf, seed)
        others = {
            "logistic": scaled.fit(columns, is_true),
            "unconstrained boosting": boosted.fit(columns, is_true),
        }
    return Baselines(float(is_true.mean()), best_rule(columns, is_true, (*known.names, IDLE_DAYS)), others)


def best_rule(columns: Floats, is_true: npt.NDArray[np.bool_], names: Sequence[str]) -> Rule:
    """The column that ranks best, and its most accurate threshold of up to 200."""
    areas = [_area(column, is_true) for column in columns.T]
    best = int(np.argmax(np.abs(np.array(areas) - 0.5)))
    sign = 1 if areas[best] >= 0.5 else -1
    values = sign * columns[:, best]
    thresholds = np.append(np.unique(np.quantile(values, np.linspace(0, 1, _THRESHOLDS), method="nearest")), np.inf)
    right = [((values >= threshold) == is_true).sum() for threshold in thresholds]
    return Rule(names[best], best, float(sign * thresholds[int(np.argmax(right))]), sign)


def _area(column: Floats, is_true: npt.NDArray[np.bool_]) -> float:
    return float(measure(Said(is_true.astype(np.float64), column), is_true)["auroc"])


def _flattened(values: Floats) -> Floats:
    """Logarithms of 1 and the size, with the sign."""
    return np.sign(values) * np.log1p(np.abs(values))


def _columns(table: Table) -> Floats:
    return np.column_stack([table.values, table.idle_days])
