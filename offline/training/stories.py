"""Short journeys of users as the service sees them, at an event and mostly new; the model card lists their scores."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from offline.training import gate, parity
from offline.training.watching import Seen, Watch
from services.features.domain.event import Event, Kind
from services.features.domain.state import DAY_US, SECOND_US
from services.scoring.domain import rules
from services.scoring.domain.schema import FEATURES, HISTORY

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


ALARM: Final = 75.0
"""The score from which help is offered at once."""
TROUBLE: Final = "first visit, three failed attempts"
STORIES: Final[dict[str, list[Step]]] = {
    "first page view ever": _session(0.0, 1),
    "first visit, 90 seconds, a success": _session(0.0, 4),
    "first visit, 10 minutes, 10 successes": _session(0.0, 20),
    "pages only, no success, first hour": [(300.0 * i, Kind.PAGE_VIEW, f"/page-{i}") for i in range(12)],
    TROUBLE: [
        (0.0, Kind.PAGE_VIEW, "/calculator"),
        (15.0, Kind.FEATURE_INTERACTION, "/calculator"),
        (30.0, Kind.STRUGGLE_SIGNAL, "/calculator"),
    ],
    "back on the next day": [*_session(0.0, 6), *_session(_DAY_S, 3)],
    "every second day for four weeks": [step for day in range(0, 28, 2) for step in _session(day * _DAY_S, 6)],
    "every second day, never a success": [(day * _DAY_S, Kind.PAGE_VIEW, f"/{day % 9}") for day in range(0, 60, 2)],
    "back after 60 days": [*_session(0.0, 6), (60.0 * _DAY_S, Kind.PAGE_VIEW, "/page-0")],
}


class Told(NamedTuple):
    """What a model says of a made-up user: its probability, 0 to 1, and the score with its rules, 0 to 100."""

    probability: float
    score: float


def told(file: bytes, names: Sequence[str], weights: Mapping[str, float]) -> dict[str, Told]:
    """What a model says of each user, by the story.

    Args:
        file: its ONNX file.
        names: the columns that it takes; those that are not known of a user are 0.
        weights: what it learned about the rules; see `services.scoring.domain.rules.weighed`.
    """
    seen = {name: _after(steps) for name, steps in STORIES.items()}
    known = [dict(zip((*FEATURES, *HISTORY), each.values, strict=True)) for each in seen.values()]
    rows = np.array([[each.get(name, 0.0) for name in names] for each in known])
    probabilities, _ = parity.run(file, rows)
    by_rule = np.array([weights.get(name, 1.0) for name in rules.NAMES])
    scores = 100.0 * gate.joined(probabilities, np.array([each.rule_doubts for each in seen.values()]) @ by_rule)
    return {name: Told(*each) for name, *each in zip(seen, probabilities.tolist(), scores.tolist(), strict=True)}


def _after(steps: Sequence[Step]) -> Seen:
    watch = Watch()
    for index, (seconds, kind, page) in enumerate(steps):
        event = Event(f"e-{index}", kind, _START_US + round(seconds * SECOND_US), page, attempt_count=3)
        watch.take(event)
    return watch.seen(watch.state.last_us)
