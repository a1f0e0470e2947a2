"""Reads an experiment's table: one row per unit (or several of one unit), or one row per arm with its totals."""

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from comparison.sequential import Sample
from offline.experiments.comparison import Column, sample

_ARM_NAMES: Final = ("arm", "variant", "variation", "group", "testgroup", "version", "treatment", "bucket", "cohort")
_UNIT_NAMES: Final = ("unit", "user", "userid", "customerid", "visitorid", "deviceid", "anonymousid", "id", "unitid")
_COUNT_NAMES: Final = (
    "count",
    "n",
    "units",
    "users",
    "visitors",
    "samples",
    "size",
    "total",
    "exposures",
    "participants",
)
_CONTROL_NAMES: Final = ("control", "baseline", "a", "off", "old", "0", "false", "holdout", "psa", "placebo")
_MEANS: Final = ("mean", "average", "avg")
_DEVIATIONS: Final = ("sd", "std", "stdev", "stddev", "standarddeviation")
_VARIANCES: Final = ("var", "variance")
_MISSING: Final = ("", "na", "nan", "null", "none", "\\n")
_TRUTHS: Final = {"true": 1.0, "yes": 1.0, "t": 1.0, "y": 1.0, "false": 0.0, "no": 0.0, "f": 0.0, "n": 0.0}

Row: TypeAlias = Mapping[str, str]


class TableError(Exception):
    """The file is not an experiment's table; the message says what is wrong with it."""


class Columns(NamedTuple):
    """What the caller said about the columns; what is empty is found by name."""

    arm: str = ""
    unit: str = ""
    outcomes: Sequence[str] = ()
    before: str = ""
    control: str = ""


class Outcome(NamedTuple):
    """One outcome: a sample per arm, and, where `before` was given and rows are units, the values themselves."""

    samples: Mapping[str, Sample]
    values: Mapping[str, Column]
    before: Mapping[str, Column]


class Experiment(NamedTuple):
    """What a table holds.

    `counts` has the units of each arm, the control first. `in_several_arms` counts the units that were left out
    because they were seen in more than one arm. `notes` say what was not read and why, in the order of the columns.
    """

    control: str
    counts: Mapping[str, int]
    outcomes: Mapping[str, Outcome]
    in_several_arms: int
    notes: Sequence[str]


def read(path: Path, columns: Columns, progress: Callable[[Sequence[Row]], Iterable[Row]] = iter) -> Experiment:
    """Reads an experiment from a CSV, JSON (a list of objects) or JSONL file.

    Rows are totals where each arm has one row and a column counts its units: then every other column of whole numbers
    up to that count is a number of conversions, and `mean` beside `standard deviation` or `variance` (also behind a
    name: `revenue_mean`) is an outcome. Otherwise a row is a unit, or one of several rows of a unit, whose numbers are
    added up; of a column that holds only yes and no (or 1 and 0) one yes is a yes. Numbers that are missing do not
    count.

    Raises:
        TableError: no such table can be read.
    """
    rows = _rows(path)
    if not rows:
        raise TableError("It has no rows.")
    header = tuple(dict.fromkeys(name for row in rows[:100] for name in row))
    arm = _found(header, columns.arm, _ARM_NAMES)
    if not arm:
        message = f"No column is known to name the arms: say which (--arm). It has {', '.join(header)}."
        raise TableError(message)
    arms = list(dict.fromkeys(row.get(arm, "") for row in rows))
    count = _found(header, "", _COUNT_NAMES)
    if count and len(arms) == len(rows):
        return _of_totals(rows, arm, count, columns)
    return _of_units(rows, header, arm, columns, progress)


def _rows(path: Path) -> Sequence[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".json":
                found = json.load(file)
            elif path.suffix in (".jsonl", ".ndjson"):
                found = [json.loads(line) for line in file if line.strip()]
            else:
                sample = file.read(10_000)
                file.seek(0)
                delimiter = max(",;\t", key=sample.split("\n", 1)[0].count)
                return list(csv.DictReader(file, delimiter=delimiter, restval=""))
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        message = f"It cannot be read: {error}."
        raise TableError(message) from None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise TableError("It is not a list of objects.")
    return [{name: _text(value) for name, value in row.items()} for row in found]


def _of_totals(rows: Sequence[Row], arm: str, count: str, columns: Columns) -> Experiment:
    counts = {row[arm]: _whole(row[count]) for row in rows}
    if None in counts.values():
        message = f"{count} is not a whole number in every row."
        raise TableError(message)
    known = {name: of for name, of in counts.items() if of is not None}
    outcomes: dict[str, Outcome] = {}
    notes = []
    for name in (each for each in rows[0] if each not in (arm, count)):
        if columns.outcomes and name not in columns.outcomes:
            continue
        samples = _converted(rows, arm, name, known) or _described(rows, arm, name, known)
        if samples:
            outcomes[_outcome_name(name)] = Outcome(samples, {}, {})
        elif _kind(name) not in (*_DEVIATIONS, *_VARIANCES):
            notes.append(f"{name} is neither a number of conversions nor a mean with its deviation: left out.")
    return _experiment(columns, known, outcomes, 0, notes)


def _converted(rows: Sequence[Row], arm: str, name: str, counts: Mapping[str, int]) -> Mapping[str, Sample] | None:
    if _kind(name) in (*_MEANS, *_DEVIATIONS, *_VARIANCES):
        return None
    samples = {}
    for row in rows:
        of, converted = counts[row[arm]], _whole(row[name])
        if converted is None or converted > of:
            return None
        rate = converted / of if of else math.nan
        samples[row[arm]] = Sample(of, rate, rate * (1 - rate) * of / (of - 1) if of > 1 else math.nan)
    return samples


def _described(rows: Sequence[Row], arm: str, name: str, counts: Mapping[str, int]) -> Mapping[str, Sample] | None:
    if _kind(name) not in _MEANS:
        return None
    beside = {_kind(other): other for other in rows[0] if other != name and _outcome_name(other) == _outcome_name(name)}
    spread = next((beside[kind] for kind in (*_DEVIATIONS, *_VARIANCES) if kind in beside), None)
    if spread is None:
        return None
    power = 2 if _kind(spread) in _DEVIATIONS else 1
    samples = {}
    for row in rows:
        mean, deviation = _number(row[name]), _number(row[spread])
        if mean is None or deviation is None or deviation < 0:
            return None
        samples[row[arm]] = Sample(counts[row[arm]], mean, deviation**power)
    return samples


def _of_units(
    rows: Sequence[Row],
    header: Sequence[str],
    arm: str,
    columns: Columns,
    progress: Callable[[Sequence[Row]], Iterable[Row]],
) -> Experiment:
    unit = _found(header, columns.unit, _UNIT_NAMES)
    units = _units(progress(rows), len(rows), arm, unit)
    read: dict[str, Column] = {}
    notes = []
    for name in (each for each in header if each not in (arm, unit)):
        values = _column(rows, name)
        if values is not None:
            read[name] = _per_unit(values, units.of_rows, units.arms.size)
        elif name in (*columns.outcomes, columns.before):
            message = f"{name} holds text, not numbers."
            raise TableError(message)
        else:
            notes.append(f"{name} holds text: left out.")
    for name in (*columns.outcomes, columns.before):
        if name and name not in read:
            message = f"There is no column {name}. It has {', '.join(header)}."
            raise TableError(message)
    before = read.pop(columns.before, None)
    outcomes = {}
    for name in columns.outcomes or read:
        has = ~np.isnan(read[name]) if before is None else ~np.isnan(read[name]) & ~np.isnan(before)
        if missing := int((units.are_kept & ~has).sum()):
            notes.append(f"{name}: {missing:,} of {int(units.are_kept.sum()):,} users have no value and do not count.")
        outcomes[name] = _outcome(units, has, read[name], before)
    counts = {name: int(members.sum()) for name, members in units.members()}
    return _experiment(columns, counts, outcomes, int((~units.are_kept).sum()), notes)


class _Units(NamedTuple):
    """Units by number: which each row is of, the arm of each, and whether it was in that arm only."""

    of_rows: npt.NDArray[np.int64]
    arms: npt.NDArray[np.str_]
    are_kept: npt.NDArray[np.bool_]

    def members(self) -> Iterable[tuple[str, npt.NDArray[np.bool_]]]:
        """Each arm and which units are in it alone, in the order in which arms came."""
        names, first = np.unique(self.arms, return_index=True)
        for place in np.argsort(first):
            yield str(names[place]), self.are_kept & (self.arms == names[place])


def _units(rows: Iterable[Row], row_count: int, arm: str, unit: str) -> _Units:
    numbers: dict[str, int] = {}
    arms: list[str] = []
    in_several: set[int] = set()
    of_rows = np.empty(row_count, dtype=np.int64)
    for number, row in enumerate(rows):
        at = numbers.setdefault(row.get(unit, "") if unit else str(number), len(numbers))
        of_rows[number] = at
        if at == len(arms):
            arms.append(row.get(arm, ""))
        elif arms[at] != row.get(arm, ""):
            in_several.add(at)
    are_kept = np.ones(len(arms), dtype=bool)
    are_kept[list(in_several)] = False
    return _Units(of_rows, np.array(arms), are_kept)


def _outcome(units: _Units, has: npt.NDArray[np.bool_], values: Column, before: Column | None) -> Outcome:
    places = {name: np.flatnonzero(members & has) for name, members in units.members()}
    values_of = {name: values[of] for name, of in places.items()}
    before_of = {} if before is None else {name: before[of] for name, of in places.items()}
    return Outcome({name: sample(of) for name, of in values_of.items()}, values_of, before_of)


def _experiment(
    columns: Columns, counts: Mapping[str, int], outcomes: Mapping[str, Outcome], in_several: int, notes: Sequence[str]
) -> Experiment:
    if len(counts) < 2:
        message = f"It has one arm only, {next(iter(counts))}."
        raise TableError(message)
    if not outcomes:
        raise TableError("No column holds an outcome in numbers.")
    control = columns.control or next((arm for arm in counts if _plain(arm) in _CONTROL_NAMES), min(counts))
    if control not in counts:
        message = f"There is no arm {control}. It has {', '.join(counts)}."
        raise TableError(message)
    first = {control: counts[control], **counts}
    return Experiment(control, first, outcomes, in_several, notes)


def _found(header: Iterable[str], said: str, known: Sequence[str]) -> str:
    if said:
        if said not in header:
            message = f"There is no column {said}. It has {', '.join(header)}."
            raise TableError(message)
        return said
    plain = {_plain(name): name for name in header}
    return next((plain[name] for name in known if name in plain), "")


def _column(rows: Sequence[Row], name: str) -> Column | None:
    values = np.empty(len(rows))
    for number, row in enumerate(rows):
        text = row.get(name, "")
        value = math.nan if text.strip().lower() in _MISSING else _number(text)
        if value is None:
            return None
        values[number] = value
    return None if np.isnan(values).all() else values


def _per_unit(values: Column, row_units: npt.NDArray[np.int64], unit_count: int) -> Column:
    has = ~np.isnan(values)
    found = np.full(unit_count, np.nan)
    found[row_units[has]] = 0
    if np.isin(values[has], (0, 1)).all():
        np.maximum.at(found, row_units[has], values[has])
    else:
        np.add.at(found, row_units[has], values[has])
    return found


def _number(text: str) -> float | None:
    plain = text.strip().lower()
    if plain in _TRUTHS:
        return _TRUTHS[plain]
    try:
        value = float(plain)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(text: str) -> int | None:
    value = _number(text)
    return int(value) if value is not None and value >= 0 and value == int(value) else None


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _plain(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())


def _kind(name: str) -> str:
    """`sd` of `revenue_sd` and of `sd`, `standarddeviation` of `Standard deviation`."""
    plain = _plain(name)
    return plain if plain in (*_MEANS, *_DEVIATIONS, *_VARIANCES) else _plain(re.split(r"[_ .-]", name)[-1])


def _outcome_name(name: str) -> str:
    """`revenue` of `revenue_mean` and `revenue_sd`, `mean` of `mean` and `sd`; every other name as it is."""
    if _kind(name) not in (*_MEANS, *_DEVIATIONS, *_VARIANCES):
        return name
    return re.sub(r"[_ .-]?[^_ .-]*\Z", "", name) if _plain(name) != _kind(name) else "mean"
