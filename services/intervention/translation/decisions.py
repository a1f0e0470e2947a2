"""Decisions and the ledger, for the wire."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from journeymesh.common.v1.event_pb2 import Outcome as WireOutcome
from journeymesh.common.v1.position_pb2 import EventPosition
from journeymesh.features.v1.features_pb2 import Feature
from journeymesh.intervention.v1 import intervention_pb2 as wire
from journeymesh.scoring.v1 import scoring_pb2

from mesh.rpc.timestamps import timestamp
from services.intervention.batch.deciding import BatchResult
from services.intervention.decision.domain.facts import Assessment
from services.intervention.decision.domain.ledger import (
    Block,
    Decision,
    decision_at,
    inputs_of,
    is_whole,
    plain_reasons,
)
from services.intervention.decision.domain.offer import UNKNOWN, Exposure
from services.intervention.decision.domain.strategy import Candidate
from services.intervention.decision.ids import decision_id
from services.intervention.decision.ports import Reference
from services.intervention.policy.domain.policy import Policy
from services.intervention.reading import InterventionStatus
from services.intervention.translation.interventions import (
    delivery_message,
    intervention_message,
    product_message,
    withdrawal_message,
)


def decided_message(of: BatchResult) -> wire.DecideInterventionsResponse:
    """The response to a batch."""
    return wire.DecideInterventionsResponse(
        interventions=[
            wire.MadeIntervention(
                row=each.row,
                decision_id=decision_id(each.decision.facts.position),
                intervention_id=each.intervention.id,
            )
            for each in of.made
        ],
        standings=[wire.StandingRow(row=row, standing=transfer) for row, transfer in of.transfers.items()],
    )


def derived_message(of: Decision) -> wire.DeriveDecisionResponse:
    """The wire message of what another policy decides."""
    return wire.DeriveDecisionResponse(decision=decision_message(of), has_past=of.standing != UNKNOWN)


def decision_message(of: Decision, status: InterventionStatus | None = None) -> wire.Decision:
    """The wire message of a decision and of the status of its intervention."""
    facts, verdict = of.facts, of.verdict
    at = facts.position
    made, segment = verdict.intervention, of.standing.segment
    return wire.Decision(
        id=decision_id(at),
        user_id=facts.user_id,
        event_id=facts.event_id,
        trace_id=facts.trace_id.hex(),
        decision_time=timestamp(facts.received_us),
        kind=wire.DECISION_KIND_INTERVENE if made else wire.DECISION_KIND_NONE,
        reasons=[wire.DecisionReason.ValueType(each) for each in verdict.reasons],
        explanation=verdict.explanation,
        assessment=assessment_message(facts.assessment),
        model_version=facts.model_version,
        rules_version=facts.rules_version,
        policy_version=of.policy_version,
        intervention=intervention_message(made, status.generated_copy if status else None) if made else None,
        propensity=verdict.propensity,
        position=EventPosition(shard=at.shard, sequence=str(at.sequence), event_index=at.event_index),
        page=facts.page,
        candidates=map(_candidate, verdict.candidates),
        draw=verdict.draw,
        exposure=_exposure(verdict.exposed) if verdict.exposed else None,
        features=map(_feature, facts.feature_names, facts.features),
        feature_schema_version=facts.feature_schema_version,
        inputs=inputs_of(of) if is_whole(verdict) else b"",
        outcome=WireOutcome.ValueType(status.outcome) if status else WireOutcome.ValueType(0),
        deliveries=map(delivery_message, status.deliveries) if status else (),
        withdrawal_reason=wire.WithdrawalReason.ValueType(status.withdrawal if status else 0),
        withdrawn=withdrawal_message(verdict.withdrawn),
        arm=verdict.arm,
        segment=segment.name if segment else "",
        group=segment.group if segment else "",
        segment_time=timestamp(segment.since_us) if segment and segment.name else None,
        recommended=map(product_message, segment.products if segment else ()),
        model_outcome=facts.model_outcome,
    )


def exported(of: Decision) -> dict[str, Any]:
    """A decision as an export says it: the members of `journeymesh.intervention.v1.Decision`."""
    return MessageToDict(decision_message(of))


def ledger_record(at: Reference, policy: Policy, of: Block) -> wire.LedgerRecord:
    """The wire message of a block: nearly all rows are plain, and their columns say everything."""
    rows = range(len(of.event_indexes))
    kinds: list[wire.DecisionKind.ValueType] = [wire.DECISION_KIND_NONE for _ in rows]
    reasons = [wire.DecisionReason.ValueType(each) for each in plain_reasons(policy, of)]
    whole = []
    for row, exception in sorted(of.exceptional.items()):
        verdict = exception.verdict
        reasons[row] = wire.DecisionReason.ValueType(verdict.reasons[0])
        if verdict.intervention is not None:
            kinds[row] = wire.DECISION_KIND_INTERVENE
        if is_whole(verdict):
            decision = decision_message(decision_at(policy, of, at.shard, at.sequence, row))
            whole.append(wire.LedgerRow(row=row, decision=decision))
    return wire.LedgerRecord(
        sequence=str(at.sequence),
        event_indexes=of.event_indexes,
        kinds=kinds,
        reasons=reasons,
        assessments=map(assessment_message, of.assessments),
        model_version=of.model_version,
        rules_version=of.rules_version,
        policy_version=of.policy_version,
        rows=whole,
        covered_event_indexes=of.covered_indexes,
        covered_rows=of.covered_rows,
        other_models=_model_rows(of.other_models),
        model_outcomes=[
            scoring_pb2.ModelOutcome(model_version=version, outcome=outcome)
            for version, outcome in of.model_outcomes.items()
        ],
    )


def _model_rows(models: Mapping[int, str]) -> list[scoring_pb2.ModelRows]:
    rows = {version: [row for row, each in models.items() if each == version] for version in models.values()}
    return [scoring_pb2.ModelRows(model_version=version, rows=rows[version]) for version in sorted(rows)]


def assessment_message(of: Assessment) -> scoring_pb2.Assessment:
    """The wire message of an assessment."""
    message = scoring_pb2.Assessment(
        score=of.score,
        level=scoring_pb2.RiskLevel.ValueType(of.level),
        confidence=of.confidence,
        rule_score=of.rule_score,
        model_score=of.model_score,
        strong_signal_count=of.strong_signal_count,
        latest_signal_time_us=of.latest_signal_time_us,
    )
    for each in of.indicators:
        message.indicators.add(name=each.name, contribution=each.contribution, reason=each.reason)
    if of.probability is not None:
        message.probability = of.probability
    return message


def _candidate(of: Candidate) -> wire.Candidate:
    return wire.Candidate(
        action=of.action,
        channel=of.channel,
        success_probability=of.success_probability,
        propensity=of.propensity,
        refusal=wire.DecisionReason.ValueType(of.refusal or 0),
        is_chosen=of.is_chosen,
    )


def _feature(name: str, value: float) -> Feature:
    return Feature(name=name, value=value)


def _exposure(of: Exposure) -> wire.Exposure:
    return wire.Exposure(experiment=of.experiment, is_treated=of.is_treated)
