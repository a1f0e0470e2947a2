"""What of an anonymous journey becomes part of the known user's. Pure."""

import itertools
from collections.abc import Sequence
from typing import Final

from services.ingest.events.domain.event import Event, Kind

SESSION_GAP_US: Final = 30 * 60 * 1_000_000
"""As in features: a session ends after this long without an event."""
COPIES_MOST: Final = 20
_NOT_COPIED: Final = frozenset({Kind.IDENTIFY, Kind.INTERVENTION_OUTCOME})


def last_session(events: Sequence[Event], linked: Event) -> list[Event]:
    """Of a journey's events, newest in the stream first, those that go along with its linking event: at most 20.

    They are those of the session that was open then, the latest first. What was done before the journey ended once
    before is another person's, also where it came later, and what stands behind the link is none of it. Empty where the
    link lies more than the gap after the latest of them, or is no longer among the events.
    """
    before = list(itertools.dropwhile(lambda event: event.event_id != linked.event_id, events))[1:]
    since = next((place for place, event in enumerate(before) if event.linked_user_id), None)
    since_us = before[since].event_time_us if since is not None else 0
    own = [event for event in before[:since] if event.event_time_us >= since_us]
    session: list[Event] = []
    until_us = linked.event_time_us
    for event in sorted(own, key=lambda event: event.event_time_us, reverse=True):
        if until_us - event.event_time_us > SESSION_GAP_US:
            break
        until_us = min(until_us, event.event_time_us)
        if event.event_type not in _NOT_COPIED:
            session.append(event)
    return session[:COPIES_MOST]
