"""Reads a metric from a table: a row per bucket, or several."""

import contextlib
import csv
import datetime as dt
import gzip
import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from services.analytics.domain import incidents
from services.analytics.domain.unusual import Kind

_TIME_NAMES: Final = ("time", "timestamp", "date", "datetime", "hour", "day", "bucket", "ts")
_VALUE_NAMES: Final = ("value", "count", "n", "events", "users", "total", "amount")
_MOST_BUCKETS: Final = 5_000_000
_WEEK_SECONDS: Final = 7 * 86_400


class MetricError(Exception):
    """The file is not a metric's table; the message says what is wrong with it."""


class Columns(NamedTuple):
    """What the caller said about the columns; what is empty is found by name."""

    time: str = ""
    value: str = ""


class Metric(NamedTuple):
    """A metric's buckets in order of time, without gaps.

    `start` is the first bucket's beginning in seconds since 1970, `seconds` how long each lasts. A value is NaN where
    the table has none; counts have 0 there.
    """

    kind: Kind
    start: int
    seconds: int
    values: list[float]
    skipped_rows: int

    def time(self, number: int) -> dt.datetime:
        """When a bucket begins."""
        return dt.datetime.fromtimestamp(self.start + number * self.seconds, dt.UTC)

    def slot(self, number: int, zone: ZoneInfo) -> int:
        """A bucket's place in the week of a zone, in buckets."""
        return incidents.slot(self.start + number * self.seconds, self.seconds, zone)


def read(path: Path, columns: Columns, kind: Kind | None, zone: ZoneInfo) -> Metric:
    """Reads a CSV file, compressed by gzip or not.

    Times are in ISO 8601, or seconds since 1970; those that name no zone are of `zone`. Buckets are as long as most
    rows lie apart. Of several rows in a bucket counts are added up, and levels averaged. Without a `kind`, whole
    numbers of at least 0 are counts. Rows without a time or a finite number are skipped and counted.

    Raises:
        MetricError: columns are missing, or fewer than two buckets can be read.
    """
    found: list[tuple[float, float]] = []
    skipped = 0
    with _opened(path) as rows:
        header = rows.fieldnames or ()
        time, value = (_column(header, *each) for each in ((columns.time, _TIME_NAMES), (columns.value, _VALUE_NAMES)))
        if not time or not value:
            message = f"Say the columns of time and value (--time, --value). It has {', '.join(header)}."
            raise MetricError(message)
        for row in rows:
            at, number = _time(row[time] or "", zone), _number(row[value] or "")
            if at is None or number is None:
                skipped += 1
            else:
                found.append((at, number))
    return _in_buckets(sorted(found), kind, skipped)


def _in_buckets(found: list[tuple[float, float]], kind: Kind | None, skipped: int) -> Metric:
    apart = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(found) if later > earlier]
    if not apart:
        raise MetricError("It has fewer than two times.")
    seconds = min(_WEEK_SECONDS, max(1, round(statistics.median_low(apart))))
    if kind is None:
        kind = Kind.COUNT if all(value >= 0 and value.is_integer() for _, value in found) else Kind.LEVEL
    if kind is Kind.COUNT and any(value < 0 for _, value in found):
        raise MetricError("It counts, but has numbers below 0.")
    start = int(found[0][0] // seconds * seconds)
    count = int((found[-1][0] - start) // seconds) + 1
    if count > _MOST_BUCKETS:
        message = f"Its times span {count:,} buckets of {seconds} s; at most {_MOST_BUCKETS:,} are read."
        raise MetricError(message)
    of_each = defaultdict(list)
    for at, value in found:
        of_each[int((at - start) // seconds)].append(value)
    values = [0.0 if kind is Kind.COUNT else math.nan] * count
    for number, inside in of_each.items():
        values[number] = math.fsum(inside) / (1 if kind is Kind.COUNT else len(inside))
    return Metric(kind, start, seconds, values, skipped)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator["csv.DictReader[str]"]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield csv.DictReader(file, restval="")


def _column(header: Sequence[str], said: str, known: Sequence[str]) -> str:
    if said:
        return said if said in header else ""
    by_name = {name.lower().replace("_", "").replace(" ", ""): name for name in header}
    return next((by_name[name] for name in known if name in by_name), "")


def _time(text: str, zone: ZoneInfo) -> float | None:
    seconds = _number(text)
    if seconds is not None:
        return seconds if abs(seconds) < 1e11 else None  # milliseconds are no seconds
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=zone)).timestamp()


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
