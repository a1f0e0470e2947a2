"""Translates between messages and the domain's values."""

import math
import operator
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from google.protobuf.wrappers_pb2 import DoubleValue
from journeymesh.features.v1 import features_pb2
from journeymesh.scoring.v1 import models_pb2
from journeymesh.scoring.v1 import scoring_pb2 as wire

from mesh.clock import LATEST_US
from mesh.errors import InvalidArgument, VersionMismatch
from mesh.rpc.timestamps import timestamp
from records.tenants import is_name, plain
from services.scoring.domain.assessment import Assessment, features
from services.scoring.domain.explanation import Contribution, evidence
from services.scoring.domain.history import SIGNAL_LIFETIME_US, Journal, Point, Settled, Signal, active, course
from services.scoring.domain.inputs import NO_INPUTS, Inputs
from services.scoring.domain.learning import Learning, learning_of
from services.scoring.domain.schema import FEATURE_COUNT, FEATURES, SCHEMA_VERSION, SignalType, level_of
from services.scoring.domain.stages import EVERYBODY, Stage, Stages, Wanted
from services.scoring.ports import Card, Described
from services.scoring.usecases import Rows, UserRisk, schema_mismatch

LONGEST_ID: Final = 128
GREATEST_VALUE: Final = 1e12

_LAST_SIGNAL_TYPE: Final = max(SignalType)
_LONGEST_WHY: Final = 500
_STAGES: Final = {
    models_pb2.MODEL_STAGE_CANDIDATE: Stage.CANDIDATE,
    models_pb2.MODEL_STAGE_SHADOW: Stage.SHADOW,
    models_pb2.MODEL_STAGE_CANARY: Stage.CANARY,
    models_pb2.MODEL_STAGE_LIVE: Stage.LIVE,
}
_NUMBERS: Final = {stage: number for number, stage in _STAGES.items()}


def rows_of(request: wire.AssessUsersRequest) -> Rows:
    """The rows of a request.

    Raises:
        InvalidArgument: they are inconsistent, or an id, a time, a value or a signal is invalid.
        Unavailable: `FEATURE_SCHEMA_MISMATCH` or `VERSION_MISMATCH`, the sender has another version.
    """
    count = len(request.user_ids)
    if request.feature_schema_version != SCHEMA_VERSION:
        raise schema_mismatch(request.feature_schema_version, SCHEMA_VERSION)
    if count and not request.event_times_us:
        raise VersionMismatch("The times of the rows are missing.")
    values = np.array(request.values, np.float64)
    if len(request.event_times_us) != count or values.size != count * FEATURE_COUNT:
        detail = f"Every row needs a time and {FEATURE_COUNT} values."
        raise InvalidArgument("MISSING_FIELD", detail)
    event_counts = list(request.event_counts)
    if event_counts and (len(event_counts) != count or min(event_counts) < 1):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "Every row stands for one event or more.")
    use_counts = list(request.use_counts)
    most = event_counts or [1] * count
    if use_counts and (len(use_counts) != count or any(map(operator.gt, use_counts, most))):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A user did no more at a row than it has events.")
    if not ((values >= 0.0) & (values <= GREATEST_VALUE)).all():
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"Every value lies between 0 and {GREATEST_VALUE:g}.")
    if not (_are_short(request.user_ids) or _are_short([*map(plain, request.user_ids)])):
        raise InvalidArgument("INVALID_IDENTIFIER", f"A user's id has 1 to {LONGEST_ID} characters.")
    _require_times(request.event_times_us)
    signals = defaultdict[int, list[Signal]](list)
    for signal_row in request.signals:
        _require_row(signal_row.row, count)
        signal = _signal(signal_row.signal)
        if signal.type <= _LAST_SIGNAL_TYPE:  # else a newer features service found it, and no rule here is about it
            signals[signal_row.row].append(signal)
    return Rows(
        request.user_ids,
        request.event_times_us,
        values.reshape(count, FEATURE_COUNT),
        request.feature_schema_version,
        signals,
        _settled(request),
        use_counts or event_counts,
        _inputs(request.inputs, count),
    )


def _inputs(message: features_pb2.Inputs, count: int) -> Inputs:
    """What was sent beside the features; nothing where a sender of the previous version sends nothing."""
    if not message.names and not message.word_names:
        return NO_INPUTS
    values, cells = np.array(message.values, np.float64), np.array(message.cells, np.int64)
    if values.size != count * len(message.names) or cells.size != count * len(message.word_names):
        raise InvalidArgument("MISSING_FIELD", "Every row needs a value for each name.")
    if not (np.abs(values) <= GREATEST_VALUE).all() or (cells.size and cells.max() >= len(message.words)):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"Every value is at most {GREATEST_VALUE:g}; every word is there.")
    return Inputs(
        message.history_version,
        tuple(message.names),
        values.reshape(count, len(message.names)),
        tuple(message.word_names),
        tuple(message.words),
        cells.reshape(count, len(message.word_names)),
    )


def _settled(request: wire.AssessUsersRequest) -> dict[int, set[Settled]]:
    settled = defaultdict[int, set[Settled]](set)
    for settled_row in request.settled:
        _require_row(settled_row.row, len(request.user_ids))
        key = Settled(settled_row.type, settled_row.signal_time_us, settled_row.target)
        settled[settled_row.row].add(key)
    return settled


def _require_row(row: int, count: int) -> None:
    if row >= count:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"A signal refers to row {row} of {count}.")


def _require_times(times_us: Sequence[int]) -> None:
    if times_us and not 0 <= min(times_us) <= max(times_us) <= LATEST_US:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A time lies between the years 1970 and 2255.")


def _signal(message: features_pb2.Signal) -> Signal:
    if message.type <= SignalType.UNSPECIFIED or not math.isfinite(message.strength):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A signal has a type and a finite strength.")
    _require_times((message.signal_time_us, message.run_start_time_us))
    strength = min(100.0, max(0.0, message.strength))
    record = message.SerializeToString(deterministic=True)
    return Signal(
        message.type,
        strength,
        message.signal_time_us,
        message.reason,
        record,
        message.target,
        message.run_start_time_us,
    )


def assessment_message(assessment: Assessment, told: float | None) -> wire.Assessment:
    """An assessment as a message, with the probability that is told; None if none is."""
    risk = assessment.risk
    message = wire.Assessment(
        score=risk.score,
        level=wire.RiskLevel.ValueType(risk.level),
        confidence=risk.confidence,
        rule_score=risk.rule_score,
        model_score=risk.model_score,
        strong_signal_count=assessment.strong_signal_count,
        indicators=_indicators(assessment.indicators) if assessment.indicators else None,
    )
    if assessment.latest_signal_us:
        message.latest_signal_time_us = assessment.latest_signal_us
    if told is not None:
        message.probability = told
    return message


def risk_message(user_id: str, of: UserRisk, rules_version: str) -> wire.GetRiskResponse:
    """A user's risk with its explanation and history, as a message."""
    explained, journal, card, told = of
    risk = explained.assessment.risk
    return wire.GetRiskResponse(
        user_id=user_id,
        assessment=assessment_message(explained.assessment, told),
        contributions=_indicators(explained.contributions),
        event_time=timestamp(journal.event_time_us),
        model_version=journal.model_version,
        rules_version=rules_version,
        feature_schema_version=SCHEMA_VERSION,
        signals=_active_signals(journal),
        history=map(_point, course(journal)),
        struggle=wire.StruggleNow(
            score=risk.rule_score, evidence=_indicators(evidence(explained.contributions, risk.rule_score))
        ),
        exit_risk=_exit_risk(card, told),
    )


def _learning(of: Card | Described) -> Learning:
    return learning_of(of.own_users, is_recalibrated=of.is_recalibrated)


def _exit_risk(card: Card | None, told: float | None) -> wire.ExitRisk:
    if card is None:
        return wire.ExitRisk()
    return wire.ExitRisk(
        probability=None if told is None else DoubleValue(value=told),
        outcome=card.outcome,
        learning_state=models_pb2.LearningState.ValueType(_learning(card)),
        own_user_count=card.own_users,
    )


def model_message(card: Card) -> wire.GetModelResponse:
    """A model and its card, as a message."""
    return wire.GetModelResponse(
        model_version=card.version,
        training_source=card.training_source,
        training_time=timestamp(card.training_time_us),
        feature_schema_version=card.schema_version,
        card=card.text,
        outcome=card.outcome,
        learning_state=models_pb2.LearningState.ValueType(_learning(card)),
        own_user_count=card.own_users,
    )


def user_message(user_id: str, of: UserRisk, rules_version: str) -> wire.GetUserResponse:
    """A user's features and assessment, as a message."""
    explained, journal, _card, told = of
    return wire.GetUserResponse(
        user_id=user_id,
        features=[
            features_pb2.Feature(name=name, value=value)
            for name, value in zip(FEATURES, features(journal), strict=True)
        ],
        feature_schema_version=SCHEMA_VERSION,
        assessment=assessment_message(explained.assessment, told),
        event_time=timestamp(journal.event_time_us),
        model_version=journal.model_version,
        rules_version=rules_version,
    )


def _point(point: Point) -> wire.RiskPoint:
    level = wire.RiskLevel.ValueType(level_of(point.score))
    return wire.RiskPoint(event_time=timestamp(point.event_time_us), score=point.score, level=level)


def _indicators(parts: Iterable[Contribution]) -> list[wire.Indicator]:
    return [wire.Indicator(name=part.name, contribution=part.points, reason=part.reason) for part in parts]


def _active_signals(journal: Journal) -> list[wire.ActiveSignal]:
    newest_first = sorted(active(journal.signals, journal.event_time_us), key=lambda signal: -signal.time_us)
    return [
        wire.ActiveSignal(
            signal=features_pb2.Signal.FromString(signal.record),
            signal_time=timestamp(signal.time_us),
            expire_time=timestamp(signal.time_us + SIGNAL_LIFETIME_US),
        )
        for signal in newest_first
    ]


def wanted(request: models_pb2.SetModelStageRequest) -> Wanted:
    """The change that a request asks for.

    Raises:
        InvalidArgument: `VALUE_OUT_OF_RANGE`, the stage is none, or the tenant cannot be one.
    """
    if request.stage not in _STAGES:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "The stage of a model is candidate, shadow, canary or live.")
    if request.tenant and not is_name(request.tenant):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "The tenant has a name that none can have.")
    stage = _STAGES[request.stage]
    return Wanted(
        request.model_version, stage, request.actor, request.tenant, request.canary_percent, request.why[:_LONGEST_WHY]
    )


def models_message(models: Sequence[Described], stages: Stages) -> models_pb2.ListModelsResponse:
    """All models, and who is served by what, as a message."""
    return models_pb2.ListModelsResponse(
        models=[
            models_pb2.RegisteredModel(
                model_version=each.version,
                training_source=each.training_source,
                training_time=timestamp(each.training_time_us),
                feature_schema_version=each.schema_version,
                problem=each.problem,
                learning_state=models_pb2.LearningState.ValueType(_learning(each)),
                own_user_count=each.own_users,
            )
            for each in models
        ],
        stages=[stages_message(tenant, stages) for tenant in sorted(stages.tenants)],
        changes=[
            models_pb2.ModelChange(
                revision=each.revision,
                change_time=timestamp(each.time_us),
                tenant=each.tenant,
                model_version=each.version,
                stage=_NUMBERS[each.stage],
                canary_percent=each.percent,
                actor=each.actor,
                why=each.why,
            )
            for each in reversed(stages.changes)
        ],
    )


def stages_message(tenant: str, of: Stages) -> models_pb2.ModelStages:
    """The stages that hold for a tenant, as a message."""
    serving = of.of(tenant)
    return models_pb2.ModelStages(
        tenant=tenant if tenant in of.tenants else EVERYBODY,
        live=serving.live,
        canary=serving.canary,
        canary_percent=serving.percent,
        shadow=serving.shadow,
        earlier=serving.earlier,
    )


def _are_short(ids: Sequence[str]) -> bool:
    lengths = [*map(len, ids)]
    return not lengths or 0 < min(lengths) <= max(lengths) <= LONGEST_ID
