"""Shows the findings of a replay as tables and a picture."""

import io
from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import Console
from rich.table import Table

from offline.decisions.observed import Reward
from offline.decisions.policy_value import Evaluation, Value, evaluate
from offline.decisions.what_if import Findings, Summary
from services.intervention.decision.domain.reasons import counted

_MOST_CHANGES: Final = 12
_LITTLE_SUPPORT: Final = 0.01
_FEW_DECISIONS: Final = 100
_ESTIMATORS: Final = {
    "original": "logged",
    "other, IPS": "ips",
    "other, self-normalised IPS": "snips",
    "other, doubly robust": "doubly_robust",
    "lift, doubly robust": "lift",
}

Values = Mapping[Reward, Evaluation]


def values_of(findings: Findings) -> Values:
    """The other policy's value by each reward; empty if no decision had a choice."""
    seen = findings.observations
    return {reward: evaluate(seen.logged(reward)) for reward in Reward} if len(seen) else {}


def show(console: Console, findings: Findings, values: Values, *, has_other: bool, gap_count: int) -> None:
    """Prints the tables."""
    console.print(_counts(findings, gap_count))
    for version, count in sorted(findings.gone.items()):
        console.print(
            f"{counted(count, 'decision')} by the model {version}, which is gone: not compared. The archived score "
            "stands for what it said, without its reasons; what follows may differ for that.",
            markup=False,
            highlight=False,
        )
    for each in findings.differences:
        console.print(f"{each.decision_id} differs in {', '.join(each.columns)}", markup=False, highlight=False)
    if not has_other:
        return
    console.print(_changes(findings))
    console.print(_actions(findings))
    for reward, evaluation in values.items():
        console.print(_values(reward, evaluation, len(findings.observations)))
        for warning in _warnings(evaluation):
            console.print(f"Warning: {warning}", markup=False, highlight=False)
    if not values:
        console.print("No decision had a choice among actions, so there is nothing to estimate a value from.")


def picture(findings: Findings, values: Values) -> bytes:
    """Interventions by action, original and other, and the estimated values; as PNG.

    Raises:
        ImportError: matplotlib is not installed here.
    """
    # The tables do not need matplotlib, which `make run` does not install.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    bars, ranges = figure.subplots(1, 2)
    names = sorted(findings.actions | findings.other_actions)
    places = range(len(names))
    bars.barh([each + 0.2 for each in places], [findings.actions[name] for name in names], 0.4, label="original")
    bars.barh([each - 0.2 for each in places], [findings.other_actions[name] for name in names], 0.4, label="other")
    bars.set_yticks(places, names)
    bars.set_xlabel("interventions")
    bars.legend(frameon=False, fontsize=8)
    for number, (reward, evaluation) in enumerate(values.items()):
        shown = [getattr(evaluation, member) for member in _ESTIMATORS.values()]
        at = [each + 0.3 * number for each in range(len(shown))]
        ranges.errorbar(
            [each.mean for each in shown],
            at,
            xerr=[_finite(each) for each in shown],
            fmt="o",
            capsize=3,
            label=reward.value,
        )
    ranges.axvline(0, color="0.7", linewidth=1)
    ranges.set_yticks([each + 0.15 for each in range(len(_ESTIMATORS))], _ESTIMATORS)
    ranges.set_xlabel("reward per decision, with 95% interval")
    if values:
        ranges.legend(frameon=False, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def _counts(findings: Findings, gap_count: int) -> Table:
    grid = Table(title="Derived again", title_justify="left", show_header=False)
    grid.add_row("events", f"{findings.event_count:,}")
    grid.add_row("decisions compared", f"{findings.compared_count:,}")
    grid.add_row("equal", f"{findings.compared_count - findings.different_count:,}")
    grid.add_row("different", f"{findings.different_count:,}")
    if findings.gone:
        grid.add_row("by models that are gone", f"{findings.gone.total():,}")
    grid.add_row("not in the archive", f"{findings.undecided_count:,}")
    grid.add_row("duplicates", f"{findings.duplicate_count:,}")
    grid.add_row("ranges missing", f"{gap_count:,}")
    return grid


def _changes(findings: Findings) -> Table:
    table = Table("from", "to", title="Changed decisions", title_justify="left")
    table.add_column("decisions", justify="right")
    changes = findings.changes.most_common()
    for (was, would), count in changes[:_MOST_CHANGES]:
        table.add_row(_words(was), _words(would), f"{count:,}")
    left = sum(count for _, count in changes[_MOST_CHANGES:])
    if left:
        table.add_row("others", "", f"{left:,}")
    table.add_row("all", "", f"{findings.changed_count:,} of {findings.compared_count:,}")
    return table


def _actions(findings: Findings) -> Table:
    table = Table("intervention", title="Interventions", title_justify="left")
    for header in ("original", "other"):
        table.add_column(header, justify="right")
    for name in sorted(findings.actions | findings.other_actions):
        table.add_row(name, f"{findings.actions[name]:,}", f"{findings.other_actions[name]:,}")
    table.add_row("all", f"{findings.actions.total():,}", f"{findings.other_actions.total():,}")
    return table


def _values(reward: Reward, evaluation: Evaluation, count: int) -> Table:
    decisions = counted(count, "decision")
    title = f"Value: {reward.value}, per decision ({decisions}, effectively {evaluation.effective_count:,.0f})"
    table = Table("policy", title=title, title_justify="left")
    for header in ("value", "95% from", "to"):
        table.add_column(header, justify="right")
    for name, member in _ESTIMATORS.items():
        value: Value = getattr(evaluation, member)
        table.add_row(name, *(f"{each:.4f}" for each in (value.mean, value.lower, value.upper)))
    return table


def _warnings(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.logged.error == 0:
        yield "all decisions earned the same reward; the intervals mean nothing."
    if evaluation.unsupported > _LITTLE_SUPPORT:
        yield (
            f"{evaluation.unsupported:.0%} of the other policy's actions were never possible before; nothing is known "
            "about them. Explore more (`exploration` of the policy) to learn about them."
        )
    if evaluation.effective_count < _FEW_DECISIONS:
        few = counted(round(evaluation.effective_count), "decision")
        yield f"the estimate is only as good as one from {few} of the other policy itself."


def _words(summary: Summary) -> str:
    return " ".join(filter(None, (summary.kind, summary.reason, summary.action)))


def _finite(value: Value) -> float:
    return value.upper - value.mean if value.error < float("inf") else 0.0
