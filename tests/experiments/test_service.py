"""The service behind a real stub: an experiment's life, units counted once, ramps, roll backs, and a store away."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from google.protobuf.wrappers_pb2 import DoubleValue
from journeymesh.experiments.v1 import experiments_pb2 as wire
from journeymesh.experiments.v1.experiments_pb2_grpc import (
    ExperimentsServiceStub,
    add_ExperimentsServiceServicer_to_server,
)

from comparison import sums
from mesh.errors import AlreadyExists, Damaged, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from mesh.rpc.timestamps import timestamp
from mesh.store import redis
from services.experiments import bootstrap
from services.experiments.adapters.memory import MemoryExperiments
from services.experiments.adapters.redis import RedisExperiments, _keys
from services.experiments.bootstrap import UseCases
from services.experiments.domain.evidence import UnitState
from services.experiments.domain.experiment import DAY_US, HOUR_US, LONGEST_HISTORY, Experiment
from services.experiments.ports import Evidence, ExperimentStore
from services.experiments.usecases import LONGEST_FALLBACK_US, UNITS_KEPT_US
from tests.experiments.examples import NOON_US
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceAsyncStub

MOST_UNITS: Final = 5_000
START: Final = wire.EXPERIMENT_ACTION_START
PAUSE: Final = wire.EXPERIMENT_ACTION_PAUSE
PROMOTE: Final = wire.EXPERIMENT_ACTION_PROMOTE
ROLL_BACK: Final = wire.EXPERIMENT_ACTION_ROLL_BACK
ARMS: Final = [wire.ExperimentArm(name=name, weight=1, value=name.upper()) for name in ("control", "new")]


class Leaving:
    """A store that can be away."""

    def __init__(self, store: ExperimentStore) -> None:
        self._store = store
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        if self.is_away:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "It is away.")
        return getattr(self._store, name)


class Told(NamedTuple):
    """The service with its clock and store."""

    stub: "ExperimentsServiceAsyncStub"
    use_cases: UseCases
    store: Leaving
    clock: list[int]

    async def create(self, experiment_id: str = "sales", **members: Any) -> wire.Experiment:
        given: dict[str, Any] = {
            "arms": ARMS,
            "metrics": [wire.ExperimentMetric(name="sold")],
            "ramp": [100.0],
            "step_hours": 24.0,
            "min_days": 3.0,
            "min_outcomes": 100,
            "smallest_effect": 0.1,
        }
        definition = wire.ExperimentDefinition(experiment_id=experiment_id, **{**given, **members})
        asked = wire.CreateExperimentRequest(definition=definition, actor="ann")
        return (await self.stub.CreateExperiment(asked)).experiment

    async def change(
        self, action: wire.ExperimentAction.ValueType, experiment_id: str = "sales", arm: str = ""
    ) -> wire.Experiment:
        asked = wire.ChangeExperimentRequest(experiment_id=experiment_id, action=action, actor="ann", arm=arm)
        return (await self.stub.ChangeExperiment(asked)).experiment

    async def assign(self, units: Sequence[str], **members: Any) -> wire.AssignUnitsResponse:
        asked = [wire.ExperimentUnit(unit=unit) for unit in units]
        return await self.stub.AssignUnits(wire.AssignUnitsRequest(units=asked, **members), timeout=30)

    async def report(self, rows: Sequence[tuple[str, str, Mapping[str, float]]]) -> wire.RecordOutcomesResponse:
        reports = [wire.OutcomeOfUnit(unit=unit, report_id=id_, outcomes=outcomes) for unit, id_, outcomes in rows]
        return await self.stub.RecordOutcomes(wire.RecordOutcomesRequest(experiment_id="sales", reports=reports))

    async def results(self, **members: Any) -> wire.GetResultsResponse:
        return await self.stub.GetResults(wire.GetResultsRequest(experiment_id="sales", **members))


def over(store: ExperimentStore, clock: list[int], most_units: int = MOST_UNITS) -> UseCases:
    """The use cases over a store, with one clock for everything."""
    return bootstrap.over(store, lambda: clock[0], lambda: clock[0], most_units)


@pytest.fixture(params=["memory", "redis"])
async def told(request: pytest.FixtureRequest, valkey: redis.Client) -> AsyncIterator[Told]:
    store = Leaving(MemoryExperiments() if request.param == "memory" else RedisExperiments(valkey))
    clock = [NOON_US]
    use_cases = over(store, clock)
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(use_cases.servicer, to)) as channel:
        yield Told(ExperimentsServiceStub(channel), use_cases, store, clock)


def users(count: int) -> list[str]:
    return [f"user-{number}" for number in range(count)]


async def test_the_life_of_an_experiment(told: Told) -> None:
    created = await told.create()
    assert (created.state, created.percent, created.definition.salt) == (wire.EXPERIMENT_STATE_DRAFT, 0, "sales")
    with pytest.raises(AlreadyExists):
        await told.create()
    with pytest.raises(FailedPrecondition, match="It is draft"):
        await told.change(PAUSE)
    told.clock[0] += HOUR_US
    assert (await told.change(START)).percent == 100
    told.clock[0] += DAY_US
    assert (await told.change(PAUSE)).days == 1
    told.clock[0] += DAY_US
    assert {each.arm for each in (await told.assign(users(50), experiment_ids=["sales"])).assignments} == {"control"}
    with pytest.raises(InvalidArgument, match="`arm` must be one of control, new"):
        await told.change(PROMOTE, arm="old")
    promoted = await told.change(PROMOTE, arm="new")
    assert (promoted.state, promoted.promoted, promoted.days) == (wire.EXPERIMENT_STATE_PROMOTED, "new", 1)
    found = (await told.assign(users(50))).assignments
    assert {(each.arm, each.value, each.takes_part) for each in found} == {("new", "NEW", False)}
    assert (await told.change(ROLL_BACK)).state == wire.EXPERIMENT_STATE_ROLLED_BACK
    shown = (await told.stub.GetExperiment(wire.GetExperimentRequest(experiment_id="sales"))).experiment
    assert [each.state for each in shown.history] == [1, 2, 3, 5, 6]
    assert {each.actor for each in shown.history} == {"ann"}
    assert len((await told.stub.ListExperiments(wire.ListExperimentsRequest())).experiments[0].history) == 1


async def test_what_is_wrong_is_said(told: Told) -> None:
    wrong: Sequence[Mapping[str, Any]] = (
        {"arms": ARMS[:1]},
        {"arms": [ARMS[0], ARMS[0]]},
        {"metrics": []},
        {"metrics": [wire.ExperimentMetric(name="score")]},
        {"metrics": [wire.ExperimentMetric(name="a b")]},
        {"ramp": [5.0, 1.0]},
        {"ramp": [float("nan")]},
        {"min_outcomes": 1},
        {"holdout_percent": 91.0},
        {"smallest_effect": 0.0},
        {"score": wire.ExperimentScore(quality="q", speed="s", cost="c")},
    )
    for members in wrong:
        with pytest.raises(InvalidArgument):
            await told.create(**members)
    with pytest.raises(NotFound):
        await told.change(START)
    await told.create(metrics=[wire.ExperimentMetric(name="spent", aggregation=wire.OUTCOME_AGGREGATION_TOTAL)])
    await told.change(START)
    for units in ([""], users(1_001), ["x" * 257]):
        with pytest.raises(InvalidArgument):
            await told.assign(units)
    for rows in ([("a", "", {"spent": 1.0})], [("a", "1", {"spent": float("nan")})], [("a", "1", {"spent": 2e9})]):
        with pytest.raises(InvalidArgument):
            await told.report(rows)


async def test_a_call_tells_a_bounded_number_of_arms(told: Told) -> None:
    for number in range(21):
        await told.create(f"sales-{number}")
        await told.change(START, f"sales-{number}")
    with pytest.raises(InvalidArgument, match="20,000 arms"):
        await told.assign(users(1_000), is_exposure=True)
    assert len((await told.assign(users(900))).assignments) == 18_900


async def test_units_count_once_whatever_is_repeated(told: Told) -> None:
    spent = wire.ExperimentMetric(name="spent", aggregation=wire.OUTCOME_AGGREGATION_TOTAL)
    await told.create(metrics=[wire.ExperimentMetric(name="sold"), spent])
    await told.change(START)
    for _ in range(2):
        found = await told.assign(users(200), is_exposure=True)
        assert not found.is_fallback
    arms = {each.unit: each.arm for each in found.assignments}
    for _ in range(2):
        for purchase in ("p1", "p2"):
            answer = await told.report([(unit, purchase, {"sold": 1, "spent": 7, "x": 1}) for unit in users(60)])
            assert (answer.matched, answer.unmatched) == (60, 0)
    assert (await told.report([("nobody", "p", {"sold": 1})])).unmatched == 1
    results = await told.results()
    assert {each.arm: each.units for each in results.units} == {
        arm: list(arms.values()).count(arm) for arm in ("control", "new")
    }
    assert results.unmatched_reports == 1
    bought = sum(arms[unit] == "new" for unit in users(60)) / list(arms.values()).count("new")
    sold, spending = results.findings
    assert sold.mean.value == pytest.approx(bought)
    assert spending.mean.value == pytest.approx(14 * bought)
    assert sold.units + sold.control_units == 200


async def test_those_who_count_at_the_same_time_lose_nothing(told: Told) -> None:
    await told.create()
    await told.change(START)
    rooms = [told.use_cases, over(told.store, told.clock)]
    for use_cases in rooms:
        await use_cases.assigning.assign("", (), {}, is_exposure=False)
    parts = [users(300)[place : place + 30] for place in range(0, 300, 30)]
    await asyncio.gather(
        *(
            rooms[place % 2].assigning.assign("", (), dict.fromkeys(part), is_exposure=True)
            for place, part in enumerate([*parts, *parts])
        )
    )
    assert sum(each.units for each in (await told.results()).units) == 300


async def test_tenants_have_experiments_of_their_own(told: Told) -> None:
    await told.create()
    await told.change(START)
    acme: dict[str, Any] = {"tenant": "acme", "experiment_id": "sales"}
    with pytest.raises(NotFound):
        await told.stub.GetExperiment(wire.GetExperimentRequest(**acme))
    with pytest.raises(NotFound):
        await told.stub.GetResults(wire.GetResultsRequest(**acme))
    assert not (await told.stub.ListExperiments(wire.ListExperimentsRequest(tenant="acme"))).experiments
    assert not (await told.assign(["ada"], tenant="acme", is_exposure=True)).assignments
    assert sum(each.units for each in (await told.results()).units) == 0


async def test_who_meets_two_arms_counts_for_none(told: Told) -> None:
    await told.create()
    await told.change(START)
    both = [wire.UnitExposure(unit=unit, arm=arm) for unit in users(3) for arm in ("control", "new")]
    alone = [wire.UnitExposure(unit="alone", arm="new", before=DoubleValue(value=2))]
    asked = wire.RecordExposuresRequest(experiment_id="sales", exposures=both + alone)
    assert (await told.stub.RecordExposures(asked)).new_units == 4
    results = await told.results()
    assert results.units_in_several_arms == 3
    assert results.several_arms == wire.EXPERIMENT_LEVEL_WARNING
    assert [each.units for each in results.units] == [0, 1]
    with pytest.raises(InvalidArgument):
        exposures = [wire.UnitExposure(unit="a", arm="old")]
        await told.stub.RecordExposures(wire.RecordExposuresRequest(experiment_id="sales", exposures=exposures))


async def test_an_experiment_that_is_full_leaves_units_out(told: Told) -> None:
    await told.create()
    await told.change(START)
    use_cases = over(told.store, told.clock, most_units=10)
    await use_cases.assigning.assign("", (), dict.fromkeys(users(25)), is_exposure=True)
    assert sum(each.units for each in (await told.results()).units) == 10


async def test_a_ramp_goes_on_by_itself_and_harm_is_rolled_back(told: Told) -> None:
    await told.create(ramp=[50.0, 100.0], metrics=[wire.ExperimentMetric(name="sold", harm=0.1)])
    await told.change(START)
    assert await told.use_cases.experiments.tick() == []
    told.clock[0] += DAY_US
    assert await told.use_cases.experiments.tick() == []  # nothing is known of the guardrail
    found = (await told.assign(users(1_000), is_exposure=True)).assignments
    included = [each for each in found if each.takes_part]
    assert 400 < len(included) < 600
    await told.report(
        [(each.unit, "", {"sold": float(each.unit[-1] in "02468")}) for each in included if each.arm == "control"]
    )
    (rolled_back,) = await told.use_cases.experiments.tick()
    assert rolled_back.state == "rolled_back"
    assert rolled_back.history[-1].actor == "experiments"
    assert rolled_back.history[-1].why == "new is worse in sold: -100.0%"
    assert await told.use_cases.experiments.tick() == []


async def test_what_one_experiment_has_lost_leaves_the_others_as_they_are(valkey: redis.Client) -> None:
    clock, store = [NOON_US], RedisExperiments(valkey)
    use_cases = over(store, clock)
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(use_cases.servicer, to)) as channel:
        told = Told(ExperimentsServiceStub(channel), use_cases, Leaving(store), clock)
        for experiment_id in ("lost", "uncounted", "whole"):
            await told.create(experiment_id=experiment_id, ramp=[10.0, 100.0])
            await told.change(START, experiment_id=experiment_id)
        found = (await told.assign(users(100), is_exposure=True)).assignments
        one = next(each.unit for each in found if each.takes_part and each.experiment_id == "lost")
        await valkey.hset("jm:{experiments}:experiments", "/lost", b"\x92\x01")
        uncounted, _ = _keys("", "uncounted")
        await valkey.hset(uncounted, "totals", b"\x92\x01")
        told.clock[0] += DAY_US
        assert [each.definition.id for each in await use_cases.experiments.tick()] == ["whole"]
        assert (await store.evidence("", "lost", [one])).units
        with pytest.raises(Damaged):
            await use_cases.experiments.get("", "lost")
        await valkey.unlink(uncounted)
        await told.stub.EraseUser(wire.EraseUserRequest(user_ids=[one]))
        assert not (await store.evidence("", "lost", [one])).units


async def test_an_incident_pauses_each_experiment_that_says_so_once(told: Told) -> None:
    for experiment_id, pauses in (("a", True), ("b", True), ("c", False)):
        await told.create(experiment_id, pauses_on_incident=pauses)
        await told.change(START, experiment_id)
    await told.create("draft", pauses_on_incident=True)
    opened = wire.PauseExperimentsRequest(incident_id="i-1", actor="insights", why="sales fell")
    for _ in range(2):
        assert (await told.stub.PauseExperiments(opened)).experiment_ids == ["a", "b"]
    paused = (await told.stub.GetExperiment(wire.GetExperimentRequest(experiment_id="a"))).experiment
    assert (paused.state, paused.revision) == (wire.EXPERIMENT_STATE_PAUSED, 3)
    last = paused.history[-1]
    assert (last.actor, last.why, last.incident_id) == ("insights", "sales fell", "i-1")
    assert [each.definition.id for each in await told.use_cases.experiments.listed("") if each.state == "running"] == [
        "c"
    ]
    await told.change(START, "a")
    assert (await told.stub.PauseExperiments(opened)).experiment_ids == ["a", "b"]
    running = (await told.stub.GetExperiment(wire.GetExperimentRequest(experiment_id="a"))).experiment
    assert running.state == wire.EXPERIMENT_STATE_RUNNING
    opened.incident_id = "i-2"
    assert (await told.stub.PauseExperiments(opened)).experiment_ids == ["a"]
    with pytest.raises(InvalidArgument, match="incidentId"):
        await told.stub.PauseExperiments(wire.PauseExperimentsRequest())
    other = wire.PauseExperimentsRequest(tenant="acme", incident_id="i-1")
    assert not (await told.stub.PauseExperiments(other)).experiment_ids


async def test_why_a_change_is_refused_tells_what_to_do(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    await told.create()
    with pytest.raises(FailedPrecondition) as refused:
        await told.change(PAUSE)
    assert refused.value.reason == "EXPERIMENT_STATE_INVALID"
    await told.change(START)
    with pytest.raises(InvalidArgument, match="control, new"):
        await told.change(PROMOTE, arm="newer")
    put = told.store.put

    async def late(experiment: Experiment, seen_revision: int) -> bool:
        return bool(await put(experiment, seen_revision - 1))

    monkeypatch.setattr(told.store, "put", late, raising=False)
    with pytest.raises(FailedPrecondition) as refused:
        await told.change(PAUSE)
    assert refused.value.reason == "EXPERIMENT_CHANGED"


@pytest.mark.parametrize("ending", ["by itself", "by a person"])
async def test_an_experiment_whose_history_is_full_can_be_ended(told: Told, ending: str) -> None:
    await told.create(metrics=[wire.ExperimentMetric(name="sold", harm=0.1)])
    await told.change(START)
    (running,) = await told.use_cases.experiments.store.all()
    lengthened = running._replace(
        history=running.history[:1] + running.history[1:] * LONGEST_HISTORY, revision=running.revision + 1
    )
    assert await told.use_cases.experiments.store.put(lengthened, running.revision)
    if ending == "by itself":
        found = (await told.assign(users(1_000), is_exposure=True)).assignments
        sold = [each.unit for each in found if each.arm == "control" and each.unit[-1] in "02468"]
        await told.report([(unit, "", {"sold": 1.0}) for unit in sold])
        (ended,) = await told.use_cases.experiments.tick()
        assert (ended.state, len(ended.history)) == ("rolled_back", LONGEST_HISTORY + 2)
        return
    await told.change(PAUSE)
    with pytest.raises(FailedPrecondition, match="history is full"):
        await told.change(START)
    assert (await told.change(ROLL_BACK)).state == wire.EXPERIMENT_STATE_ROLLED_BACK


async def test_a_ramp_without_guardrails_goes_up_each_step(told: Told) -> None:
    await told.create(ramp=[1.0, 5.0, 100.0])
    await told.change(START)
    percents = []
    for _ in range(5):
        told.clock[0] += DAY_US
        percents += [each.percent for each in await told.use_cases.experiments.tick()]
    assert percents == [5.0, 100.0]


async def test_without_the_store_arms_are_as_before_for_a_day_and_are_counted_later(told: Told) -> None:
    await told.create()
    await told.change(START)
    before = {each.unit: each.arm for each in (await told.assign(users(100))).assignments}
    told.store.is_away = True
    told.clock[0] += LONGEST_FALLBACK_US - 1
    found = await told.assign(users(100), is_exposure=True)
    assert found.is_fallback
    assert {each.unit: each.arm for each in found.assignments} == before
    told.clock[0] += 2
    with pytest.raises(Unavailable):
        await told.assign(users(100))
    told.store.is_away = False
    await told.use_cases.assigning.settle()
    assert (await told.results()).fallback_units == 100
    assert sum(each.units for each in (await told.results()).units) == 0
    assert sum(each.units for each in (await told.results(is_with_fallback=True)).units) == 100


async def test_what_was_known_before_makes_intervals_narrower(told: Told) -> None:
    spent = wire.ExperimentMetric(name="spent", aggregation=wire.OUTCOME_AGGREGATION_LATEST)
    await told.create(metrics=[spent])
    await told.change(START)
    risks = {unit: (number * 37 % 101) / 101 for number, unit in enumerate(users(400))}
    await told.use_cases.assigning.assign("", (), risks, is_exposure=True)
    rows = [(unit, "", {"spent": 10 * risk + number * 53 % 7 / 7}) for number, (unit, risk) in enumerate(risks.items())]
    await told.report(rows)
    (finding,) = (await told.results()).findings
    assert finding.variance_left.value < 0.05
    assert finding.lower.value < 0 < finding.upper.value


async def test_units_are_forgotten_a_month_after_the_end(told: Told) -> None:
    await told.create()
    await told.change(START)
    await told.assign(["ann"], is_exposure=True)
    await told.change(wire.EXPERIMENT_ACTION_STOP)
    told.clock[0] += UNITS_KEPT_US
    await told.use_cases.experiments.tick()
    assert (await told.store.evidence("", "sales", ["ann"])).units
    told.clock[0] += 1
    await told.use_cases.experiments.tick()
    left: Evidence = await told.store.evidence("", "sales", ["ann"])
    assert (left.units, left.totals.units) == ({}, 1)


async def test_a_person_is_exported_and_erased_and_nobody_else_is(told: Told) -> None:
    await told.create()
    await told.change(START)
    await told.assign(["ada", "bob"], is_exposure=True)
    await told.report([("ada", "", {"sold": 1})])
    ids = ["ada", "ada-browser"]
    (record,) = (await told.stub.ExportUser(wire.ExportUserRequest(user_ids=ids))).records
    exported = json.loads(record.json)
    assert (record.store, exported["user_id"], exported["experiment_id"]) == ("experiments.units", "ada", "sales")
    assert exported["outcomes"]["sold"]["total"] == 1
    for counts_only, left in ((True, 1), (False, 0), (False, 0)):
        asked = wire.EraseUserRequest(user_ids=ids, counts_only=counts_only)
        (store,) = (await told.stub.EraseUser(asked)).stores
        assert (store.store, store.count) == ("experiments.units", left)
    assert not (await told.stub.ExportUser(wire.ExportUserRequest(user_ids=ids))).records
    assert list((await told.store.evidence("", "sales", ["ada", "bob"])).units) == ["bob"]
    assert sum(each.units for each in (await told.results()).units) == 2
    with pytest.raises(InvalidArgument):
        await told.stub.EraseUser(wire.EraseUserRequest())


async def test_who_has_read_an_erased_unit_does_not_write_it(told: Told) -> None:
    await told.create()
    await told.change(START)
    await told.assign(["ada"], is_exposure=True)
    seen: Evidence = await told.store.evidence("", "sales", ["ada"])
    await told.store.erase_units("", "sales", ["ada"])
    assert not await told.store.count("", "sales", seen, seen.totals, seen.units)


async def test_the_totals_are_those_of_the_units(told: Told) -> None:
    spent = wire.ExperimentMetric(name="spent", aggregation=wire.OUTCOME_AGGREGATION_AVERAGE)
    await told.create(metrics=[spent])
    await told.change(START)
    await told.assign(users(40), is_exposure=True)
    for turn in range(5):
        await told.report([(unit, f"{turn}", {"spent": (turn * 31 + n * 7) % 11}) for n, unit in enumerate(users(40))])
    known: Evidence = await told.store.evidence("", "sales", users(40))
    states: list[UnitState] = list(known.units.values())
    for arm, group in known.totals.assigned.items():
        of = [state.values["spent"] for state in states if state.arm == arm]
        expected = sums.together(sums.of_unit(each.total / each.reports) for each in of)
        assert group.units == len(of)
        assert group.sums["spent"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("hours", "counts"), [(0.0, False), (23.9, False), (24.0, True), (168.0, True), (168.1, False)]
)
async def test_only_outcomes_within_the_window_count(told: Told, hours: float, counts: bool) -> None:  # noqa: FBT001
    window = wire.ExperimentMetric(name="stayed", from_hours=24, within_hours=168)
    await told.create(metrics=[window, wire.ExperimentMetric(name="sold")])
    await told.change(START)
    await told.assign(["u-1"], is_exposure=True)
    told.clock[0] += round(hours * HOUR_US)
    for _ in range(2):
        await told.report([("u-1", "", {"stayed": 1.0, "sold": 1.0})])
    evidence = await told.store.evidence("", "sales", ["u-1"])
    assert evidence.units["u-1"].met_us == NOON_US
    assert set(evidence.units["u-1"].values) == ({"stayed", "sold"} if counts else {"sold"})


async def test_a_unit_met_its_arm_at_the_earliest_time_that_is_told_and_no_later_than_now(told: Told) -> None:
    await told.create()
    await told.change(START)
    now_us = told.clock[0]
    for at_us, met_us in ((now_us + HOUR_US, now_us), (now_us - HOUR_US, now_us - HOUR_US), (None, now_us - HOUR_US)):
        unit = wire.UnitExposure(unit="u-1", arm="control", exposure_time=timestamp(at_us) if at_us else None)
        await told.stub.RecordExposures(wire.RecordExposuresRequest(experiment_id="sales", exposures=[unit]))
        assert (await told.store.evidence("", "sales", ["u-1"])).units["u-1"].met_us == met_us


@pytest.mark.parametrize(("since", "until"), [(24, 24), (24, 12), (-1, 0), (0, 9_000)])
async def test_a_window_that_makes_no_sense_is_refused(told: Told, since: float, until: float) -> None:
    window = wire.ExperimentMetric(name="stayed", from_hours=since, within_hours=until)
    with pytest.raises(InvalidArgument, match="fromHours"):
        await told.create(metrics=[window])
