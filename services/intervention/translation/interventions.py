"""Interventions, their words and their deliveries, for the wire."""

from google.protobuf.wrappers_pb2 import DoubleValue
from journeymesh.common.v1.event_pb2 import Outcome as WireOutcome
from journeymesh.common.v1.event_pb2 import RecommendedProduct
from journeymesh.features.v1 import features_pb2
from journeymesh.intervention.v1 import intervention_pb2 as wire
from journeymesh.scoring.v1 import scoring_pb2

from mesh.rpc.timestamps import timestamp
from services.intervention.decision.domain.offer import Withdrawn
from services.intervention.decision.domain.segment import Recommended
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.decision.ids import decision_id_of
from services.intervention.delivery.domain.delivery import Delivery
from services.intervention.language.domain.generated_copy import GeneratedCopy
from services.intervention.live.domain.happening import Happening, Happenings
from services.intervention.reading import InterventionStatus, Waiting


def intervention_message(of: Intervention, words: GeneratedCopy | None = None) -> wire.Intervention:
    """The wire message of an intervention, with generated copy where it is used."""
    return wire.Intervention(
        id=of.id,
        type=of.type,
        action=of.action,
        message=words.text if words and words.is_used else of.message,
        channel=of.channel,
        priority=of.priority,
        expires_at=timestamp(of.expires_us),
        payload=wire.Payload(
            risk_score=of.risk_score,
            risk_level=of.risk_level,
            indicators=of.indicators,
            page=of.page,
            confidence=of.confidence,
        ),
        also_channels=of.also_channels,
        content=of.content,
        deliver_by_time=timestamp(of.deliver_by_us),
        success_probability=of.success_probability,
        topic=of.topic,
        handled_by=of.handled_by,
        queue=of.queue,
        wording=generated_copy_message(words) if words else None,
        products=map(product_message, of.products),
    )


def product_message(of: Recommended) -> RecommendedProduct:
    """The wire message of a product that is recommended."""
    return RecommendedProduct(product_id=of.product_id, name=of.name, reason=of.reason)


def generated_copy_message(of: GeneratedCopy) -> wire.Wording:
    """The wire message of the origin and cost of generated copy."""
    return wire.Wording(
        model_id=of.model_id,
        prompt_version=of.prompt_version,
        prompt_hash=of.prompt_hash,
        is_used=of.is_used,
        refusal=of.refusal,
        input_tokens=of.input_tokens,
        output_tokens=of.output_tokens,
        cost_micro_usd=of.cost_micro_usd,
        worded_time=timestamp(of.written_us),
        is_cached=of.is_cached,
        arms=[wire.WordingArm(experiment_id=experiment_id, arm=arm) for experiment_id, arm in of.arms],
        confidence=None if of.confidence is None else DoubleValue(value=of.confidence),
        is_cost_unknown=not of.has_price,
    )


def happenings_message(of: Happenings) -> wire.WatchHappeningsResponse:
    """The wire message of what happened."""
    return wire.WatchHappeningsResponse(happenings=map(_happening, of.happenings), left_out_count=of.left_out)


def _happening(of: Happening) -> wire.Happening:
    return wire.Happening(
        kind=wire.HappeningKind.ValueType(of.kind),
        time=timestamp(of.at_us),
        user_id=of.user_id,
        decision_id=of.decision_id,
        page=of.page,
        score=of.score,
        level=scoring_pb2.RiskLevel.ValueType(of.level),
        why=of.why,
        signal=features_pb2.SignalType.ValueType(of.signal),
        strength=of.strength,
        target=of.target,
        reason=wire.DecisionReason.ValueType(of.reason),
        intervention_id=of.intervention_id,
        action=of.action,
        channel=of.channel,
        outcome=WireOutcome.ValueType(of.outcome),
    )


def delivery_message(of: Delivery) -> wire.Delivery:
    """The wire message of a delivery's state."""
    return wire.Delivery(
        channel=of.channel,
        state=wire.DeliveryState.ValueType(of.state),
        attempt_count=of.attempt_count,
        update_time=timestamp(of.update_us),
        provider=of.provider,
        provider_id=of.provider_id,
        reason=of.reason,
        idempotency_key=of.idempotency_key,
    )


def pending_message(of: Waiting) -> wire.GetPendingInterventionResponse:
    """What waits, as an answer."""
    help_ = intervention_message(of.intervention, of.generated_copy) if of.intervention else None
    return wire.GetPendingInterventionResponse(
        has_pending_intervention=help_ is not None,
        intervention=help_,
        cursor=str(of.cursor),
        withdrawn=withdrawal_message(of.withdrawn),
    )


def watch_message(of: Waiting | None) -> wire.WatchPendingInterventionResponse:
    """What waits, as one message of a stream; None: nothing has changed."""
    if of is None:
        return wire.WatchPendingInterventionResponse(is_unchanged=True)
    help_ = intervention_message(of.intervention, of.generated_copy) if of.intervention else None
    return wire.WatchPendingInterventionResponse(
        cursor=str(of.cursor), intervention=help_, withdrawn=withdrawal_message(of.withdrawn)
    )


def withdrawal_message(of: Withdrawn | None) -> wire.Withdrawal | None:
    """The wire message of a withdrawal; None where there was none."""
    if of is None:
        return None
    return wire.Withdrawal(intervention_id=of.offer_id, reason=wire.WithdrawalReason.ValueType(of.reason))


def followed_message(of: InterventionStatus) -> wire.GetInterventionResponse:
    """An intervention with its outcome."""
    return wire.GetInterventionResponse(
        intervention=intervention_message(of.intervention, of.generated_copy),
        user_id=of.user_id,
        outcome=WireOutcome.ValueType(of.outcome),
        is_ended=of.is_ended,
        decision_id=decision_id_of(of.intervention.id),
        deliveries=map(delivery_message, of.deliveries),
        withdrawal_reason=wire.WithdrawalReason.ValueType(of.withdrawal),
    )
