"""The user's last events, whole, kept so that each is written about once.

The newest few are stored with the state, as the tail. A full tail becomes a segment under a key of its own, one of five
that are used in turn. The key and the events in a segment follow from the number of the event alone; so a batch that is
applied again writes the same segments again.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import msgspec

KEPT_EVENTS = 20
SEGMENT_EVENTS = 4
SEGMENT_SLOTS = KEPT_EVENTS // SEGMENT_EVENTS


class Kept(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An event and the start of the session it belongs to, Unix microseconds."""

    session_start_us: int
    whole: bytes


class Segment(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Events number `number * 4` to `number * 4 + 3` of a user, oldest first."""

    number: int
    events: list[Kept]

    @property
    def slot(self) -> int:
        """Which of the user's five keys it is stored under."""
        return self.number % SEGMENT_SLOTS


def cut(tail: list[Kept], event_count: int) -> list[Segment]:
    """Takes full segments from a tail that ends with the user's event number `event_count`, counted from 1.

    The rest stays in the tail. Of several segments for one slot only the newest is returned.
    """
    full = len(tail) - event_count % SEGMENT_EVENTS
    if full <= 0:
        return []
    newest, ends = event_count // SEGMENT_EVENTS - 1, range(full, 0, -SEGMENT_EVENTS)[:SEGMENT_SLOTS]
    segments = [Segment(newest - age, tail[max(0, end - SEGMENT_EVENTS) : end]) for age, end in enumerate(ends)]
    del tail[:full]
    return segments


def newest_first(tail: Sequence[Kept], event_count: int, slots: Iterable[Segment | None]) -> Iterator[Kept]:
    """The user's events, newest first, at least 20 if there were so many; the slots may come in any order."""
    yield from reversed(tail)
    segments = {segment.number: segment for segment in slots if segment}
    newest = event_count // SEGMENT_EVENTS - 1
    for number in range(newest, newest - SEGMENT_SLOTS, -1):
        # A slot may hold a segment of a batch whose state is being derived again; it is not one of these.
        if number in segments:
            yield from reversed(segments[number].events)


def session_starts(events: Iterable[Kept], gap_us: int) -> list[int]:
    """The start of each event's session as it is known by now, in the order of the events.

    A late event moves the start of its session back, but not in what was kept before it. It moves it by at most the
    gap, and two sessions begin further apart than that: so starts that follow on one another within the gap are one.
    What belongs to no session has the start 0.
    """
    starts_us = [event.session_start_us for event in events]
    first = {start_us: start_us for start_us in sorted(starts_us)}
    for before_us, start_us in itertools.pairwise(first):
        if start_us - before_us <= gap_us:
            first[start_us] = first[before_us]
    return [first[start_us] for start_us in starts_us]
