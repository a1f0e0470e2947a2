"""A new installation whose data comes in by and by: what it knows when, and how good its models would be then."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np

from offline.training import choice, gate, metrics, parity, recalibration, stories
from offline.training.choice import Choice, Live
from offline.training.fitting import Source, TooLittleError, Trained
from offline.training.metrics import Figure, Floats, Said
from offline.training.recalibration import Recalibrated
from offline.training.stories import ALARM
from offline.training.table import Table
from services.features.domain.state import DAY_US
from services.scoring.domain.learning import Learning, learning_of

USERS: Final = (0, 30, 100, 300, 1000, 2000)
"""At so many users with an outcome models are made."""
_FEWEST_LATER: Final = 100
WEEK_US: Final = 7 * DAY_US


class Moment(NamedTuple):
    """A time at which so many users have an outcome for the first time; `day` counts from the first snapshot."""

    users: int
    at_us: int
    day: int


class Step(NamedTuple):
    """A model at a moment, asked about what came later; `false_alarms` per 100 snapshots."""

    users: int
    day: int
    name: str
    is_offered: bool
    auroc: Figure
    calibration_error: Figure
    false_alarms: float
    in_trouble: float
    """The score, 0 to 100, of a first visit with three failed attempts in one place."""


class AtOnce(NamedTuple):
    """What an installation can have right after an import of all the data, asked about users held back."""

    users: int
    """Those with a known outcome."""
    name: str
    """The model that is offered, as in `Step`."""
    state: Learning
    auroc: Figure
    calibration_error: Figure


def at_once(source: Source, live: Live) -> AtOnce:
    """The model that can be made of all the data, if it comes in at once.

    Raises:
        TooLittleError: there are too few outcomes for any.
    """
    offered, users = choice.choose(source, live).offered, len(np.unique(source.snapshots.users))
    figures = next(iter(offered.reports.values()))["exit risk"]
    state = learning_of(users, is_recalibrated=isinstance(offered, Recalibrated))
    return AtOnce(users, _name(offered), state, figures["auroc"], figures["calibration_error"])


def moments(snapshots: Table) -> list[Moment]:
    """The moments of `USERS` that the data reaches with 100 snapshots after them; none if all is known at its end."""
    if not snapshots.known_us.all():
        return []
    _, place = np.unique(snapshots.users, return_inverse=True)
    first_known = np.full(place.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(first_known, place, snapshots.known_us)
    known, first_us = np.sort(first_known), int(snapshots.at_us.min())
    found = []
    for users in USERS:
        at_us = int(known[users - 1]) if users and users <= len(known) else first_us
        if users <= len(known) and int((snapshots.at_us >= at_us).sum()) >= _FEWEST_LATER:
            found.append(Moment(users, at_us, (at_us - first_us) // DAY_US))
    return found


def steps(source: Source, live: Live, moment: Moment) -> Iterator[Step]:
    """The live model, and what could be made of what was known, each asked about all snapshots from then on.

    Raises:
        MissingColumnsError: the live model takes columns that the data does not have.
    """
    later = source.snapshots.where(source.snapshots.at_us >= moment.at_us)
    said: dict[str, Floats] = {"as shipped": recalibration.probabilities(live.model, later)}
    weights: dict[str, Mapping[str, float]] = {"as shipped": live.model.card.rules.weights}
    files = {"as shipped": (live.file, live.model.card.features)}
    offered = "as shipped"
    if moment.users:
        known = source.snapshots.where(source.snapshots.known_us <= moment.at_us)
        try:
            made = choice.choose(source._replace(snapshots=known), live)
        except TooLittleError:
            pass
        else:
            said |= _said(made, later)
            weights |= {name: of.learned.weights for name, of in made.named.items()}
            files |= {name: (of.file, _names(of, later)) for name, of in made.named.items()}
            offered = _name(made.offered)
    reports = metrics.report({name: Said(each, each) for name, each in said.items()}, later)
    for name, each in said.items():
        scores = gate.joined(each, later.doubts_under(weights[name]))
        false = 100.0 * float(((scores >= ALARM / 100.0) & ~later.is_true).mean())
        report = reports[name]
        figures = report["auroc"], report["calibration_error"]
        in_trouble = stories.told(*files[name], weights[name])[stories.TROUBLE].score
        yield Step(moment.users, moment.day, name, name == offered, *figures, false, in_trouble)


def _name(offered: Trained | Recalibrated) -> str:
    return "own" if isinstance(offered, Trained) else "recalibrated"


def recalibrated(said: Floats, rows: Table) -> Floats:
    """What a model says of what comes in, recalibrated each week from the first snapshot on.

    Each week it learns from those of these snapshots whose answer is known by then. Until they are enough
    (`recalibration.require_enough`), the model's own probabilities stay.

    Args:
        said: the model's probability of each snapshot.
        rows: the snapshots, in any order.
    """
    found, by = said.copy(), None
    weeks = (rows.at_us - rows.at_us.min()) // WEEK_US
    for week in np.unique(weeks):
        is_known = rows.known_us <= rows.at_us.min() + week * WEEK_US
        with contextlib.suppress(TooLittleError):
            known = rows.where(is_known)
            recalibration.require_enough(known)
            by = recalibration.fit(said[is_known], known)
        if by is not None:
            found[weeks == week] = by(said[weeks == week])
    return found


def _names(made: Trained | Recalibrated, later: Table) -> tuple[str, ...]:
    return later.names if isinstance(made, Trained) else made.base.card.features


def _said(made: Choice, later: Table) -> Mapping[str, Floats]:
    found = {}
    if made.recalibrated is not None:
        base = made.recalibrated.base.card
        found["recalibrated"], _ = parity.run(made.recalibrated.file, later.inputs(base.features, base.words))
    if made.own is not None:
        found["own"], _ = parity.run(made.own.file, later.values)
    return found
