"""Who an anonymous journey turns out to be, and what of it becomes part of the known user's. Pure."""

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Final

from services.ingest.domain.event import Event, Kind
from services.ingest.domain.validation import OWN_ID

SESSION_GAP_US: Final = 30 * 60 * 1_000_000
"""As in features: a session ends after this long without an event."""
COPIES_MOST: Final = 20
LINKS_AT_ONCE: Final = 5
"""So many users an anonymous id is linked to at once; then to one more a minute. More is no shared device."""
LINK_PERIOD_US: Final = 60 * 1_000_000
_LINKING_MOST: Final = 100_000
_NOT_COPIED: Final = frozenset({Kind.IDENTIFY, Kind.INTERVENTION_OUTCOME})


def link_id(event: Event) -> str:
    """The id of the event that links an anonymous journey to a user: the same for the same event that told it."""
    return f"{OWN_ID}link:{_hash(event.anonymous_id, event.user_id, event.event_id)}"


def arrival_id(linked: Event) -> str:
    """The id of the event that brings to a user what moves there with a linking event."""
    return f"{OWN_ID}arrival:{_hash(linked.event_id)}"


def copied_id(event_id: str, user_id: str) -> str:
    """The id of the copy of an event in a user's journey: the same for the same two."""
    return f"{OWN_ID}copy:{_hash(event_id, user_id)}"


def linking(event: Event) -> Event:
    """The event that ends the anonymous journey of an event with both ids: of its kind of message, times and trace."""
    made = type(event)()
    made.event_id = link_id(event)
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


def unlinked_users(events: Iterable[Event], links: dict[str, str]) -> list[str]:
    """The users that events name beside an anonymous id that is not linked to them, each once."""
    return list(
        dict.fromkeys(
            event.user_id
            for event in events
            if event.anonymous_id not in ("", event.user_id) and links.get(event.anonymous_id) != event.user_id
        )
    )


class Linking:
    """How fast anonymous ids are linked to users in one process, by the generic cell rate algorithm (see `flood`)."""

    def __init__(self) -> None:
        self._due_us: dict[str, int] = {}

    def may(self, anonymous_id: str, now_us: int) -> bool:
        """Takes in one more link of an anonymous id; false where there were too many. Time is monotonic."""
        due_us = max(self._due_us.get(anonymous_id, 0), now_us)
        if due_us - now_us > LINK_PERIOD_US * (LINKS_AT_ONCE - 1):
            return False
        if len(self._due_us) >= _LINKING_MOST:
            self._due_us = {each: due for each, due in self._due_us.items() if due > now_us}
            if len(self._due_us) >= _LINKING_MOST:
                self._due_us.clear()
        self._due_us[anonymous_id] = due_us + LINK_PERIOD_US
        return True


class Identification:
    """Tells of events, in their order, whose journey they belong to. The latest link of an anonymous id counts."""

    def __init__(self, links: dict[str, str]) -> None:
        """Begins with who the anonymous ids, and the users to be linked, were linked to before."""
        self._links = links
        self.new_links: dict[str, str] = {}
        """What was learnt: users by anonymous id; itself where it is nobody's any more."""

    def user(self, event: Event) -> str:
        """The user an event belongs to: where it names none, whom its anonymous id is linked to."""
        if event.anonymous_id and event.user_id == event.anonymous_id:
            return self._links.get(event.anonymous_id, event.user_id)
        return event.user_id

    def is_new(self, event: Event) -> bool:
        """Whether an event names a user that its anonymous id is not linked to."""
        return self._links.get(event.anonymous_id) != event.user_id

    def is_loop(self, event: Event) -> bool:
        """Whether the user was itself linked to the anonymous id, by however many steps.

        Two ids that are told to be each other's would else change places.
        """
        return event.anonymous_id in self._followed(event.user_id)

    def link(self, event: Event) -> None:
        """Links the event's anonymous id to its user from now on."""
        self._links[event.anonymous_id] = self.new_links[event.anonymous_id] = event.user_id

    def leave(self, event: Event) -> None:
        """Lets a user who logs out go: what the device does from now on is not theirs."""
        anonymous_id = event.anonymous_id
        if anonymous_id != event.user_id and self._links.get(anonymous_id) == event.user_id:
            self._links[anonymous_id] = self.new_links[anonymous_id] = anonymous_id

    def _followed(self, user_id: str) -> set[str]:
        """Whom a user was linked to, step by step, as far as it is known here."""
        followed: set[str] = set()
        while user_id in self._links and user_id not in followed:
            followed.add(user_id)
            user_id = self._links[user_id]
        return followed | {user_id}


def last_session(events: Sequence[Event], linked: Event) -> list[Event]:
    """Of a journey's events, newest in the stream first, those that go along with its linking event: at most 20.

    They are those of the session that was open then, the latest first. What was done before the journey was linked once
    before is another person's, and what stands behind the link is none of it. Empty where the link lies more than the
    gap after the latest of them, or is no longer among the events.
    """
    before = itertools.dropwhile(lambda event: event.event_id != linked.event_id, events)
    own = list(itertools.takewhile(lambda event: not event.linked_user_id, itertools.islice(before, 1, None)))
    session: list[Event] = []
    until_us = linked.event_time_us
    for event in sorted(own, key=lambda event: event.event_time_us, reverse=True):
        if until_us - event.event_time_us > SESSION_GAP_US:
            break
        until_us = min(until_us, event.event_time_us)
        if event.event_type not in _NOT_COPIED:
            session.append(event)
    return session[:COPIES_MOST]


def _hash(*parts: str) -> str:
    told = b"".join(len(part).to_bytes(4, "big") + part.encode() for part in parts)
    return hashlib.blake2b(told, digest_size=12).hexdigest()
