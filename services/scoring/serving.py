"""Which model scores which row of a batch."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from records.tenants import DEFAULT, tenant_of
from services.scoring.domain.schema import FEATURE_COUNT
from services.scoring.domain.stages import is_in_canary
from services.scoring.ports import Matrix, Model, Prediction, Served

_TERM_COUNT: Final = FEATURE_COUNT + 1
_log = logging.getLogger(__name__)


class Scored(NamedTuple):
    """What models say of a batch.

    `model_version` scored all rows but those in `others`, which has rows by version, ascending.
    """

    prediction: Prediction
    model_version: str
    others: Mapping[str, Sequence[int]] = {}


class _Choice(NamedTuple):
    tenant: str
    is_canary: bool


def score(served: Served, user_ids: Sequence[str], values: Matrix) -> Scored:
    """Scores each row by the model that decides for its user. Where a canary fails, the live model decides."""
    if (only := served.only) is not None:
        return Scored(only.predict(values), only.card.version)
    chosen = {user_id: _choose(served, user_id) for user_id in user_ids}
    rows_of = defaultdict[_Choice, list[int]](list)
    for row, user_id in enumerate(user_ids):
        rows_of[chosen[user_id]].append(row)
    probabilities, terms = np.zeros(len(user_ids)), np.zeros((len(user_ids), _TERM_COUNT), "<f4")
    by_version = defaultdict[str, list[int]](list)
    for choice, rows in rows_of.items():
        prediction, version = _predict(served, choice, values[rows])
        probabilities[rows] = prediction.probabilities
        terms[rows] = np.frombuffer(prediction.packed_terms, "<f4").reshape(-1, _TERM_COUNT)
        by_version[version] += rows
    usual = max(by_version, key=lambda version: len(by_version[version]), default=served.of(DEFAULT).live.card.version)
    others = {version: sorted(rows) for version, rows in by_version.items() if version != usual}
    return Scored(Prediction(probabilities.tolist(), terms.tobytes()), usual, others)


def shadowed(served: Served, user_ids: Sequence[str], values: Matrix) -> dict[int, float]:
    """By row, the probability by the shadow of the user's tenant; without the rows of tenants that have none."""
    shadows = {tenant: each.shadow for tenant, each in served.tenants.items() if each.shadow is not None}
    if not shadows:
        return {}
    rows_of = defaultdict[str, list[int]](list)
    for row, user_id in enumerate(user_ids):
        rows_of[_tenant(served, user_id)].append(row)
    found: dict[int, float] = {}
    for tenant, shadow in shadows.items():
        rows = rows_of[tenant]
        if rows and (prediction := attempted(shadow, values[rows])) is not None:
            found |= zip(rows, prediction.probabilities, strict=True)
    return found


def attempted(model: Model, values: Matrix) -> Prediction | None:
    """What a model says that nobody depends on; None if it fails."""
    try:
        return model.predict(values)
    except Exception as error:  # noqa: BLE001 - the runtime's errors have no common base class
        _log.warning("model %s failed: %s", model.card.version, error)
        return None


def _choose(served: Served, user_id: str) -> _Choice:
    tenant = _tenant(served, user_id)
    serving = served.of(tenant)
    canary = serving.canary
    return _Choice(tenant, canary is not None and is_in_canary(user_id, canary.card.version, serving.percent))


def _tenant(served: Served, user_id: str) -> str:
    tenant = tenant_of(user_id)
    return tenant if tenant in served.tenants else DEFAULT


def _predict(served: Served, choice: _Choice, values: Matrix) -> tuple[Prediction, str]:
    serving = served.of(choice.tenant)
    if choice.is_canary and serving.canary is not None:
        prediction = attempted(serving.canary, values)
        if prediction is not None:
            return prediction, serving.canary.card.version
    return serving.live.predict(values), serving.live.card.version
