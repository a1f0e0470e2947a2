"""The model card, in Markdown and HTML: what the model is, what it was trained on, and how good it is."""

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from offline.training import baselines, fitting, metrics, thresholds, unconstrained
from offline.training.fitting import Source, Trained
from offline.training.forms import Form
from offline.training.metrics import Figure
from offline.training.recalibration import Recalibrated
from offline.training.rule_weights import PRIOR_OUTCOMES, Learned
from offline.training.stories import ALARM, Told, told
from offline.training.table import Table
from offline.training.thresholds import Reached
from services.scoring.domain import rules
from services.scoring.domain.learning import learning_of
from services.scoring.domain.schema import EXTENDED_VERSION

_TEXT: Final = """\
# Model `{version}`

Trained {time}.

## What it predicts

The probability of: **{label}**, from {inputs} features of schema `{schema}`: the 13, then those
of the user's history. The score joins it with the transparent rules: `1 - (1 - p_rules)(1 - p_model)`.

## What it was trained on

{about}

{users:,} users with {snapshots:,} snapshots; {validation_users:,} other users with {validation_snapshots:,} snapshots
to test with. {learned}

## How good it is

All figures are for users that the model has not seen, with 95% intervals from resampling these users {draws} times.
Accuracy is at a probability of 0.5. The calibration error is the mean distance of probability and share over 10 bins
of about equal count; equal probabilities share a bin. The baselines are fitted to the same users as the model:
`majority` knows only the share, `{rule}` compares one feature with a threshold, `logistic` and
`unconstrained boosting` use all features and the days since the last event. `rules only` are the transparent rules as
shipped, `learned rules only` those with weights learned here; each is shown alone and together with the model.
`exit risk` is the probability that is told: the model's, or that of model and learned rules together.

{tables}

The single rules, and how much more accurate than they the model is. If the interval includes 0, it is not shown to be.

{gains}
{remarks}
![Predicted against observed](reliability.png)
![ROC](roc.png)
![Precision and recall](precision_recall.png)

{rules}

{thresholds}

## How it is made

- **Form.** {form}
- **Why this form.** {why}
- **Features it uses:** {used}.
- **Directions.** {directions}
- **Calibration.** A sigmoid over five folds that never split a user.
- **Splits.** By user: {tenths} of 10 are held back. By the calendar: another model of the same kind is trained on
  what was known at {cut:.0%} of the snapshots' times, and tested on the snapshots from then on, of all users.
- **Export.** ONNX, {size:,} bytes; against scikit-learn over the snapshots to test with it is off by at most
  {parity:.1e} (the export fails above 1e-6).

## Predictions for made-up users

The score is that of model and rules; help is offered from {trigger:.0f}.

| user | probability | score |
|---|---:|---:|
{stories}

{contributions}

## Limits

- The figures hold for users like those of this data.
- It is meant for offering help, not for decisions about people's rights, prices or grades.
"""
_FORMS: Final = {
    Form.ADDITIVE: """\
Gradient boosted trees of scikit-learn: the logit is a baseline plus one step function per feature plus
  {pair_count} functions of two features, whose part goes to both features by halves. So each feature's contribution is
  exact, and an output of the ONNX file (`terms`).""",
    Form.BOOSTED: """\
Gradient boosted trees of scikit-learn with up to {leaves} leaves, each of which may look at any features. A feature's
  contribution is its exact Shapley value, with the snapshots to learn from as background (interventional TreeSHAP;
  Lundberg et al., Nature Machine Intelligence 2, 2020), and an output of the ONNX file (`terms`), in 32 bits.""",
}
_CONTRIBUTIONS: Final = {
    Form.ADDITIVE: """\
## The step functions

In logits, each function 0 on average over the training snapshots; for `x <=` the bound and above the previous one.

{shapes}

## The functions of two features

How far each function's greatest value is from its least, in logits.

{pairs}""",
    Form.BOOSTED: """\
## What each feature contributes

In logits, the median over the training snapshots; for `x <=` the bound and above the previous one. These are no shape
functions: what a feature contributes for one user depends on the other features, too.

{shapes}""",
}
_RECALIBRATED: Final = """\
# Model `{version}`

Recalibrated {time}.

## What it predicts

The probability of: **{label}**. It is the model `{base}`, which learned from other users, recalibrated: its logit times
{slope:.4f}, plus {offset:+.4f}. Who is more likely to leave than whom, and the reasons, are as that model says.
The score joins it with the transparent rules: `1 - (1 - p_rules)(1 - p_model)`.

## What it was recalibrated on

{about}

{users:,} users with {snapshots:,} snapshots. {learned}

## How good it is

All figures are for users that the two numbers were not fitted to: each fifth of the users is judged by numbers from
the other four. 95% intervals come from resampling users {draws} times. The calibration error is the mean distance of
probability and share over 10 bins of about equal count; equal probabilities share a bin. `before` is the model as it
was, `majority` knows only the share, `rules only` are the transparent rules as shipped, `learned rules only` those with
weights learned here; each is shown alone and together with the model. `exit risk` is the probability that is told: the
model's, or that of model and learned rules together.

{tables}

![Predicted against observed](reliability.png)

{rules}

{thresholds}

## How it is made

- **Calibration.** The two numbers for which what came true is most likely, the slope drawn to 1 as by one snapshot
  (Cox, Biometrika 45, 1958).
- **Export.** ONNX in 64-bit numbers, {size:,} bytes; the terms still sum to the logit.

## Limits

- The figures hold for users like those of this data.
- It is meant for offering help, not for decisions about people's rights, prices or grades.
"""
_RULES: Final = """\
## The rules

How much a rule counts for here: with weight w, its probability p is 1 - (1 - p)^w. As shipped w is 1, and rules that
are not shown count so. The weights were learned from users that the model did not learn from, shrunk to 1 as by
{prior:g} outcomes (docs/adr/078). Figures are for users that the weights were not learned from.

{weights}

{joined}"""
_THRESHOLDS: Final = """\
## Thresholds

What a threshold of `exit risk` reaches: chosen on half of the users to test with, measured on the other half.
`critical` is to find {recall:.0%} of those for whom the label came true. Of those at `high` or above it is to come true
for {precision:.0%}. The other rows are the curve. The product's levels rest on the score, and do not move with these.

{tables}"""
_PAGE: Final = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse}}td,th{{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:right}}
td:first-child,th:first-child{{text-align:left}}img{{max-width:26rem}}</style>
{body}
</html>
"""


def write(version: str, source: Source, trained: Trained, trained_us: int) -> str:
    """The card in Markdown."""
    return _TEXT.format(
        version=version,
        time=_day(trained_us),
        label=source.label,
        about=source.about,
        schema=EXTENDED_VERSION,
        inputs=len(source.snapshots.names),
        form=_FORMS[trained.decided.form].format(
            pair_count=len(trained.pairs) or "no", leaves=unconstrained.PARAMETERS["max_leaf_nodes"]
        ),
        why=trained.decided.why,
        learned=_learned(source, is_recalibrated=False),
        draws=metrics.DRAWS,
        rule=baselines.RULE,
        **trained.counts,
        tables="\n\n".join(_table(name, report) for name, report in trained.reports.items()),
        gains="\n".join(
            f"- {name}: `{trained.rules[name]}`; accuracy {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
            for name, gain in trained.gains.items()
        ),
        rules=_rules(trained.learned, source.snapshots),
        thresholds=_thresholds(trained.thresholds),
        remarks="".join(f"\n{remark}\n" for remark in trained.remarks),
        used=", ".join(f"`{name}`" for name in source.snapshots.names if name in trained.shapes) or "none",
        directions=(
            "More sessions, pages and engagement never raise the probability, more time since the last success never "
            "lowers it."
            if source.is_directed
            else "None are imposed."
        ),
        tenths=fitting.VALIDATION_TENTHS,
        cut=fitting.CUT_SHARE,
        size=len(trained.file),
        parity=trained.parity_difference,
        trigger=ALARM,
        stories=_stories(told(trained.file, source.snapshots.names, trained.learned.weights)),
        contributions=_CONTRIBUTIONS[trained.decided.form].format(
            pairs="\n".join(f"- `{one}` and `{other}`: {span:.2f}" for one, other, span in trained.pairs) or "None.",
            shapes="\n\n".join(_shape(name, steps) for name, steps in trained.shapes.items()),
        ),
    )


def recalibrated(version: str, source: Source, made: Recalibrated, made_us: int) -> str:
    """The card of a recalibrated model in Markdown."""
    return _RECALIBRATED.format(
        version=version,
        time=_day(made_us),
        label=source.label,
        base=made.base.card.version,
        slope=made.by.slope,
        offset=made.by.offset,
        about=source.about,
        **made.counts,
        learned=_learned(source, is_recalibrated=True),
        draws=metrics.DRAWS,
        tables="\n\n".join(_table(name, report) for name, report in made.reports.items()),
        rules=_rules(made.learned, source.snapshots),
        thresholds=_thresholds(made.thresholds),
        size=len(made.file),
    )


def _rules(learned: Learned, snapshots: Table) -> str:
    shares = dict(zip(rules.NAMES, (snapshots.rule_doubts > 0.0).mean(axis=0).tolist(), strict=True))
    rows = [f"|{name}|{shares[name]:.2%}|{weight:.2f}|" for name, weight in learned.weights.items()]
    table = (
        "\n".join(["| rule | applies to | weight |", "|---|---:|---:|", *rows]) if rows else "None has been learned."
    )
    joined = "\n".join(f"- {each}" for each in learned.said())
    return _RULES.format(prior=PRIOR_OUTCOMES, weights=table, joined=joined)


def _thresholds(found: Mapping[str, Sequence[Reached]]) -> str:
    head = "\n".join([f"|{'|'.join(thresholds.COLUMNS)}|", "|---|---:|---:|---:|---:|"])
    tables = [
        f"**{moment[0].upper()}{moment[1:]}**\n\n{head}\n" + "\n".join(f"|{'|'.join(each.cells())}|" for each in aims)
        for moment, aims in found.items()
    ]
    said = "\n\n".join(tables) or "There are too few users of either answer to choose any."
    aims = {"recall": thresholds.RECALL_OF_CRITICAL, "precision": thresholds.PRECISION_OF_HIGH}
    return _THRESHOLDS.format(**aims, tables=said)


def page(markdown: str) -> str:
    """A card as HTML: the headings, lists, tables, images and paragraphs that cards have."""
    blocks = [_block(block) for block in markdown.strip().split("\n\n")]
    title = markdown.partition("\n")[0].lstrip("# ").replace("`", "")
    return _PAGE.format(title=html.escape(title), body="\n".join(blocks))


def _learned(source: Source, *, is_recalibrated: bool) -> str:
    state = learning_of(source.own_users, is_recalibrated=is_recalibrated).name.lower()
    return f"Users of this installation with a known outcome: {source.own_users:,}, so its state is `{state}`."


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d")


def _block(block: str) -> str:
    lines = block.strip().splitlines()
    if lines[0].startswith("#"):
        level = len(lines[0]) - len(lines[0].lstrip("#"))
        return f"<h{level}>{_inline(lines[0].lstrip('# '))}</h{level}>"
    if lines[0].startswith("|"):
        heads, *rows = ([_inline(cell) for cell in line.strip("|").split("|")] for line in lines if "|---" not in line)
        cells = [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
        return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{''.join(cells)}</table>"
    if lines[0].startswith("!["):
        return "".join(f'<img alt="{html.escape(name)}" src="{file}">' for name, file in map(_image, lines))
    if lines[0].startswith("- "):
        items = "\n".join(lines)[2:].split("\n- ")
        return f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _inline(text: str) -> str:
    """Text with its code and strong words marked."""
    said = html.escape(text)
    for mark, tag in (("**", "b"), ("`", "code")):
        parts = said.split(mark)
        said = "".join(f"<{tag}>{part}</{tag}>" if index % 2 else part for index, part in enumerate(parts))
    return said


def _image(line: str) -> tuple[str, str]:
    name, _, file = line.removeprefix("![").rstrip(")").partition("](")
    return name, file


def _table(title: str, report: Mapping[str, Mapping[str, Figure]]) -> str:
    columns = list(next(iter(report.values())))
    lines = [
        f"**{title[0].upper()}{title[1:]}**",
        "",
        "| |" + "|".join(column.replace("_", " ") for column in columns) + "|",
        "|---|" + "---:|" * len(columns),
        *(f"|{name}|" + "|".join(_shown(row[column]) for column in columns) + "|" for name, row in report.items()),
    ]
    return "\n".join(lines)


def _shown(figure: Figure) -> str:
    """A figure with its interval."""
    return f"{figure.value:.4f} ({figure.low:.3f}-{figure.high:.3f})"


def _stories(found: Mapping[str, Told]) -> str:
    return "\n".join(f"|{name}|{each.probability:.3f}|{each.score:.0f}|" for name, each in found.items())


def _shape(name: str, steps: list[tuple[float, float]]) -> str:
    cells = ", ".join(f"{bound:.4g}: {value:+.2f}" for bound, value in steps)
    return f"`{name}`: {cells}"
