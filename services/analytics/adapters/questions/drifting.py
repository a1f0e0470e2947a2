"""What moved since the window before: scores, and what gave reasons for them.

Scores are compared as `journeymesh model report` compares them. The archive has no values of features, but the points
that a decision's reasons contributed to its score, the strongest five from a medium level on: of these the drift is
told, as 0 points where a decision does not name a reason. So what no decision rests on has no drift.
"""

from typing import Final

import numpy as np

from services.analytics.adapters.copies.relations import Query
from services.analytics.adapters.questions import predictions
from services.analytics.adapters.questions.predictions import MOST_MEASURED
from services.analytics.domain import answer
from services.analytics.domain import drift as apart
from services.analytics.domain.answer import DriftItem, DriftSide
from services.analytics.domain.calibration import Floats
from services.analytics.domain.drift import LEAST_USERS, NOTABLE_PSI
from services.analytics.domain.question import Drift

_TOLD: Final = "100 * coalesce(probability, model_score / 100)"
_SCORES: Final = {"model_score": "model", "rule_score": "rules only", "score": "model and rules"}
_NOTABLE_POINTS: Final = 1.0
"""As a mean over all predictions. A contribution below it is not even shown (`services.scoring.domain.explanation`)."""


def drift(query: Query, asked: Drift, most_measured: int = MOST_MEASURED) -> answer.Drift:
    """What moved, the scores first, then the reasons that moved furthest."""
    found = predictions.taken(
        query,
        asked,
        (asked.previous, asked.window),
        (*_SCORES, "probability", "level", "kind", "indicators"),
        most_measured,
    )
    query.make(
        "numbered",
        f"SELECT *, t >= {asked.window.start_us} AS is_since, row_number() OVER (PARTITION BY t >= "
        f"{asked.window.start_us} ORDER BY t, decision_id) - 1 AS number FROM taken",
    )
    sides = [_side(query, is_since=each) for each in (False, True)]
    items: tuple[DriftItem, ...] = ()
    if min(each.user_count for each in sides) >= LEAST_USERS:
        reasons = _reasons(query, [each.prediction_count for each in sides])
        items = (*_scores(query), *sorted(reasons, key=lambda each: (-each.moved, -each.psi, each.name)))
    return answer.Drift(items, found.version, sides[0], sides[1], found.one_in, LEAST_USERS)


def _side(query: Query, *, is_since: bool) -> DriftSide:
    (row,) = query.rows(
        "SELECT count(*), count(DISTINCT user_id), avg((level IN ('high', 'critical'))::INTEGER), "
        f"avg((kind = 'intervene')::INTEGER) FROM numbered WHERE is_since = {is_since}"
    )
    return DriftSide(*row)


def _scores(query: Query) -> list[DriftItem]:
    """The scores; first what was told, else said by the model, unless nothing was told."""
    ((told_count,),) = query.rows("SELECT count(probability) FROM numbered")
    names = {_TOLD: "told", **_SCORES} if told_count else _SCORES
    columns = [
        np.array(query.rows(f"SELECT {', '.join(names)} FROM numbered WHERE is_since = {each} ORDER BY number"))
        for each in (False, True)
    ]
    return [_item("score", name, columns[0][:, at], columns[1][:, at]) for at, name in enumerate(names.values())]


def _reasons(query: Query, sizes: list[int]) -> list[DriftItem]:
    """Each name that any decision gives a reason by."""
    found: dict[str, tuple[list[tuple[int, float]], ...]] = {}
    for name, is_since, number, points in query.rows(
        "SELECT reason.name, is_since, number, reason.contribution FROM "
        "(SELECT is_since, number, unnest(indicators) AS reason FROM numbered)"
    ):
        found.setdefault(name, ([], []))[is_since].append((number, points))
    return [_item("reason", name, *map(_filled, sides, sizes)) for name, sides in found.items()]


def _filled(given: list[tuple[int, float]], size: int) -> Floats:
    column = np.zeros(size)
    for number, points in given:
        column[number] += points
    return column


def _item(kind: str, name: str, before: Floats, after: Floats) -> DriftItem:
    histograms = apart.counts(before, after)
    psi, moved = apart.psi(*histograms), apart.wasserstein(before, after)
    return DriftItem(
        kind,
        name,
        psi,
        apart.jensen_shannon(*histograms),
        moved,
        float(before.mean()),
        float(after.mean()),
        float((before != 0.0).mean()),
        float((after != 0.0).mean()),
        psi >= NOTABLE_PSI and moved >= _NOTABLE_POINTS,
    )
