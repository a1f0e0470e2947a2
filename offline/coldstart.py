"""How good the models of a new installation would be: `make coldstart DATA=… MAPPING=… LABEL=…` (docs/training.md).

Plays the data as it would have come in. Whenever enough users have an outcome, it does what `make train` does, and asks
what it offers about all that came later. In the end it says what an import of all the data at once would give.
"""

import sys
from pathlib import Path
from typing import Final

from rich.progress import track
from rich.table import Table as Grid

from offline import given
from offline.train import read_live
from offline.training import arrival, plots
from offline.training.arrival import Step
from offline.training.choice import Live
from offline.training.fitting import Source, TooLittleError
from offline.training.metrics import Figure
from offline.training.plots import Reached

PLOT = Path("build/coldstart.png")
_COLUMNS: Final = (
    "users with an outcome",
    "day",
    "model",
    "AUROC",
    "calibration error",
    "false alarms per 100",
    "in trouble",
)


def main() -> None:
    """Prints one row per step of what is known, and plots them."""
    settings, declared, models, console = given.begin()
    if not declared.data:
        sys.exit("journeymesh: name data of an installation by DATA, MAPPING and LABEL (docs/training.md).")
    live = read_live(models)
    if live is None:
        sys.exit("journeymesh: there is no live model that a new installation would begin with.")
    source = given.source(settings, declared, console)
    moments = arrival.moments(source.snapshots)
    if not moments:
        sys.exit("journeymesh: this label is known at the end of the data only, so nothing can come in by and by.")
    steps: list[Step] = []
    for moment in track(moments, "training as the data comes in", console=console):
        steps.extend(arrival.steps(source, live, moment))
    console.print(f"The installation begins with {live.model.card.version}; the label is: {source.label}", markup=False)
    console.print(_table(steps))
    console.print(
        "Each row is asked about what came later. A false alarm is a score of 75 or more where the label did not come "
        "true; the score joins model and rules. In trouble is the score of a first visit with three failed attempts.",
        markup=False,
    )
    console.print(_said_at_once(source, live), markup=False)
    PLOT.parent.mkdir(exist_ok=True)
    PLOT.write_bytes(
        plots.arrival([Reached(step.users, step.name, step.auroc, step.calibration_error) for step in steps])
    )
    console.print(f"{PLOT} shows it.", markup=False)


def _said_at_once(source: Source, live: Live) -> str:
    """What the installation has if it imports all of the data at once."""
    try:
        made = arrival.at_once(source, live)
    except TooLittleError as error:
        return f"Imported at once, it is too little for a model: {error}"
    return (
        f"Imported at once, it has {made.users:,} users with an outcome, and `make train` makes a model at once: "
        f"{made.name}, state {made.state.name.lower()}; asked about users held back, AUROC {_shown(made.auroc)}, "
        f"calibration error {_shown(made.calibration_error)}."
    )


def _table(steps: list[Step]) -> Grid:
    grid = Grid(box=None, padding=(0, 2, 0, 0))
    for column in _COLUMNS:
        grid.add_column(column, justify="left" if column == "model" else "right")
    for step in steps:
        grid.add_row(
            f"{step.users:,}",
            f"{step.day:,}",
            f"{step.name} *" if step.is_offered else step.name,
            _shown(step.auroc),
            _shown(step.calibration_error),
            f"{step.false_alarms:.1f}",
            f"{step.in_trouble:.0f}",
        )
    grid.caption = "* what `make train` offers then"
    return grid


def _shown(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})"


if __name__ == "__main__":
    main()
