"""`journeymesh experiment analyse`: what an experiment found, from a table of its users or of its totals."""

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import track

from cli.terminal import plain
from comparison.sequential import Interval
from offline.experiments.analysis import Analysis, Finding, analyse
from offline.experiments.table import Columns, Experiment, Row, TableError, read
from services.experiments.domain.conclusion import ALARM_P_VALUE, WARNING_P_VALUE

_MANY_ROWS: Final = 100_000
_PICTURE_CELLS: Final = 25
_VERDICTS: Final = {"larger": "larger", "smaller": "smaller", "open": "not known yet"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommand and its options."""
    doing = parser.add_subparsers(dest="doing", required=True)
    analyse = doing.add_parser("analyse", help="compare the arms of an experiment")
    analyse.add_argument("file", type=Path, help="CSV, JSON or JSONL: a row per user, or a row per arm with its totals")
    analyse.add_argument("--arm", default="", metavar="COLUMN", help="the column that names the arm")
    analyse.add_argument("--unit", default="", metavar="COLUMN", help="the column that names the user")
    analyse.add_argument(
        "--outcome", action="append", default=[], metavar="COLUMN", help="an outcome (default: every column of numbers)"
    )
    analyse.add_argument("--before", default="", metavar="COLUMN", help="a number from before the start, for CUPED")
    analyse.add_argument("--control", default="", metavar="ARM", help="the arm that others are compared with")
    analyse.add_argument(
        "--share",
        action="append",
        default=[],
        type=_share,
        metavar="ARM=SHARE",
        help="the share an arm was meant to get",
    )
    analyse.add_argument("--alpha", default=0.05, type=_alpha, help="probability of a false interval (default: 0.05)")
    analyse.add_argument("--json", action="store_true", help="print all figures as JSON")


def main(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; returns the exit code: 1 if the file cannot be read, 2 if its sample ratio is broken."""
    console = Console(highlight=False, markup=False)
    columns = Columns(arguments.arm, arguments.unit, arguments.outcome, arguments.before, arguments.control)
    try:
        experiment = read(arguments.file, columns, _tracked)
        shares = _shares(dict(arguments.share), experiment)
    except (OSError, TableError) as error:
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(
            f"journeymesh: {arguments.file} is not an experiment's table: {plain(error)}"
        )
        return 1
    found = analyse(experiment, shares, arguments.alpha)
    if arguments.json:
        console.print_json(json.dumps(_members(experiment, found)))
    else:
        _print(console, experiment, found, arguments.alpha)
    return 2 if found.ratio.p_value < ALARM_P_VALUE else 0


def _tracked(rows: Sequence[Row]) -> Iterable[Row]:
    if len(rows) < _MANY_ROWS:
        return rows
    return track(rows, "reading", console=Console(stderr=True), transient=True)


def _print(console: Console, experiment: Experiment, found: Analysis, alpha: float) -> None:
    console.print(_ratio_sentence(experiment, found))
    if experiment.in_several_arms:
        console.print(f"{experiment.in_several_arms:,} users were seen in more than one arm and are left out.")
    console.print()
    for outcome in dict.fromkeys(finding.outcome for finding in found.findings):
        findings = [finding for finding in found.findings if finding.outcome == outcome]
        for line in _lines(outcome, findings, experiment.control):
            console.print(line, soft_wrap=True)
        console.print()
    console.print(
        f"Each interval holds the truth with probability {1 - alpha:g}: the always-valid one at every look, the other "
        "(Welch's t-test) at one look that was planned before the start."
    )
    for note in experiment.notes:
        console.print(plain(note))


def _ratio_sentence(experiment: Experiment, found: Analysis) -> str:
    counts = ", ".join(f"{plain(arm)} {count:,}" for arm, count in experiment.counts.items())
    p_value = found.ratio.p_value
    told = f"Users: {counts}. Sample ratio p = {_figure(p_value)}"
    if p_value < ALARM_P_VALUE:
        return f"{told}: broken. Find out why before you read on: whoever is missing makes every figure below wrong."
    if p_value < WARNING_P_VALUE:
        return f"{told}: suspicious. Look for users who are missing in one arm."
    return f"{told}: as meant."


def _lines(outcome: str, findings: Sequence[Finding], control: str) -> Iterable[str]:
    yield f"{plain(outcome)} ({plain(control)}: {_figure(findings[0].control.mean)})"
    if findings[0].is_adjusted:
        yield f"  adjusted by what was known before (CUPED): {findings[0].variance_left:.1%} of the variance is left"
    widest = max(_reach(finding) for finding in findings)
    for finding in findings:
        of = finding.comparison
        if of is None:
            yield f"  {plain(finding.arm)}: too few users"
            continue
        relative = "" if math.isnan(of.relative) else f" ({of.relative:+.2%})"
        told = f"{_figure(finding.treated.mean)}, {of.difference:+.4g}{relative}: {_VERDICTS[finding.verdict]}"
        yield f"  {plain(finding.arm)}: {told}"
        yield f"    always valid  {_ends(of.always_valid)}  {_picture(of.always_valid, of.difference, widest)}".rstrip()
        yield f"    one look      {_ends(of.interval)}  p = {_figure(of.p_value)}"


def _reach(finding: Finding) -> float:
    ends = finding.comparison.always_valid if finding.comparison else ()
    return max((abs(end) for end in ends if math.isfinite(end)), default=0.0)


def _picture(interval: Interval, middle: float, widest: float) -> str:
    """The interval on a line with 0 in the middle."""
    if not widest or not math.isfinite(interval.lower):
        return ""
    half = _PICTURE_CELLS // 2

    def cell(value: float) -> int:
        return half + round(value / widest * half)

    cells = [" "] * _PICTURE_CELLS
    cells[cell(interval.lower) : cell(interval.upper) + 1] = "─" * (cell(interval.upper) - cell(interval.lower) + 1)
    cells[half] = "┼" if cells[half] == "─" else "│"
    cells[cell(middle)] = "●"
    return "".join(cells)


def _members(experiment: Experiment, found: Analysis) -> Mapping[str, Any]:
    return {
        "control": experiment.control,
        "users": dict(experiment.counts),
        "usersInSeveralArms": experiment.in_several_arms,
        "sampleRatio": {"pValue": found.ratio.p_value, "alwaysValidPValue": found.ratio.always_valid_p_value},
        "findings": [_finding(finding) for finding in found.findings],
        "notes": list(experiment.notes),
    }


def _finding(finding: Finding) -> Mapping[str, Any]:
    of = finding.comparison
    return {
        "outcome": finding.outcome,
        "arm": finding.arm,
        "mean": _finite(finding.treated.mean),
        "controlMean": _finite(finding.control.mean),
        "users": finding.treated.size,
        "controlUsers": finding.control.size,
        "isAdjusted": finding.is_adjusted,
        "varianceLeft": finding.variance_left,
        "verdict": finding.verdict,
        **(
            {
                "difference": of.difference,
                "standardError": of.standard_error,
                "pValue": of.p_value,
                "interval": _pair(of.interval),
                "alwaysValidInterval": _pair(of.always_valid),
                "relative": _finite(of.relative),
                "relativeInterval": _pair(of.relative_interval),
            }
            if of
            else {}
        ),
    }


def _pair(interval: Interval) -> Sequence[float | None]:
    return [_finite(end) for end in interval]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _ends(interval: Interval) -> str:
    return f"{interval.lower:+10.4g} to {interval.upper:+10.4g}"


def _figure(value: float) -> str:
    return f"{value:.4g}"


def _shares(said: Mapping[str, float], experiment: Experiment) -> Mapping[str, float] | None:
    if not said:
        return None
    if said.keys() != experiment.counts.keys():
        message = f"Name a share for each arm: {', '.join(experiment.counts)}."
        raise TableError(message)
    return said


def _share(text: str) -> tuple[str, float]:
    arm, separator, share = text.rpartition("=")
    try:
        value = float(share)
    except ValueError:
        value = 0.0
    if not separator or not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("must be ARM=SHARE, above 0")
    return arm, value


def _alpha(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("must be above 0 and below 1")
    return value
