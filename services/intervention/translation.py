"""Between the wire's messages and the domain's values."""

import operator
from collections.abc import Callable
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from journeymesh.common.v1.event_pb2 import InterventionOutcome
from journeymesh.common.v1.event_pb2 import Outcome as WireOutcome
from journeymesh.common.v1.position_pb2 import EventPosition
from journeymesh.intervention.v1 import intervention_pb2 as wire
from journeymesh.scoring.v1 import scoring_pb2

from mesh.errors import InvalidArgument
from services.intervention.domain.facts import Assessment, Indicator, Outcome, OutcomeReport
from services.intervention.domain.ledger import Block, Decision, decision_at, plain_reason
from services.intervention.domain.strategy import Intervention
from services.intervention.ports import Reference
from services.intervention.usecases import Followed, Rows, Waiting, decision_id, decision_id_of

_TRACE_ID_BYTES: Final = 16
_LONGEST_NUMBER: Final = 64
_OUTCOMES: Final = frozenset(each.value for each in Outcome)
# The fields of the domain's values of the same names, read at once: the hot path reads seven of each row.
_NUMBERS: Final[Callable[[object], tuple[float, int, float, float, float, int]]] = operator.attrgetter(
    *Assessment.__struct_fields__[:-1]
)
_INDICATOR: Final[Callable[[object], tuple[str, float, str]]] = operator.attrgetter(*Indicator.__struct_fields__)


def rows_of(request: wire.DecideInterventionsRequest) -> Rows:
    """The rows of a batch.

    Raises:
        InvalidArgument: the columns differ in length, or something points outside of them.
    """
    rows = Rows(
        record_indexes=list(request.record_indexes),
        event_indexes=list(request.event_indexes),
        user_ids=list(request.user_ids),
        event_ids=list(request.event_ids),
        received_us=list(request.received_times_us),
        trace_ids=list(request.trace_ids),
        span_ids=list(request.span_ids),
        pages=list(request.pages),
        time_zones=list(request.time_zones),
        assessments=list(map(_assessment, request.assessments)),
        bot_rows=list(request.bot_rows),
        outcomes={each.row: _report(each.outcome) for each in request.outcomes},
        model_version=request.model_version,
        rules_version=request.rules_version,
    )
    _check(rows, len(request.position.sequences))
    return rows


def intervention_message(of: Intervention) -> wire.Intervention:
    """Help as the wire tells it."""
    return wire.Intervention(
        id=of.id,
        type=of.type,
        action=of.action,
        message=of.message,
        channel=of.channel,
        priority=of.priority,
        expires_at=_timestamp(of.expires_us),
        payload=wire.Payload(
            risk_score=of.risk_score,
            risk_level=of.risk_level,
            indicators=of.indicators,
            page=of.page,
            confidence=of.confidence,
        ),
        also_channels=of.also_channels,
        content=of.content,
        deliver_by_time=_timestamp(of.deliver_by_us),
        success_probability=of.success_probability,
    )


def pending_message(of: Waiting) -> wire.GetPendingInterventionResponse:
    """What waits, as an answer."""
    if of.intervention is None:
        return wire.GetPendingInterventionResponse()
    help_ = intervention_message(of.intervention)
    return wire.GetPendingInterventionResponse(has_pending_intervention=True, intervention=help_)


def watch_message(of: Waiting) -> wire.WatchPendingInterventionResponse:
    """What waits, as one message of a stream."""
    help_ = intervention_message(of.intervention) if of.intervention else None
    return wire.WatchPendingInterventionResponse(cursor=str(of.cursor), intervention=help_)


def followed_message(of: Followed) -> wire.GetInterventionResponse:
    """An intervention with its outcome."""
    return wire.GetInterventionResponse(
        intervention=intervention_message(of.intervention),
        user_id=of.user_id,
        outcome=WireOutcome.ValueType(of.outcome),
        is_ended=of.is_ended,
        decision_id=decision_id_of(of.intervention.id),
    )


def decision_message(of: Decision) -> wire.Decision:
    """A decision as the wire tells it."""
    facts, verdict = of.facts, of.verdict
    at = facts.position
    made = verdict.intervention
    return wire.Decision(
        id=decision_id(at),
        user_id=facts.user_id,
        event_id=facts.event_id,
        trace_id=facts.trace_id.hex(),
        decision_time=_timestamp(facts.received_us),
        kind=wire.DECISION_KIND_INTERVENE if made else wire.DECISION_KIND_NONE,
        reasons=[wire.DecisionReason.ValueType(each) for each in verdict.reasons],
        explanation=verdict.explanation,
        assessment=_assessment_message(facts.assessment),
        model_version=facts.model_version,
        rules_version=facts.rules_version,
        policy_version=of.policy_version,
        intervention=intervention_message(made) if made else None,
        propensity=of.propensity,
        position=EventPosition(shard=at.shard, sequence=str(at.sequence), event_index=at.event_index),
        page=facts.page,
    )


def ledger_record(at: Reference, of: Block) -> wire.LedgerRecord:
    """A block as the wire tells it: nearly all rows are plain, and told by their columns alone."""
    rows = range(len(of.event_indexes))
    kinds: list[wire.DecisionKind.ValueType] = [wire.DECISION_KIND_NONE for _ in rows]
    reasons = [wire.DecisionReason.ValueType(plain_reason(of, row)) for row in rows]
    whole = []
    for row, exception in sorted(of.exceptional.items()):
        verdict = exception.verdict
        reasons[row] = wire.DecisionReason.ValueType(verdict.reasons[0])
        if verdict.intervention is not None:
            kinds[row] = wire.DECISION_KIND_INTERVENE
        if verdict.intervention is not None or len(verdict.reasons) > 1:
            decision = decision_message(decision_at(of, at.shard, at.sequence, row))
            whole.append(wire.LedgerRow(row=row, decision=decision))
    return wire.LedgerRecord(
        sequence=str(at.sequence),
        event_indexes=of.event_indexes,
        kinds=kinds,
        reasons=reasons,
        assessments=map(_assessment_message, of.assessments),
        model_version=of.model_version,
        rules_version=of.rules_version,
        policy_version=of.policy_version,
        rows=whole,
    )


def trace_id_of(text: str) -> bytes:
    """The trace id of its 32 hexadecimal digits.

    Raises:
        InvalidArgument: the text is no trace id.
    """
    try:
        trace_id = bytes.fromhex(text)
    except ValueError:
        trace_id = b""
    if len(trace_id) != _TRACE_ID_BYTES:
        raise InvalidArgument("INVALID_PARAMETER", "A trace id has 32 hexadecimal digits.")
    return trace_id


def number_of(text: str, name: str) -> int:
    """The number of a decimal integer that is not negative.

    Raises:
        InvalidArgument: the text is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise InvalidArgument("INVALID_PARAMETER", f"The {name} is a decimal integer.")
    return int(text)


def _assessment(of: scoring_pb2.Assessment) -> Assessment:
    numbers = _NUMBERS(of)
    # An assessment of a low level comes without indicators: not to look spares time on most rows.
    if numbers[1] == scoring_pb2.RISK_LEVEL_LOW:
        return Assessment(*numbers)
    return Assessment(*numbers, tuple([Indicator(*_INDICATOR(each)) for each in of.indicators]))


def _assessment_message(of: Assessment) -> scoring_pb2.Assessment:
    message = scoring_pb2.Assessment(
        score=of.score,
        level=scoring_pb2.RiskLevel.ValueType(of.level),
        confidence=of.confidence,
        rule_score=of.rule_score,
        model_score=of.model_score,
        strong_signal_count=of.strong_signal_count,
    )
    for each in of.indicators:
        message.indicators.add(name=each.name, contribution=each.contribution, reason=each.reason)
    return message


def _report(of: InterventionOutcome) -> OutcomeReport:
    outcome = Outcome(of.outcome) if of.outcome in _OUTCOMES else Outcome.NONE
    return OutcomeReport(of.intervention_id, outcome, of.channel)


def _check(rows: Rows, record_count: int) -> None:
    columns = (
        rows.record_indexes,
        rows.event_indexes,
        rows.user_ids,
        rows.event_ids,
        rows.received_us,
        rows.trace_ids,
        rows.span_ids,
        rows.pages,
        rows.time_zones,
    )
    count = len(rows.assessments)
    if any(len(column) != count for column in columns):
        raise InvalidArgument("INVALID_TYPE", "All columns of a batch have a value for each row.")
    records = rows.record_indexes
    if records and (records[-1] >= record_count or sorted(records) != records):
        raise InvalidArgument("INVALID_TYPE", "Rows name records of the batch, in their order.")
    if any(row >= count for row in (*rows.bot_rows, *rows.outcomes)):
        raise InvalidArgument("INVALID_TYPE", "An outcome or a bot's mark belongs to a row.")
    if any(each.outcome is Outcome.NONE for each in rows.outcomes.values()):
        raise InvalidArgument("MISSING_FIELD", "An outcome says what became of the intervention.")


def _timestamp(at_us: int) -> Timestamp:
    return Timestamp(seconds=at_us // 1_000_000, nanos=at_us % 1_000_000 * 1000)
