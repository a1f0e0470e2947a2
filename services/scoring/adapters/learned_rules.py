"""What a model learned about the rules, as its `model.json` holds it under `rules`.

    {"format": 1, "rules_version": "rules-2", "is_in_probability": true, "weights": {"rage_clicks": 0.41, …}}

The weights are relative to the rules of that version. Whatever cannot be used counts as shipped: scoring goes on, and
the log says why.
"""

import logging
from typing import Annotated, Final

import msgspec

from services.scoring.domain import rules
from services.scoring.domain.learning import AS_SHIPPED, LearnedRules

FORMAT: Final = 1
GREATEST_WEIGHT: Final = 100
_log = logging.getLogger(__name__)


class Written(msgspec.Struct):
    """The part of `model.json`."""

    format: int
    rules_version: str
    is_in_probability: bool
    weights: dict[str, Annotated[float, msgspec.Meta(ge=0, le=GREATEST_WEIGHT)]]


def written(learned: LearnedRules) -> Written:
    """What a model learned, to be written."""
    return Written(FORMAT, rules.RULES_VERSION, learned.is_in_probability, dict(learned.weights))


def read(raw: bytes, version: str) -> LearnedRules:
    """The part of a model's description; rules as shipped where it is missing, damaged, or for other rules.

    Args:
        raw: the JSON; empty if there is none.
        version: the model's, for the log.
    """
    if not raw:
        return AS_SHIPPED
    try:
        found = msgspec.json.decode(raw, type=Written)
    except msgspec.DecodeError as error:
        _log.error("model %s: its weights of rules cannot be used and count as shipped: %s", version, error)
        return AS_SHIPPED
    if (found.format, found.rules_version) != (FORMAT, rules.RULES_VERSION):
        _log.warning("model %s: its weights are for the rules %s and count as shipped", version, found.rules_version)
        return AS_SHIPPED
    weights = {name: weight for name, weight in found.weights.items() if name in rules.NAMES}
    return LearnedRules(weights, found.is_in_probability)
