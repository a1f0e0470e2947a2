"""`journeymesh insights FILE`: which buckets of a metric would have been told as an incident, from its table."""

import argparse
import csv
import datetime as dt
import math
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from cli.terminal import plain
from offline.insights.incidents import incidents, judged
from offline.insights.metric import Columns, Metric, MetricError, read
from services.analytics.domain.incidents import Incident
from services.analytics.domain.unusual import Kind

_SHOWN: Final = 40
_FORTNIGHT_SECONDS: Final = 14 * 86_400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("file", type=Path, help="CSV, also compressed: a row per bucket of time")
    parser.add_argument("--time", default="", metavar="COLUMN", help="the column of the time")
    parser.add_argument("--value", default="", metavar="COLUMN", help="the column of the value")
    parser.add_argument(
        "--kind",
        choices=[each.value for each in Kind],
        help="what the value is: how many (count), or how much (level); by default whole numbers are counts",
    )
    parser.add_argument("--zone", type=_zone, default="UTC", help="whose week it follows (default: UTC)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write a row per bucket to this CSV file")


def main(arguments: argparse.Namespace) -> int:
    """Prints the incidents; returns the exit code."""
    console = Console(highlight=False, markup=False)
    kind = Kind(arguments.kind) if arguments.kind else None
    try:
        metric = read(arguments.file, Columns(arguments.time, arguments.value), kind, arguments.zone)
        if arguments.output:
            _write(arguments.output, metric, arguments.zone)
    except (OSError, UnicodeDecodeError, csv.Error, MetricError) as error:
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(
            f"journeymesh: {arguments.file} tells nothing: {plain(error)}"
        )
        return 1
    found = incidents(metric, arguments.zone)
    of = "counts" if metric.kind is Kind.COUNT else "levels"
    span = f"{_told(metric, 0, arguments.zone)} to {_told(metric, len(metric.values) - 1, arguments.zone)}"
    every = dt.timedelta(seconds=metric.seconds)
    console.print(f"{len(metric.values):,} buckets of {every} ({of}), {span}.")
    if metric.skipped_rows:
        console.print(f"{metric.skipped_rows:,} rows could not be read and are left out.")
    fortnights = len(metric.values) * metric.seconds / _FORTNIGHT_SECONDS
    console.print(f"{len(found):,} incidents: {len(found) / fortnights:.1f} in 14 days.")
    if found:
        console.print(_table(metric, found, arguments.zone))
    if arguments.output:
        console.print(f"A row per bucket is in {arguments.output}.", soft_wrap=True)
    return 0


def _table(metric: Metric, found: list[Incident], zone: ZoneInfo) -> Table:
    title = "Incidents" if len(found) <= _SHOWN else f"The {_SHOWN} incidents that were furthest off"
    table = Table(title=title, title_justify="left")
    for heading in ("from", "until", "furthest off", "expected", "spreads off"):
        table.add_column(heading, justify="left" if heading in ("from", "until") else "right")
    worst = sorted(found, key=lambda each: -abs(each.off))[:_SHOWN]
    for each in sorted(worst):
        table.add_row(
            _told(metric, each.first, zone),
            _told(metric, each.last + 1, zone),
            f"{each.value:,.6g}",
            f"{each.expected:,.6g}",
            f"{each.off:+.1f}",
        )
    return table


def _write(path: Path, metric: Metric, zone: ZoneInfo) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "value", "expected", "spread", "off", "state", "opens"])
        for number, value, judgement in judged(metric, zone):
            state = "learning" if judgement.is_learning else "open" if judgement.is_open else "quiet"
            known = [
                "" if math.isnan(each) else f"{each:.6g}"
                for each in (judgement.expected, judgement.spread, judgement.off)
            ]
            time = metric.time(number).astimezone(zone).isoformat()
            writer.writerow([time, f"{value:.12g}", *known, state, int(judgement.opens)])


def _told(metric: Metric, number: int, zone: ZoneInfo) -> str:
    return f"{metric.time(number).astimezone(zone):%Y-%m-%d %H:%M}"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        message = f"no such time zone: {name}"
        raise argparse.ArgumentTypeError(message) from None
