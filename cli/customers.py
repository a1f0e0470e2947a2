"""`journeymesh customers`: what customers will buy, and which of them need what, from a table or the archive."""

import argparse
import asyncio
import contextlib
import csv
import datetime as dt
import math
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import track
from rich.table import Table

from cli.terminal import plain
from mesh.clock import system_clock
from mesh.errors import MeshError
from mesh.settings import SettingError, read
from offline.customers import baskets, consuming, lines
from offline.customers import purchases as tables
from offline.customers.fitting import FitError
from offline.customers.forecast import Forecast, forecast
from offline.customers.lines import ProductColumns
from offline.customers.purchases import EPOCH_DAY, Columns, Known, PurchaseError, Purchases
from services.customers.domain import consumption, segments
from services.customers.domain.fit import Fit
from services.customers.domain.forecast import Expected
from services.customers.domain.spending import mean_of_all

if TYPE_CHECKING:
    from mesh.store.redis import Client
    from offline.customers.parts import Engine, Progress, Task
    from services.ingest.events.domain.suppression import Suppression

_HORIZONS: Final = (30, 90, 365)
_SEED: Final = 1
_DUE_DAYS: Final = 28
_MOST_WORKERS: Final = 256

_Read = TypeVar("_Read")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", nargs="?", type=Path, help="CSV, also compressed: a row per order or per line of one")
    source.add_argument(
        "--archive", default="", metavar="URL", help="read the archive of events: file:///folder or s3://bucket/prefix"
    )
    parser.add_argument("--tenant", default="", metavar="NAME", help="of the archive: whose customers")
    parser.add_argument(
        "--currency", default="", metavar="CODE", help="of the archive: which purchases, where there are several"
    )
    parser.add_argument("--customer", default="", metavar="COLUMN", help="the column that names the customer")
    parser.add_argument("--time", default="", metavar="COLUMN", help="the column of the time")
    parser.add_argument("--amount", default="", metavar="COLUMN", help="the column of the amount")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--products",
        action="store_true",
        help="of a table with a row per line: how well the mesh foretells which products customers buy next",
    )
    asked.add_argument(
        "--fit",
        action="store_true",
        help="of the archive: learn from all customers, and keep it in the store, where the customers service reads it",
    )
    asked.add_argument(
        "--score",
        action="store_true",
        help="of the archive: write what was learnt last says of each customer to --output (CSV, or .parquet)",
    )
    parser.add_argument(
        "--catalogue",
        type=Path,
        metavar="FILE",
        help="with --fit: the products that can be bought, one id per line (default: those bought in the last 90 days)",
    )
    parser.add_argument(
        "--workers",
        type=_count,
        default=1,
        metavar="N",
        help="with --fit or --score: how many processes of this machine share it, with the same result (default: 1)",
    )
    parser.add_argument(
        "--dask",
        default="",
        metavar="ADDRESS",
        help="with --fit or --score: the scheduler of a Dask cluster whose workers read the archive, such as tls://host:8786",
    )
    parser.add_argument("--product", default="", metavar="COLUMN", help="the column that names the product")
    parser.add_argument("--category", default="", metavar="COLUMN", help="the column of the product's category")
    parser.add_argument(
        "--until", type=_date, metavar="DATE", help="the last complete day (default: the last in the file)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write a row per customer to this CSV file")
    parser.add_argument(
        "--seed", type=int, default=_SEED, metavar="N", help="of the draws of the intervals (default: 1)"
    )


def main(arguments: argparse.Namespace) -> int:
    """Prints the forecast and the segments; returns the exit code."""
    console = Console(highlight=False, markup=False)
    try:
        if arguments.products:
            return _products(arguments, console)
        if arguments.fit:
            return _fit(arguments, console)
        if arguments.score:
            return _score(arguments, console)
        purchases = _archived(arguments, console) if arguments.archive else _table(arguments)
        until = arguments.until or int(purchases.days.max())
        with console.status("fitting"):
            found = forecast(purchases, until, _HORIZONS, arguments.seed)
        early = purchases.until(until)
        of = tables.known(early)
        scores = segments.scores(of.last, of.orders)
        names = [segments.NAMES[int(recency), int(frequency)] for recency, frequency in zip(*scores, strict=True)]
        if arguments.output:
            _write(arguments.output, early, of, scores, names, found)
    except (OSError, UnicodeDecodeError, csv.Error, PurchaseError, FitError, SettingError, MeshError) as error:
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(
            f"journeymesh: {arguments.archive or arguments.file} gives no forecast: {plain(error)}"
        )
        return 1
    _print(console, early, of, names, found, until)
    if arguments.output:
        console.print(f"A row per customer is in {arguments.output}.", soft_wrap=True)
    return 0


def _table(arguments: argparse.Namespace) -> Purchases:
    columns = Columns(arguments.customer, arguments.time, arguments.amount)
    return tables.read(arguments.file, columns, _tracked)


def _fit(arguments: argparse.Namespace, console: Console) -> int:
    if not arguments.archive:
        raise PurchaseError("--fit needs the archive of events (--archive).")
    if arguments.currency:
        raise PurchaseError("--fit learns of every currency by itself: leave out --currency.")
    until = arguments.until and arguments.until - EPOCH_DAY
    found = asyncio.run(_learnt(arguments, until))
    console.print(f"Learnt from {found.customers:,} customers until {_told_since_1970(found.today)}.")
    for name, count in found.members.items():
        console.print(f"{count:>9,} {name}")
    return 0


async def _learnt(arguments: argparse.Namespace, until: int | None) -> Fit:
    # It loads PyArrow, which tables do without.
    from offline.customers import keeping, parts
    from services.customers.adapters.fits import RedisFits

    catalogue = arguments.catalogue and frozenset(arguments.catalogue.read_text(encoding="utf-8-sig").splitlines())
    now_ms = system_clock() // 1000
    async with _store() as client:
        with RichProgress(console=Console(stderr=True), transient=True) as bar:
            source = parts.Parts(*_parts(arguments, bar))
            return await keeping.learn(RedisFits(client), source, arguments.tenant, until, catalogue, now_ms)


def _score(arguments: argparse.Namespace, console: Console) -> int:
    if not arguments.archive or not arguments.output:
        raise PurchaseError("--score needs the archive of events (--archive) and a file to write (--output).")
    from offline.customers import scoring

    fit, suppression = asyncio.run(_kept(arguments.tenant))
    if fit is None:
        raise PurchaseError("nothing was learnt of this tenant's customers yet (--fit).")
    today = consumption.day_of(system_clock() // 1000) if arguments.until is None else arguments.until - EPOCH_DAY
    with RichProgress(console=Console(stderr=True), transient=True) as bar:
        tasks, engine, progress = _parts(arguments, bar)
        scores = scoring.scored(tasks, fit, today, engine, progress)
    scores = scoring.without(scores, arguments.tenant, suppression)
    scoring.write(arguments.output, scores)
    console.print(f"{len(scores):,} customers are in {arguments.output}.", soft_wrap=True)
    return 0


async def _kept(tenant: str) -> "tuple[Fit | None, Suppression]":
    from services.customers.adapters.fits import RedisFits
    from services.ingest.events.adapters.redis_suppressed import RedisSuppressions

    async with _store() as client:
        return await RedisFits(client).fit(tenant), await RedisSuppressions(client).all()


@contextlib.asynccontextmanager
async def _store() -> AsyncIterator["Client"]:
    # It loads the client of the store, which tables do without.
    from mesh.store import redis

    settings = read(redis.RedisSettings, os.environ)
    client = redis.connect(settings.url, settings.password, settings.ca_file)
    try:
        yield client
    finally:
        await client.aclose()


def _parts(arguments: argparse.Namespace, bar: RichProgress) -> "tuple[Sequence[Task], Engine, Progress]":
    """The parts of a tenant's customers, where they are worked on, and a bar that shows how far that is."""
    from offline.archive import contents
    from offline.customers import archived, parts
    from services.ingest.archive.adapters.files import ParquetArchive

    if arguments.dask and arguments.workers > 1:
        raise PurchaseError("say --workers or --dask, not both: a Dask cluster has workers of its own.")
    files = ParquetArchive(arguments.archive)
    shown = bar.add_task("counting", total=None)
    some, purchases = archived.with_purchases(files, contents(files), iter, tenant=arguments.tenant)
    tasks = parts.tasks(arguments.archive, some, arguments.tenant, purchases)

    def progress(done: int, total: int) -> None:
        bar.update(shown, description="reading", completed=done, total=total)

    return tasks, _engine(arguments), progress


def _engine(arguments: argparse.Namespace) -> "Engine":
    if arguments.dask:
        try:
            from offline.customers.cluster import Cluster
        except ImportError as error:
            raise PurchaseError("--dask needs the extra `dask`.") from error
        return Cluster(arguments.dask)
    from offline.customers.engines import Here, Processes

    return Here() if arguments.workers == 1 else Processes(arguments.workers)


def _products(arguments: argparse.Namespace, console: Console) -> int:
    if not arguments.file:
        raise PurchaseError("--products needs a table.")
    columns = Columns(arguments.customer, arguments.time, arguments.amount)
    said = ProductColumns(arguments.product, arguments.category)
    histories = lines.read(arguments.file, columns, said, _tracked)
    products = {line.product for history in histories.values() for order in history for line in order.lines}
    baskets_of_all = sum(map(len, histories.values()))
    console.print(f"{len(histories):,} customers, {baskets_of_all:,} baskets, {len(products):,} products.")
    with console.status("fitting"):
        test = consuming.back_test(histories, _DUE_DAYS)
    if not test:
        raise PurchaseError("No customer bought a product on two days and one of them again: there is nothing to test.")
    console.print(
        f"Needed again within {test.days} days of {_told_since_1970(test.cut)}: {test.pairs:,} products of customers; "
        f"{test.told:.1%} told, {test.happened:.1%} happened."
    )
    console.print(_windows(test))
    if test.usual:
        lower, upper = test.usual
        console.print(f"By the windows before, 80 % of windows told as the last have {lower:.1%} to {upper:.1%}.")
    table = Table(title="A product bought on two days or more", title_justify="left")
    for heading in ("told by", "Brier score", "AUROC"):
        table.add_column(heading, justify="left" if heading == "told by" else "right")
    for name, found in (("mesh", test.ours), ("last gap", test.last_gap), ("median gap", test.median_gap)):
        table.add_row(name, f"{found.brier:.4f}", f"{found.auroc:.4f}")
    console.print(table)
    told = baskets.told({name: consumption.bought(of) for name, of in histories.items()}, arguments.seed)
    if not told:
        raise PurchaseError("No customer bought before and in the last 30 % of the baskets: there is nothing to tell.")
    which = (
        f"{told.baskets:,} baskets of {told.customers:,} customers in six windows after {_told_since_1970(told.cut)}"
    )
    table = Table(title=f"Next basket: recall@10 of {which}")
    for heading in ("told by", "all", "bought before", "new"):
        table.add_column(heading, justify="left" if heading == "told by" else "right")
    for name, recall in (("mesh", told.ours), ("personal frequency", told.personal)):
        table.add_row(name, *(f"{each:.4f}" for each in recall))
    console.print(table)
    gains = ", ".join(
        f"{name} {each.mean:+.4f} ({each.lower:+.4f} to {each.upper:+.4f})"
        for name, each in zip(("all", "bought before", "new"), told.gains, strict=True)
    )
    console.print(f"Gain over personal frequency, with 95 % intervals by customer: {gains}.")
    console.print(f"Learnt: {told.habit:.0%} of what is due is shared out by habit.")
    return 0


def _windows(test: consuming.BackTest) -> Table:
    table = Table(title=f"In the {test.days} days after", title_justify="left")
    for heading in ("", "told", "happened"):
        table.add_column(heading, justify="right" if heading else "left")
    for each in (*test.earlier[::-1], consuming.Window(test.cut, test.told, test.happened)):
        table.add_row(_told_since_1970(each.cut), f"{each.told:.1%}", f"{each.happened:.1%}")
    return table


def _archived(arguments: argparse.Namespace, console: Console) -> Purchases:
    # Loads PyArrow, which tables do without.
    from offline import archive
    from offline.customers import archived
    from services.ingest.archive.adapters.files import ParquetArchive

    files = ParquetArchive(arguments.archive)
    found = archive.contents(files)
    purchases = archived.read(files, found, _tracked, tenant=arguments.tenant, currency=arguments.currency)
    if found.gaps:
        console.print(f"{len(found.gaps):,} ranges are missing from the archive: purchases in them are not known.")
    return purchases


def _tracked(rows: Iterable[_Read]) -> Iterable[_Read]:
    return track(rows, "reading", total=None, console=Console(stderr=True), transient=True)


def _print(
    console: Console, purchases: Purchases, of: Known, names: Sequence[str], found: Forecast, until: int
) -> None:
    days = f"{_told(int(purchases.days.min()))} to {_told(until)}"
    console.print(f"{of.orders.size:,} customers, {int(of.orders.sum()):,} orders, {days}.")
    if purchases.skipped_rows:
        console.print(f"{purchases.skipped_rows:,} rows could not be read and are left out.")
    if purchases.returned_days:
        console.print(
            f"{purchases.returned_days:,} days are left out on which a customer gave back as much as they bought."
        )
    r, alpha, a, b, likelihood = found.buys
    console.print(
        f"Repeats: BG/NBD r {r:.4f}, alpha {alpha:.4f} weeks, a {a:.4f}, b {b:.4f}, log-likelihood {likelihood:,.2f}."
    )
    if found.spends:
        p, q, v, likelihood = found.spends
        console.print(
            f"Spending: Gamma-Gamma p {p:.4f}, q {q:.4f}, v {v:.4f}, log-likelihood {likelihood:,.2f}; "
            f"{mean_of_all(found.spends):,.2f} per order."
        )
    if found.back_test:
        test = found.back_test
        console.print(
            f"Back-test, {_told(test.from_day)} to {_told(test.until_day)} told from the days before: "
            f"{test.expected:,.0f} orders expected, {test.happened:,} happened. "
            f"Error per customer {test.error:.3f}; if all went on at their own rate {test.naive_error:.3f}."
        )
    console.print(_horizons(found.horizons))
    console.print(_segments(of, names, found.horizons[1]))


def _horizons(horizons: Sequence[Expected]) -> Table:
    table = Table(title="Expected of all customers", title_justify="left")
    for heading in ("next days", "orders", "80 % by chance", "money"):
        table.add_column(heading, justify="right")
    for each in horizons:
        lower, upper = each.total_interval
        money = float(each.money.sum())
        ends = f"{lower:,.0f} to {upper:,.0f}"
        table.add_row(f"{each.days}", f"{each.total:,.0f}", ends, "" if math.isnan(money) else f"{money:,.0f}")
    return table


def _segments(of: Known, names: Sequence[str], expected: Expected) -> Table:
    table = Table(title="Segments", title_justify="left")
    for heading in ("segment", "customers", "share", "orders each", "money each", f"orders in {expected.days} days"):
        table.add_column(heading, justify="left" if heading == "segment" else "right")
    of_each = np.array(names)
    for name in segments.SEGMENTS:
        inside = of_each == name
        if not inside.any():
            table.add_row(name, "0", "0.0%", "", "", "")
            continue
        table.add_row(
            name,
            f"{int(inside.sum()):,}",
            f"{inside.mean():.1%}",
            f"{of.orders[inside].mean():.1f}",
            f"{of.money[inside].mean():,.0f}",
            f"{expected.orders[inside].mean():.2f}",
        )
    return table


def _write(
    path: Path,
    purchases: Purchases,
    of: Known,
    scores: segments.Scores,
    names: Sequence[str],
    found: Forecast,
) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["customer", "orders", "first", "last", "money", "recency", "frequency", "segment", "active"]
            + [f"{what}{each.days}" for each in found.horizons for what in ("orders", "lower", "upper", "money")]
        )
        for number, name in enumerate(purchases.customers):
            # Of who bought once, the model knows nothing about having left.
            active = f"{found.active[number]:.4f}" if of.orders[number] > 1 else ""
            writer.writerow(
                [
                    name,
                    of.orders[number],
                    _told(int(of.first[number])),
                    _told(int(of.last[number])),
                    f"{of.money[number]:.2f}",
                    scores[0][number],
                    scores[1][number],
                    names[number],
                    active,
                    *(value for each in found.horizons for value in _row(each, number)),
                ]
            )


def _row(of: Expected, number: int) -> Sequence[str]:
    money = of.money[number]
    return [
        f"{of.orders[number]:.4f}",
        f"{of.lower[number]:.0f}",
        f"{of.upper[number]:.0f}",
        "" if math.isnan(money) else f"{money:.2f}",
    ]


def _told(ordinal: int) -> str:
    return dt.date.fromordinal(ordinal).isoformat()


def _told_since_1970(day: int) -> str:
    return _told(EPOCH_DAY + day)


def _count(text: str) -> int:
    count = int(text)
    if not 0 < count <= _MOST_WORKERS:
        message = f"must be 1 to {_MOST_WORKERS}"
        raise argparse.ArgumentTypeError(message)
    return count


def _date(text: str) -> int:
    return dt.date.fromisoformat(text).toordinal()
