"""Whether what a model said came true: archived predictions joined with what their users did after.

As `journeymesh model report` counts them (docs/predictions.md): a prediction came true if its user made no event in so
many days after the session. It is judged by the probability that was told, where one was, else by what the model said.
"""

from typing import Any

import numpy as np

from services.analytics.adapters.copies.relations import Query
from services.analytics.adapters.questions import predictions
from services.analytics.adapters.questions.counting import intervals
from services.analytics.adapters.questions.predictions import MOST_MEASURED, OWN
from services.analytics.domain import answer
from services.analytics.domain import calibration as measured
from services.analytics.domain.answer import CalibrationBin, CalibrationFigure, CalibrationSpan
from services.analytics.domain.calibration import LEAST_ROWS, Bin, Figure, silence
from services.analytics.domain.question import DAY_US, MOST_SILENT_DAYS, SESSION_GAP_US, SILENT_DAYS, Calibration


def calibration(
    query: Query, asked: Calibration, watermark_us: int, most_measured: int = MOST_MEASURED
) -> answer.Calibration:
    """Calibration of the window and of its intervals.

    Of more than `most_measured` predictions those of some users are taken, drawn by a hash of the id.
    """
    columns = ("model_score", "probability", "model_outcome")
    found = predictions.taken(query, asked, (asked.window,), columns, most_measured)
    ((outcome, told_count),) = query.rows("SELECT coalesce(max(model_outcome), ''), count(probability) FROM taken")
    told_days = silence(outcome, MOST_SILENT_DAYS)
    silent_days = asked.silent_days or told_days or SILENT_DAYS
    # What was told is judged by what it was about, and by nothing else.
    is_other = told_count > 0 and silent_days != told_days
    rows = _followed(query, silent_days, None if is_other else watermark_us)
    buckets = intervals(query, asked.window, asked.interval)
    number = np.searchsorted(np.array([end for _, end in buckets], np.int64), rows["t"], side="right")
    of_intervals = (
        _span(start, {name: column[number == at] for name, column in rows.items()})
        for at, (start, _) in enumerate(buckets)
    )
    spans = (_span(asked.window.start_us, rows, is_whole=True), *of_intervals)
    return answer.Calibration(
        spans, found.version, found.versions, found.one_in, LEAST_ROWS, outcome, silent_days, is_other
    )


def _followed(query: Query, silent_days: int, watermark_us: int | None) -> dict[str, Any]:
    """The predictions that were taken, as columns in a fixed order.

    These are user, time, probability, whether that was told, whether the outcome is known and whether it came true.
    Without a watermark none is known.
    """
    query.make(
        "sessions",
        f"""SELECT user_id, min(t) AS first_us, max(t) AS last_us,
            lead(min(t)) OVER (PARTITION BY user_id ORDER BY min(t)) AS next_us FROM (
            SELECT user_id, t, sum(begins::INTEGER) OVER (PARTITION BY user_id ORDER BY t) AS number FROM (
                SELECT user_id, t, coalesce(
                    t - lag(t) OVER (PARTITION BY user_id ORDER BY t) > {SESSION_GAP_US}, false) AS begins FROM (
                    SELECT coalesce(known, user_id) AS user_id, epoch_us(event_time) AS t
                    FROM all_events LEFT JOIN links USING (user_id) WHERE {OWN}
                ) SEMI JOIN taken USING (user_id)
            )
        ) GROUP BY user_id, number""",
    )
    found = query.rows(
        f"""SELECT dense_rank() OVER (ORDER BY user_id), t, coalesce(probability, model_score / 100),
            probability IS NOT NULL, coalesce(until_us <= {query.bound(watermark_us)}, false),
            coalesce(next_us IS NULL OR next_us > until_us, false) FROM (
            SELECT taken.*, next_us, last_us + {silent_days * DAY_US} AS until_us FROM taken
            ASOF LEFT JOIN sessions ON taken.user_id = sessions.user_id AND taken.t >= sessions.first_us
        ) ORDER BY t, decision_id"""
    )
    kinds = {
        "user": np.int64,
        "t": np.int64,
        "said": np.float64,
        "is_told": np.bool_,
        "is_known": np.bool_,
        "is_true": np.bool_,
    }
    columns = zip(*found, strict=True) if found else ((),) * len(kinds)
    return {name: np.array(values, kind) for (name, kind), values in zip(kinds.items(), columns, strict=True)}


def _span(start_us: int, rows: dict[str, Any], *, is_whole: bool = False) -> CalibrationSpan:
    known = {name: column[rows["is_known"]] for name, column in rows.items()}
    count, known_count = len(rows["t"]), len(known["t"])
    gap = error = None
    bins: tuple[CalibrationBin, ...] = ()
    if known_count >= LEAST_ROWS:
        its = measured.calibration(known["said"], known["is_true"], known["user"])
        gap, error = _figure(its.gap), _figure(its.error)
        bins = tuple(map(_bin, its.bins))
    return CalibrationSpan(
        start_us,
        is_whole,
        count,
        count - known_count,
        known_count,
        len(np.unique(known["user"])),
        float(known["said"].mean()) if known_count else None,
        float(known["is_true"].mean()) if known_count else None,
        gap,
        error,
        bins,
        int(known["is_told"].sum()),
    )


def _bin(of: Bin) -> CalibrationBin:
    return CalibrationBin(of.predicted, CalibrationFigure(of.observed, of.low, of.high), of.row_count, of.user_count)


def _figure(of: Figure) -> CalibrationFigure:
    return CalibrationFigure(*of)
