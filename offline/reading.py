"""Reading the data a command works on, with its progress shown."""

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from offline.datasets import oulad
from offline.snapshots import Table, table


def read_snapshots(data: Path, console: Console) -> Table:
    """The snapshots of OULAD; ends the process with one sentence where the data is not there."""
    try:
        journeys = list(track(oulad.journeys(data / oulad.NAME), "reading journeys", console=console))
    except FileNotFoundError as error:
        sys.exit(f"journeymesh: the data set is not there ({error.filename}); set JOURNEYMESH_DATA to its directory.")
    return table(track(journeys, "replaying journeys", console=console))
