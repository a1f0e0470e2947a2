"""The report on predictions: tables for the terminal and for Markdown, and its plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from offline.predictions import measuring
from offline.predictions.drift import NOTABLE_PSI, Drift, Moved
from offline.predictions.measuring import Costs, Measured
from offline.training import metrics
from offline.training.metrics import Bin, Figure

_SHOWN_FEATURES: Final = 12
_NOTABLE_SHARE: Final = 0.1
_HEADS: Final = ("psi", "distance", "mean before", "mean since")
_ABOUT: Final = """\
Intervals are of 95%, from resampling users. The calibration error is the mean distance of probability and share over
10 bins of about equal count; equal probabilities share a bin. Drift is sorted by how far a feature moved the model:
the distance of the distributions of its contributions, in logits. PSI and distance (Jensen-Shannon) are those of its
values."""


@dataclass(frozen=True)
class Report:
    """What is told: the label, the costs, what each version said, and what moved, None if that cannot be compared."""

    label: str
    costs: Costs
    versions: Sequence[Measured]
    drift: Drift | None
    remarks: Sequence[str]


class Grid(NamedTuple):
    """A table of words."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def grids(report: Report) -> list[Grid]:
    """The tables, in the order in which they are read."""
    found = [_overview(report)]
    for each in report.versions:
        if each.measures:
            found += [_measures(each, report.costs), _levels(each), _weeks(each)]
    if report.drift is not None:
        found += [_scores(report.drift), _features(report.drift), _quality(report.drift)]
    return found


def markdown(report: Report) -> str:
    """The report with its plots, which `pictures` draws."""
    tables = [f"## {each.title}\n\n{_lines(each)}" for each in grids(report)]
    images = "\n".join(f"![{name.removesuffix('.png').replace('-', ' ')}]({name})" for name in _curves(report))
    moved = "![What moved](drift.png)" if report.drift is not None else ""
    parts = [
        "# Predictions",
        f"What is predicted: **{report.label}**.",
        *report.remarks,
        _ABOUT,
        *tables,
        images,
        moved,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def pictures(report: Report) -> dict[str, bytes]:
    """The plots as PNG by the name of their file.

    Raises:
        ImportError: the library that draws them is not installed.
    """
    from offline.training import plots

    drawn = {name: plots.reliability(curves) for name, curves in _curves(report).items()}
    if report.drift is not None:
        moved = {each.name: each.moved for each in report.drift.features[:_SHOWN_FEATURES]}
        drawn["drift.png"] = plots.bars(moved, "moved the model, in logits")
    return drawn


def _curves(report: Report) -> Mapping[str, Mapping[str, Sequence[Bin]]]:
    """For each version the reliability by week, of the weeks that are measured."""
    found = {}
    for number, each in enumerate(report.versions):
        told = {week.monday for week in each.weeks if week.measures}
        curves = {
            str(monday): metrics.bins(its.judged, its.is_true)
            for monday, its in measuring.weeks_of(each.known).items()
            if monday in told
        }
        if curves:
            found[f"reliability-{number + 1}.png"] = curves
    return found


def _overview(report: Report) -> Grid:
    rows = [
        (
            each.version,
            f"{each.count:,}",
            f"{each.known_count:,}",
            f"{each.told_count:,}",
            f"{each.user_count:,}",
            f"{each.base_rate:.1%}",
        )
        for each in report.versions
    ]
    return Grid("Predictions", ("model", "predictions", "with outcome", "of these told", "users", "came true"), rows)


def _measures(of: Measured, costs: Costs) -> Grid:
    names = [name for name in metrics.MEASURES if name != "accuracy"]  # the threshold of costs says more than 0.5
    heads = ("", *(name.replace("_", " ") for name in names), "cost per 100")
    rows = [
        (name, *(_shown(of.measures[name][each]) if name in of.measures else "" for each in names), f"{cost:.1f}")
        for name, cost in of.costs.items()
    ]
    title = (
        f"{of.version}: a missed user costs {costs.missed:g}, needless help {costs.needless:g}; "
        f"help from {costs.threshold:.2f} on"
    )
    return Grid(title, heads, rows)


def _levels(of: Measured) -> Grid:
    rows = [(each.level, f"{each.count:,}", _percent(each.share)) for each in of.levels]
    return Grid(f"{of.version}: outcomes by level", ("level", "predictions", "came true"), rows)


def _weeks(of: Measured) -> Grid:
    rows = [
        (
            str(each.monday),
            f"{each.count:,}",
            f"{each.said:.1%}",
            f"{each.came_true:.1%}",
            *(_shown(each.measures[name]) if each.measures else "too few" for name in ("calibration_error", "auroc")),
        )
        for each in of.weeks
    ]
    heads = ("week of", "predictions", "predicted", "came true", "calibration error", "auroc")
    judged = "what was told" if of.told_count else "the model"
    return Grid(f"{of.version}: calibration of {judged} over time", heads, rows)


def _scores(of: Drift) -> Grid:
    rows = [_row(each, f"{each.moved:.1f}") for each in of.scores]
    title = f"Drift of scores by {of.version}: {of.before_count:,} predictions before, {of.after_count:,} since"
    return Grid(title, ("score", "moved, points", *_HEADS), rows)


def _features(of: Drift) -> Grid:
    shown = [each for each in of.features if each.moved > 0.0 or each.psi >= NOTABLE_PSI]
    rows = [(*_row(each, f"{each.moved:.2f}"), "yes" if each.is_notable else "no") for each in shown[:_SHOWN_FEATURES]]
    title = f"Drift of {len(rows)} of {len(of.features)} features, those that move the model first"
    return Grid(title, ("feature", "moved, logits", *_HEADS, "notable"), rows)


def _quality(of: Drift) -> Grid:
    shown = [
        each
        for each in of.features
        if abs(each.empty_after - each.empty_before) >= _NOTABLE_SHARE or each.outside >= _NOTABLE_SHARE
    ]
    rows = [(each.name, f"{each.empty_before:.0%}", f"{each.empty_after:.0%}", f"{each.outside:.1%}") for each in shown]
    title = f"Quality of the data: {len(rows)} of {len(of.features)} features differ"
    return Grid(title, ("feature", "at 0 before", "at 0 since", "outside the range before"), rows)


def _row(each: Moved, moved: str) -> tuple[str, ...]:
    return (each.name, moved, f"{each.psi:.3f}", f"{each.distance:.3f}", _number(each.before), _number(each.after))


def _lines(grid: Grid) -> str:
    lines = ["|" + "|".join(grid.heads) + "|", "|---|" + "---:|" * (len(grid.heads) - 1)]
    return "\n".join([*lines, *("|" + "|".join(row) + "|" for row in grid.rows)])


def _shown(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.2f}-{figure.high:.2f})"


def _percent(figure: Figure | None) -> str:
    return f"{figure.value:.1%} ({figure.low:.1%}-{figure.high:.1%})" if figure is not None else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
