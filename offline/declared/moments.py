"""Snapshots of journeys under a declared label.

- at events: at every event of the user's first session, the first 50 of them, and at one event drawn of each later
  session; what the service sees.
- at session end: at the last event before a pause of more than 30 minutes, once that pause is in the data.
- daily, weekly: at midnight UTC from the day after the first event on, whether the user is active or not, until
  nothing was seen for 90 days. An event at midnight itself is known by then.

What a system did (`is_system`), such as sending an e-mail, what a bot did, and the report of an outcome or of who the
user is are in the features as they are when these are served. They are no moment, no sign that a user came back, and
nothing that came true. Neither is an event that was copied from a linked journey a moment. So the question is asked
where a service would tell a risk (`services.ingest.dispatch.translation.groups.are_uses`). Of an anonymous journey that
ended when the user signed in, it is asked as far as the answer was known by then: what came after is another journey.
Whether such a user never returns is not asked.

A label that needs time after the moment is asked only where the data has that time. `no event for N days` means no
event in the N days after this session, or after the moment where there is no session. `session is over` means that
this was its last event. `never returns` means no event
after this session in all of the data; so that it means something, it is not asked in the last 14 days, or the last
fifth of the data if that is shorter.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterable, Iterator
from typing import Final, NamedTuple
from zlib import crc32

from offline.declared.journeys import Journey
from offline.declared.label import NEVER, OVER, SILENT, WITHOUT, Label
from offline.declared.mapping import KINDS
from offline.training.table import AT_EVENTS, AT_SESSION_END, DAILY, WEEKLY, Snapshot
from offline.training.watching import Watch
from services.features.domain.event import Event, Kind
from services.features.domain.own import NO_COLUMNS, Columns
from services.features.domain.state import DAY_US, SESSION_GAP_US

FIRST_EVENTS: Final = 50
IDLE_LIMIT_US: Final = 90 * DAY_US
NEVER_MARGIN_US: Final = 14 * DAY_US
_REPORTS: Final = frozenset({Kind.INTERVENTION_OUTCOME, Kind.IDENTIFY})


class Span(NamedTuple):
    """From when to when the data was recorded; Unix microseconds. It is empty where rows have no time."""

    first_us: int
    last_us: int


class Timeline(NamedTuple):
    """What the label needs of a journey, which the features may not see."""

    times_us: list[int]
    session_starts: list[int]
    """By event: the index of its session's first event."""
    session_ends: list[int]
    """By event: the index of its session's last event."""
    reached: list[int]
    """The indexes of the events at which what the label names came true."""
    span: Span


def snapshots(journey: Journey, label: Label, span: Span, columns: Columns = NO_COLUMNS) -> Iterator[Snapshot]:
    """A journey's snapshots in time order, with the own columns; none of a user who did nothing."""
    used = [event for event in journey.events if is_use(event)]
    linked_us = next((event.at_us for event in journey.events if event.is_link), None)
    if not used or (linked_us is not None and label.form == NEVER):
        return
    known = span if linked_us is None else span._replace(last_us=min(span.last_us, linked_us))
    line = timeline([event.at_us for event in used], _is_reached(journey, label), known)
    asked = _asked(journey.user_id, line, label)
    step_us = DAY_US if DAILY in label.moments else 7 * DAY_US if WEEKLY in label.moments else 0
    regular = WEEKLY if WEEKLY in label.moments else DAILY
    due_us = (line.times_us[0] // DAY_US + 1) * DAY_US + (step_us - DAY_US)
    watch, index = Watch(columns), 0
    for place, event in enumerate(journey.events):
        if step_us and due_us < event.at_us:
            when = (regular, due_us, step_us, event.at_us - 1)
            due_us = yield from _regular(journey, label, line, watch, index, when)
        watch.take(event)
        if not is_use(event):
            continue
        for moment in asked.get(index, ()) if place not in journey.copied else ():
            if (found := answer(label, line, index, event.at_us)) is not None:
                is_true, known_us = found
                yield Snapshot(journey.user_id, moment, event.at_us, known_us, 0.0, is_true, *watch.seen(event.at_us))
        index += 1
    if step_us:
        when = (regular, due_us, step_us, line.span.last_us)
        yield from _regular(journey, label, line, watch, index, when)


def _regular(
    journey: Journey, label: Label, line: Timeline, watch: Watch, index: int, when: tuple[str, int, int, int]
) -> Generator[Snapshot, None, int]:
    """The regular snapshots that are due until a time, after `index` events; returns when the next one is due."""
    moment, due_us, step_us, until_us = when
    while due_us <= until_us:
        idle_us = due_us - line.times_us[index - 1]
        found = answer(label, line, index - 1, due_us) if idle_us <= IDLE_LIMIT_US else None
        if found is not None:
            is_true, known_us = found
            yield Snapshot(journey.user_id, moment, due_us, known_us, idle_us / DAY_US, is_true, *watch.seen(due_us))
        due_us += step_us
    return due_us


def timeline(times: list[int], is_reached: Iterable[bool], span: Span) -> Timeline:
    """The timeline of events.

    Args:
        times: when they were; Unix microseconds, ascending.
        is_reached: for each, whether what the label names came true at it.
        span: from when to when the data was recorded.
    """
    starts, ends = [0] * len(times), [len(times) - 1] * len(times)
    for index in range(1, len(times)):
        starts[index] = index if times[index] - times[index - 1] > SESSION_GAP_US else starts[index - 1]
    for index in range(len(times) - 2, -1, -1):
        ends[index] = index if starts[index + 1] == index + 1 else ends[index + 1]
    return Timeline(times, starts, ends, [index for index, each in enumerate(is_reached) if each], span)


def is_use(event: Event) -> bool:
    """Whether an event is something that the user did, be it here or in a journey from which it was copied."""
    return not (event.is_system or event.is_bot or event.kind in _REPORTS)


def _is_reached(journey: Journey, label: Label) -> Iterator[bool]:
    for event, outcomes in zip(journey.events, journey.outcomes, strict=True):
        if is_use(event):
            yield label.of in outcomes if label.is_outcome else event.kind == KINDS.get(label.of)


def _asked(user_id: str, line: Timeline, label: Label) -> dict[int, list[str]]:
    """The moments by the index of the event."""
    asked: dict[int, list[str]] = {}
    start = 0
    for end in sorted(set(line.session_ends)):
        if AT_EVENTS in label.moments:
            drawn = start + crc32(f"{user_id}:{start}".encode()) % (end + 1 - start)
            for index in range(min(FIRST_EVENTS, end + 1)) if not start else (drawn,):
                asked.setdefault(index, []).append(AT_EVENTS)
        if AT_SESSION_END in label.moments:
            asked.setdefault(end, []).append(AT_SESSION_END)
        start = end + 1
    return asked


def answer(label: Label, line: Timeline, index: int, at_us: int) -> tuple[bool, int] | None:
    """Whether the label is true at a time after an event, and since when that is known; None where it is not asked."""
    if label.form == WITHOUT:
        return _without(label, line, index)
    if label.form == OVER:
        return _over(line, index)
    if label.form == NEVER:
        return _never(line, index, at_us)
    if label.form == SILENT:
        return _silent(label, line, index, at_us)
    until_us = at_us + label.days * DAY_US
    if until_us > line.span.last_us:
        return None
    place = bisect_right(line.reached, index)
    return place < len(line.reached) and line.times_us[line.reached[place]] <= until_us, until_us


def _silent(label: Label, line: Timeline, index: int, at_us: int) -> tuple[bool, int] | None:
    """The days count from the end of the session, so that its next event is no return."""
    last = line.session_ends[index]
    until_us = max(at_us, line.times_us[last]) + label.days * DAY_US
    if until_us > line.span.last_us:
        return None
    return last + 1 >= len(line.times_us) or line.times_us[last + 1] > until_us, until_us


def _without(label: Label, line: Timeline, index: int) -> tuple[bool, int] | None:
    """An event that was there already is no question any more; an outcome is not seen, so it is always asked."""
    start, end = line.session_starts[index], line.session_ends[index]
    known_us, first = line.times_us[end] + SESSION_GAP_US, bisect_left(line.reached, start)
    is_reached = first < len(line.reached) and line.reached[first] <= end
    if is_reached and line.reached[first] <= index and not label.is_outcome:
        return None
    is_over = known_us <= line.span.last_us or line.span.first_us == line.span.last_us
    return (not is_reached, known_us) if is_over else None


def _over(line: Timeline, index: int) -> tuple[bool, int] | None:
    end = line.session_ends[index]
    known_us = line.times_us[end] + SESSION_GAP_US
    return (index == end, known_us) if known_us <= line.span.last_us else None


def _never(line: Timeline, index: int, at_us: int) -> tuple[bool, int] | None:
    first_us, last_us = line.span
    if at_us > last_us - min(NEVER_MARGIN_US, (last_us - first_us) // 5):
        return None
    return line.session_ends[index] == len(line.times_us) - 1, 0
