"""Snapshots as columns: a user's features at a point in time, and whether what is predicted came true afterwards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from services.scoring.domain.schema import FEATURES, HISTORY

AT_EVENTS: Final = "at events"
AT_SESSION_END: Final = "at session end"
DAILY: Final = "daily"
WEEKLY: Final = "weekly"
MOMENTS: Final = (AT_EVENTS, AT_SESSION_END, DAILY, WEEKLY)
"""In the order of reports."""


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
    """One per name of the table."""


@dataclass(frozen=True)
class Table:
    """Snapshots as columns; `values` has one row per snapshot and one column per feature, which `names` names."""

    names: tuple[str, ...]
    users: npt.NDArray[np.str_]
    moments: npt.NDArray[np.str_]
    at_us: npt.NDArray[np.int64]
    known_us: npt.NDArray[np.int64]
    idle_days: npt.NDArray[np.float64]
    is_true: npt.NDArray[np.bool_]
    rule_probabilities: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.users)

    def where(self, mask: npt.NDArray[np.bool_]) -> "Table":
        """The snapshots for which the mask holds."""
        return Table(self.names, *(getattr(self, field.name)[mask] for field in fields(self)[1:]))

    def inputs(self, features: Sequence[str]) -> npt.NDArray[np.float64]:
        """The columns of features, in their order; a feature that the table does not have is 0 everywhere."""
        if tuple(features) == self.names:
            return self.values
        place = {name: at for at, name in enumerate(self.names)}
        nothing = np.zeros(len(self))
        return np.column_stack([self.values[:, place[name]] if name in place else nothing for name in features])


def table(snapshots: Iterable[Snapshot], names: tuple[str, ...] = (*FEATURES, *HISTORY)) -> Table:
    """Snapshots as columns."""
    found = list(snapshots)
    return Table(
        names,
        np.array([s.user_id for s in found]),
        np.array([s.moment for s in found]),
        np.array([s.at_us for s in found], np.int64),
        np.array([s.known_us for s in found], np.int64),
        np.array([s.idle_days for s in found]),
        np.array([s.is_true for s in found], bool),
        np.array([s.rule_probability for s in found]),
        np.array([s.values for s in found]),
    )
