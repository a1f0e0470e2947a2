"""`journeymesh model report`: how good archived predictions were, and what has moved since."""

import argparse
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from cli.terminal import plain
from mesh.errors import MeshError, Unavailable
from mesh.settings import SettingError, read_or_exit
from offline import archive
from offline.decisions import archived
from offline.declared import label
from offline.declared.label import Label, LabelError
from offline.predictions import report, telling
from offline.predictions.gathering import Gathering, latest_outcome
from offline.predictions.measuring import Costs
from offline.predictions.predictions import OwnColumnsError
from offline.predictions.report import Grid, Report
from offline.predictions.telling import Asked
from offline.settings import Settings
from services.ingest.archive.adapters.event_rows import Archived
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import DECISIONS
from services.scoring.adapters.model_directory import ModelDirectory, UnusableModelError, place

_MOST_PREDICTIONS: Final = 100_000
_DAY_US: Final = 86_400_000_000
_DEFAULT_LABEL: Final = "no event for 14 days"


async def main(arguments: argparse.Namespace) -> int:
    """Reports; returns 1 if the archive cannot be read or parts of it are missing."""
    console = Console(highlight=False, markup=False)
    try:
        return await _report(arguments, console)
    except (SettingError, Unavailable, LabelError, OwnColumnsError, MeshError, UnusableModelError) as error:
        console.print(f"journeymesh: {plain(error)}")
        return 1


async def _report(arguments: argparse.Namespace, console: Console) -> int:
    given = label.parse(arguments.label, ()) if arguments.label else None
    registry = ModelDirectory(place(read_or_exit(Settings).models_directory))
    model = registry.load(arguments.model) if arguments.model else None
    files = ParquetArchive(arguments.archive)
    found = archive.contents(files)
    if not found.files:
        console.print(archive.NOTHING_YET)
        return 0
    wanted = given or _told(model.card.outcome if model is not None else latest_outcome(files))
    decision_count = sum(files.row_count(each) for each in files.files(DECISIONS))
    gathering = Gathering(wanted, one_in=-(-decision_count // _MOST_PREDICTIONS) or 1)

    def tracked(events: Iterable[Archived]) -> Iterable[Archived]:
        return track(events, "replaying", total=found.row_count, console=console, transient=True)

    await gathering.run(archived.records(files, found, tracked))
    made = gathering.predictions()
    if not len(made):
        console.print("The archive has no prediction about anybody yet.")
        return 0
    asked = Asked(wanted, gathering.last_us - arguments.since * _DAY_US, Costs(*arguments.costs), model)
    told = telling.report_on(made, asked, registry.load)
    undecided = gathering.undecided_count
    remarks = [f"{undecided:,} decisions are missing: they were archived too late."] if undecided else []
    if gathering.one_in > 1:
        remarks.append(f"One in {gathering.one_in:,} users is taken, drawn by a hash of the id.")
    if found.gaps:
        remarks.append(f"{len(found.gaps):,} ranges of the archive are missing; features and outcomes may be wrong.")
    told = dataclasses.replace(told, remarks=(*remarks, *told.remarks))
    for remark in told.remarks:
        console.print(remark, soft_wrap=True)
    for grid in report.grids(told):
        console.print(_table(grid), "")
    if arguments.report:
        _write(told, arguments.report)
        console.print(f"The report with its plots is in {arguments.report}.", soft_wrap=True)
    return int(bool(found.gaps))


def _told(outcome: str) -> Label:
    """The label of what a model tells, in words; the default if that is none that an archive can answer."""
    try:
        return label.parse(outcome, ())
    except LabelError:
        return label.parse(_DEFAULT_LABEL, ())


def _write(told: Report, folder: Path) -> None:
    from offline.training import card

    text = report.markdown(told)
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in report.pictures(told).items():
        (folder / name).write_bytes(picture)
    (folder / "report.md").write_text(text, encoding="utf-8")
    (folder / "report.html").write_text(card.page(text), encoding="utf-8")


def _table(grid: Grid) -> Table:
    table = Table(title=plain(grid.title), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for number, head in enumerate(grid.heads):
        table.add_column(head, justify="right" if number else "left", no_wrap=not number)
    for row in grid.rows:
        # An interval goes below its figure, so that the table is narrow.
        table.add_row(*(plain(cell).replace(" (", "\n(") for cell in row))
    return table
