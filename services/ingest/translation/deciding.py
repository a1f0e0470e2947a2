"""What intervention is asked about a batch."""

import operator
from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from journeymesh.common.v1 import event_pb2, position_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2

from mesh.errors import VersionMismatch
from services.ingest.translation.messages import Rows

_OUTCOME: Final = event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME
_PURCHASE: Final = event_pb2.EVENT_TYPE_PURCHASE
_IDENTIFY: Final = event_pb2.EVENT_TYPE_IDENTIFY
_SPECIAL: Final = frozenset({_OUTCOME, _PURCHASE, _IDENTIFY})


class _Columns(NamedTuple):
    """What is told of every event, column by column."""

    user_ids: Sequence[str]
    event_ids: Sequence[str]
    received_us: Sequence[int]
    event_us: Sequence[int]
    trace_ids: Sequence[bytes]
    span_ids: Sequence[bytes]
    pages: Sequence[str]
    targets: Sequence[str]
    kinds: Sequence[event_pb2.EventType.ValueType]
    bots: Sequence[bool]
    copied: Sequence[str]
    systems: Sequence[bool]


# All of an event at once costs two thirds of one column after the other.
_COLUMNS: Final = operator.attrgetter(
    "user_id",
    "event_id",
    "received_time_us",
    "event_time_us",
    "trace_id",
    "span_id",
    "page",
    "target",
    "event_type",
    "is_bot",
    "copied_event_id",
    "is_system",
)


class _Told(msgspec.Struct, rename="camel", frozen=True):
    email: Annotated[str, msgspec.Meta(max_length=254)] = ""
    push_target: Annotated[str, msgspec.Meta(max_length=256)] = ""


_UNTOLD: Final = _Told()
_decode_contact: Final = msgspec.json.Decoder(_Told).decode


def decide_request(
    position: position_pb2.BatchPosition,
    rows: Rows,
    applied: features_pb2.ApplyEventsResponse,
    assessed: scoring_pb2.AssessUsersResponse,
) -> intervention_pb2.DecideInterventionsRequest:
    """What intervention is asked about a batch once it is assessed."""
    events, width = rows.events, applied.feature_count
    told = _Columns(*zip(*map(_COLUMNS, events), strict=True))
    special = [(row, kind, events[row]) for row, kind in enumerate(told.kinds) if kind in _SPECIAL]
    copied = [row for row, event_id in enumerate(told.copied) if event_id] if any(told.copied) else []
    return intervention_pb2.DecideInterventionsRequest(
        position=position,
        record_indexes=rows.record_indexes,
        event_indexes=rows.event_indexes,
        user_ids=told.user_ids,
        event_ids=told.event_ids,
        received_times_us=told.received_us,
        trace_ids=told.trace_ids,
        span_ids=told.span_ids,
        pages=told.pages,
        assessments=assessed.assessments,
        model_version=assessed.model_version,
        rules_version=assessed.rules_version,
        outcomes=[
            intervention_pb2.OutcomeRow(row=row, outcome=event.outcome)
            for row, kind, event in special
            if kind == _OUTCOME
        ],
        time_zones=_time_zones(rows, applied),
        bot_rows=[row for row, is_bot in enumerate(told.bots) if is_bot] if any(told.bots) else [],
        event_types=told.kinds,
        targets=told.targets,
        purchases=[
            intervention_pb2.PurchaseRow(row=row, purchase=event.purchase)
            for row, kind, event in special
            if kind == _PURCHASE
        ],
        contacts=[
            intervention_pb2.ContactRow(row=row, contact=contact)
            for row, kind, event in special
            if kind == _IDENTIFY and (contact := _contact(event)) is not None
        ],
        features=[
            intervention_pb2.FeatureRow(row=row, values=applied.values[row * width : (row + 1) * width])
            for row, assessment in enumerate(assessed.assessments)
            if assessment.level > scoring_pb2.RISK_LEVEL_LOW
        ],
        feature_names=applied.feature_names,
        feature_schema_version=applied.feature_schema_version,
        event_times_us=told.event_us,
        copied_rows=copied,
        settled_rows=sorted({settled.row for settled in applied.settled}),
        standings=[
            intervention_pb2.StandingRow(row=row, standing=events[row].carried.standing)
            for row in copied
            if events[row].carried.standing
        ],
        linked_rows=[
            intervention_pb2.LinkedRow(row=row, user_id=event.linked_user_id)
            for row, kind, event in special
            if kind == _IDENTIFY and event.linked_user_id
        ],
        system_rows=[row for row, is_system in enumerate(told.systems) if is_system] if any(told.systems) else [],
    )


def _time_zones(rows: Rows, applied: features_pb2.ApplyEventsResponse) -> list[str]:
    """For each row, the user's zone as last known; that of the event where features tells none."""
    if not applied.time_zones:
        return [event.time_zone for event in rows.events]
    names = ("", *applied.time_zone_names)
    if len(applied.time_zones) != len(rows.events) or max(applied.time_zones) >= len(names):
        raise VersionMismatch("The time zones of features do not fit the rows.")
    return [names[zone] for zone in applied.time_zones]


def _contact(event: event_pb2.Event) -> intervention_pb2.Contact | None:
    """Where the user of an identifying event says to be reached; None where it says nothing that could be."""
    try:
        told = _decode_contact(event.properties or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):  # another shape: these names say something else
        return None
    return intervention_pb2.Contact(email=told.email, push_target=told.push_target) if told != _UNTOLD else None
