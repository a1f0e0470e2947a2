"""What training reaches on published data, beside all baselines, in one table: `make published ONLY="edify shop"`.

Each model is trained on seven of ten users and asked about the others; where there is a calendar split, another one is
asked about what came later. Writes the table in Markdown to `build/published.md`, too.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console

from mesh.settings import SettingError, read
from offline import datasets, given
from offline.datasets import edify
from offline.settings import Declared, Settings
from offline.training import arrival, baselines, fitting, metrics
from offline.training.fitting import LATER, OTHER_USERS, Source, Trained
from offline.training.metrics import Measures, Said
from offline.training.table import Table

MAPPINGS: Final = Path(datasets.__file__).parent / "mappings"
TABLE: Final = Path("build/published.md")
_SIDES: Final = (
    "exit risk",
    "model",
    "model and learned rules",
    "model and rules",
    "learned rules only",
    "rules only",
    baselines.RULE,
    "logistic",
    "unconstrained boosting",
    "majority",
)
_WEEKLY: Final = "model, recalibrated weekly"
_COLUMNS: Final = ("data", "asked", "came true", "together less the better", *_SIDES, _WEEKLY)


class Question(NamedTuple):
    """A label of a data set. `name` is that of its mapping; `file` is in the folder of data sets."""

    name: str
    file: str
    label: str


QUESTIONS: Final = (
    Question("oulad", "", ""),
    Question("edify", edify.NAME, "no event for 14 days, at events and at session end"),
    Question("edify", edify.NAME, "never returns, at events and at session end"),
    Question("edify", edify.NAME, "session is over, at events"),
    Question("retail", "online_retail/online_retail.csv.gz", "no event for 30 days, at events and at session end"),
    Question(
        "grocery",
        "complete_journey/transactions_sample.csv.gz",
        "no event for 14 days, at events and at session end",
    ),
    Question("shop", "online_shoppers/online_shoppers.csv.gz", "session ends without bought"),
)


def main() -> None:
    """Trains on each question, and prints a row for each moment that it is asked at."""
    console, wanted = Console(stderr=True), set(sys.argv[1:])
    try:
        settings = read(Settings, os.environ)
    except SettingError as error:
        sys.exit(f"journeymesh: {error}")
    known = {question.name for question in QUESTIONS}
    if unknown := sorted(wanted - known):
        sys.exit(f"journeymesh: there is no data set {unknown[0]!r}; there are {', '.join(sorted(known))}.")
    lines = [f"|{'|'.join(_COLUMNS)}|", f"|{'---|' * len(_COLUMNS)}"]
    for question in QUESTIONS:
        if wanted and question.name not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            source = source_of(question, settings, Path(folder), console)
        status = console.status(f"training on {source.name}, {source.label}")
        with status, ThreadPoolExecutor(fitting.FITS_AT_ONCE) as fits:
            made = fitting.train(source, fits.map)
        lines += [f"|{source.name}|{source.label.split(',')[0]}; {row}|" for row in rows(made, source.snapshots)]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(text, encoding="utf-8")


def rows(made: Trained, snapshots: Table) -> Iterator[str]:
    """Cells hold AUROC / area under precision and recall / calibration error, the first with AUROC's interval.

    The last cell is of what came later: what the model of the calendar split says, recalibrated as answers come in.
    """
    weekly = _weekly(made, snapshots)
    for title, report in made.reports.items():
        share = report["majority"]["auprc"].value
        of, _, moment = title.partition(", ")
        joined = made.learned.joined.get(moment) if of == OTHER_USERS else None
        gain = "{:+.4f} ({:+.3f} to {:+.3f})".format(*joined.gain) if joined else ""
        cells = [_cell(report[side], has_interval=side == _SIDES[0]) for side in _SIDES]
        yield "|".join([title, f"{share:.1%}", gain, *cells, weekly.get(title, "")])


def _weekly(made: Trained, snapshots: Table) -> dict[str, str]:
    if made.later is None:
        return {}
    after = snapshots.where(fitting.calendar(snapshots).after)
    said = arrival.recalibrated(made.later, after)
    reports = {
        f"{LATER}, {moment}": metrics.report({_WEEKLY: Said(its, its)}, part)[_WEEKLY]
        for moment, part in fitting.parts(after).items()
        for its in [said[after.moments == moment]]
    }
    return {title: _cell(report, has_interval=True) for title, report in reports.items()}


def _cell(measures: Measures, *, has_interval: bool) -> str:
    area, low, high = measures["auroc"]
    interval = f" ({low:.3f}-{high:.3f})" if has_interval else ""
    return f"{area:.3f}{interval} / {measures['auprc'].value:.3f} / {measures['calibration_error'].value:.3f}"


def source_of(question: Question, settings: Settings, folder: Path, console: Console) -> Source:
    """The snapshots of a question; exits with one sentence if the data is not there.

    Args:
        question: one of `QUESTIONS`.
        settings: where the data sets are.
        folder: an empty folder for what is in between.
        console: told how far reading is.
    """
    if not question.label:
        return given.source(settings, Declared(), console)
    data = Path(settings.data) / question.file
    if question.file == edify.NAME:
        data, events = folder / "edify.jsonl", edify.events(data)
        data.write_text("".join(json.dumps(each) + "\n" for each in events), encoding="utf-8")
    mapping = MAPPINGS / f"{question.name}.yaml"
    return given.source(settings, Declared(data=str(data), mapping=str(mapping), label=question.label), console)


if __name__ == "__main__":
    main()
