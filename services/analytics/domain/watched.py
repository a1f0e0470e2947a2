"""What a watch has told of a tenant's key figures, and what people did about it. Times are Unix microseconds."""

import datetime as dt
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from services.analytics.domain import changes as change_log
from services.analytics.domain.answer import Insight, InsightPart, Insights, InsightSlice, Money
from services.analytics.domain.changes import Change
from services.analytics.domain.question import DAY_US, Conditions, UserFilter, Window
from services.analytics.domain.question import Insights as Asked

MOST_KEPT: Final = 100
"""How many incidents of a tenant are kept: those that opened last."""
WINDOW_DAYS: Final = 14
"""How far back incidents are judged again, since late data may change them."""
STEP_US: Final = 900_000_000
"""A quarter of an hour: hours begin at one in every zone, so between them no hour becomes complete."""
_EXPLAINED_AT_ONCE: Final = 3


class Message(NamedTuple):
    """What came of a message about an incident.

    `kind` is `opened`, `closed`, `paused` or `budget`, `state` is `sent`, `waiting` or `failed`. `time_us` is when it
    was sent or failed, or from when on it is tried again.
    """

    kind: str
    state: str
    attempt_count: int
    time_us: int
    reason: str
    """Why it was not sent, in a word; empty: it was, or nothing is known. Of `paused` that was sent: which were."""


class WatchedInsight(NamedTuple):
    """An incident as the watch knows it.

    `insight_id` stays when the incident grows or is judged again. `found_us` is when the watch told of it first.
    `sequence` is that of `Watched` when it last changed. Whoever acknowledged or snoozed it is a key's id or a person;
    empty: nobody did, or nobody knows who. A snooze holds until its time, and does not change the incident.
    """

    insight_id: str
    opened_us: int
    closed_us: int | None
    severity: str
    affected_user_hours: float
    parts: tuple[InsightPart, ...]
    """Without points."""
    found_us: int
    sequence: int
    acknowledged_by: str = ""
    acknowledged_us: int | None = None
    snoozed_by: str = ""
    snoozed_until_us: int | None = None
    snooze_reason: str = ""
    messages: tuple[Message, ...] = ()
    """At most one of a kind."""
    slices: tuple[InsightSlice, ...] = ()
    missing_money: tuple[Money, ...] = ()
    changes: tuple[Change, ...] = ()
    is_explained: bool = False
    """Whether the three before were looked up since its figures changed."""


class BudgetAlarm(NamedTuple):
    """That a day of UTC has reached so many percent of its budget; amounts, in US dollars, are those when it was found.

    `sequence` is that of `Watched` when it last changed.
    """

    alarm_id: str
    """Unique in a tenant: the day, the percent and the budget."""
    day_us: int
    """When the day began."""
    percent: int
    daily_usd: float
    used_usd: float
    found_us: int
    sequence: int
    message: Message | None = None
    """None: nobody is told outside the mesh, or not yet."""


class Watched(NamedTuple):
    """All that a tenant's watch knows; `sequence` grows by one with every change of an incident or alarm."""

    insights: tuple[WatchedInsight, ...] = ()
    """The one that opened last first."""
    sequence: int = 0
    since_us: int = 0
    """When it judged first; 0: not yet."""
    judged_us: int = 0
    """When it judged last."""
    until_us: int = 0
    """Complete hours up to here were judged: what had arrived, rounded down to a quarter of an hour."""
    needed_days: int = 0
    """As of `Insights`."""
    noted: tuple[Change, ...] = ()
    """What people said that changed, the latest first."""
    digest: Message | None = None
    """What came of the last message about a day, which is its kind."""
    alarms: tuple[BudgetAlarm, ...] = ()
    """Of budgets, the one that was found last first."""


_Told = TypeVar("_Told", WatchedInsight, BudgetAlarm)


def question(until_us: int, time_zone: str, conversion: Conditions) -> Asked:
    """What a watch asks: the last 14 days up to a time."""
    window = Window(until_us - WINDOW_DAYS * DAY_US, until_us, time_zone)
    return Asked(window, (), UserFilter(), conversion, MOST_KEPT)


def judged(before: Watched, found: Insights, until_us: int, now_us: int) -> Watched:
    """What is known after the hours up to a time were judged again.

    A found incident is the same as a known one if one of their metrics was unusual at the same time. One that is open
    and is not found any more, because of late data, is closed.
    """
    sequence = before.sequence + 1
    known = list(before.insights)
    after: list[WatchedInsight] = []
    for each in sorted(found.incidents, key=lambda its: its.opened_us):
        same = next((its for its in reversed(known) if _is_same(its, each)), None)
        if same is not None:
            known.remove(same)
        after.append(_updated(same or _new(each, now_us), each, sequence))
    for old in known:
        gone = old._replace(closed_us=until_us, sequence=sequence)
        after.append(old if old.closed_us is not None else gone)
    kept = tuple(sorted(after, key=lambda its: (its.opened_us, its.insight_id), reverse=True)[:MOST_KEPT])
    is_changed = kept != before.insights
    return before._replace(
        insights=kept,
        sequence=sequence if is_changed else before.sequence,
        since_us=before.since_us or now_us,
        judged_us=now_us,
        until_us=until_us,
        needed_days=found.needed_days,
    )


def to_explain(watched: Watched, found: Insights) -> list[tuple[WatchedInsight, Insight]]:
    """The incidents that are to be explained now, as they are known and as they were found; the latest, a few."""
    by_figures = {(each.opened_us, each.closed_us, _plain(each.parts)): each for each in found.incidents}
    both = [
        (each, by_figures.get((each.opened_us, each.closed_us, each.parts)))
        for each in watched.insights
        if not each.is_explained
    ]
    return [(known, its) for known, its in both if its is not None][:_EXPLAINED_AT_ONCE]


def note(before: Watched, change: Change, now_us: int) -> tuple[Watched, Change]:
    """The same with a change that somebody noted, and that change; incidents about that time are explained again."""
    noted, kept = change_log.noted(before.noted, change, now_us)
    if noted == before.noted:
        return before, kept
    insights = tuple(
        each._replace(is_explained=each.is_explained and not change_log.beside(each.opened_us, [kept]))
        for each in before.insights
    )
    return before._replace(insights=insights, noted=noted), kept


def acknowledged(before: Watched, insight_id: str, by: str, now_us: int) -> Watched | None:
    """The same with an incident that somebody has seen; None without it. Who saw it first is kept."""
    return changed(
        before,
        insight_id,
        lambda its: its if its.acknowledged_us else its._replace(acknowledged_by=by, acknowledged_us=now_us),
    )


def snoozed(before: Watched, insight_id: str, by: str, until_us: int | None, reason: str) -> Watched | None:
    """The same with an incident that is not to be told until a time, or again from now on; None without it."""
    return changed(
        before,
        insight_id,
        lambda its: its._replace(
            snoozed_by=by if until_us else "", snoozed_until_us=until_us, snooze_reason=reason if until_us else ""
        ),
    )


def changed(before: Watched, insight_id: str, change: Callable[[WatchedInsight], WatchedInsight]) -> Watched | None:
    """The same with another value of an incident, under the next sequence; None without the incident."""
    if found_in(before, insight_id) is None:
        return None
    sequence = before.sequence + 1
    after = tuple(
        _at(each, change(each), sequence) if each.insight_id == insight_id else each for each in before.insights
    )
    return before if after == before.insights else before._replace(insights=after, sequence=sequence)


def replaced(before: Watched, its: WatchedInsight) -> Watched:
    """The same with another value of an incident, under the next sequence."""
    return changed(before, its.insight_id, lambda _: its) or before


def found_in(watched: Watched, insight_id: str) -> WatchedInsight | None:
    """The incident with this id; None: it is not known, or not any more."""
    return next((each for each in watched.insights if each.insight_id == insight_id), None)


def since(all_of: tuple[_Told, ...], sequence: int) -> tuple[_Told, ...]:
    """Those of incidents or alarms that changed after a sequence, in their order."""
    return tuple(each for each in all_of if each.sequence > sequence)


def _is_same(known: WatchedInsight, found: Insight) -> bool:
    return any(
        one.metric == other.metric and _meet(one.opened_us, one.closed_us, other.opened_us, other.closed_us)
        for one in known.parts
        for other in found.parts
    )


def _meet(one: int, one_end: int | None, other: int, other_end: int | None) -> bool:
    return (one_end is None or other < one_end) and (other_end is None or one < other_end)


def _new(found: Insight, now_us: int) -> WatchedInsight:
    opened = dt.datetime.fromtimestamp(found.opened_us // 1_000_000, dt.UTC)
    insight_id = f"{opened:%Y%m%dT%H%M}-{found.parts[0].metric}"
    return WatchedInsight(insight_id, found.opened_us, None, "", 0.0, (), now_us, 0)


def _plain(parts: tuple[InsightPart, ...]) -> tuple[InsightPart, ...]:
    return tuple(part._replace(points=()) for part in parts)


def _updated(known: WatchedInsight, found: Insight, sequence: int) -> WatchedInsight:
    now = known._replace(
        opened_us=found.opened_us,
        closed_us=found.closed_us,
        severity=found.severity,
        affected_user_hours=found.affected_user_hours,
        parts=_plain(found.parts),
    )
    if (known.opened_us, known.closed_us, known.parts) != (now.opened_us, now.closed_us, now.parts):
        now = now._replace(is_explained=False)
    return _at(known, now, sequence)


def _at(before: WatchedInsight, after: WatchedInsight, sequence: int) -> WatchedInsight:
    return before if before == after else after._replace(sequence=sequence)
