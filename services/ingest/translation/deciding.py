"""What scoring and intervention are asked about a batch."""

import operator
from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from journeymesh.common.v1 import event_pb2, position_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2

from services.ingest.translation.groups import Groups
from services.ingest.translation.messages import Rows

_OUTCOME: Final = event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME
_PURCHASE: Final = event_pb2.EVENT_TYPE_PURCHASE
_IDENTIFY: Final = event_pb2.EVENT_TYPE_IDENTIFY
_SPECIAL: Final = frozenset({_OUTCOME, _PURCHASE, _IDENTIFY})


class _Columns(NamedTuple):
    """What is told of every event, column by column."""

    received_us: Sequence[int]
    event_us: Sequence[int]
    trace_ids: Sequence[bytes]
    span_ids: Sequence[bytes]
    targets: Sequence[str]
    kinds: Sequence[event_pb2.EventType.ValueType]
    bots: Sequence[bool]
    copied: Sequence[str]
    systems: Sequence[bool]


# All of an event at once costs two thirds of one column after the other.
_COLUMNS: Final = operator.attrgetter(
    "received_time_us",
    "event_time_us",
    "trace_id",
    "span_id",
    "target",
    "event_type",
    "is_bot",
    "copied_event_id",
    "is_system",
)
_OF_DECISIONS: Final = operator.attrgetter("event_id", "page")


class _Told(msgspec.Struct, rename="camel", frozen=True):
    email: Annotated[str, msgspec.Meta(max_length=254)] = ""
    push_target: Annotated[str, msgspec.Meta(max_length=256)] = ""


_UNTOLD: Final = _Told()
_decode_contact: Final = msgspec.json.Decoder(_Told).decode
_row: Final = operator.attrgetter("row")


class Vectors(NamedTuple):
    """For each group its feature values, one group after the other, and its user's time zone as last known."""

    values: Sequence[float]
    time_zones: Sequence[str]


def vectors_of(rows: Rows, groups: Groups, applied: features_pb2.ApplyEventsResponse) -> Vectors:
    """What features answers, by groups. It does so by the last rows of groups; of the version before, by all rows."""
    width, count = applied.feature_count, len(groups.last)
    answered = range(len(rows.events)) if len(applied.values) > count * width else sorted(groups.last)
    if list(answered) == groups.last:
        return Vectors(applied.values, _time_zones(rows, groups, applied, range(count)))
    place = {row: number for number, row in enumerate(answered)}
    places = [place[row] for row in groups.last]
    every = list(applied.values)
    values = [value for at in places for value in every[at * width : (at + 1) * width]]
    return Vectors(values, _time_zones(rows, groups, applied, places))


def _time_zones(
    rows: Rows, groups: Groups, applied: features_pb2.ApplyEventsResponse, places: Sequence[int]
) -> Sequence[str]:
    """For each group, the user's zone as last known; that of the event where features tells none."""
    if not applied.time_zones:
        return [rows.events[row].time_zone for row in groups.last]
    names, zones = ("", *applied.time_zone_names), list(applied.time_zones)
    return [names[zones[at]] for at in places]


def assess_request(
    position: position_pb2.BatchPosition,
    rows: Rows,
    groups: Groups,
    applied: features_pb2.ApplyEventsResponse,
    vectors: Vectors,
) -> scoring_pb2.AssessUsersRequest:
    """What scoring is asked about a batch: one row a group, with all that was found of it."""
    request = scoring_pb2.AssessUsersRequest(
        position=position,
        user_ids=groups.user_ids,
        event_times_us=[rows.events[row].event_time_us for row in groups.deciding],
        values=vectors.values,
        feature_schema_version=applied.feature_schema_version,
        signals=applied.signals,
        settled=applied.settled,
    )
    if not groups.are_single:
        request.event_counts.extend(groups.sizes)
        for told in (request.signals, request.settled):
            for each in told:
                each.row = groups.of_rows[each.row]
            told.sort(key=_row)
    return request


def decide_request(
    position: position_pb2.BatchPosition,
    rows: Rows,
    groups: Groups,
    applied: features_pb2.ApplyEventsResponse,
    vectors: Vectors,
    assessed: scoring_pb2.AssessUsersResponse,
) -> intervention_pb2.DecideInterventionsRequest:
    """What intervention is asked about a batch once it is assessed."""
    events, width = rows.events, applied.feature_count
    told = _Columns(*zip(*map(_COLUMNS, events), strict=True))
    event_ids, pages = zip(*[_OF_DECISIONS(events[row]) for row in groups.deciding], strict=True)
    special = [(row, kind, events[row]) for row, kind in enumerate(told.kinds) if kind in _SPECIAL]
    copied = [row for row, event_id in enumerate(told.copied) if event_id] if any(told.copied) else []
    settled = {groups.deciding[groups.of_rows[each.row]] for each in applied.settled if not told.copied[each.row]}
    return intervention_pb2.DecideInterventionsRequest(
        position=position,
        record_indexes=rows.record_indexes,
        event_indexes=rows.event_indexes,
        decided_rows=() if groups.are_single else groups.deciding,
        decisions=() if groups.are_single else groups.of_rows,
        user_ids=groups.user_ids,
        event_ids=event_ids,
        received_times_us=told.received_us,
        trace_ids=told.trace_ids,
        span_ids=told.span_ids,
        pages=pages,
        assessments=assessed.assessments,
        model_version=assessed.model_version,
        rules_version=assessed.rules_version,
        outcomes=[
            intervention_pb2.OutcomeRow(row=row, outcome=event.outcome)
            for row, kind, event in special
            if kind == _OUTCOME
        ],
        time_zones=vectors.time_zones,
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
            intervention_pb2.FeatureRow(row=row, values=vectors.values[number * width : (number + 1) * width])
            for number, (row, assessment) in enumerate(zip(groups.deciding, assessed.assessments, strict=True))
            if assessment.level > scoring_pb2.RISK_LEVEL_LOW
        ],
        feature_names=applied.feature_names,
        feature_schema_version=applied.feature_schema_version,
        event_times_us=told.event_us,
        copied_rows=copied,
        settled_rows=sorted(settled),
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


def _contact(event: event_pb2.Event) -> intervention_pb2.Contact | None:
    """Where the user of an identifying event says to be reached; None where it says nothing that could be."""
    try:
        told = _decode_contact(event.properties or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):  # another shape: these names say something else
        return None
    return intervention_pb2.Contact(email=told.email, push_target=told.push_target) if told != _UNTOLD else None
