"""What is told of predictions: how good those of a window were, and what has moved against all before it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mesh.errors import MeshError
from offline.declared.label import Label, LabelError, parse
from offline.predictions import drift, measuring
from offline.predictions.drift import Drift
from offline.predictions.measuring import Costs, Measured
from offline.predictions.predictions import OwnColumnsError, Predictions
from offline.predictions.report import Report
from services.analytics.domain.calibration import LEAST_ROWS
from services.scoring.ports import Model


class Asked(NamedTuple):
    """What to tell: of which label, from when on, at what costs; by one model alone, or by those that decided."""

    label: Label
    since_us: int
    costs: Costs
    model: Model | None


def report_on(made: Predictions, asked: Asked, load: Callable[[str], Model]) -> Report:
    """The report on predictions, of which there is at least one.

    Args:
        made: all predictions of the archive.
        asked: what to tell.
        load: returns the model of a version, or raises a `MeshError` if it cannot.

    Raises:
        OwnColumnsError: the model asked for takes columns of the installation.
    """
    is_since = made.received_us >= asked.since_us
    since = made.where(is_since)
    remarks = []
    if asked.model is not None:
        version = asked.model.card.version
        parts = {version: since.by(asked.model)}
        if not (since.versions == version).all():
            remarks.append(f"{version} did not decide on all of this: its predictions are derived from the events.")
    else:
        parts = {str(version): since.where(since.versions == version) for version in np.unique(since.versions)}
    # What was told is judged by what it was about, and by nothing else.
    others = {version: its for version, its in parts.items() if its.is_told.any() and not _is_of(asked.label, its)}
    remarks += [
        f"{version} tells the probability of {_outcome(its)!r}: its {len(its):,} predictions are not judged by "
        f"{str(asked.label)!r}."
        for version, its in others.items()
    ]
    versions = [
        measuring.measured(version, its, asked.costs) for version, its in parts.items() if version not in others
    ]
    remarks += [_judged(each) for each in versions]
    moved, why = _drift(made.where(~is_since), since, asked.model, load)
    return Report(str(asked.label), asked.costs, versions, moved, [*remarks, *([why] if why else [])])


def _is_of(label: Label, its: Predictions) -> bool:
    """Whether predictions of one version are of a label."""
    try:
        return parse(_outcome(its), ()).is_of(label)
    except LabelError:
        return False


def _outcome(its: Predictions) -> str:
    """What one version tells the probability of; those of before this was archived do not say so."""
    return max(its.outcomes.tolist(), default="")


def _judged(of: Measured) -> str:
    """What the measures of a version rest on, in a sentence."""
    if not of.measures:
        return f"{of.version}: {of.known_count:,} outcomes are known; measures need {LEAST_ROWS:,}."
    if not of.told_count:
        return f"{of.version} told no probability here: what its model said is judged."
    rest = of.known_count - of.told_count
    others = f"; of {rest:,} others, what its model said" if rest else ""
    return f"{of.version}: of {of.told_count:,} predictions the probability that was told is judged{others}."


def _drift(
    before: Predictions, since: Predictions, model: Model | None, load: Callable[[str], Model]
) -> tuple[Drift | None, str]:
    """What moved; or None, and in a sentence why that cannot be told."""
    if not drift.is_comparable(before, since):
        return None, f"Drift is not told: it needs {drift.LEAST_USERS} users before the window and in it."
    if model is not None:
        return drift.drift(model, before, since), ""
    latest = str(since.versions[since.received_us.argmax()])
    try:
        return drift.drift(load(latest), before, since), ""
    except (MeshError, OwnColumnsError) as error:
        return None, f"Drift is not told, because the model {latest} cannot be run here: {error}"
