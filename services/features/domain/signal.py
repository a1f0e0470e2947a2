"""A sign of struggle: its kinds, what it says, and how detectors keep and read the events behind it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.features.domain.event import NAME_LIMIT, Event
from services.features.domain.state import SECOND_US, State, Trace

DETECTOR_VERSION = "struggle-3"
"""Changes whenever a detector finds other things than before."""
EVIDENCE_LIMIT = 10
SHOWN_NAME_LIMIT = 80
"""Characters of a name in a reason."""
TRACE_LIMIT = 10


class SignalType:
    """What kind of struggle. The numbers are those of the wire contract."""

    REPEATED_FAILURES: Final = 1
    LONG_TIME_ON_PAGE: Final = 2
    RAPID_NAVIGATION: Final = 3
    REPEATED_RECALCULATION: Final = 4
    FORM_ABANDONMENT: Final = 5
    PAGE_REFRESHES: Final = 6
    QUICK_BACKS: Final = 7
    RAGE_CLICKS: Final = 8
    DEAD_CLICK: Final = 9
    ERROR_CLICK: Final = 10
    ENGAGEMENT_DROP: Final = 11
    FORM_ERRORS: Final = 12
    HELP_SEEKING: Final = 13


class Signal(msgspec.Struct, frozen=True, gc=False):
    """One sign of struggle, found at the event that completed or raised it."""

    type: int
    """One of `SignalType`."""
    strength: float
    """0 to 100."""
    reason: str
    """A sentence for a support lead."""
    evidence_event_ids: Sequence[str]
    """In time order, the newest 10."""
    at_us: int
    """When it was found: the time of that event."""
    target: str = ""
    detector_version: str = DETECTOR_VERSION
    page: str = ""
    """Where it was found; may be empty."""
    since_us: int = 0
    """A success at its place at this time or later ends it."""
    run_start_us: int = 0
    """Start of the run it reports; it replaces the earlier signal of its type and run, and those of the run's single
    clicks. 0: it stands for itself."""


def signal(
    kind: int,
    strength: float,
    reason: str,
    event: Event,
    *,
    evidence: Sequence[str],
    target: str = "",
    page: str = "",
) -> Signal:
    """A signal found at `event`, on the page reported or else on the event's."""
    return Signal(
        kind,
        min(100.0, strength),
        reason,
        evidence[-EVIDENCE_LIMIT:],
        event.at_us,
        target[:NAME_LIMIT],
        DETECTOR_VERSION,
        (page or event.page)[:NAME_LIMIT],
        event.at_us,
    )


def repetition(share: float, count: int) -> float:
    """Strength of something that happened `count` times, each time leaving a share of the doubt."""
    return 100.0 * (1.0 - share**count)


def remember(
    state: State, kind: int, event: Event, span_us: int, *, page: str, target: str, count: int = 1
) -> list[Trace]:
    """Keeps an event for a detector and answers with what it has within `span_us`, in time order, the newest 10.

    An event that is itself older than that is not kept.
    """
    since_us = state.last_us - span_us
    traces = state.traces.get(kind)
    if traces is None:
        traces = state.traces[kind] = []
    elif traces and traces[0].at_us <= since_us:
        traces[:] = [trace for trace in traces if trace.at_us > since_us]
    if event.at_us > since_us:
        traces.append(Trace(event.at_us, event.event_id, page[:NAME_LIMIT], target[:NAME_LIMIT], event.kind, count))
        if is_late(state, event):
            traces.sort(key=_time)
        if len(traces) > TRACE_LIMIT:
            del traces[0]
    return traces


def ids(traces: Sequence[Trace]) -> list[str]:
    """The ids of kept events, in their order."""
    return [trace.event_id for trace in traces]


def place_text(name: str, preposition: str = "on") -> str:
    """` on /calculator`, or nothing where there is no name; of a long one its beginning."""
    shown = name if len(name) <= SHOWN_NAME_LIMIT else f"{name[: SHOWN_NAME_LIMIT - 1]}…"
    return f" {preposition} {shown}" if name else ""


def counted(count: int, singular: str, plural: str) -> str:
    """A number with its noun: `1 failed attempt`, `3 failed attempts`; nothing where there is none."""
    return f"{count} {singular if count == 1 else plural}" if count else ""


def is_coarse(one_us: int, other_us: int) -> bool:
    """Whether two times are the same whole second: that of a clock that reports no less, so that they may be apart."""
    return one_us == other_us and one_us % SECOND_US == 0


def at_least(traces: Sequence[Trace]) -> str:
    """What is said before a number of kept events where there may have been more: only the newest 10 are kept."""
    return "at least " if len(traces) >= TRACE_LIMIT else ""


def is_late(state: State, event: Event) -> bool:
    """Whether the event is older than what was seen of the user. `state.last_us` must know of it already."""
    return event.at_us < state.last_us


def _time(trace: Trace) -> int:
    return trace.at_us
