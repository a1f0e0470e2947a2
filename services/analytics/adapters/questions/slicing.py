"""Which slices explain an incident, from the events and decisions of its hours and of the same hours before."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from services.analytics.adapters.copies.relations import FORM_ENDS, FORMS, Query, listed
from services.analytics.adapters.questions.counting import HELP
from services.analytics.domain import answer, pairs
from services.analytics.domain.insights import FAILURES
from services.analytics.domain.pairs import Joint, Pair
from services.analytics.domain.question import (
    HOUR_US,
    SESSION_GAP_US,
    SESSION_REACH_US,
    SlicedPart,
    Slices,
    Window,
    hours_before,
)
from services.analytics.domain.slices import VERSIONS, Counted

_PLACES: Final = ("page", "target", "platform", "device_class", "country")
_EVENT: Final = ("event_type", *_PLACES, "error_code", "video_id")
_DECISION: Final = ("level", *sorted(VERSIONS))
# Values beyond so many are too small to explain anything.
_MOST_VALUES: Final = 1_000


class _Source(NamedTuple):
    """Where a metric is counted: a relation, which of its rows, what counts once per hour (empty: each row), fields."""

    relation: str
    which: str
    unit: str
    fields: tuple[str, ...]


_SOURCES: Final = {
    "events": (_Source("events", "true", "", _EVENT),),
    "users": (_Source("events", "true", "user_id", _EVENT), _Source("decisions", "true", "user_id", _DECISION)),
    "failures": (_Source("events", f"event_type IN ({listed(FAILURES)})", "user_id", _EVENT),),
    "conversions": (_Source("events", "converted", "user_id", _EVENT),),
    "shown": (_Source("events", "outcome = 'shown'", "help", ("channel", *_PLACES)),),
    "accepted": (_Source("events", "outcome = 'accepted'", "help", ("channel", *_PLACES)),),
    "struggles": (_Source("struggles", "true", "", ("struggle", *_PLACES, *_DECISION)),),
    "abandonments": (_Source("abandonments", "true", "", _PLACES),),
}
_MONEY: Final = frozenset({"users", "conversions"})


def slices(query: Query, asked: Slices, _watermark_us: int) -> answer.Slices:
    """What explains an incident, and what users spend usually where users or conversions are missing."""
    for relation in sorted({each.relation for part in asked.parts for each in _SOURCES[part.metric]}):
        _make(query, relation, asked)
    found = tuple(each for part in asked.parts for each in _explained(query, part, asked.window))
    before = {hour for part in asked.parts for own in part.hours_us for hour in hours_before(own, asked.window)}
    if not any(part.metric in _MONEY for part in asked.parts):
        return answer.Slices(found, (), 0.0)
    return answer.Slices(found, *_usual(query, before))


def _make(query: Query, relation: str, asked: Slices) -> None:
    hours = asked.hours_us
    window = Window(min(hours) - SESSION_REACH_US, max(hours) + HOUR_US + SESSION_GAP_US, asked.window.time_zone)
    # Where clocks are half an hour off UTC, so are hours.
    offset_us = min(hours) % HOUR_US
    hour = f"(t - {offset_us}) // {HOUR_US}"
    numbers = f"{query.bound(_numbers(hours))}::BIGINT[]"
    if relation == "events":
        converted = query.met(asked.conversion)
        rows = f"SELECT *, {HELP} AS help, ({converted}) AS converted FROM ({query.chosen(asked, window)})"
    elif relation == "decisions":
        rows = query.chosen(asked, window, "all_decisions")
    elif relation == "struggles":
        rows = query.struggles(asked, window)
    else:
        last = ", ".join(f"arg_max({each}, t) FILTER (event_type IN ({listed(FORMS)})) AS {each}" for each in _PLACES)
        rows = (
            f"SELECT max(t) AS t, {last} FROM ({query.in_sessions(asked, window)}) GROUP BY user_id, session "
            f"HAVING bool_or(is_chosen) AND bool_or(event_type IN ({listed(FORMS)})) "
            f"AND NOT bool_or(event_type IN ({listed(FORM_ENDS)}))"
        )
    query.make(f"sliced_{relation}", f"SELECT *, {hour} AS hour FROM ({rows}) WHERE {hour} IN {numbers}")


def _explained(query: Query, part: SlicedPart, window: Window) -> tuple[answer.InsightSlice, ...]:
    hours = _Hours(
        _numbers(part.hours_us), _numbers(hour for own in part.hours_us for hour in hours_before(own, window))
    )
    sources = _SOURCES[part.metric]
    (_, *counts), *_ = [*_counted(query, sources[0], ("''",), hours), ("", 0.0, 0.0)]
    total = Counted("", *counts)
    fields: dict[str, Sequence[Counted]] = {}
    joints: list[Joint] = []
    for source in sources:
        own = {field: [Counted(*each) for each in _counted(query, source, (field,), hours)] for field in source.fields}
        for pair in pairs.wanted(part, total, own):
            joints += _joined(query, source, pair, hours)
        fields |= own
    return pairs.told(part, total, fields, joints)


class _Hours(NamedTuple):
    """Numbers of hours: those that were off, and those before."""

    now: Sequence[int]
    before: Sequence[int]


def _joined(query: Query, source: _Source, pair: Pair, hours: _Hours) -> list[Joint]:
    only = dict(zip(pair.fields, pair.values, strict=True))
    return [
        Joint(pair.fields, (one, other), now, before)
        for one, other, now, before in _counted(query, source, pair.fields, hours, only)
    ]


def _counted(
    query: Query, source: _Source, values: Sequence[str], hours: _Hours, only: Mapping[str, Sequence[str]] | None = None
) -> list[tuple[Any, ...]]:
    """By value, or by some of two fields together, the counts in the hours that were off, and in those before."""
    is_now, is_before = (f"hour IN {query.bound(its)}::BIGINT[]" for its in hours)
    distinct = f"DISTINCT {source.unit}, hour, " if source.unit else "hour, "
    named = [f"value_{number}" for number in range(len(values))]
    picked = ", ".join(f"coalesce({value}, '') AS {name}" for value, name in zip(values, named, strict=True))
    chosen = " AND ".join(
        [source.which, *(f"{field} IN {query.bound(list(its))}::VARCHAR[]" for field, its in (only or {}).items())]
    )
    grouped = ", ".join(named)
    return query.rows(
        f"SELECT {grouped}, (count(*) FILTER (is_now))::DOUBLE, (count(*) FILTER (NOT is_now))::DOUBLE FROM ("
        f"SELECT {distinct} {is_now} AS is_now, {picked} FROM sliced_{source.relation} "
        f"WHERE {chosen} AND ({is_now} OR {is_before})) GROUP BY {grouped} ORDER BY count(*) DESC, {grouped} "
        f"LIMIT {_MOST_VALUES}"
    )


def _usual(query: Query, before: Collection[int]) -> tuple[tuple[answer.Money, ...], float]:
    """What a user who converts in an hour spends, and how many of an hour's users convert."""
    hours = f"hour IN {query.bound(_numbers(before))}::BIGINT[]"
    ((users, buyers),) = query.rows(
        f"SELECT count(*), count(*) FILTER (buys) FROM (SELECT bool_or(converted) AS buys FROM sliced_events "
        f"WHERE {hours} GROUP BY user_id, hour)"
    )
    hours = f"hour IN {query.bound(_numbers(before))}::BIGINT[]"
    spent = query.rows(
        "SELECT coalesce(currency, ''), sum(amount) FROM sliced_events "
        f"WHERE {hours} AND amount > 0 AND NOT coalesce(is_refund, false) GROUP BY ALL ORDER BY ALL"
    )
    if not buyers:
        return (), 0.0
    return tuple(answer.Money(currency, total / buyers) for currency, total in spent), buyers / users


def _numbers(hours_us: Iterable[int]) -> list[int]:
    return sorted({hour_us // HOUR_US for hour_us in hours_us})
