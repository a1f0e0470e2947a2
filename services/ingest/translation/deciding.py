"""What intervention is asked about a batch."""

from typing import Annotated, Final

import msgspec
from journeymesh.common.v1 import event_pb2, position_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2

from services.ingest.translation.messages import Rows

_OUTCOME: Final = event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME


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
    return intervention_pb2.DecideInterventionsRequest(
        position=position,
        record_indexes=rows.record_indexes,
        event_indexes=rows.event_indexes,
        user_ids=[event.user_id for event in events],
        event_ids=[event.event_id for event in events],
        received_times_us=[event.received_time_us for event in events],
        trace_ids=[event.trace_id for event in events],
        span_ids=[event.span_id for event in events],
        pages=[event.page for event in events],
        assessments=assessed.assessments,
        model_version=assessed.model_version,
        rules_version=assessed.rules_version,
        outcomes=[
            intervention_pb2.OutcomeRow(row=row, outcome=event.outcome)
            for row, event in enumerate(events)
            if event.event_type == _OUTCOME
        ],
        time_zones=_time_zones(rows, applied),
        bot_rows=[row for row, event in enumerate(events) if event.is_bot],
        event_types=[event.event_type for event in events],
        targets=[event.target for event in events],
        purchases=[
            intervention_pb2.PurchaseRow(row=row, purchase=event.purchase)
            for row, event in enumerate(events)
            if event.event_type == event_pb2.EVENT_TYPE_PURCHASE
        ],
        contacts=[
            intervention_pb2.ContactRow(row=row, contact=contact)
            for row, event in enumerate(events)
            if event.event_type == event_pb2.EVENT_TYPE_IDENTIFY and (contact := _contact(event)) is not None
        ],
        features=[
            intervention_pb2.FeatureRow(row=row, values=applied.values[row * width : (row + 1) * width])
            for row, assessment in enumerate(assessed.assessments)
            if assessment.level > scoring_pb2.RISK_LEVEL_LOW
        ],
        feature_names=applied.feature_names,
        feature_schema_version=applied.feature_schema_version,
        event_times_us=[event.event_time_us for event in events],
        copied_rows=[row for row, event in enumerate(events) if event.copied_event_id],
        settled_rows=sorted({settled.row for settled in applied.settled}),
        standings=[
            intervention_pb2.StandingRow(row=row, standing=event.carried.standing)
            for row, event in enumerate(events)
            if event.HasField("carried") and event.carried.standing
        ],
        linked_rows=[
            intervention_pb2.LinkedRow(row=row, user_id=event.linked_user_id)
            for row, event in enumerate(events)
            if event.linked_user_id
        ],
        system_rows=[row for row, event in enumerate(events) if event.is_system],
    )


def _time_zones(rows: Rows, applied: features_pb2.ApplyEventsResponse) -> list[str]:
    """For each row, the user's zone as last known; that of the event where features tells none."""
    if not applied.time_zones:
        return [event.time_zone for event in rows.events]
    names = ("", *applied.time_zone_names)
    return [names[zone] for zone in applied.time_zones]


def _contact(event: event_pb2.Event) -> intervention_pb2.Contact | None:
    """Where the user of an identifying event says to be reached; None where it says nothing that could be."""
    try:
        told = _decode_contact(event.properties or b"{}")
    except msgspec.DecodeError:  # another shape: the event says something else by these names
        return None
    return intervention_pb2.Contact(email=told.email, push_target=told.push_target) if told != _UNTOLD else None
