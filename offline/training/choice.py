"""Which model to offer: one of the data's own, or the live one recalibrated on it.

A model of its own looks good on other users of the same weeks long before it is good: what it knows of time is what
the first weeks were like. So it must be no worse than the recalibrated one on what came later.
"""

from typing import NamedTuple

import numpy as np

from offline.training import fitting, gate, recalibration
from offline.training.fitting import Map, Source, TooLittleError, Trained
from offline.training.gate import Verdict
from offline.training.recalibration import Recalibrated
from offline.training.table import MissingColumnsError, Table
from services.scoring.ports import Model


class Live(NamedTuple):
    """The model that decides now, and its ONNX file."""

    model: Model
    file: bytes


class Choice(NamedTuple):
    """What can be offered; one of both at least."""

    own: Trained | None
    recalibrated: Recalibrated | None
    verdict: Verdict | None
    """The own model beside the recalibrated one; None if they cannot be compared."""
    remark: str
    """A sentence on what is offered, and why."""

    @property
    def named(self) -> dict[str, Trained | Recalibrated]:
        """Both, as far as they are there, by name."""
        both = {"recalibrated": self.recalibrated, "own": self.own}
        return {name: each for name, each in both.items() if each is not None}

    @property
    def offered(self) -> Trained | Recalibrated:
        """The one to offer."""
        is_own = self.recalibrated is None or (self.verdict is not None and self.verdict.holds)
        found = self.own if is_own else self.recalibrated
        if found is None:
            raise AssertionError("A choice has one of both.")
        return found


def choose(source: Source, live: Live | None, each: Map = map) -> Choice:
    """Trains, and recalibrates the live model if it can be asked. `each` is as in `fitting.train`.

    Raises:
        TooLittleError: neither can be done; the message is that of training.
    """
    recalibrated = _recalibrated(source, live)
    try:
        own = fitting.train(source, each)
    except TooLittleError as error:
        if recalibrated is None:
            raise
        return Choice(None, recalibrated, None, f"{error} So the live model is recalibrated.")
    if recalibrated is None:
        return Choice(own, None, None, "")
    verdict, other = beside(own, recalibrated, source.snapshots), "the live model recalibrated on this data"
    if verdict is None:
        said = "There is too little to test an own model on what came later, so the live model is recalibrated."
    elif verdict.holds:
        said = f"The own model is offered. It is {verdict.said_of(other)}."
    else:
        said = f"An own model is {verdict.said_of(other)}, which is offered instead."
    return Choice(own, recalibrated, verdict, said)


def beside(own: Trained, recalibrated: Recalibrated, snapshots: Table) -> Verdict | None:
    """The own model beside the recalibrated one, both not knowing what they are asked about.

    On what came later by the calendar; where the data has no time, or the label is known at its end only, on users
    held back. None if what came later is too little.
    """
    if own.later is not None:
        cut = fitting.calendar(snapshots)
        by = recalibration.fit(recalibrated.before[cut.before], snapshots.where(cut.before))
        return gate.judge(own.later, by(recalibrated.before[cut.after]), snapshots.where(cut.after))
    if snapshots.known_us.all() and np.ptp(snapshots.at_us):
        return None
    is_kept_back = fitting.kept_back(snapshots.users)
    return gate.judge(own.kept, recalibrated.after[is_kept_back], snapshots.where(is_kept_back))


def _recalibrated(source: Source, live: Live | None) -> Recalibrated | None:
    if live is None:
        return None
    try:
        return recalibration.train(source, live.model, live.file)
    except (MissingColumnsError, TooLittleError):
        return None
