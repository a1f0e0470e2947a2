"""Which part of an anonymous journey becomes the known user's. Pure."""

import itertools
from collections.abc import Sequence
from typing import Final

from services.ingest.events.domain.event import Event, Kind

SESSION_GAP_US: Final = 30 * 60 * 1_000_000
"""As in features: a session ends after this long without an event."""
MOST_COPIES: Final = 20
_NOT_COPIED: Final = frozenset({Kind.IDENTIFY, Kind.INTERVENTION_OUTCOME, Kind.SEGMENT_CHANGE})


def last_session(events: Sequence[Event], linked: Event) -> list[Event]:
    """The events of a journey that move along with its linking event: at most 20, the latest first.

    They are the session that was open at the link. What happened before an earlier link of the journey is another
    person's, even if it arrived later; what follows the link on the stream is not part of it. Empty if the link lies
    more than the gap after the latest of them, or is no longer among the events.

    Args:
        events: the journey's events, newest on the stream first.
        linked: the event that links it.
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
    return session[:MOST_COPIES]
