"""What a command was given: refuses what it does not know, and reads the data."""

import difflib
import hashlib
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table as Grid

from mesh.errors import Unavailable
from mesh.settings import SettingError, read
from offline.archive import Window
from offline.datasets import oulad, students
from offline.declared import archived, journeys, label, mapped, mapping, moments, reading
from offline.declared.journeys import Spilled
from offline.declared.label import Label, LabelError
from offline.declared.mapping import MappingError
from offline.declared.moments import Span
from offline.declared.reading import DataError, Profile
from offline.settings import Declared, Settings
from offline.training.fitting import Source
from offline.training.table import Table, table
from services.features.domain.own import NO_COLUMNS, Columns
from services.scoring.adapters.model_directory import Place, place

_Item = TypeVar("_Item")

_NAMES: Final = frozenset(field.metadata["name"] for field in fields(Declared))
_CLOSE: Final = 0.8
# Shorter names are words of their own, such as DATE and MODE.
_LENGTHS: Final = range(5, 10)
_SHOWN_VALUES: Final = 6


def require_known(environment: Mapping[str, str]) -> None:
    """Refuses variables that are none of training's: all of make's command line, and misspelt ones of the environment.

    Raises:
        SettingError: there is one.
    """
    _, _, overrides = environment.get("MAKEFLAGS", "").partition("-- ")
    given = {name for name, is_set, _ in (each.partition("=") for each in shlex.split(overrides)) if is_set}
    for name in sorted(given - _NAMES):
        if not name.startswith("JOURNEYMESH_") and name != "PYTHON":
            message = f"{name} is no variable of this command; it knows {', '.join(sorted(_NAMES))}."
            raise SettingError(message)
    for name in sorted(environment.keys() - _NAMES):
        close = difflib.get_close_matches(name, _NAMES, 1, _CLOSE) if len(name) in _LENGTHS else []
        if close and close[0] not in environment:
            message = f"{name} is no variable of this command; {close[0]} is."
            raise SettingError(message)


class Shown(NamedTuple):
    """Where it is shown how far the reading is, and what was noticed."""

    tracked: Callable[[Iterable[Any], str], Iterable[Any]]
    """Hands on what is read, and shows how much, in a step of this name."""
    said: Callable[[str], None]
    """Shows a sentence."""


class Begun(NamedTuple):
    """What a command begins with."""

    settings: Settings
    declared: Declared
    models: Place
    console: Console


def begin() -> Begun:
    """Reads the variables of a command; exits with one sentence if one is unknown or invalid."""
    try:
        require_known(os.environ)
        settings, declared = read(Settings, os.environ), read(Declared, os.environ)
        return Begun(settings, declared, place(settings.models_directory), Console())
    except SettingError as error:
        sys.exit(f"journeymesh: {error}")


def source(settings: Settings, given: Declared, console: Console) -> Source:
    """The data that was given, or OULAD if none was; exits with one sentence if it cannot be used."""
    declared = [name for name, value in (("MAPPING", given.mapping), ("LABEL", given.label)) if value]
    if not given.data:
        if declared:
            sys.exit(f"journeymesh: {declared[0]} says how to read data, but there is no DATA.")
        console.print("No DATA is given: this is the data set OULAD, with its own label.")
        return _students(Path(settings.data), console)
    is_archive = archived.is_archive(given.data)
    if is_archive and given.mapping:
        sys.exit("journeymesh: an archive of the mesh needs no MAPPING.")
    if not (given.label and (given.mapping or is_archive)):
        sys.exit("journeymesh: DATA needs MAPPING and LABEL, which say what it means (docs/training.md).")
    try:
        shown = _shown(console)
        return archive(given.data, given.label, shown) if is_archive else _declared(given, console, shown)
    except (MappingError, LabelError, DataError, SettingError, Unavailable) as error:
        sys.exit(f"journeymesh: {error}")


def _students(data: Path, console: Console) -> Source:
    try:
        found = list(track(oulad.journeys(data / oulad.NAME), "reading journeys", console=console))
    except FileNotFoundError as error:
        sys.exit(f"journeymesh: the data set is missing ({error.filename}); set JOURNEYMESH_DATA to its directory.")
    asked = (
        each for journey in track(found, "replaying journeys", console=console) for each in students.snapshots(journey)
    )
    return students.source(table(asked))


def _shown(console: Console) -> Shown:
    def tracked(items: Iterable[_Item], step: str) -> Iterable[_Item]:
        return track(items, step, console=console)

    return Shown(tracked, lambda sentence: console.print(sentence, markup=False))


def _declared(given: Declared, console: Console, shown: Shown) -> Source:
    data, (columns, columns_hash) = Path(given.data), mapping.read(Path(given.mapping))
    wanted, profile = label.parse(given.label, columns.outcomes.keys()), Profile()
    with tempfile.TemporaryDirectory() as folder:
        rows = shown.tracked(reading.rows(data), "reading rows")
        spilled = journeys.spill(mapped.taken(rows, columns, profile), Path(folder))
        console.print(_values(profile, columns.columns))
        snapshots = _asked(spilled, wanted, shown, columns.own)
    by = f"by the mapping `{Path(given.mapping).name}` ({columns_hash})"
    remarks = [f"The rows of `{data.name}` ({profile.row_count:,}), read {by}."]
    remarks += [
        f"Values of `{column}` that differ by case or spaces only: {', '.join(mixed)}."
        for column in columns.columns
        if (mixed := profile.mixed(column))
    ]
    found = _source(columns.name or data.name.split(".")[0], remarks, spilled, (wanted, snapshots), shown)
    return _of_the_installation(found) if columns.is_own else found


def archive(data: str, said_label: str, shown: Shown, window: Window = Window()) -> Source:  # noqa: B008 - a value
    """What the events of an archive of the mesh are to be learned from, of a window of received time.

    Args:
        data: its folder or URL.
        said_label: what is to be predicted.
        shown: where it is shown how far this is.
        window: which events count.

    Raises:
        LabelError: the label cannot be understood.
        DataError: there are no events, or too few to ask the label of any.
        SettingError: the URL is no archive's.
        Unavailable: the storage cannot be reached.
    """
    wanted = label.parse(said_label, ())
    with tempfile.TemporaryDirectory() as folder:
        rows = shown.tracked(archived.taken(data, window), "reading the archive")
        spilled = journeys.spill(rows, Path(folder))
        snapshots = _asked(spilled, wanted, shown)
    remarks = [f"The events of an archive of the mesh ({spilled.taken:,})."]
    return _of_the_installation(_source("archive", remarks, spilled, (wanted, snapshots), shown))


def _of_the_installation(found: Source) -> Source:
    return found._replace(own_users=len(set(found.snapshots.users)))


def _source(name: str, remarks: list[str], spilled: Spilled, asked: tuple[Label, Table], shown: Shown) -> Source:
    wanted, snapshots = asked
    if spilled.left_out:
        remarks.append(f"Left out: {journeys.said(spilled.left_out)}.")
    first, last = (datetime.fromtimestamp(us / 1e6, UTC).date() for us in (spilled.first_us, spilled.last_us))
    if first != last:
        remarks.append(f"Recorded from {first} to {last}.")
    for remark in remarks:
        shown.said(remark)
    measured = _measured(snapshots)
    short = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "data"
    return Source(short, " ".join(remarks), str(wanted), snapshots, measured, is_directed=False)


def _measured(snapshots: Table) -> frozenset[str]:
    """The columns that vary; of equal ones the first. With one value per user, sum, mean and most equal the last."""
    seen, measured = set[bytes](), set[str]()
    for name, column in zip(snapshots.names, snapshots.values.T, strict=True):
        content = hashlib.sha256(column.tobytes()).digest()
        if len(np.unique(column)) > 1 and content not in seen:
            measured.add(name)
        seen.add(content)
    return frozenset(measured)


def _asked(spilled: Spilled, wanted: Label, shown: Shown, columns: Columns = NO_COLUMNS) -> Table:
    span = Span(spilled.first_us, spilled.last_us)
    found = [
        snapshot
        for journey in shown.tracked(spilled.journeys(), "replaying journeys")
        for snapshot in moments.snapshots(journey, wanted, span, columns)
    ]
    if not found:
        message = f"The data is too short to ask `{wanted}`: there is no time after any event."
        raise DataError(message)
    return table(found, columns)


def _values(profile: Profile, members: Mapping[str, str]) -> Grid:
    """How often which value occurs in each column; mapped columns say as what."""
    grid = Grid(title=f"{profile.row_count:,} rows", title_justify="left")
    for heading in ("column", "mapped as", "values"):
        grid.add_column(heading)
    for column in dict.fromkeys([*members, *profile.counts]):
        counts = profile.counts.get(column)
        if column in profile.many:
            said = f"more than {reading.DISTINCT_LIMIT:,} different"
        else:
            shown = counts.most_common(_SHOWN_VALUES) if counts else []
            more = len(counts or ()) - len(shown)
            said = ", ".join(f"{value or '(empty)'} {count:,}" for value, count in shown)
            said += f" and {more:,} more" if more else ""
        grid.add_row(column, members.get(column, "-"), cast("Any", said))
    return grid
