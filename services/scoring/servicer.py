"""The gRPC face of the scoring service: translate, call, translate."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from journeymesh.features.v1 import features_pb2
from journeymesh.scoring.v1 import scoring_pb2 as wire
from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceServicer

from mesh import applied, registry
from mesh.errors import InvalidArgument
from mesh.metrics import Metrics
from services.scoring.domain.assessment import Assessment
from services.scoring.domain.explanation import Contribution
from services.scoring.domain.history import SIGNAL_LIFETIME_US, Journal, Point, Signal, active, course
from services.scoring.domain.risk import Risk
from services.scoring.domain.rules import RULES_VERSION
from services.scoring.domain.schema import FEATURE_COUNT, SCHEMA_VERSION, level_of
from services.scoring.usecases import Rows, Scoring

if TYPE_CHECKING:
    from journeymesh.scoring.v1.scoring_pb2_grpc import _ServicerContext as Context


class ScoringServicer(ScoringServiceServicer):
    """Serves `ScoringService`."""

    def __init__(self, scoring: Scoring, metrics: Metrics) -> None:
        self._scoring = scoring
        self._metrics = metrics

    async def AssessUsers(self, request: wire.AssessUsersRequest, context: "Context") -> wire.AssessUsersResponse:
        """Assesses every row of a batch."""
        rows = rows_of(request)
        assessed = await self._scoring.assess(rows, applied.batch(request.position))
        if not request.position.is_retraction:
            self._count(rows.user_ids, [each.risk for each in assessed.assessments])
        return wire.AssessUsersResponse(
            assessments=map(_assessment, assessed.assessments),
            model_version=assessed.model_version,
            rules_version=RULES_VERSION,
        )

    async def GetRisk(self, request: wire.GetRiskRequest, context: "Context") -> wire.GetRiskResponse:
        """Reads a user's latest assessment with its explanation, and the history."""
        explained, journal = await self._scoring.read(request.user_id)
        return wire.GetRiskResponse(
            user_id=request.user_id,
            assessment=_assessment(explained.assessment),
            contributions=_indicators(explained.contributions),
            event_time=_timestamp(journal.event_time_us),
            model_version=journal.model_version,
            rules_version=RULES_VERSION,
            feature_schema_version=SCHEMA_VERSION,
            signals=_active_signals(journal),
            history=map(_point, course(journal)),
        )

    async def GetModel(self, request: wire.GetModelRequest, context: "Context") -> wire.GetModelResponse:
        """Reads which model is live."""
        card = self._scoring.model()
        return wire.GetModelResponse(
            model_version=card.version,
            training_source=card.training_source,
            training_time=_timestamp(card.training_time_us),
            feature_schema_version=card.schema_version,
            card=card.text,
        )

    def _count(self, user_ids: Sequence[str], risks: Sequence[Risk]) -> None:
        self._metrics.count_each(registry.ASSESSMENTS, [risk.level.name.lower() for risk in risks])
        for risk in dict(zip(user_ids, risks, strict=True)).values():
            self._metrics.measure(registry.RISK_SCORE, risk.score)


def rows_of(request: wire.AssessUsersRequest) -> Rows:
    """The rows of a request.

    Raises:
        InvalidArgument: they do not fit together, or a value is not finite.
    """
    count = len(request.user_ids)
    values = np.array(request.values, np.float64)
    if len(request.event_times_us) != count or values.size != count * FEATURE_COUNT:
        detail = f"Each of the {count} rows needs a time and {FEATURE_COUNT} values."
        raise InvalidArgument("MISSING_FIELD", detail)
    if not np.isfinite(values).all():
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "Every value must be a finite number.")
    signals = defaultdict[int, list[Signal]](list)
    for told in request.signals:
        if told.row >= count:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"A signal names row {told.row} of {count}.")
        signals[told.row].append(_signal(told.signal))
    return Rows(
        request.user_ids,
        request.event_times_us,
        values.reshape(count, FEATURE_COUNT),
        request.feature_schema_version,
        signals,
    )


def _signal(message: features_pb2.Signal) -> Signal:
    strength = min(100.0, max(0.0, message.strength))
    record = message.SerializeToString(deterministic=True)
    return Signal(message.type, strength, message.signal_time_us, message.reason, record)


def _assessment(assessment: Assessment) -> wire.Assessment:
    risk = assessment.risk
    return wire.Assessment(
        score=risk.score,
        level=wire.RiskLevel.ValueType(risk.level),
        confidence=risk.confidence,
        rule_score=risk.rule_score,
        model_score=risk.model_score,
        strong_signal_count=assessment.strong_signal_count,
        indicators=_indicators(assessment.indicators) if assessment.indicators else None,
    )


def _point(point: Point) -> wire.RiskPoint:
    level = wire.RiskLevel.ValueType(level_of(point.score))
    return wire.RiskPoint(event_time=_timestamp(point.event_time_us), score=point.score, level=level)


def _indicators(parts: Iterable[Contribution]) -> list[wire.Indicator]:
    return [wire.Indicator(name=part.name, contribution=part.points, reason=part.reason) for part in parts]


def _active_signals(journal: Journal) -> list[wire.ActiveSignal]:
    newest_first = sorted(active(journal.signals, journal.event_time_us), key=lambda signal: -signal.time_us)
    return [
        wire.ActiveSignal(
            signal=features_pb2.Signal.FromString(signal.record),
            signal_time=_timestamp(signal.time_us),
            expire_time=_timestamp(signal.time_us + SIGNAL_LIFETIME_US),
        )
        for signal in newest_first
    ]


def _timestamp(time_us: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(time_us)
    return stamp
