"""The routes of experiments: created, changed, units assigned and counted, and what may be concluded."""

from typing import Annotated, Any, Final

import msgspec
from google.protobuf.wrappers_pb2 import DoubleValue
from journeymesh.experiments.v1 import experiments_pb2 as wire

from gateway.contract.route import Parameter, Route
from gateway.core import Core
from gateway.formats.json.refusal import decoded
from gateway.formats.rendering import render
from gateway.formats.schema import enum_numbers
from gateway.formats.values import times
from gateway.http.asgi import Answer, Request, json
from gateway.routes.questions import BODY_REASONS, CALLS_REASONS
from mesh.errors import InvalidArgument
from records.tenants import qualified

_PATH: Final = "/api/experiments"
_ONE: Final = f"{_PATH}/{{experimentId}}"
_AGGREGATIONS: Final = enum_numbers(wire.OutcomeAggregation.DESCRIPTOR)
_CREATE_EXAMPLE: Final = (
    '{"experimentId":"model","arms":[{"name":"control","value":"amazon.nova-micro-v1:0"},'
    '{"name":"lite","value":"amazon.nova-lite-v1:0"}],'
    '"metrics":[{"name":"accepted","harm":0.1}],"score":{"speedTarget":1500,"costTarget":0.002}}'
)
_WHY_EXAMPLE: Final = '{"why":"reviewed"}'
_INCIDENT_EXAMPLE: Final = '{"incidentId":"checkout-2026-11-29","why":"payments fail"}'
_PROMOTE_EXAMPLE: Final = '{"arm":"lite","why":"better and cheap enough"}'
_ASSIGN_EXAMPLE: Final = '{"units":[{"unit":"u-1","before":0.3}],"isExposure":true}'
_EXPOSURES_EXAMPLE: Final = '{"exposures":[{"unit":"u-1","arm":"control","isFallback":true}]}'
_OUTCOMES_EXAMPLE: Final = (
    '{"reports":[{"unit":"u-1","reportId":"call-1","outcomes":{"quality":1,"latency_ms":420,"cost_usd":0.0009}}]}'
)
_WRITING: Final = ("VALUE_OUT_OF_RANGE", *BODY_REASONS, *CALLS_REASONS)
_COUNTING: Final = ("EXPERIMENT_NOT_FOUND", "EXPERIMENT_STATE_INVALID", *_WRITING)
_CHANGING: Final = ("EXPERIMENT_CHANGED", "EXPERIMENT_HISTORY_FULL", *_COUNTING)
_LARGEST: Final = 1e9

_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$(?!\n)")]
_Text = Annotated[str, msgspec.Meta(max_length=500)]
_Unit = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Number = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
_Part = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Hours = Annotated[float, msgspec.Meta(ge=0, le=8_784)]
_Target = Annotated[float, msgspec.Meta(gt=0, le=_LARGEST)]


class _Body(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Members are camelCase."""


class NewArm(_Body):
    """An arm. `weight` is its share of the units, of any sum; `value` what it stands for."""

    name: _Name
    weight: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    value: _Text = ""


class NewMetric(_Body):
    """A metric. `harm` makes it a guardrail: the part of the control's mean by which an arm must not be worse.

    Outcomes count from `fromHours` after a unit met its arm until `withinHours` after it; 0 for no bound.
    """

    name: _Name
    aggregation: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(_AGGREGATIONS)})] = "any"
    is_smaller_better: bool = False
    harm: _Part = 0.0
    from_hours: _Hours = 0.0
    within_hours: _Hours = 0.0


class NewScore(_Body):
    """A weighted score. The first three members name outcomes."""

    quality: _Name = "quality"
    speed: _Name = "latency_ms"
    cost: _Name = "cost_usd"
    speed_target: _Target = 1_000.0
    cost_target: _Target = 0.01
    quality_weight: _Part = 0.5
    speed_weight: _Part = 0.3
    cost_weight: _Part = 0.2


class NewExperiment(_Body):
    """An experiment to create. The first arm is the control; without a score the first metric decides."""

    experiment_id: _Name
    arms: Annotated[list[NewArm], msgspec.Meta(min_length=2, max_length=10)]
    title: _Text = ""
    salt: str = ""
    metrics: Annotated[list[NewMetric], msgspec.Meta(max_length=20)] = []
    score: NewScore | None = None
    holdout_percent: Annotated[float, msgspec.Meta(ge=0, le=90)] = 0.0
    ramp: Annotated[list[Annotated[float, msgspec.Meta(gt=0, le=100)]], msgspec.Meta(max_length=20)] = []
    step_hours: Annotated[float, msgspec.Meta(ge=0, le=1_000)] = 24.0
    min_days: Annotated[float, msgspec.Meta(ge=0, le=365)] = 3.0
    min_outcomes: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] = 100
    smallest_effect: Annotated[float, msgspec.Meta(gt=0, le=10)] = 0.1
    pauses_on_incident: bool = False
    why: _Text = ""


class Why(_Body):
    """Why it is done, for the history."""

    why: _Text = ""


class Promotion(_Body):
    """Which arm all units get, and why."""

    arm: _Name
    why: _Text = ""


class OpenedIncident(_Body):
    """An incident, under the id that makes a repetition recognizable, and what it is."""

    incident_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    why: _Text = ""


class UnitToAssign(_Body):
    """A unit, and a number from before the start that goes with its outcomes, such as its risk."""

    unit: _Unit
    before: _Number | None = None


class UnitsToAssign(_Body):
    """Which arms are asked for. `is_exposure`: they meet them now, so that it counts."""

    units: Annotated[list[UnitToAssign], msgspec.Meta(max_length=1_000)]
    experiments: list[str] = []
    is_exposure: bool = False


class NewExposure(_Body):
    """A unit that met an arm. `is_fallback`: it got it because the service was away."""

    unit: _Unit
    arm: _Name
    before: _Number | None = None
    is_fallback: bool = False


class NewExposures(_Body):
    """Units that met arms."""

    exposures: Annotated[list[NewExposure], msgspec.Meta(max_length=1_000)]


class NewOutcomes(_Body):
    """What came of a unit at a time, by the names of metrics and of the parts of the score."""

    unit: _Unit
    outcomes: dict[str, _Number]
    report_id: Annotated[str, msgspec.Meta(max_length=256)] = ""
    time: Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})] | None = None


class Reports(_Body):
    """What came of units."""

    reports: Annotated[list[NewOutcomes], msgspec.Meta(max_length=1_000)]


async def create_experiment(core: Core, request: Request) -> Answer:
    """Creates an experiment."""
    new = decoded(await request.json_body(), NewExperiment, _CREATE_EXAMPLE)
    for metric in new.metrics:
        if metric.aggregation not in _AGGREGATIONS:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`aggregation` must be one of {', '.join(_AGGREGATIONS)}.")
    asked = wire.CreateExperimentRequest(
        tenant=request.caller.tenant, definition=_definition(new), actor=_actor(request), why=new.why
    )
    return json(render((await core.peers.experiments.CreateExperiment(asked)).experiment), 201)


async def experiments(core: Core, request: Request) -> Answer:
    """The experiments."""
    asked = wire.ListExperimentsRequest(tenant=request.caller.tenant)
    return json(render(await core.peers.experiments.ListExperiments(asked)))


async def experiment(core: Core, request: Request) -> Answer:
    """An experiment with its history."""
    asked = wire.GetExperimentRequest(tenant=request.caller.tenant, experiment_id=_id(request))
    return json(render((await core.peers.experiments.GetExperiment(asked)).experiment))


async def assign_units(core: Core, request: Request) -> Answer:
    """The arms of units."""
    order = decoded(await request.json_body(), UnitsToAssign, _ASSIGN_EXAMPLE)
    asked = wire.AssignUnitsRequest(
        tenant=request.caller.tenant,
        experiment_ids=order.experiments,
        units=[wire.ExperimentUnit(unit=each.unit, before=_before(each.before)) for each in order.units],
        is_exposure=order.is_exposure,
    )
    return json(render(await core.peers.experiments.AssignUnits(asked)))


async def configuration(core: Core, request: Request) -> Answer:
    """How units get their arms, signed."""
    asked = wire.GetConfigurationsRequest(tenants=[request.caller.tenant])
    return json(render((await core.peers.experiments.GetConfigurations(asked)).configurations[0]))


async def record_exposures(core: Core, request: Request) -> Answer:
    """Counts units that met arms."""
    order = decoded(await request.json_body(), NewExposures, _EXPOSURES_EXAMPLE)
    asked = wire.RecordExposuresRequest(
        tenant=request.caller.tenant,
        experiment_id=_id(request),
        exposures=[
            wire.UnitExposure(unit=each.unit, arm=each.arm, before=_before(each.before), is_fallback=each.is_fallback)
            for each in order.exposures
        ],
    )
    return json(render(await core.peers.experiments.RecordExposures(asked)))


async def record_outcomes(core: Core, request: Request) -> Answer:
    """Counts what came of units."""
    order = decoded(await request.json_body(), Reports, _OUTCOMES_EXAMPLE)
    asked = wire.RecordOutcomesRequest(tenant=request.caller.tenant, experiment_id=_id(request))
    for each in order.reports:
        report = asked.reports.add(unit=each.unit, report_id=each.report_id, outcomes=each.outcomes)
        moment = times.with_zone(each.time, "time") if each.time else None
        if moment is not None:
            report.outcome_time.FromDatetime(moment)
    return json(render(await core.peers.experiments.RecordOutcomes(asked)))


async def experiment_results(core: Core, request: Request) -> Answer:
    """What may be concluded now."""
    asked = wire.GetResultsRequest(
        tenant=request.caller.tenant,
        experiment_id=_id(request),
        is_with_fallback=request.query.get("fallback", "") == "true",
    )
    return json(render(await core.peers.experiments.GetResults(asked)))


async def promote_arm(core: Core, request: Request) -> Answer:
    """Gives all units one arm."""
    order = decoded(await request.json_body(), Promotion, _PROMOTE_EXAMPLE)
    return await _change(core, request, wire.EXPERIMENT_ACTION_PROMOTE, order.why, order.arm)


async def start_experiment(core: Core, request: Request) -> Answer:
    """Starts an experiment."""
    return await _for_a_reason(core, request, wire.EXPERIMENT_ACTION_START)


async def pause_experiment(core: Core, request: Request) -> Answer:
    """Pauses an experiment."""
    return await _for_a_reason(core, request, wire.EXPERIMENT_ACTION_PAUSE)


async def pause_experiments(core: Core, request: Request) -> Answer:
    """Pauses the experiments that pause on incidents."""
    order = decoded(await request.json_body(), OpenedIncident, _INCIDENT_EXAMPLE)
    asked = wire.PauseExperimentsRequest(
        tenant=request.caller.tenant, incident_id=order.incident_id, actor=_actor(request), why=order.why
    )
    return json(render(await core.peers.experiments.PauseExperiments(asked)))


async def stop_experiment(core: Core, request: Request) -> Answer:
    """Ends an experiment."""
    return await _for_a_reason(core, request, wire.EXPERIMENT_ACTION_STOP)


async def roll_back_experiment(core: Core, request: Request) -> Answer:
    """Ends an experiment that did harm."""
    return await _for_a_reason(core, request, wire.EXPERIMENT_ACTION_ROLL_BACK)


async def _for_a_reason(core: Core, request: Request, action: wire.ExperimentAction.ValueType) -> Answer:
    body = await request.body()
    if body:
        request.require_json()
    return await _change(core, request, action, decoded(body or b"{}", Why, _WHY_EXAMPLE).why)


async def _change(
    core: Core, request: Request, action: wire.ExperimentAction.ValueType, why: str, arm: str = ""
) -> Answer:
    asked = wire.ChangeExperimentRequest(
        tenant=request.caller.tenant,
        experiment_id=_id(request),
        action=action,
        arm=arm,
        actor=_actor(request),
        why=why,
    )
    return json(render((await core.peers.experiments.ChangeExperiment(asked)).experiment))


def _definition(new: NewExperiment) -> wire.ExperimentDefinition:
    return wire.ExperimentDefinition(
        experiment_id=new.experiment_id,
        title=new.title,
        salt=new.salt,
        arms=[wire.ExperimentArm(name=arm.name, weight=arm.weight, value=arm.value) for arm in new.arms],
        metrics=[
            wire.ExperimentMetric(
                name=each.name,
                aggregation=wire.OutcomeAggregation.ValueType(_AGGREGATIONS[each.aggregation]),
                is_smaller_better=each.is_smaller_better,
                harm=each.harm,
                from_hours=each.from_hours,
                within_hours=each.within_hours,
            )
            for each in new.metrics
        ],
        score=wire.ExperimentScore(**msgspec.structs.asdict(new.score)) if new.score else None,
        holdout_percent=new.holdout_percent,
        ramp=new.ramp,
        step_hours=new.step_hours,
        min_days=new.min_days,
        min_outcomes=new.min_outcomes,
        smallest_effect=new.smallest_effect,
        pauses_on_incident=new.pauses_on_incident,
    )


def _before(value: float | None) -> DoubleValue | None:
    return None if value is None else DoubleValue(value=value)


def _id(request: Request) -> str:
    return request.parameters["experimentId"]


def _actor(request: Request) -> str:
    return qualified(request.caller.tenant, request.caller.key_id or "nobody")


def _act(name: str, summary: str, serve: Any) -> Route:  # noqa: ANN401 - what `Route` takes
    return Route(
        "POST",
        f"{_ONE}:{name}",
        summary,
        serve,
        wire.Experiment.DESCRIPTOR,
        reasons=_CHANGING,
        body=Why,
        example=_WHY_EXAMPLE,
        needs_body=False,
    )


_FALLBACK: Final = Parameter(
    "fallback",
    {"enum": ["true", "false"], "default": "false"},
    "Whether units count too that got their arms while the service was away.",
)

EXPERIMENT_ROUTES: Final = (
    # The one whose path ends with any id comes last.
    Route(
        "POST",
        _PATH,
        "Creates an experiment, as a draft: what is compared, by what it is judged, and how its ramp goes.",
        create_experiment,
        wire.Experiment.DESCRIPTOR,
        status=201,
        reasons=("EXPERIMENT_EXISTS", "TOO_MANY_EXPERIMENTS", *_WRITING),
        body=NewExperiment,
        example=_CREATE_EXAMPLE,
    ),
    Route(
        "GET",
        _PATH,
        "The experiments, by id; of each history the last change.",
        experiments,
        wire.ListExperimentsResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    _act("start", "Starts a draft, or one that was paused.", start_experiment),
    _act("pause", "Pauses it: units get the control until it is started again.", pause_experiment),
    _act("stop", "Ends it: units get the control.", stop_experiment),
    Route(
        "POST",
        f"{_ONE}:promote",
        "Ends it: all units get one arm.",
        promote_arm,
        wire.Experiment.DESCRIPTOR,
        reasons=_CHANGING,
        body=Promotion,
        example=_PROMOTE_EXAMPLE,
    ),
    _act("rollback", "Ends it because an arm did harm, also after one was promoted.", roll_back_experiment),
    Route(
        "POST",
        f"{_PATH}:pause",
        "Pauses the running experiments that pause on incidents, each once per incident.",
        pause_experiments,
        wire.PauseExperimentsResponse.DESCRIPTOR,
        reasons=_WRITING,
        body=OpenedIncident,
        example=_INCIDENT_EXAMPLE,
    ),
    Route(
        "POST",
        f"{_PATH}:assign",
        "The arms of units in all running experiments, or in those named. `isExposure` counts that they meet them now.",
        assign_units,
        wire.AssignUnitsResponse.DESCRIPTOR,
        reasons=_WRITING,
        body=UnitsToAssign,
        example=_ASSIGN_EXAMPLE,
    ),
    Route(
        "GET",
        f"{_PATH}:configuration",
        "How units get their arms in all experiments, signed if there is a key: to assign while nobody can be asked.",
        configuration,
        wire.ExperimentConfiguration.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    Route(
        "POST",
        f"{_ONE}/exposures",
        "Counts units that met an arm: one told by the published hash, or the control where no answer came.",
        record_exposures,
        wire.RecordExposuresResponse.DESCRIPTOR,
        reasons=_COUNTING,
        body=NewExposures,
        example=_EXPOSURES_EXAMPLE,
    ),
    Route(
        "POST",
        f"{_ONE}/outcomes",
        "Counts what came of units. A report with a `reportId` may be repeated.",
        record_outcomes,
        wire.RecordOutcomesResponse.DESCRIPTOR,
        reasons=("INVALID_TIME", *_COUNTING),
        body=Reports,
        example=_OUTCOMES_EXAMPLE,
    ),
    Route(
        "GET",
        f"{_ONE}/results",
        "What may be concluded, at any time: arms, intervals, guardrails, and the winner or what it waits for.",
        experiment_results,
        wire.GetResultsResponse.DESCRIPTOR,
        reasons=("EXPERIMENT_NOT_FOUND", "VALUE_OUT_OF_RANGE", *CALLS_REASONS),
        query=(_FALLBACK,),
    ),
    Route(
        "GET",
        _ONE,
        "An experiment with its history.",
        experiment,
        wire.Experiment.DESCRIPTOR,
        reasons=("EXPERIMENT_NOT_FOUND", *CALLS_REASONS),
    ),
)
