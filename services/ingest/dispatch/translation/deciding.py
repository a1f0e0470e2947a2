"""The requests about a batch to features, scoring and intervention."""

import operator
from collections import Counter
from collections.abc import Sequence, Sized
from typing import Annotated, Final, NamedTuple, TypeVar, cast

import msgspec
from journeymesh.common.v1 import event_pb2, position_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2

from mesh.errors import VersionMismatch
from records.table import Table
from services.ingest.dispatch.translation.groups import Groups
from services.ingest.events.translation.records import Decoded, Rows

_OUTCOME: Final = event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME
_PURCHASE: Final = event_pb2.EVENT_TYPE_PURCHASE
_IDENTIFY: Final = event_pb2.EVENT_TYPE_IDENTIFY
_SEGMENT_CHANGE: Final = event_pb2.EVENT_TYPE_SEGMENT_CHANGE
_SPECIAL: Final = frozenset({_OUTCOME, _PURCHASE, _IDENTIFY, _SEGMENT_CHANGE})


class _ContactProperties(msgspec.Struct, rename="camel", frozen=True):
    email: Annotated[str, msgspec.Meta(max_length=254)] = ""
    push_target: Annotated[str, msgspec.Meta(max_length=256)] = ""


_NO_CONTACT: Final = _ContactProperties()
_decode_contact: Final = msgspec.json.Decoder(_ContactProperties).decode
_Cell = TypeVar("_Cell")
_row: Final = operator.attrgetter("row")


class Vectors(NamedTuple):
    """For each group its feature values, one group after the other, its user's time zone as last known, and inputs."""

    values: Sequence[float]
    time_zones: Sequence[str]
    inputs: features_pb2.Inputs


def check_answered(asked: Sized, answers: Sized, width: int = 1) -> None:
    """Checks that a service answered for every row it was asked about, with `width` values each.

    Raises:
        VersionMismatch: it did not.
    """
    if not width or len(answers) != len(asked) * width:
        raise VersionMismatch("A service answered in another form than it was asked for.")


def apply_request(
    position: position_pb2.BatchPosition,
    batch: Sequence[Decoded],
    rows: Rows,
    groups: Groups,
    engagements: Sequence[features_pb2.EngagementUpdate],
    *,
    has_history: bool = True,
) -> features_pb2.ApplyEventsRequest:
    """The request to features: the tables of a batch as they are on the stream, with the rows that count."""
    request = features_pb2.ApplyEventsRequest(
        position=position,
        engagements=engagements,
        brings_arrivals=True,
        assessed_rows=() if groups.are_single else sorted(groups.last),
        leaves_out_history=not has_history,
    )
    start = 0
    for record_index, count in sorted(Counter(rows.record_indexes).items()):
        record = batch[record_index]
        message = request.tables.add()
        message.table.CopyFrom(record.message)
        if count < len(record.table):
            message.rows.extend(rows.event_indexes[start : start + count])
        start += count
    return request


def vectors_of(rows: Rows, groups: Groups, applied: features_pb2.ApplyEventsResponse) -> Vectors:
    """The answer of features, reordered by group; features orders it by the last rows of groups.

    Raises:
        VersionMismatch: features is of another version, such as one that does not read tables.
    """
    width, count = applied.feature_count, len(groups.last)
    check_answered(groups.last, applied.values, width)
    ascending = sorted(groups.last)
    if ascending == groups.last:
        return Vectors(applied.values, _time_zones(rows, groups, applied, range(count)), applied.inputs)
    place = {row: number for number, row in enumerate(ascending)}
    places = [place[row] for row in groups.last]
    values = _placed(list(applied.values), width, places)
    inputs = features_pb2.Inputs()
    inputs.CopyFrom(applied.inputs)
    inputs.values[:] = _placed(list(inputs.values), len(inputs.names), places)
    inputs.cells[:] = _placed(list(inputs.cells), len(inputs.word_names), places)
    return Vectors(values, _time_zones(rows, groups, applied, places), inputs)


def _placed(every: Sequence[_Cell], width: int, places: Sequence[int]) -> list[_Cell]:
    """The rows at the places, each `width` cells."""
    return [cell for at in places for cell in every[at * width : (at + 1) * width]]


def _time_zones(
    rows: Rows, groups: Groups, applied: features_pb2.ApplyEventsResponse, places: Sequence[int]
) -> Sequence[str]:
    """For each group, the user's time zone as last known; that of the event if features returns none."""
    if not applied.time_zones:
        return [rows.table.time_zone[row] for row in groups.last]
    names, zones = ("", *applied.time_zone_names), list(applied.time_zones)
    check_answered(groups.last, zones)
    if max(zones) >= len(names):
        raise VersionMismatch("The time zones of features have no names.")
    return [names[zones[at]] for at in places]


def assess_request(
    position: position_pb2.BatchPosition,
    rows: Rows,
    groups: Groups,
    applied: features_pb2.ApplyEventsResponse,
    vectors: Vectors,
) -> scoring_pb2.AssessUsersRequest:
    """The request to scoring: one row per group, with all signals found in it."""
    table, deciding = rows.table, groups.deciding
    request = scoring_pb2.AssessUsersRequest(
        position=position,
        user_ids=groups.user_ids,
        event_times_us=_at(table.event_time_us, deciding),
        values=vectors.values,
        feature_schema_version=applied.feature_schema_version,
        signals=applied.signals,
        settled=applied.settled,
        inputs=vectors.inputs,
    )
    if groups.uses != groups.sizes:
        request.use_counts.extend(groups.uses)
    if not groups.are_single:
        request.event_counts.extend(groups.sizes)
        for found in (request.signals, request.settled):
            for each in found:
                each.row = groups.of_rows[each.row]
            found.sort(key=_row)
    return request


def decide_request(
    position: position_pb2.BatchPosition,
    rows: Rows,
    groups: Groups,
    applied: features_pb2.ApplyEventsResponse,
    vectors: Vectors,
    assessed: scoring_pb2.AssessUsersResponse,
) -> intervention_pb2.DecideInterventionsRequest:
    """The request to intervention, once the batch is assessed."""
    table, deciding, width = rows.table, groups.deciding, applied.feature_count
    special = [(row, kind, table.event(row)) for row, kind in enumerate(table.event_type) if kind in _SPECIAL]
    copied = _true(table, "copied_event_id")
    settled = {deciding[groups.of_rows[each.row]] for each in applied.settled if each.row not in copied}
    return intervention_pb2.DecideInterventionsRequest(
        position=position,
        record_indexes=rows.record_indexes,
        event_indexes=rows.event_indexes,
        decided_rows=() if groups.are_single else deciding,
        decisions=() if groups.are_single else groups.of_rows,
        user_ids=groups.user_ids,
        event_ids=_at(table.event_id, deciding),
        received_times_us=table.received_time_us,
        trace_ids=table.trace_id,
        span_ids=table.span_id,
        pages=_at(table.page, deciding),
        assessments=assessed.assessments,
        model_version=assessed.model_version,
        rules_version=assessed.rules_version,
        other_models=assessed.other_models,
        model_outcomes=assessed.model_outcomes,
        outcomes=[
            intervention_pb2.OutcomeRow(row=row, outcome=event.outcome)
            for row, kind, event in special
            if kind == _OUTCOME
        ],
        time_zones=vectors.time_zones,
        bot_rows=_true(table, "is_bot"),
        event_types=cast("Sequence[event_pb2.EventType.ValueType]", table.event_type),
        targets=table.target,
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
            for number, (row, assessment) in enumerate(zip(deciding, assessed.assessments, strict=True))
            if assessment.level > scoring_pb2.RISK_LEVEL_LOW
        ],
        feature_names=applied.feature_names,
        feature_schema_version=applied.feature_schema_version,
        event_times_us=table.event_time_us,
        copied_rows=copied,
        settled_rows=sorted(settled),
        standings=[
            intervention_pb2.StandingRow(row=row, standing=carried.standing)
            for row, carried in sorted(table.carried.items())
            if carried.standing and row in copied
        ],
        linked_rows=[
            intervention_pb2.LinkedRow(row=row, user_id=event.linked_user_id)
            for row, kind, event in special
            if kind == _IDENTIFY and event.linked_user_id
        ],
        system_rows=_true(table, "is_system"),
        signals=applied.signals,
        segment_changes=[
            intervention_pb2.SegmentChangeRow(row=row, segment_change=event.segment_change)
            for row, kind, event in special
            if kind == _SEGMENT_CHANGE
        ],
    )


def _at(column: Sequence[_Cell], rows: Sequence[int]) -> list[_Cell]:
    return [*map(column.__getitem__, rows)]


def _true(table: Table, name: str) -> list[int]:
    """The rows whose cell in a column is not empty; ascending."""
    return [row for row, cell in enumerate(getattr(table, name)) if cell] if table.has(name) else []


def _contact(event: event_pb2.Event) -> intervention_pb2.Contact | None:
    """The contact that an identifying event gives; None if it gives none."""
    try:
        contact = _decode_contact(event.properties or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):  # another shape: these names say something else
        return None
    if contact == _NO_CONTACT:
        return None
    return intervention_pb2.Contact(email=contact.email, push_target=contact.push_target)
