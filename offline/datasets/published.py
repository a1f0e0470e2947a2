"""The published data sets, each with a mapping, and what is asked of them."""

import json
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console

from offline import given
from offline.datasets import edify
from offline.settings import Declared, Settings
from offline.training.fitting import Source

_MAPPINGS: Final = Path(__file__).parent / "mappings"


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


def source(question: Question, settings: Settings, folder: Path, console: Console) -> Source:
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
    mapping = _MAPPINGS / f"{question.name}.yaml"
    return given.source(settings, Declared(data=str(data), mapping=str(mapping), label=question.label), console)
