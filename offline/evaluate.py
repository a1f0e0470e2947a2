"""Evaluates the live exit-risk model on the data of `JOURNEYMESH_DATA`: `python -m offline.evaluate`.

Prints tables for the users held back from training and for all users. If the model was trained on other data, it knows
neither, and the second tables have more of them.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table as Grid

from mesh.settings import read_or_exit
from offline.datasets import oulad
from offline.settings import Settings
from offline.training import fitting, metrics
from offline.training.snapshots import Table, table
from services.scoring.adapters.model_directory import UnusableModelError, load
from services.scoring.ports import Model


def main() -> None:
    """Prints the live model's measures."""
    settings, console = read_or_exit(Settings), Console()
    model = _live(Path(settings.models_directory))
    snapshots = read_snapshots(Path(settings.data), console)
    console.print(f"Model {model.card.version}, trained on {model.card.training_source}")
    is_kept_back = fitting.kept_back(snapshots.users)
    for users, part in (("users held back", snapshots.where(is_kept_back)), ("all users", snapshots)):
        for moments, rows in fitting.parts(part).items():
            console.print(render(f"{users}, {moments}", evaluate(model, rows)))


def read_snapshots(data: Path, console: Console) -> Table:
    """The snapshots of OULAD; exits with one sentence if the data is not there."""
    try:
        journeys = list(track(oulad.journeys(data / oulad.NAME), "reading journeys", console=console))
    except FileNotFoundError as error:
        sys.exit(f"journeymesh: the data set is missing ({error.filename}); set JOURNEYMESH_DATA to its directory.")
    return table(track(journeys, "replaying journeys", console=console))


def evaluate(model: Model, rows: Table) -> metrics.Report:
    """The model beside the baselines; the majority baseline is given the true share."""
    probabilities = np.array(model.predict(rows.values).probabilities)
    return metrics.report(probabilities, rows, float(rows.is_gone.mean()))


def render(title: str, report: Mapping[str, Mapping[str, float]]) -> Grid:
    """A report as a table for the terminal."""
    grid = Grid(title=title, title_justify="left")
    grid.add_column("")
    for name in next(iter(report.values())):
        grid.add_column(name.replace("_", " "), justify="right")
    for name, measures in report.items():
        grid.add_row(name, *(f"{value:.4f}" for value in measures.values()))
    return grid


def _live(directory: Path) -> Model:
    try:
        return load(directory / (directory / "live").read_text(encoding="utf-8").strip())
    except (OSError, UnusableModelError) as error:
        sys.exit(f"journeymesh: there is no live model to evaluate ({error}); run `make train` first.")


if __name__ == "__main__":
    main()
