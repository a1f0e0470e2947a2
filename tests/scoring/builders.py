"""Builders of what the tests of scoring need."""

import math
import struct
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from mesh.state import applied
from services.scoring.domain.history import Settled, Signal
from services.scoring.domain.schema import FEATURE_COUNT, FEATURES, SCHEMA_VERSION, SignalType
from services.scoring.domain.stages import EVERYBODY
from services.scoring.ports import Card, Matrix, Model, Prediction, Served, Serving
from services.scoring.usecases import Rows
from tests.builders import NOW_US

MODELS: Final = Path(__file__).parents[2] / "models" / "exit-risk"

CALM: Final = {"success_rate": 1.0, "engagement_score": 65.0, "session_count": 1.0, "unique_pages_visited": 3.0}


def values(**named: float) -> list[float]:
    """A calm user's features, with some replaced."""
    given = CALM | named
    return [given.get(name, 0.0) for name in FEATURES]


def signal(
    kind: SignalType = SignalType.REPEATED_FAILURES,
    strength: float = 78.4,
    time_us: int = NOW_US,
    reason: str = "why",
    target: str = "",
    run_start_us: int = 0,
) -> Signal:
    """A signal as the journal keeps it."""
    return Signal(int(kind), strength, time_us, reason, b"", target, run_start_us)


def over(ended: Signal) -> Settled:
    """That a signal is over."""
    return Settled(ended.type, ended.time_us, ended.target)


def rows(
    user_ids: Sequence[str],
    times_us: Sequence[int],
    vectors: Sequence[Sequence[float]],
    signals: Mapping[int, Sequence[Signal]] | None = None,
    settled: Mapping[int, Collection[Settled]] | None = None,
) -> Rows:
    """Rows of a request."""
    return Rows(user_ids, times_us, np.array(vectors), SCHEMA_VERSION, signals or {}, settled or {})


def batch(*sequences: int) -> applied.Batch:
    """A position on shard 0."""
    return applied.Batch("events", "0", sequences)


class OneTerm:
    """A model whose logit is -2 and a hundredth of the engagement less; it runs nothing."""

    card = Card("test-1", "nothing", NOW_US, SCHEMA_VERSION, "# A card")

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        place = FEATURES.index("engagement_score")
        terms = [-float(row[place]) / 100.0 for row in rows]
        chances = [1.0 / (1.0 + math.exp(2.0 - term)) for term in terms]
        packed = b"".join(
            struct.pack(
                f"<{FEATURE_COUNT + 1}f", -2.0, *(term if index == place else 0.0 for index in range(FEATURE_COUNT))
            )
            for term in terms
        )
        return Prediction(chances, packed)


class Fixed:
    """Models of which one is live."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def served(self) -> Served:
        """See `services.scoring.ports.Models`."""
        return Served({EVERYBODY: Serving(self.model)})
