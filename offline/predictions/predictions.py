"""Predictions made in service, each with the features behind it and with its outcome."""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from services.scoring.domain.inputs import Inputs, columns_of
from services.scoring.domain.risk import combined
from services.scoring.domain.schema import FEATURE_COUNT, FEATURES, HISTORY, HISTORY_VERSION
from services.scoring.ports import Card, Matrix, Model

NAMES: Final = (*FEATURES, *HISTORY)
"""The columns of `Predictions.values`."""


class OwnColumnsError(Exception):
    """A model takes columns of the installation, which are not derived again; the message is one sentence."""


@dataclass(frozen=True)
class Predictions:
    """Predictions as columns, a row each. Scores are 0 to 100, times Unix microseconds.

    `model_scores` are the model's probability in percent, `rule_scores` that of the rules; `scores` combine both.
    `told` is the probability that was told, 0 to 1, NaN where none was, and `outcomes` what the version tells the
    probability of, in words, empty where unknown. `is_true` means something only where `is_known`.
    """

    users: npt.NDArray[np.str_]
    received_us: npt.NDArray[np.int64]
    versions: npt.NDArray[np.str_]
    scores: npt.NDArray[np.float64]
    rule_scores: npt.NDArray[np.float64]
    model_scores: npt.NDArray[np.float64]
    told: npt.NDArray[np.float64]
    outcomes: npt.NDArray[np.str_]
    is_known: npt.NDArray[np.bool_]
    is_true: npt.NDArray[np.bool_]
    values: Matrix
    """The features and those of history, by `NAMES`."""

    def __len__(self) -> int:
        return len(self.users)

    @property
    def is_told(self) -> npt.NDArray[np.bool_]:
        """For which of them a probability was told."""
        return ~np.isnan(self.told)

    @property
    def judged(self) -> npt.NDArray[np.float64]:
        """The probability that each is judged by, 0 to 1: the one that was told, else the model's."""
        return np.where(self.is_told, self.told, self.model_scores / 100.0)

    def where(self, mask: npt.NDArray[np.bool_]) -> "Predictions":
        """The predictions for which the mask holds."""
        return Predictions(*(getattr(self, field.name)[mask] for field in fields(self)))

    def by(self, model: Model) -> "Predictions":
        """What a model says at the same moments, whether it decided, was a shadow, or was not there at all.

        Told is what it told where it decided.

        Raises:
            OwnColumnsError: it takes columns of the installation.
        """
        probabilities = np.array(model.predict(inputs(model.card, self.values)).probabilities)
        scores = np.array([combined(*each) for each in zip(self.rule_scores, probabilities, strict=True)])
        return Predictions(
            self.users,
            self.received_us,
            np.full(len(self), model.card.version),
            scores,
            self.rule_scores,
            100.0 * probabilities,
            np.where(self.versions == model.card.version, self.told, np.nan),
            np.full(len(self), model.card.outcome),
            self.is_known,
            self.is_true,
            self.values,
        )


def inputs(card: Card, values: Matrix) -> Matrix:
    """The columns that a model takes, from those of `NAMES`.

    Raises:
        OwnColumnsError: it takes columns of the installation.
    """
    features, history = values[:, :FEATURE_COUNT], values[:, FEATURE_COUNT:]
    sent = Inputs(HISTORY_VERSION, HISTORY, history, (), (), np.zeros((len(values), 0), np.int64))
    taken = columns_of(card.features, card.words, features, sent)
    if taken is None:
        message = f"{card.version} takes columns of the installation, which are not derived again from an archive."
        raise OwnColumnsError(message)
    return taken
