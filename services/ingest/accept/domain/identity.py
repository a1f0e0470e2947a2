"""Who an anonymous journey turns out to be, and what of it becomes part of the known user's. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from services.ingest.accept.domain import holders
from services.ingest.accept.domain.holders import How, Span
from services.ingest.events.domain import own_ids
from services.ingest.events.domain.event import Event, Kind, Naming, Table

LINKS_AT_ONCE: Final = 5
"""So many users an anonymous id is linked to at once; then to one more a minute. More is no shared device."""
LINK_PERIOD_US: Final = 60 * 1_000_000
_LINKING_MOST: Final = 100_000


def linking(event: Event) -> Event:
    """The event that ends the anonymous journey of an event with both ids: of its kind of message, times and trace."""
    made = type(event)()
    made.event_id = own_ids.link_id(event)
    made.user_id = made.anonymous_id = event.anonymous_id
    made.linked_user_id = event.user_id
    made.event_type = Kind.IDENTIFY
    made.event_time_us, made.client_time_us = event.event_time_us, event.client_time_us
    made.received_time_us = event.received_time_us
    made.trace_id, made.span_id = event.trace_id, event.span_id
    made.platform, made.device_class = event.platform, event.device_class
    made.is_bot, made.bot_evidence = event.is_bot, event.bot_evidence
    return made


def leaving(event: Event) -> Event:
    """The event that ends an anonymous journey which becomes nobody's: as `linking`, to a user of its own."""
    made = linking(event)
    made.event_id, made.linked_user_id = own_ids.leave_id(event), own_ids.nobody(event)
    return made


Ending = Callable[[Event], Event]
"""Makes of an event with an anonymous id the event that ends its anonymous journey: `linking` or `leaving`."""


def parts(events: list[Event], endings: Sequence[tuple[int, Ending]]) -> list[list[Event]]:
    """Events as they are appended, part by part: each directly followed by those that end its anonymous journey.

    A journey that goes on behind its end does so in the next part, so that a batch of the stream can end between them.
    Each journey keeps its order; there are as many parts as one of them needs, however many there are.

    Args:
        events: in their order.
        endings: ascending by the index of the event that ends it.
    """
    if not endings:
        return [events]
    woven: list[Event] = []
    begun = 0
    for index, end in endings:
        woven += (*events[begun : index + 1], end(events[index]))
        begun = index + 1
    made: list[list[Event]] = [[]]
    ended: set[str] = set()
    part_of: dict[str, int] = {}
    for event in (*woven, *events[begun:]):
        user_id = event.user_id
        part = part_of.get(user_id, 0)
        if user_id in ended:
            ended.remove(user_id)
            part = part_of[user_id] = part + 1
        if part == len(made):
            made.append([])
        made[part].append(event)
        if event.linked_user_id:
            ended.add(user_id)
    return made


def anonymous_ids(table: Table) -> list[str]:
    """The anonymous ids that events bear, each once."""
    return [*filter(None, dict.fromkeys(table.anonymous_id))] if table.has("anonymous_id") else []


def unlinked_users(table: Table, links: Mapping[str, str]) -> list[str]:
    """The users that events name beside an anonymous id that is not linked to them now, each once."""
    pairs = dict.fromkeys(zip(table.anonymous_id, table.user_id, strict=True))
    return list(dict.fromkeys(user_id for anonymous_id, user_id in pairs if _is_another(anonymous_id, user_id, links)))


def in_time(events: Sequence[Naming], links: dict[str, str]) -> list[int]:
    """The indexes of events in the order they are taken in.

    Events of an anonymous id that changes hands among them are in the order they happened, at the places they had
    together: a queue is not always sent in order. All others stay where they are.
    """
    order = list(range(len(events)))
    changing = {
        event.anonymous_id
        for event in events
        if event.anonymous_id
        and (event.event_type == Kind.SESSION_END or _is_another(event.anonymous_id, event.user_id, links))
    }
    if changing:
        places = [index for index in order if events[index].anonymous_id in changing]
        for place, index in zip(places, sorted(places, key=lambda each: events[each].event_time_us), strict=True):
            order[place] = index
    return order


def _is_another(anonymous_id: str, user_id: str, links: Mapping[str, str]) -> bool:
    return anonymous_id not in ("", user_id) and holders.holder(links.get(anonymous_id, "")) != user_id


class Linking:
    """Limits how often one anonymous id is linked, per process: the generic cell rate algorithm (see `rate_limit`)."""

    def __init__(self) -> None:
        self._due_us: dict[str, int] = {}

    def may(self, anonymous_id: str, now_us: int) -> bool:
        """Takes in one more end of a journey, mostly a link; false where there were too many. Time is monotonic."""
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
    """Decides whose journey events belong to: that of who had the device when they happened.

    A link or a log-out counts from its own time on. One that lies before the latest that is known takes the device from
    nobody who has it now.
    """

    def __init__(self, links: dict[str, str], may: Callable[[str], bool] = lambda _: True) -> None:
        """Begins with what is kept of the anonymous ids and of the users to be linked.

        Args:
            links: by anonymous id, as `holders` writes it.
            may: whether the journey of an anonymous id may be ended once more.
        """
        self._links = links
        self._known: dict[str, holders.Spans] = {}
        self._may = may
        self.new_links: dict[str, str] = {}
        """What was learnt, in the form of `links`."""
        self.linking_event_ids: set[str] = set()
        """The ids of the events it was learnt from."""

    def user(self, event: Naming) -> str:
        """The user an event belongs to: where it names none, who had its device then."""
        anonymous_id = event.anonymous_id
        if anonymous_id and event.user_id == anonymous_id:
            return holders.owner(self._spans(anonymous_id), event.event_time_us) or anonymous_id
        return event.user_id

    def hear(self, event: Naming) -> Sequence[Ending] | None:
        """Learns what an event says of its anonymous id; its user is `user` by now.

        Returns what ends the anonymous journey, in its order; None where a link is refused. From then on the id is
        nobody's, and what is done with it becomes nobody else's either; only in a loop it stays whose it is.
        """
        if event.event_type == Kind.SESSION_END:
            return self._leave(event)
        anonymous_id, user_id, time_us = event.anonymous_id, event.user_id, event.event_time_us
        spans = self._spans(anonymous_id)
        if anonymous_id == user_id or holders.owner(spans, time_us) == user_id:
            return ()
        if self._is_loop(event):
            return None
        is_late = holders.is_late(spans, time_us)
        refused = spans[0] if spans and spans[0].how == How.REFUSED and not is_late else None
        is_alone = refused is None or refused.user_id == user_id
        if not self._may(anonymous_id):
            since_us = refused.from_us if refused else time_us
            self._keep(event, Span(since_us, How.REFUSED, user_id if is_alone else ""), spans[1:] if refused else spans)
            return None
        self._keep(event, Span(time_us, How.LINKED, user_id), spans)
        if is_late:
            return ()
        return (linking,) if is_alone else (leaving, linking)

    def _leave(self, event: Naming) -> Sequence[Ending]:
        """Lets a user who logs out go: what the device does from then on is not theirs, what it did nobody else's."""
        anonymous_id, user_id, time_us = event.anonymous_id, event.user_id, event.event_time_us
        spans = self._spans(anonymous_id)
        span = holders.at(spans, time_us)
        is_held = span is not None and span.how == How.LINKED
        is_refused = span is not None and span.how == How.REFUSED
        if is_held and span is not None and span.user_id != user_id:
            return ()
        if not is_held and not is_refused and user_id in (anonymous_id, holders.owner(spans, time_us)):
            # The end of a session of somebody who was not logged in.
            return ()
        is_journey = not is_held and not holders.is_late(spans, time_us)
        if is_journey and not self._may(anonymous_id):
            self._keep(event, Span(time_us, How.REFUSED), spans)
            return ()
        self._keep(event, Span(time_us, How.LEFT), spans)
        return (leaving,) if is_journey else ()

    def _is_loop(self, event: Naming) -> bool:
        """Whether the user was itself linked to the anonymous id, by however many steps.

        Otherwise two ids that each claim to be the other would swap places.
        """
        return event.anonymous_id in self._followed(event.user_id)

    def _followed(self, user_id: str) -> set[str]:
        """Whom a user was linked to, step by step, as far as it is known here."""
        followed: set[str] = set()
        while user_id in self._links and user_id not in followed:
            followed.add(user_id)
            user_id = holders.holder(self._links[user_id])
        return followed | {user_id}

    def _spans(self, anonymous_id: str) -> holders.Spans:
        spans = self._known.get(anonymous_id)
        if spans is None:
            link = self._links.get(anonymous_id)
            spans = self._known[anonymous_id] = holders.read(link, anonymous_id) if link else []
        return spans

    def _keep(self, event: Naming, span: Span, spans: holders.Spans) -> None:
        """Keeps a span among others."""
        anonymous_id = event.anonymous_id
        made = holders.inserted(spans, span)
        if made != self._known[anonymous_id]:
            self._known[anonymous_id] = made
            self._links[anonymous_id] = self.new_links[anonymous_id] = holders.written(made, anonymous_id)
            self.linking_event_ids.add(event.event_id)
