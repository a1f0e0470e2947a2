"""Compares the mesh with what a team writes in an afternoon (`bench.afternoon`), in one run: A B A B.

`python -m bench.compare` offers both the same bodies at the same rates, each side as fresh processes on the same cores,
and tells events a second until all are decided on, CPU per event, and the time from an event to its decision, with the
ratios. Every guarantee of the mesh is on; the other side has none. The unit of the day is what `json.loads` takes per
event of the same bodies: absolute figures of two days compare only by it.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from bench import load, sides
from bench.mesh import Measured, measure
from bench.sides import Side

_WARM_SECONDS: Final = 3
_SIDES: Final[dict[str, Callable[[Path], AbstractContextManager[Side]]]] = {
    "mesh": sides.journeymesh,
    "afternoon": sides.afternoon,
}


class Offered(NamedTuple):
    """What is offered to both."""

    rate: int
    batch: int
    run: int

    def __str__(self) -> str:
        """As a row of the report is named."""
        return f"{self.rate:,}/s {self.batch} x {self.run}"


class Row(NamedTuple):
    """What came of it: the runs of each side, in turn."""

    offered: Offered
    mesh: list[Measured]
    afternoon: list[Measured]


def main() -> None:
    """Runs the comparison and prints its report."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("--rates", default="2000,5000,10000", help="events a second to offer (default: %(default)s)")
    parser.add_argument("--batches", default="100", help="events per request (default: %(default)s)")
    parser.add_argument("--runs", default="5,1", help="events of one user in a row (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="how often each side has its turn (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=15, help="how long a turn is (default: %(default)s)")
    parser.add_argument("--users", type=int, default=10_000, help="users the events are of (default: %(default)s)")
    parser.add_argument("--report", type=Path, default=Path("var/compare"), help="folder of the report")
    arguments = parser.parse_args()
    rates, batches, runs = (_numbers(text) for text in (arguments.rates, arguments.batches, arguments.runs))
    rows = [
        _compare(Offered(rate, batch, run), arguments.rounds, arguments.seconds, arguments.users)
        for batch in batches
        for run in runs
        for rate in rates
    ]
    console = Console(highlight=False)
    console.print(_table(rows))
    arguments.report.mkdir(parents=True, exist_ok=True)
    (arguments.report / "report.md").write_text(_markdown(rows), encoding="utf-8")
    _plot(rows, arguments.report / "report.png")
    console.print(f"report: {arguments.report}/report.md, report.png")


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def _compare(offered: Offered, rounds: int, seconds: int, user_count: int) -> Row:
    measured: dict[str, list[Measured]] = {name: [] for name in _SIDES}
    for _ in range(rounds):
        for name, starting in _SIDES.items():
            with tempfile.TemporaryDirectory() as folder, starting(Path(folder)) as side:
                measure(side, min(offered.rate, 2000), offered.batch, _WARM_SECONDS, user_count, offered.run, "warm")
                measured[name].append(
                    measure(side, offered.rate, offered.batch, seconds, user_count, offered.run, "bench")
                )
    return Row(offered, measured["mesh"], measured["afternoon"])


def _table(rows: list[Row]) -> Table:
    table = Table(title=_unit_of_the_day(), title_justify="left", caption=_LEGEND, caption_justify="left")
    for number, name in enumerate(_COLUMNS):
        table.add_column(name, justify="right" if number > 1 else "left", no_wrap=True)
    for row in rows:
        for cells in _lines(row):
            table.add_row(*cells)
        table.add_section()
    return table


def _markdown(rows: list[Row]) -> str:
    lines = [_COLUMNS, ("---",) * len(_COLUMNS), *(cells for row in rows for cells in _lines(row))]
    parts = ["# The mesh and an afternoon's work", "", f"{_unit_of_the_day()}. {_LEGEND}", ""]
    parts += [f"| {' | '.join(cells)} |" for cells in lines]
    parts += ["", "CPU per event by process, µs, in the first turn of each side:", ""]
    for row in rows:
        for name, measured in (("mesh", row.mesh[0]), ("afternoon", row.afternoon[0])):
            each = ", ".join(f"{part} {cpu / measured.sent * 1e6:.1f}" for part, cpu in measured.cpu_seconds.items())
            parts.append(f"- {row.offered}, {name}: {each}")
    return "\n".join([*parts, ""])


_LEGEND: Final = (
    "Offered: events a second, events per request x events of one user in a row. Taken: events a second until all are "
    "decided on; CPU per event of all processes; time from an event to its decision; memory at the end."
)
_COLUMNS: Final = ("offered", "side", "taken", "CPU µs", "p50 ms", "p99 ms", "MiB")


def _lines(row: Row) -> list[tuple[str, ...]]:
    """One line of each side, and their ratios."""
    ours, theirs = _figures(row.mesh), _figures(row.afternoon)
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    return [
        (str(row.offered), "mesh", *(f"{figure:,.0f}" for figure in ours)),
        ("", "afternoon", *(f"{figure:,.0f}" for figure in theirs)),
        ("", "ratio", *(f"{ratio:.2f}" for ratio in ratios)),
    ]


def _figures(turns: list[Measured]) -> list[float]:
    """Medians of the turns: events/s, CPU µs per event, ms to the decision (p50 and p99 of all probes), MiB."""
    seconds = [latency.seconds for measured in turns for latency in measured.latencies]
    return [
        statistics.median(each.events_per_second() for each in turns),
        statistics.median(each.cpu_micros() for each in turns),
        *(load.percentile(seconds, share) * 1000 for share in (0.5, 0.99)),
        statistics.median(each.memory() for each in turns) / 2**20,
    ]


def _unit_of_the_day() -> str:
    body = next(load.requests(0, 100, 1000, 5))
    best = min(_seconds(body) for _ in range(50))
    cores = psutil.cpu_count()
    return f"json.loads: {best / 100 * 1e6:.2f} µs per event; {cores} cores, Python {platform.python_version()}"


def _seconds(body: bytes) -> float:
    began = time.perf_counter()
    json.loads(body)
    return time.perf_counter() - began


def _plot(rows: list[Row], path: Path) -> None:
    import matplotlib as mpl  # heavy, and only wanted at the end

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 1.5 + 0.6 * len(rows)), layout="constrained", sharey=True)
    for axes, of, name in (
        (left, Measured.events_per_second, "events a second until decided"),
        (right, Measured.cpu_micros, "CPU per event, µs"),
    ):
        for shift, side, turns in ((0.2, "mesh", "mesh"), (-0.2, "afternoon", "afternoon")):
            lengths = [statistics.median(of(each) for each in getattr(row, turns)) for row in rows]
            axes.barh([place + shift for place in range(len(rows))], lengths, height=0.36, label=side)
        axes.set(xlabel=name)
        axes.grid(alpha=0.3, axis="x")
    left.set_yticks(range(len(rows)), [str(row.offered) for row in rows])
    left.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
