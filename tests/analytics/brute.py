"""The answers once more, in plain Python, event by event."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from services.analytics.domain.question import SESSION_GAP_US, Comparison, Conditions, Funnel, FunnelStart, Window
from tests.analytics.rows import Event

_COMPARED: dict[Comparison, Callable[[str, tuple[str, ...]], bool]] = {
    Comparison.IS: lambda value, values: value in values,
    Comparison.IS_NOT: lambda value, values: value not in values,
    Comparison.CONTAINS: lambda value, values: any(each in value for each in values),
    Comparison.BEGINS_WITH: lambda value, values: value.startswith(values),
}


def met(event: Event, conditions: Conditions) -> bool:
    return all(_COMPARED[each.comparison](getattr(event, each.field.value) or "", each.values) for each in conditions)


def counting(events: Iterable[Event]) -> list[Event]:
    return [each for each in events if not each.is_bot and not each.is_system]


def chosen(events: Iterable[Event], window: Window, conditions: Conditions = ()) -> list[Event]:
    return [each for each in counting(events) if window.start_us <= each.t < window.end_us and met(each, conditions)]


def by_user(events: Iterable[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda each: (each.t, each.event_id)):
        found[event.user_id].append(event)
    return found


def sessions(events: Iterable[Event], window: Window) -> list[list[Event]]:
    """The sessions that began in a window, as far as they lie in it."""
    found: list[list[Event]] = []
    for its in by_user(counting(events)).values():
        last = None
        run: list[list[Event]] = []
        for event in its:
            if last is None or event.t - last > SESSION_GAP_US:
                run.append([])
            run[-1].append(event)
            last = event.t
        found += [
            [each for each in one if each.t < window.end_us]
            for one in run
            if window.start_us <= one[0].t < window.end_us
        ]
    return found


def funnel(events: Sequence[Event], asked: Funnel) -> dict[str, int]:
    """How many steps each user made, by trying every way."""
    found: dict[str, int] = {}
    within_us = asked.within_seconds * 1_000_000
    for user, its in by_user(chosen(events, asked.window, asked.where)).items():
        starts = [place for place, event in enumerate(its) if met(event, asked.steps[0].where)]
        if asked.start is FunnelStart.FIRST:
            starts = starts[:1]
        depths = [_depth(its, start, asked, within_us) for start in starts]
        if depths:
            found[user] = max(depths)
    return found


def _depth(its: Sequence[Event], start: int, asked: Funnel, within_us: int) -> int:
    """Taking each step as early as may be is as good as any other way."""
    depth = 1
    for event in itertools.islice(its, start + 1, None):
        if depth < len(asked.steps) and event.t - its[start].t <= within_us and met(event, asked.steps[depth].where):
            depth += 1
    return depth
