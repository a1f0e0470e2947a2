"""Decisions as columns of the archive; docs/archive.md says what each column means."""

import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeGuard, cast

import pyarrow as pa
from google.protobuf.json_format import MessageToJson
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2

from mesh.state.applied import derived_id
from services.ingest.archive.adapters.values import Words, array, text_type, time_type
from services.ingest.archive.domain.layout import DecisionRow, Indicator

_PREFIX: Final = "d"
_KINDS: Final = Words(intervention_pb2.DecisionKind.DESCRIPTOR, "DECISION_KIND_")
_REASONS: Final = Words(intervention_pb2.DecisionReason.DESCRIPTOR, "DECISION_REASON_")
_WITHDRAWALS: Final = Words(intervention_pb2.WithdrawalReason.DESCRIPTOR, "WITHDRAWAL_REASON_")
_LEVELS: Final = Words(scoring_pb2.RiskLevel.DESCRIPTOR, "RISK_LEVEL_")

_INDICATOR: Final = pa.struct([("name", text_type), ("contribution", pa.float64()), ("reason", text_type)])
_CANDIDATE: Final = pa.struct(
    [
        ("action", text_type),
        ("channel", text_type),
        ("success_probability", pa.float64()),
        ("propensity", pa.float64()),
        ("refusal", text_type),
        ("is_chosen", pa.bool_()),
    ]
)
_SCORES: Final = ("score", "confidence", "rule_score", "model_score")

SCHEMA: Final = pa.schema(
    [
        pa.field("decision_id", text_type, nullable=False),
        pa.field("shard", text_type, nullable=False),
        pa.field("sequence", text_type, nullable=False),
        pa.field("event_index", pa.uint32(), nullable=False),
        pa.field("event_id", text_type, nullable=False),
        pa.field("user_id", text_type, nullable=False),
        pa.field("received_time", time_type, nullable=False),
        pa.field("kind", text_type),
        pa.field("reasons", pa.list_(text_type), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in _SCORES),
        pa.field("level", text_type),
        pa.field("strong_signal_count", pa.uint32(), nullable=False),
        pa.field("indicators", pa.list_(_INDICATOR), nullable=False),
        pa.field("model_version", text_type, nullable=False),
        pa.field("rules_version", text_type, nullable=False),
        pa.field("policy_version", text_type, nullable=False),
        pa.field("explanation", text_type),
        pa.field("intervention", text_type),
        pa.field("propensity", pa.float64()),
        pa.field("candidates", pa.list_(_CANDIDATE)),
        pa.field("draw", pa.float64()),
        pa.field("experiment", text_type),
        pa.field("is_treated", pa.bool_()),
        pa.field("inputs", pa.binary()),
        pa.field("withdrawn", text_type),
        pa.field("withdrawal_reason", text_type),
        pa.field("event_count", pa.uint32()),
        pa.field("probability", pa.float64()),
        pa.field("model_outcome", text_type),
    ]
)
"""As rows are packed; what is written has words as dictionaries."""

DICTIONARIES: Final = ("shard", "kind", "level", "model_version", "rules_version", "policy_version", "model_outcome")
"""Columns of few different values."""

UNIQUE: Final = ("decision_id", "event_id", "score", "confidence", "rule_score", "model_score", "inputs", "probability")
"""Columns whose values differ from row to row."""


def batch(shard: str, sequence_texts: Sequence[str], rows: Sequence[DecisionRow]) -> pa.RecordBatch:
    """The rows as columns, in the order of the schema."""
    assessments = [row.assessment for row in rows]
    events = [row.event for row in rows]
    wholes = [cast("intervention_pb2.Decision | None", row.whole) for row in rows]
    columns: dict[str, Any] = {
        "decision_id": [derived_id(_PREFIX, shard, row.sequence, row.event_index) for row in rows],
        "shard": [shard] * len(rows),
        "sequence": sequence_texts,
        "event_index": [row.event_index for row in rows],
        "event_id": [event.event_id for event in events],
        "user_id": [event.user_id for event in events],
        "received_time": [event.received_time_us for event in events],
        "kind": [_KINDS.word(row.kind) for row in rows],
        "reasons": _lists([row.reasons for row in rows], lambda flat: pa.array(map(_REASONS.word, flat), text_type)),
        **{name: [*map(operator.attrgetter(name), assessments)] for name in (*_SCORES, "strong_signal_count")},
        "level": [_LEVELS.word(each.level) for each in assessments],
        "indicators": _lists([each.indicators for each in assessments], _indicators),
        "model_version": [row.versions.model for row in rows],
        "rules_version": [row.versions.rules for row in rows],
        "policy_version": [row.versions.policy for row in rows],
        "explanation": [whole.explanation if whole else None for whole in wholes],
        "intervention": [_help(whole) if whole else None for whole in wholes],
        "propensity": [whole.propensity if whole else None for whole in wholes],
        "candidates": [[*map(_candidate, whole.candidates)] if whole else None for whole in wholes],
        "draw": [whole.draw if whole and whole.candidates else None for whole in wholes],
        "experiment": [whole.exposure.experiment if _counts(whole) else None for whole in wholes],
        "is_treated": [whole.exposure.is_treated if _counts(whole) else None for whole in wholes],
        "inputs": [whole.inputs if whole else None for whole in wholes],
        "withdrawn": [whole.withdrawn.intervention_id if _takes_back(whole) else None for whole in wholes],
        "withdrawal_reason": [
            _WITHDRAWALS.word(whole.withdrawn.reason) if _takes_back(whole) else None for whole in wholes
        ],
        "event_count": [row.event_count for row in rows],
        "probability": [each.probability if each.HasField("probability") else None for each in assessments],
        "model_outcome": [row.versions.outcome or None for row in rows],
    }
    return pa.record_batch([array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA)


def _lists(values: Sequence[Sequence[Any]], array_of: Callable[[Sequence[Any]], pa.Array]) -> pa.Array:
    """Lists of few items, mostly one or none, made flat and cut: Arrow takes long over many small lists."""
    offsets = [*itertools.accumulate(map(len, values), initial=0)]
    flat = [*itertools.chain.from_iterable(values)] if offsets[-1] else []
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), array_of(flat))


def _help(decision: intervention_pb2.Decision) -> str | None:
    if not decision.HasField("intervention"):
        return None
    return MessageToJson(decision.intervention, preserving_proto_field_name=True, indent=None)


def _candidate(of: intervention_pb2.Candidate) -> dict[str, Any]:
    return {
        "action": of.action,
        "channel": of.channel,
        "success_probability": of.success_probability,
        "propensity": of.propensity,
        "refusal": _REASONS.word(of.refusal) if of.refusal else None,
        "is_chosen": of.is_chosen,
    }


def _counts(whole: intervention_pb2.Decision | None) -> TypeGuard[intervention_pb2.Decision]:
    return whole is not None and whole.HasField("exposure")


def _takes_back(whole: intervention_pb2.Decision | None) -> TypeGuard[intervention_pb2.Decision]:
    return whole is not None and whole.HasField("withdrawn")


def _indicators(flat: Sequence[Indicator]) -> pa.Array:
    members = [pa.array([getattr(each, field.name) for each in flat], field.type) for field in _INDICATOR]
    return pa.StructArray.from_arrays(members, fields=list(_INDICATOR))
