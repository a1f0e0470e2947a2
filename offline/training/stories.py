"""Short journeys of users as the service sees them, at an event and mostly new; the model card lists their scores."""

from collections.abc import Sequence
from typing import Final

from offline.training.watching import Watch
from services.features.domain.event import Event, Kind
from services.features.domain.state import DAY_US, SECOND_US

_START_US: Final = 1_767_348_000 * SECOND_US
_DAY_S: Final = DAY_US / SECOND_US

Step = tuple[float, int, str]
"""Seconds from the start, kind, page."""


def _session(start_s: float, page_count: int) -> list[Step]:
    """A calm session: pages half a minute apart, a success on every second one."""
    steps: list[Step] = []
    for index in range(page_count):
        steps.append((start_s + 30.0 * index, Kind.PAGE_VIEW, f"/page-{index}"))
        if index % 2:
            steps.append((start_s + 30.0 * index + 15.0, Kind.TASK_SUCCESS, f"/page-{index}"))
    return steps


STORIES: Final[dict[str, list[Step]]] = {
    "first page view ever": _session(0.0, 1),
    "first visit, 90 seconds, a success": _session(0.0, 4),
    "first visit, 10 minutes, 10 successes": _session(0.0, 20),
    "pages only, no success, first hour": [(300.0 * i, Kind.PAGE_VIEW, f"/page-{i}") for i in range(12)],
    "first visit, three failed attempts": [
        (0.0, Kind.PAGE_VIEW, "/calculator"),
        (15.0, Kind.FEATURE_INTERACTION, "/calculator"),
        (30.0, Kind.STRUGGLE_SIGNAL, "/calculator"),
    ],
    "back on the next day": [*_session(0.0, 6), *_session(_DAY_S, 3)],
    "every second day for four weeks": [step for day in range(0, 28, 2) for step in _session(day * _DAY_S, 6)],
    "every second day, never a success": [(day * _DAY_S, Kind.PAGE_VIEW, f"/{day % 9}") for day in range(0, 60, 2)],
    "back after 60 days": [*_session(0.0, 6), (60.0 * _DAY_S, Kind.PAGE_VIEW, "/page-0")],
}


def values_after(steps: Sequence[Step]) -> list[float]:
    """The features, then history, at the last event of a story."""
    watch = Watch()
    for index, (seconds, kind, page) in enumerate(steps):
        event = Event(f"e-{index}", kind, _START_US + round(seconds * SECOND_US), page, attempt_count=3)
        watch.take(event)
    return watch.seen(watch.state.last_us).values
