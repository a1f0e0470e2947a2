"""Ids of the events that the mesh makes itself: computed, so that an event made twice is one event."""

import hashlib
from typing import Final

from records.tenants import beside, plain
from services.ingest.events.domain.event import Event, Naming

OWN_ID: Final = "jm:"
"""How the ids of events begin that the mesh makes itself. Of what is sent only its own outcomes and its own changes of
segments may bear one.
"""
SEGMENT_CHANGE_ID: Final = f"{OWN_ID}segment:"
"""How the ids of events begin by which the mesh itself says which segment a customer is in."""
_NOBODY: Final = f"{OWN_ID}nobody:"


def link_id(event: Naming) -> str:
    """The id of the event that links an anonymous journey to a user, by the event it follows from."""
    return beside(event.event_id, f"{OWN_ID}link:{_hash(event.anonymous_id, event.user_id, event.event_id)}")


def segment_change_id(user_id: str, fitted_ms: int) -> str:
    """The id of the event that says which segment a customer is in by the fit of a time, in milliseconds since 1970."""
    return beside(user_id, f"{SEGMENT_CHANGE_ID}{fitted_ms}:{_hash(user_id)}")


def is_nobody(user_id: str) -> bool:
    """Whether a linking event names nobody: it ends the anonymous journey, and nothing moves."""
    return plain(user_id).startswith(_NOBODY)


def leave_id(event: Naming) -> str:
    """The id of the event that ends an anonymous journey which becomes nobody's."""
    return beside(event.event_id, f"{OWN_ID}leave:{_hash(event.anonymous_id, event.user_id, event.event_id)}")


def nobody(event: Naming) -> str:
    """The user such a journey is linked to: a nobody of its own."""
    return beside(event.event_id, f"{_NOBODY}{_hash(event.anonymous_id, event.user_id, event.event_id)}")


def arrival_id(linked: Event) -> str:
    """The id of the event that brings what moves to the user of a linking event."""
    return beside(linked.event_id, f"{OWN_ID}arrival:{_hash(linked.event_id)}")


def copied_id(event_id: str, user_id: str) -> str:
    """The id of the copy of an event in a user's journey."""
    return beside(event_id, f"{OWN_ID}copy:{_hash(event_id, user_id)}")


def _hash(*parts: str) -> str:
    content = b"".join(len(part).to_bytes(4, "big") + part.encode() for part in parts)
    return hashlib.blake2b(content, digest_size=12).hexdigest()
