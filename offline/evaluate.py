"""Evaluates a model: `make evaluate MODEL=… DATA=… MAPPING=… LABEL=…`, the live one on OULAD without these.

Prints tables for the users held back from training, beside baselines fitted to the others, and for all users. If the
model was trained on other data, it knows neither, and the second tables have more of them.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table as Grid

from mesh.errors import MeshError
from offline import given
from offline.training import fitting, metrics, recalibration, thresholds
from offline.training.fitting import Asked
from offline.training.metrics import Figure, Report, Said
from offline.training.table import MissingColumnsError, Table
from offline.training.thresholds import Reached
from services.scoring.adapters.model_directory import ModelDirectory, Place, UnusableModelError, load
from services.scoring.ports import Model


def main() -> None:
    """Prints a model's measures."""
    settings, declared, models, console = given.begin()
    model = _model(declared.model, models)
    source = given.source(settings, declared, console)
    console.print(f"Model {model.card.version}, trained on {model.card.training_source}", markup=False)
    console.print(f"The label is: {source.label}", markup=False)
    try:
        source.snapshots.inputs(model.card.features, model.card.words)
    except MissingColumnsError as error:
        sys.exit(f"journeymesh: {error}")
    is_kept_back = fitting.kept_back(source.snapshots.users)
    known, unknown = source.snapshots.where(~is_kept_back), source.snapshots.where(is_kept_back)
    if len(unknown):
        asked = _asked(model, unknown)
        compared = fitting.compare(asked, known, unknown, "users held back")
        for name, report in compared.reports.items():
            console.print(render(f"{name}; single rule: {compared.rules[name]}", report))
        for moment, aims in thresholds.by_moment(asked.told, unknown).items():
            console.print(render_aims(f"thresholds of the exit risk, {moment}", aims))
    for moment, rows in fitting.parts(source.snapshots).items():
        console.print(render(f"all users, {moment}", evaluate(model, rows)))


def evaluate(model: Model, rows: Table) -> Report:
    """The model beside what needs no fitting; the majority baseline is given the true share."""
    share = np.full(len(rows), rows.is_true.mean())
    return metrics.report(_asked(model, rows).said(rows) | {"majority": Said(share, share)}, rows)


def render(title: str, report: Mapping[str, Mapping[str, Figure]]) -> Grid:
    """A report as a table for the terminal."""
    grid = Grid(title=title, title_justify="left")
    grid.add_column("")
    for name in next(iter(report.values())):
        grid.add_column(name.replace("_", " "), justify="right")
    for name, measures in report.items():
        grid.add_row(name, *(f"{value:.4f}\n{low:.3f}-{high:.3f}" for value, low, high in measures.values()))
    return grid


def render_aims(title: str, aims: Sequence[Reached]) -> Grid:
    """Thresholds as a table for the terminal."""
    grid = Grid(title=title, title_justify="left")
    for name in thresholds.COLUMNS:
        grid.add_column(name, justify="left" if name == "aim" else "right")
    for each in aims:
        grid.add_row(*each.cells())
    return grid


def _asked(model: Model, rows: Table) -> Asked:
    rules = model.card.rules
    return Asked(recalibration.probabilities(model, rows), rows.doubts_under(rules.weights), rules)


def _model(named: str, models: Place) -> Model:
    registry = ModelDirectory(models)
    try:
        if named and Path(named).is_dir():
            return load(Path(named))
        return registry.load(named) if named else registry.live()
    except (UnusableModelError, MeshError) as error:
        sys.exit(f"journeymesh: there is no such model to evaluate ({error}); run `make train` first.")


if __name__ == "__main__":
    main()
