"""What gauges tell of models and data: which questions are asked for them, and what the answers come to. Pure.

Of several tenants the worst figure counts, but events of all are counted together: an alert says that somebody should
look, and the questions say where.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from services.analytics.domain import answer, question
from services.analytics.domain.question import DAY_US, SILENT_DAYS, Field, Interval, Measure, UserFilter, Window

WEEK_US: Final = 7 * DAY_US
LEAST_EVENTS: Final = 100
"""Nothing is told of a kind with fewer events in a week."""
MOST_NAMES: Final = 100
_MOST_KINDS: Final = 50


class Questions(NamedTuple):
    """What is asked about a tenant."""

    drift: question.Drift
    calibration: question.Calibration
    events: question.Trend


class Answers(NamedTuple):
    """What a tenant's questions were answered with."""

    drift: answer.Drift
    calibration: answer.Calibration
    events: answer.Trend


class Moved(NamedTuple):
    """How far something moved since the week before: stability index, and points as a mean over predictions."""

    psi: float
    points: float


class Calibrated(NamedTuple):
    """Calibration of a week: error 0 to 1, gap -1 to 1, and how many predictions have an outcome."""

    error: float
    gap: float
    outcome_count: int


class Figures(NamedTuple):
    """What gauges tell. Without enough users, outcomes or events a mapping lacks the member."""

    moved: Mapping[tuple[str, str], Moved]
    """By the kind, `score` or `reason`, and the name."""
    calibrated: Mapping[str, Calibrated]
    """By the model's version."""
    event_ratios: Mapping[str, float]
    """By kind of event: how many there were in the last week for each in the week before."""


def questions(now_us: int) -> Questions:
    """What to ask at a moment, about whole days in UTC.

    Drift and events: the last seven days against the seven before. Calibration: by the model's own silent days, of
    predictions old enough for up to 14 of these; `again` says what to ask if it tells of more.
    """
    end_us = now_us - now_us % DAY_US
    nothing = ((), UserFilter())
    week = Window(end_us - WEEK_US, end_us, "UTC")
    return Questions(
        question.Drift(week, *nothing, ""),
        _calibration(now_us, SILENT_DAYS),
        question.Trend(
            Window(end_us - 2 * WEEK_US, end_us, "UTC"),
            *nothing,
            Measure.EVENTS,
            Interval.DAY,
            Field.EVENT_TYPE,
            _MOST_KINDS,
        ),
    )


def again(now_us: int, of: answer.Calibration) -> question.Calibration | None:
    """What to ask next, if the model tells of more silent days than had passed since its predictions; else None."""
    return _calibration(now_us, of.silent_days) if of.silent_days > SILENT_DAYS else None


def _calibration(now_us: int, silent_days: int) -> question.Calibration:
    """About the last seven whole days whose outcomes are known; a session may last for a day before it is silent."""
    end_us = now_us - now_us % DAY_US - (silent_days + 1) * DAY_US
    return question.Calibration(Window(end_us - WEEK_US, end_us, "UTC"), (), UserFilter(), "", Interval.WEEK, 0)


def figures(answered: Iterable[Answers], middle_us: int) -> Figures:
    """What the answers of all tenants come to; the last week of events began at `middle_us`."""
    moved: dict[tuple[str, str], Moved] = {}
    calibrated: dict[str, Calibrated] = {}
    before: Counter[str] = Counter()
    since: Counter[str] = Counter()
    for each in answered:
        for item in each.drift.items[:MOST_NAMES]:
            at = item.kind, item.name
            moved[at] = max(moved.get(at, Moved(0.0, 0.0)), Moved(item.psi, item.moved))
        whole = next(span for span in each.calibration.spans if span.is_whole)
        if whole.error is not None and whole.gap is not None:
            found = Calibrated(whole.error.value, whole.gap.value, whole.known_count)
            version = each.calibration.model_version
            calibrated[version] = max(calibrated.get(version, found), found)
        for series in each.events.series:
            for point in series.points:
                (since if point.start_us >= middle_us else before)[series.name] += round(point.value)
    ratios = {name: since[name] / count for name, count in before.items() if count >= LEAST_EVENTS}
    return Figures(dict(sorted(moved.items(), key=_most_moved)[:MOST_NAMES]), calibrated, ratios)


def _most_moved(of: tuple[tuple[str, str], Moved]) -> tuple[bool, float]:
    (kind, _), (_, points) = of
    return kind != "score", -points
