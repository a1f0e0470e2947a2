"""The model card: what the model is, what it was trained on, how good it is, and what not to use it for."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import numpy as np
import onnxruntime

from offline.datasets import oulad
from offline.training import fitting
from offline.training.fitting import Trained
from offline.training.snapshots import HORIZON_DAYS
from offline.training.stories import STORIES, values_after
from services.scoring.domain.schema import FEATURES, SCHEMA_VERSION

_TEXT: Final = """\
# Exit risk, model `{version}`

Trained {time} on OULAD (Kuzilek, Hlosta, Zdrahal: Open University Learning Analytics dataset, Scientific Data 4,
170171, 2017; CC BY 4.0): the clicks of {users:,} students in two online courses. The data is not in this repository.

## What it predicts

The probability that a user has no event in the next {horizon} days, from the 13 features of schema `{schema}`. It is
the slow part of the exit risk: whether the user comes often, came recently, succeeds and is engaged. Current struggle
is not in its data; the transparent rules cover that, and the two are combined by `1 - (1 - p_rules)(1 - p_model)`.

## How it is made

- **Form.** Gradient boosted trees of scikit-learn, each tree using one feature only: the logit is a baseline plus one
  step function per feature. So each feature's contribution is exact, and an output of the ONNX file (`terms`).
- **Features it uses:** {measured}.
  The data has days but no time of day. Features within a session (durations, time per page, page exits) would be
  invented, and errors, retries, forms and clicks do not occur. These features have no term. A model trained on data
  with times and errors can use them.
- **Directions.** More sessions, pages and engagement never raise the risk, more time since the last success never
  lowers it.
- **Moments.** {weekly} Weekly snapshots are taken at midnight before day 14 to 196 of the course, whether users are
  active or not. But the service assesses users at an event, and most of them are new. Trained on weekly snapshots
  alone, the model gives a user at the first page view a probability of 0.32, because in weekly snapshots one session
  in four weeks means a user who has almost left; of these users, 7% left after their first day. So the model is also
  trained on snapshots at events, after every event of the first day and one event of each other active day, with the
  same label and a weight of {weight} each. This costs about 0.001 of the weekly AUROC.
- **Calibration.** A sigmoid over five folds that never split a user. (Isotonic does not convert to ONNX exactly.)
- **Splits.** By user: {tenths} of 10 are held back; the shipped model has not seen them, and the figures are for them.
  By time: another model of the same kind is trained on what was known before day {cut} and evaluated on the
  days from then on, for all users.
- **Export.** ONNX in 64-bit numbers, {size:,} bytes; against scikit-learn over {validation:,} validation snapshots it
  is off by at most {parity:.1e} (the export fails above 1e-5).

## How good it is

Accuracy at a probability of 0.5. `majority` knows only the share that leaves. `25 days idle` is the single rule "25
days since the last event", ranked by the number of idle days. `rules only` is the transparent rules, which look at the
last half hour and say nothing about absent users.

{tables}

How much more accurate than the single rule, with the 95% interval over users:

{gains}

If the interval includes 0, the model is not shown to be more accurate than the single rule. It adds the ranking, the
calibration, and predictions for users who are active now, about whom the rule says nothing.

These figures are slightly optimistic. The mapping of the data, the directions and the weight of the snapshots at events
were chosen with the held-back users in view: about sixty variants were compared on them or on folds over all users. The
chosen one is not the best: less constrained ones reach about 0.004 more AUROC, but say that a longer time without
success lowers the risk. Only unseen data would give figures without that bias.

![Predicted against observed](reliability.png)

## Predictions for typical users of the service

| user | probability |
|---|---:|
{stories}

## The step functions

In logits, each function 0 on average over the training snapshots; for `x <=` the bound and above the previous one.

{shapes}

## Limits

- Students of two courses are not your users. People who begin a course mostly come back; visitors of a shop mostly do
  not. Until it is trained on your own archive, use the number to rank users, not as a true rate.
- `time_since_last_success` means what your product reports as success. Without success events the model relies
  on sessions and engagement.
- At events, few users leave ({gone_at_events:.1%}); there, the ranking is weaker and accuracy is meaningless.
- Later in a course more users leave than before. A model trained on earlier days does not know that, and the single
  rule is then more accurate (see above).
- It is meant for offering help, not for decisions about people's rights, prices or grades.
"""


def write(version: str, trained: Trained, trained_us: int) -> str:
    """The card in Markdown."""
    return _TEXT.format(
        version=version,
        time=datetime.fromtimestamp(trained_us / 1e6, UTC).strftime("%Y-%m-%d"),
        users=trained.counts["users"],
        horizon=HORIZON_DAYS,
        schema=SCHEMA_VERSION,
        measured=", ".join(f"`{name}`" for name in FEATURES if name in oulad.MEASURED),
        weekly=f"{trained.counts['snapshots']:,} snapshots.",
        weight=fitting.EVENT_WEIGHT,
        tenths=fitting.VALIDATION_TENTHS,
        cut=fitting.CUT_DAY,
        size=len(trained.file),
        validation=trained.counts["validation_snapshots"],
        parity=trained.parity_difference,
        tables="\n\n".join(_table(name, report) for name, report in trained.reports.items()),
        gains="\n".join(
            f"- {name}: {gain.accuracy:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
            for name, gain in trained.gains.items()
            if "weekly" in name
        ),
        stories=_stories(trained.file),
        shapes="\n\n".join(_shape(name, steps) for name, steps in trained.shapes.items()),
        gone_at_events=trained.share_gone_at_events,
    )


def _table(title: str, report: Mapping[str, Mapping[str, float]]) -> str:
    columns = list(next(iter(report.values())))
    lines = [
        f"**{title[0].upper()}{title[1:]}**",
        "",
        "| |" + "|".join(column.replace("_", " ") for column in columns) + "|",
        "|---|" + "---:|" * len(columns),
        *(f"|{name}|" + "|".join(f"{row[column]:.4f}" for column in columns) + "|" for name, row in report.items()),
    ]
    return "\n".join(lines)


def _stories(file: bytes) -> str:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    rows = np.array([values_after(steps) for steps in STORIES.values()])
    (probabilities,) = session.run(["probability"], {"features": rows})
    return "\n".join(f"|{name}|{chance:.3f}|" for name, chance in zip(STORIES, probabilities, strict=True))


def _shape(name: str, steps: list[tuple[float, float]]) -> str:
    cells = ", ".join(f"{bound:.4g}: {value:+.2f}" for bound, value in steps)
    return f"`{name}`: {cells}"
