"""Whether what a model said came true: archived predictions joined with what their users did after.

As `journeymesh model report` counts them (docs/predictions.md): the prediction at an event that a user made, except
reports of outcomes and identity, came true if its user made no event in so many days after the session. What an
anonymous user did counts for the known user they turned out to be.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from services.analytics.adapters.counting import intervals
from services.analytics.adapters.relations import COUNTS, Query, listed
from services.analytics.domain import answer
from services.analytics.domain import calibration as measured
from services.analytics.domain.answer import CalibrationBin, CalibrationFigure, CalibrationSpan
from services.analytics.domain.calibration import LEAST_ROWS, Bin, Figure
from services.analytics.domain.question import DAY_US, SESSION_GAP_US, Calibration

_MOST_MEASURED: Final = 100_000
_OWN: Final = f"{COUNTS} AND event_type NOT IN ({listed(('intervention_outcome', 'identify'))})"


def calibration(
    query: Query, asked: Calibration, watermark_us: int, most_measured: int = _MOST_MEASURED
) -> answer.Calibration:
    """Calibration of the window and of its intervals.

    Of more than `most_measured` predictions those of some users are taken, drawn by a hash of the id.
    """
    query.give("links", _links(query))
    query.make(
        "made",
        f"SELECT coalesce(known, user_id) AS user_id, t, decision_id, model_version, model_score FROM "
        f"({query.chosen(asked, relation='all_decisions')}) LEFT JOIN links USING (user_id) "
        f"WHERE model_version <> '' AND copied_event_id IS NULL AND {_OWN}",
    )
    versions = query.rows("SELECT model_version, count(*) FROM made GROUP BY ALL ORDER BY count(*) DESC, model_version")
    version = asked.model_version or _latest(query)
    one_in = -(-dict(versions).get(version, 0) // most_measured) or 1
    rows = _followed(query, asked, version, one_in, watermark_us)
    buckets = intervals(query, asked.window, asked.interval)
    number = np.searchsorted(np.array([end for _, end in buckets], np.int64), rows["t"], side="right")
    of_intervals = (
        _span(start, {name: column[number == at] for name, column in rows.items()})
        for at, (start, _) in enumerate(buckets)
    )
    spans = (_span(asked.window.start_us, rows, is_whole=True), *of_intervals)
    counted = tuple(answer.VersionCount(*each) for each in versions)
    return answer.Calibration(spans, version, counted, one_in, LEAST_ROWS)


def _links(query: Query) -> pa.Table:
    """Who each anonymous user turned out to be, at the end of all links."""
    found = dict(
        query.rows(
            "SELECT user_id, arg_max(linked_user_id, (received_time, place)) FROM all_events "
            "WHERE linked_user_id IS NOT NULL AND linked_user_id <> '' GROUP BY user_id"
        )
    )
    known = []
    for user_id in found:
        seen = {user_id}
        at = user_id
        while (linked := found.get(at)) is not None and linked not in seen:
            at = linked
            seen.add(at)
        known.append(at)
    return pa.table({"user_id": pa.array(found, pa.string()), "known": pa.array(known, pa.string())})


def _latest(query: Query) -> str:
    ((version,),) = query.rows("SELECT arg_max(model_version, (t, decision_id)) FROM made")
    return version or ""


def _followed(query: Query, asked: Calibration, version: str, one_in: int, watermark_us: int) -> dict[str, Any]:
    """The predictions of a version, as columns in a fixed order: user, time, probability, whether known and true."""
    query.make(
        "taken",
        f"SELECT user_id, t, decision_id, model_score FROM made WHERE model_version = {query.bound(version)} "
        f"AND ('0x' || left(md5(user_id), 8))::UINTEGER % {one_in} = 0",
    )
    query.make(
        "sessions",
        f"""SELECT user_id, min(t) AS first_us, max(t) AS last_us,
            lead(min(t)) OVER (PARTITION BY user_id ORDER BY min(t)) AS next_us FROM (
            SELECT user_id, t, sum(begins::INTEGER) OVER (PARTITION BY user_id ORDER BY t) AS number FROM (
                SELECT user_id, t, coalesce(
                    t - lag(t) OVER (PARTITION BY user_id ORDER BY t) > {SESSION_GAP_US}, false) AS begins FROM (
                    SELECT coalesce(known, user_id) AS user_id, epoch_us(event_time) AS t
                    FROM all_events LEFT JOIN links USING (user_id) WHERE {_OWN}
                ) SEMI JOIN taken USING (user_id)
            )
        ) GROUP BY user_id, number""",
    )
    found = query.rows(
        f"""SELECT user_id, t, model_score / 100, coalesce(until_us <= {query.bound(watermark_us)}, false),
            coalesce(next_us IS NULL OR next_us > until_us, false) FROM (
            SELECT taken.*, next_us, last_us + {asked.silent_days * DAY_US} AS until_us FROM taken
            ASOF LEFT JOIN sessions ON taken.user_id = sessions.user_id AND taken.t >= sessions.first_us
        ) ORDER BY t, decision_id"""
    )
    kinds = {"user": np.str_, "t": np.int64, "said": np.float64, "is_known": np.bool_, "is_true": np.bool_}
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
    )


def _bin(of: Bin) -> CalibrationBin:
    return CalibrationBin(of.predicted, CalibrationFigure(of.observed, of.low, of.high), of.row_count, of.user_count)


def _figure(of: Figure) -> CalibrationFigure:
    return CalibrationFigure(*of)
