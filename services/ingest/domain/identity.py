"""Who an anonymous journey turns out to be, and what of it becomes part of the known user's. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from services.ingest.domain.event import Event
from services.ingest.domain.validation import EVENT_ID_LENGTH, Kind

SESSION_GAP_US: Final = 30 * 60 * 1_000_000
"""As in features: a session ends after this long without an event."""
COPIES_MOST: Final = 20
_NOT_COPIED: Final = frozenset({Kind.IDENTIFY, Kind.INTERVENTION_OUTCOME})


def link_id(anonymous_id: str, user_id: str) -> str:
    """The id of the event that links an anonymous journey to a user: the same for the same two."""
    return f"link-{_hash(anonymous_id, user_id)}"


def copied_id(event_id: str, user_id: str) -> str:
    """The id of the copy of an event in a user's journey: the same for the same two, and within what an id may hold."""
    told = f"{event_id}~{_hash(user_id)}"
    return told if len(told) <= EVENT_ID_LENGTH else f"~{_hash(event_id, user_id)}"


def linking(event: Event) -> Event:
    """The event that ends the anonymous journey of an event with both ids: of its kind of message, times and trace."""
    made = type(event)()
    made.event_id = link_id(event.anonymous_id, event.user_id)
    made.user_id = made.anonymous_id = event.anonymous_id
    made.linked_user_id = event.user_id
    made.event_type = Kind.IDENTIFY
    made.event_time_us, made.client_time_us = event.event_time_us, event.client_time_us
    made.received_time_us = event.received_time_us
    made.trace_id, made.span_id = event.trace_id, event.span_id
    made.platform, made.device_class = event.platform, event.device_class
    made.is_bot, made.bot_evidence = event.is_bot, event.bot_evidence
    return made


def anonymous_ids(events: Iterable[Event]) -> list[str]:
    """The anonymous ids that events bear, each once."""
    return list(dict.fromkeys(event.anonymous_id for event in events if event.anonymous_id))


class Identification:
    """Tells of events, in their order, whose journey they belong to. The latest link of an anonymous id counts."""

    def __init__(self, links: dict[str, str]) -> None:
        """Begins with who the anonymous ids were linked to before."""
        self._links = links
        self.new_links: dict[str, str] = {}
        """What was learnt: users by anonymous id."""

    def user(self, event: Event) -> str:
        """The user an event belongs to: where it names none, whom its anonymous id is linked to."""
        if event.anonymous_id and event.user_id == event.anonymous_id:
            return self._links.get(event.anonymous_id, event.user_id)
        return event.user_id

    def is_link(self, event: Event) -> bool:
        """Whether an event names a user that its anonymous id was not linked to; it is from now on."""
        anonymous_id, user_id = event.anonymous_id, event.user_id
        if not anonymous_id or anonymous_id == user_id or self._links.get(anonymous_id) == user_id:
            return False
        self._links[anonymous_id] = self.new_links[anonymous_id] = user_id
        return True


def last_session(events: Sequence[Event], until_us: int) -> list[Event]:
    """Of a journey's events those of the session that was open at a moment: newest first, at most 20.

    Empty where the moment lies more than the gap after the latest of them.
    """
    session: list[Event] = []
    for event in sorted(events, key=lambda event: event.event_time_us, reverse=True):
        if until_us - event.event_time_us > SESSION_GAP_US:
            break
        until_us = min(until_us, event.event_time_us)
        if event.event_type not in _NOT_COPIED:
            session.append(event)
    return session[:COPIES_MOST]


def _hash(*parts: str) -> str:
    told = b"".join(len(part).to_bytes(4, "big") + part.encode() for part in parts)
    return hashlib.blake2b(told, digest_size=12).hexdigest()
