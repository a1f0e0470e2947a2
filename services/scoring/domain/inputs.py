"""What models may take beside the 13 features: the user's history, and the installation's own columns.

A model's columns are the 13, those of history, and its own, by name. A column of words becomes a number: 0 for no word,
1 for a word that the model does not know, and from 2 on the words that it knows, in its order.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from services.scoring.domain.schema import FEATURE_COUNT, FEATURES, HISTORY, HISTORY_VERSION

Matrix = npt.NDArray[np.float64]
NO_WORD: Final = 0.0
OTHER_WORD: Final = 1.0
FIRST_WORD: Final = 2


class Inputs(NamedTuple):
    """Columns beside the 13, one row per row to assess."""

    history_version: str
    names: Sequence[str]
    values: Matrix
    """By row and name."""
    word_names: Sequence[str]
    words: Sequence[str]
    """The words that occur; the first one is empty."""
    cells: npt.NDArray[np.int64]
    """By row and name of `word_names`: indexes of `words`."""

    def at(self, rows: Sequence[int]) -> "Inputs":
        """Those of some rows."""
        return self._replace(
            values=self.values[rows] if self.names else self.values,
            cells=self.cells[rows] if self.word_names else self.cells,
        )


NO_INPUTS: Final = Inputs("", (), np.zeros((0, 0)), (), (), np.zeros((0, 0), np.int64))


def columns_of(
    wanted: Sequence[str], words: Mapping[str, Sequence[str]], features: Matrix, inputs: Inputs
) -> Matrix | None:
    """The columns that a model takes; None if some of them were not sent.

    Args:
        wanted: the names of the model's columns; the first are the 13 features.
        words: the words that the model knows, by the name of the column.
        features: the 13 features of each row.
        inputs: what was sent beside them.
    """
    if len(wanted) == FEATURE_COUNT:
        return features
    if _is_as_sent(wanted, inputs):
        return np.hstack([features, inputs.values])
    place = {name: at for at, name in enumerate(inputs.names)}
    word_place = {name: at for at, name in enumerate(inputs.word_names)}
    columns = [features]
    for name in wanted[FEATURE_COUNT:]:
        if name in word_place and name in words:
            columns.append(codes(words[name], inputs.words)[inputs.cells[:, word_place[name]]][:, None])
        elif name in place and (name not in HISTORY or inputs.history_version == HISTORY_VERSION):
            columns.append(inputs.values[:, place[name]][:, None])
        else:
            return None
    return np.hstack(columns)


def codes(known: Sequence[str], words: Sequence[str]) -> Matrix:
    """The number of each word, for a model that knows some; the empty word is no word."""
    number = {"": NO_WORD} | {word: float(FIRST_WORD + at) for at, word in enumerate(known)}
    return np.array([number.get(word, OTHER_WORD) for word in words])


def names_of(own: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns of a model of the extended schema, by those of its own columns."""
    return (*FEATURES, *HISTORY, *own)


def _is_as_sent(wanted: Sequence[str], inputs: Inputs) -> bool:
    is_known = inputs.history_version == HISTORY_VERSION
    return is_known and tuple(wanted[FEATURE_COUNT:]) == HISTORY == tuple(inputs.names)
