"""Rows of files: CSV, JSON lines or Parquet, one or a folder of them, also with gzip."""

import csv
import gzip
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec
import pyarrow.parquet as pq

Row = Mapping[str, str]
"""A row's values by column, as text; empty where there is none."""

DISTINCT_LIMIT: Final = 1_000
_DELIMITERS: Final = ",;\t|"
_FORMS: Final = {"csv": "csv", "tsv": "csv", "txt": "csv", "jsonl": "json", "ndjson": "json", "parquet": "parquet"}


class DataError(Exception):
    """The data cannot be read; the message is one sentence."""


@dataclass
class Profile:
    """How often each value of each column occurs; of a column with more than 1,000 values only that it has."""

    row_count: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    many: set[str] = field(default_factory=set)

    def note(self, row: Row) -> None:
        """Counts a row's values."""
        self.row_count += 1
        for column, value in row.items():
            if column in self.many:
                continue
            counter = self.counts.setdefault(column, Counter())
            counter[value] += 1
            if len(counter) > DISTINCT_LIMIT:
                self.many.add(column)
                counter.clear()

    def mixed(self, column: str) -> list[str]:
        """The values of a column that differ from another one by case or spaces only."""
        spellings: dict[str, list[str]] = {}
        for value in self.counts.get(column, ()):
            spellings.setdefault(value.strip().casefold(), []).append(value)
        return sorted(value for values in spellings.values() if len(values) > 1 for value in values)


def files(data: Path) -> list[Path]:
    """The files of the data, in the order of their names.

    Raises:
        DataError: there is none that can be read.
    """
    found = sorted(path for path in data.rglob("*") if path.is_file() and _form(path)) if data.is_dir() else [data]
    if not found or not all(path.is_file() for path in found):
        message = f"There is no data in {data}; CSV, JSON lines and Parquet are read, also with .gz."
        raise DataError(message)
    if not _form(found[0]):
        message = f"{data.name} has none of the endings {', '.join('.' + name for name in _FORMS)} (or with .gz)."
        raise DataError(message)
    return found


def rows(data: Path) -> Iterator[Row]:
    """All rows of the data.

    Raises:
        DataError: a file cannot be read.
    """
    for path in files(data):
        try:
            yield from _READERS[_form(path)](path)
        except (OSError, csv.Error, UnicodeDecodeError, msgspec.DecodeError) as error:
            message = f"{path.name} cannot be read: {error}."
            raise DataError(message) from error


def _form(path: Path) -> str:
    endings = [ending.lstrip(".").lower() for ending in path.suffixes]
    if endings and endings[-1] == "gz":
        endings.pop()
    return _FORMS.get(endings[-1], "") if endings else ""


def _csv(path: Path) -> Iterator[Row]:
    with _opened(path) as lines:
        header = lines.readline()
        delimiter = max(_DELIMITERS, key=header.count)
        names = next(csv.reader([header], delimiter=delimiter), [])
        for number, values in enumerate(csv.reader(lines, delimiter=delimiter), start=2):
            if len(values) != len(names):
                if not values:
                    continue
                message = f"{path.name}: row {number} has {len(values)} values for {len(names)} columns."
                raise DataError(message)
            yield dict(zip(names, values, strict=True))


def _json(path: Path) -> Iterator[Row]:
    with _opened(path) as lines:
        for line in lines:
            if line.strip():
                yield dict(_flat(msgspec.json.decode(line), ""))


def _parquet(path: Path) -> Iterator[Row]:
    for batch in pq.ParquetFile(path).iter_batches(batch_size=10_000):
        for row in batch.to_pylist():
            yield dict(_flat(row, ""))


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    """The members of an object, those of its objects under `outer.inner`."""
    if isinstance(value, dict):
        for member, inner in value.items():
            yield from _flat(inner, f"{name}.{member}" if name else str(member))
    elif name:
        yield name, "" if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)
    else:
        raise DataError("A line of JSON is no object.")


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


_READERS: Final = {"csv": _csv, "json": _json, "parquet": _parquet}
