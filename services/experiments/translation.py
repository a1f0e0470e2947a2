"""Translates between messages and the domain's values."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from google.protobuf.wrappers_pb2 import DoubleValue
from journeymesh.experiments.v1 import experiments_pb2 as wire

from comparison.assignment import Arm, Reason
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import timestamp
from services.experiments.domain.conclusion import Direction, Finding, Guarded, Level, Results
from services.experiments.domain.definition import AGGREGATIONS, RAMP, Definition, Metric, Score
from services.experiments.domain.evidence import Exposure, Report, Totals
from services.experiments.domain.experiment import Action, Experiment, State
from services.experiments.usecases import Told


def _numbers(words: Sequence[Any]) -> Mapping[Any, Any]:
    """Words and their enum values, which have the same order."""
    return {word: number for number, word in enumerate(words, 1)}


_STATES: Final = _numbers(get_args(State))
_LEVELS: Final = _numbers(get_args(Level))
_DIRECTIONS: Final = _numbers(get_args(Direction))
_GUARDED: Final = _numbers(get_args(Guarded))
_REASONS: Final = _numbers(get_args(Reason))
_AGGREGATION_NUMBERS: Final = _numbers(AGGREGATIONS)
_ACTIONS: Final[Sequence[Action]] = get_args(Action)


def definition_of(message: wire.ExperimentDefinition) -> Definition:
    """What an experiment compares."""
    score = message.score
    return Definition(
        message.experiment_id,
        message.title,
        message.salt or message.experiment_id,
        tuple(Arm(arm.name, arm.weight, arm.value) for arm in message.arms),
        tuple(
            Metric(
                each.name,
                AGGREGATIONS[max(each.aggregation, 1) - 1],
                not each.is_smaller_better,
                each.harm,
                each.from_hours,
                each.within_hours,
            )
            for each in message.metrics
        ),
        Score(
            score.quality,
            score.speed,
            score.cost,
            score.speed_target,
            score.cost_target,
            score.quality_weight,
            score.speed_weight,
            score.cost_weight,
        )
        if message.HasField("score")
        else None,
        message.holdout_percent,
        tuple(message.ramp) or RAMP,
        message.step_hours,
        message.min_days,
        message.min_outcomes,
        message.smallest_effect,
        message.pauses_on_incident,
    )


def action_of(message: wire.ChangeExperimentRequest) -> Action:
    """What is done.

    Raises:
        InvalidArgument: it is none of the known actions.
    """
    if not 1 <= message.action <= len(_ACTIONS):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`action` must be one of {', '.join(_ACTIONS)}.")
    return _ACTIONS[message.action - 1]


def experiment_message(experiment: Experiment, now_us: int, *, is_short: bool = False) -> wire.Experiment:
    """An experiment; of its history the last change alone if that is to be short."""
    history = experiment.history[-1:] if is_short else experiment.history
    return wire.Experiment(
        definition=_definition_message(experiment.definition),
        state=_STATES[experiment.state],
        percent=experiment.percent,
        promoted=experiment.promoted,
        days=experiment.days(now_us),
        revision=experiment.revision,
        history=[
            wire.ExperimentChange(
                change_time=timestamp(each.at_us),
                state=_STATES[each.state],
                percent=each.percent,
                actor=each.actor,
                why=each.why,
                incident_id=each.incident_id,
            )
            for each in history
        ],
    )


def before_of(message: wire.ExperimentUnit | wire.UnitExposure) -> float | None:
    """What was known before."""
    return message.before.value if message.HasField("before") else None


def exposures_of(message: wire.RecordExposuresRequest, now_us: int) -> Sequence[Exposure]:
    """Units that met arms, now or earlier."""
    return [
        Exposure(
            each.unit,
            each.arm,
            before_of(each),
            each.is_fallback,
            min(now_us, each.exposure_time.ToMicroseconds()) if each.HasField("exposure_time") else now_us,
        )
        for each in message.exposures
    ]


def reports_of(message: wire.RecordOutcomesRequest, now_us: int) -> Sequence[Report]:
    """What came of units."""
    return [
        Report(
            each.unit,
            each.report_id,
            each.outcome_time.ToMicroseconds() if each.HasField("outcome_time") else now_us,
            dict(each.outcomes),
        )
        for each in message.reports
    ]


def assignment_message(told: Told) -> wire.UnitAssignment:
    """The arm of a unit."""
    return wire.UnitAssignment(
        unit=told.unit,
        experiment_id=told.experiment_id,
        arm=told.assignment.arm,
        value=told.value,
        reason=_REASONS[told.assignment.reason],
        takes_part=told.takes_part,
    )


def results_message(experiment: Experiment, totals: Totals, results: Results) -> wire.GetResultsResponse:
    """What may be concluded."""
    definition = experiment.definition
    meant = definition.meant
    return wire.GetResultsResponse(
        experiment_id=definition.id,
        units=[
            wire.ArmUnits(arm=arm, units=results.units[arm], meant=share, given=given)
            for (arm, share), given in zip(meant.items(), experiment.shares or meant.values(), strict=True)
        ],
        fallback_units=results.fallback_units,
        units_in_several_arms=results.in_several,
        unmatched_reports=totals.unmatched,
        unpriced_reports=totals.unpriced,
        ratio_p_value=results.ratio_p_value,
        ratio=_LEVELS[results.ratio],
        several_arms=_LEVELS[results.several],
        shares=_LEVELS[results.shares],
        findings=map(_finding_message, results.findings),
        winner=results.decision.arm,
        waits_for=results.decision.waits_for,
        days_left=_number(results.decision.days_left),
    )


def _finding_message(finding: Finding) -> wire.ExperimentFinding:
    return wire.ExperimentFinding(
        metric=finding.metric,
        arm=finding.arm,
        units=finding.treated.size,
        control_units=finding.control.size,
        mean=_number(finding.treated.mean),
        control_mean=_number(finding.control.mean),
        difference=_number(finding.difference),
        lower=_number(finding.interval.lower),
        upper=_number(finding.interval.upper),
        relative=_number(finding.relative),
        variance_left=_number(finding.variance_left),
        direction=_DIRECTIONS[finding.direction],
        guardrail=_GUARDED[finding.guarded],
    )


def _definition_message(definition: Definition) -> wire.ExperimentDefinition:
    score = definition.score
    return wire.ExperimentDefinition(
        experiment_id=definition.id,
        title=definition.title,
        salt=definition.salt,
        arms=[wire.ExperimentArm(name=arm.name, weight=arm.weight, value=arm.value) for arm in definition.arms],
        metrics=[
            wire.ExperimentMetric(
                name=each.name,
                aggregation=_AGGREGATION_NUMBERS[each.aggregation],
                is_smaller_better=not each.is_larger_better,
                harm=each.harm,
                from_hours=each.from_hours,
                within_hours=each.within_hours,
            )
            for each in definition.metrics
        ],
        score=wire.ExperimentScore(**score._asdict()) if score else None,
        holdout_percent=definition.holdout_percent,
        ramp=definition.ramp,
        step_hours=definition.step_hours,
        min_days=definition.min_days,
        min_outcomes=definition.min_outcomes,
        smallest_effect=definition.smallest_effect,
        pauses_on_incident=definition.pauses_on_incident,
    )


def _number(value: float | None) -> DoubleValue | None:
    """A number; absent if it is none, or infinite."""
    return DoubleValue(value=value) if value is not None and math.isfinite(value) else None
