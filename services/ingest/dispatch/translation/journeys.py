"""Anonymous journeys that become part of a known user's: what moves there, and copies of the last session."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

from journeymesh.common.v1 import event_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.intervention.v1 import intervention_pb2

from services.ingest.dispatch.domain.journeys import last_session
from services.ingest.events.domain import own_ids
from services.ingest.events.domain.event import Event

_IDENTIFY = event_pb2.EVENT_TYPE_IDENTIFY


class Departure(NamedTuple):
    """The event that links an anonymous journey to a user, and what moves there."""

    linked: event_pb2.Event
    carried: event_pb2.Carried


def departures(
    linked: Mapping[int, event_pb2.Event],
    applied: features_pb2.ApplyEventsResponse,
    decided: intervention_pb2.DecideInterventionsResponse,
) -> list[Departure]:
    """The linking events of a batch, each with what features and intervention release; links to nobody are left out."""
    rows = {row: event_pb2.Carried() for row, event in linked.items() if not own_ids.is_nobody(event.linked_user_id)}
    for each in applied.carried:
        if each.row in rows:
            rows[each.row].MergeFrom(each.carried)
    for standing in decided.standings:
        if standing.row in rows:
            rows[standing.row].standing = standing.standing
    return [Departure(linked[row], carried) for row, carried in rows.items()]


def arrivals(departure: Departure) -> list[event_pb2.Event]:
    """The event that brings a user what moves; none if nothing does."""
    linked, carried = departure
    if not carried.ByteSize():
        return []
    return [
        event_pb2.Event(
            event_id=own_ids.arrival_id(cast("Event", linked)),
            user_id=linked.linked_user_id,
            anonymous_id=linked.user_id,
            event_type=_IDENTIFY,
            event_time_us=linked.event_time_us,
            received_time_us=linked.received_time_us,
            trace_id=linked.trace_id,
            span_id=linked.span_id,
            is_bot=linked.is_bot,
            bot_evidence=linked.bot_evidence,
            copied_event_id=linked.event_id,
            carried=carried,
        )
    ]


def copies(recent: Iterable[event_pb2.Event], linked: event_pb2.Event) -> list[event_pb2.Event]:
    """The last session of an anonymous journey as events of the user it turned out to be, newest first.

    Newest first, because a late event lengthens a session by at most the gap: in this order each reaches the next. Ids
    are computed, so a copy made twice is one event. Received time and trace are those of the linking event.

    Args:
        recent: the journey's last events, newest in the stream first.
        linked: the event that linked it, which may be among them.
    """
    made = []
    session = last_session(cast("Sequence[Event]", list(recent)), cast("Event", linked))
    for event in cast("list[event_pb2.Event]", session):
        copy = event_pb2.Event()
        copy.CopyFrom(event)
        copy.event_id = own_ids.copied_id(event.event_id, linked.linked_user_id)
        copy.copied_event_id = event.event_id
        copy.user_id, copy.anonymous_id = linked.linked_user_id, linked.user_id
        copy.received_time_us = linked.received_time_us
        copy.trace_id, copy.span_id = linked.trace_id, linked.span_id
        if event.session_id.startswith("s-") and event.session_id.endswith(f"-{event.session_start_us // 1000}"):
            copy.session_id = ""  # computed by features for the anonymous journey
        copy.session_start_us = 0
        made.append(copy)
    return made
