"""The port of the models; state uses the port of `mesh.state`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from services.scoring.domain.schema import FEATURES

Matrix = npt.NDArray[np.float64]


class Prediction(NamedTuple):
    """The model's result for a batch, one probability per row.

    `packed_terms` holds for each row the baseline and one term per column it takes, in logits, as 32-bit little-endian
    floats; their sum is the logit of the probability up to that precision.
    """

    probabilities: Sequence[float]
    packed_terms: bytes


@dataclass(frozen=True)
class Card:
    """A model's description. `training_time_us` is in Unix microseconds, `text` the model card in Markdown."""

    version: str
    training_source: str
    training_time_us: int
    schema_version: str
    text: str
    features: tuple[str, ...] = FEATURES
    """The names of the columns it takes, in their order; the first are the 13 of every schema."""
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The words it knows, by the name of the column; see `services.scoring.domain.inputs`."""


class Model(Protocol):
    """One version of the exit-risk model; it never changes."""

    @property
    def card(self) -> Card:
        """Its description."""

    def predict(self, rows: Matrix) -> Prediction:
        """The calibrated probabilities of leaving for rows of the columns it takes, 0 to 1.

        A row's result MUST NOT depend on other rows, to the last bit.
        """


class Models(Protocol):
    """The models of this installation."""

    def live(self) -> Model:
        """The model in service now. MAY change between two calls, if another was promoted.

        Raises:
            Unavailable: there is no model that can be loaded.
        """
