"""Snapshots as columns: a user's features at a point in time, and whether what is predicted came true afterwards."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from services.features.domain.own import NO_COLUMNS, Columns
from services.scoring.domain import rules
from services.scoring.domain.inputs import codes, names_of

AT_EVENTS: Final = "at events"
AT_SESSION_END: Final = "at session end"
DAILY: Final = "daily"
WEEKLY: Final = "weekly"
MOMENTS: Final = (AT_EVENTS, AT_SESSION_END, DAILY, WEEKLY)
"""In the order of reports."""

WORDS_KNOWN: Final = 20
"""Words of a column that a model tells apart; all others are one."""
_WHOLE: Final = ("names", "known_words")
NO_DOUBTS: Final = (0.0,) * len(rules.NAMES)
"""The doubts of a user to whom no rule applies."""


class MissingColumnsError(Exception):
    """A model takes columns that the data does not have; the message is one sentence."""


class Snapshot(NamedTuple):
    """One user at one time; times are Unix microseconds.

    `moment` is one of `MOMENTS`. From `known_us` on it is known whether the label
    came true; 0 if that depends on all of the data. `idle_days` count from the user's last event. `rule_probability`
    is that of the rules alone.
    """

    user_id: str
    moment: str
    at_us: int
    known_us: int
    idle_days: float
    is_true: bool
    rule_probability: float
    values: list[float]
    """The features, those of history, and the own columns of numbers."""
    words: list[str]
    """The own columns of words."""
    rule_doubts: Sequence[float] = NO_DOUBTS
    """By rule; see `services.scoring.domain.rules.doubts`."""


@dataclass(frozen=True)
class Table:
    """Snapshots as columns; `values` has one row per snapshot and one column per name, words as numbers.

    `known_words` are by the name of their column, `words` has one row per snapshot and one column for each of these.
    """

    names: tuple[str, ...]
    known_words: dict[str, tuple[str, ...]]
    users: npt.NDArray[np.str_]
    moments: npt.NDArray[np.str_]
    at_us: npt.NDArray[np.int64]
    known_us: npt.NDArray[np.int64]
    idle_days: npt.NDArray[np.float64]
    is_true: npt.NDArray[np.bool_]
    rule_probabilities: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    words: npt.NDArray[np.str_]
    rule_doubts: npt.NDArray[np.float64]
    """One row per snapshot, one column per rule."""

    def __len__(self) -> int:
        return len(self.users)

    def where(self, mask: npt.NDArray[np.bool_]) -> "Table":
        """The snapshots for which the mask holds."""
        columns = (getattr(self, field.name) for field in fields(self)[len(_WHOLE) :])
        return Table(self.names, self.known_words, *(column[mask] for column in columns))

    def doubts_under(self, weights: Mapping[str, float]) -> npt.NDArray[np.float64]:
        """For each snapshot, the doubt by all rules with these weights; 1 for those that are not named."""
        return np.asarray(self.rule_doubts @ np.array([weights.get(name, 1.0) for name in rules.NAMES]))

    def inputs(self, names: Sequence[str], known: Mapping[str, Sequence[str]]) -> npt.NDArray[np.float64]:
        """The columns of a model that takes `names` and knows these words, in their order.

        Raises:
            MissingColumnsError: there is no such column.
        """
        if tuple(names) == self.names and dict(known) == self.known_words:
            return self.values
        place = {name: at for at, name in enumerate(self.names)}
        word_place = {name: at for at, name in enumerate(self.known_words)}
        if missing := [name for name in names if name not in place]:
            message = f"The model takes columns that the data does not have: {', '.join(missing)}."
            raise MissingColumnsError(message)
        return np.column_stack(
            [
                _coded(self.words[:, word_place[name]], known[name]) if name in known else self.values[:, place[name]]
                for name in names
            ]
        )


def table(snapshots: Iterable[Snapshot], own: Columns = NO_COLUMNS) -> Table:
    """Snapshots as columns, with the installation's own ones."""
    found = list(snapshots)
    words = np.array([s.words for s in found]).reshape(len(found), len(own.words))
    known = {name: _most_common(words[:, at]) for at, name in enumerate(own.words)}
    coded = [_coded(words[:, at], known[name]) for at, name in enumerate(own.words)]
    return Table(
        names_of((*own.number_names, *own.words)),
        known,
        np.array([s.user_id for s in found]),
        np.array([s.moment for s in found]),
        np.array([s.at_us for s in found], np.int64),
        np.array([s.known_us for s in found], np.int64),
        np.array([s.idle_days for s in found]),
        np.array([s.is_true for s in found], bool),
        np.array([s.rule_probability for s in found]),
        np.column_stack([np.array([s.values for s in found]), *coded]),
        words,
        np.array([s.rule_doubts for s in found]).reshape(len(found), len(rules.NAMES)),
    )


def _most_common(words: npt.NDArray[np.str_]) -> tuple[str, ...]:
    counts = Counter(word for word in words.tolist() if word)
    return tuple(sorted(counts, key=lambda word: (-counts[word], word))[:WORDS_KNOWN])


def _coded(words: npt.NDArray[np.str_], known: Sequence[str]) -> npt.NDArray[np.float64]:
    distinct, place = np.unique(words, return_inverse=True)
    return codes(known, distinct.tolist())[place]
