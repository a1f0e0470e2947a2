"""Which model scores which row of a batch."""

import logging
import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from records.tenants import DEFAULT, tenant_of
from services.scoring.domain.inputs import Inputs, columns_of
from services.scoring.domain.schema import FEATURES, SCHEMA_VERSION
from services.scoring.domain.stages import is_in_canary
from services.scoring.ports import Card, Matrix, Model, Prediction, Served

RULES_ONLY: Final = Card("rules-only", "", 0, SCHEMA_VERSION, "")
"""What stands for the model where it takes columns that were not sent."""
# A baseline so low that the model says nothing, and no terms.
_NO_TERMS: Final = struct.pack(f"<{len(FEATURES) + 1}f", -100.0, *[0.0] * len(FEATURES))

_log = logging.getLogger(__name__)


class Part(NamedTuple):
    """Rows of a batch that one model scored, by number, ascending; the columns it took, and what it says."""

    rows: Sequence[int]
    card: Card
    columns: Matrix
    prediction: Prediction


class _Choice(NamedTuple):
    tenant: str
    is_canary: bool


def score(served: Served, user_ids: Sequence[str], features: Matrix, inputs: Inputs) -> list[Part]:
    """Scores each row by the model that decides for its user; all rows of a user are in one part.

    Where a canary fails, or takes columns that were not sent, the live model decides. At least one part is returned.
    """
    if (only := served.only) is not None or not user_ids:
        return [_scored(only or served.of(DEFAULT).live, range(len(user_ids)), features, inputs)]
    chosen = {user_id: _choose(served, user_id) for user_id in user_ids}
    rows_of = defaultdict[_Choice, list[int]](list)
    for row, user_id in enumerate(user_ids):
        rows_of[chosen[user_id]].append(row)
    return [_decided(served, choice, rows, features[rows], inputs.at(rows)) for choice, rows in rows_of.items()]


class Shadow(NamedTuple):
    """What a shadow says of a row: its probability, and the weights of rules that it learned."""

    probability: float
    rule_weights: Mapping[str, float]


def shadowed(served: Served, user_ids: Sequence[str], features: Matrix, inputs: Inputs) -> dict[int, Shadow]:
    """By row, what the shadow of the user's tenant says.

    Without the rows of tenants that have none, or one that takes columns which were not sent.
    """
    shadows = {tenant: each.shadow for tenant, each in served.tenants.items() if each.shadow is not None}
    if not shadows:
        return {}
    rows_of = defaultdict[str, list[int]](list)
    for row, user_id in enumerate(user_ids):
        rows_of[_tenant(served, user_id)].append(row)
    found: dict[int, Shadow] = {}
    for tenant, shadow in shadows.items():
        rows = rows_of[tenant]
        taken = columns_of(shadow.card.features, shadow.card.words, features[rows], inputs.at(rows)) if rows else None
        if taken is not None and (prediction := attempted(shadow, taken)) is not None:
            weights = shadow.card.rules.weights
            found |= {row: Shadow(each, weights) for row, each in zip(rows, prediction.probabilities, strict=True)}
    return found


def attempted(model: Model, columns: Matrix) -> Prediction | None:
    """What a model says that nobody depends on; None if it fails."""
    try:
        return model.predict(columns)
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


def _decided(served: Served, choice: _Choice, rows: Sequence[int], features: Matrix, inputs: Inputs) -> Part:
    serving = served.of(choice.tenant)
    if choice.is_canary and (canary := serving.canary) is not None:
        taken = columns_of(canary.card.features, canary.card.words, features, inputs)
        prediction = attempted(canary, taken) if taken is not None else None
        if taken is not None and prediction is not None:
            return Part(rows, canary.card, taken, prediction)
    return _scored(serving.live, rows, features, inputs)


def silent(row_count: int) -> Prediction:
    """What stands for a model's answer where there is none."""
    return Prediction([0.0] * row_count, _NO_TERMS * row_count)


def _scored(model: Model, rows: Sequence[int], features: Matrix, inputs: Inputs) -> Part:
    card = model.card
    taken = columns_of(card.features, card.words, features, inputs)
    if taken is None:
        return Part(rows, RULES_ONLY, features, silent(len(features)))
    return Part(rows, card, taken, model.predict(taken))
