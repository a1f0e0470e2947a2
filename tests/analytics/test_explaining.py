"""What is told beside an incident: what explains it, what is missing, and what changed before it."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.analytics.v1 import insights_pb2 as wire
from journeymesh.experiments.v1 import experiments_pb2, experiments_pb2_grpc
from journeymesh.intervention.v1 import intervention_pb2, intervention_pb2_grpc
from journeymesh.scoring.v1 import models_pb2, models_pb2_grpc

from mesh.errors import InvalidArgument, Unavailable
from mesh.rpc.timestamps import timestamp
from services.analytics.adapters.changing import PeerChanges
from services.analytics.adapters.watched import MemoryWatches
from services.analytics.domain import changes
from services.analytics.domain.answer import Insight, InsightPart, InsightPoint, Insights, InsightSlice, Money
from services.analytics.domain.answer import Slices as Explained
from services.analytics.domain.changes import Change
from services.analytics.domain.question import DAY_US, HOUR_US, Question, Slices
from services.analytics.domain.watched import WatchedInsight
from services.analytics.ports import Changes
from services.analytics.usecases import Answered, Known
from services.analytics.watching import Plan, Watching
from tests.analytics.test_watching import stub
from tests.builders import NOW_US
from tests.serving import serving

MINUTE_US = 60_000_000
OPENED_US = NOW_US - 2 * HOUR_US
POINTS = (
    InsightPoint(OPENED_US, 40.0, 100.0, 80.0, 120.0),
    InsightPoint(OPENED_US + HOUR_US, 60.0, 100.0, 80.0, 120.0),
)
PART = InsightPart("conversions", OPENED_US, None, "below", OPENED_US, 40.0, 100.0, 80.0, 120.0, 6.0, POINTS)
OPEN = Insight(OPENED_US, None, "high", 45.5, (PART,))
SLICE = InsightSlice("conversions", "page", "/pay", 0.0, 50.0, 0.9, 0.1)
POLICY = Change(OPENED_US - HOUR_US, "policy", "policy-2+abc")
RAMP = Change(OPENED_US - MINUTE_US, "experiment", "checkout", "running, 25 %", "experiments")


@dataclasses.dataclass
class World:
    """What is found, and what changed, as a test says."""

    found: tuple[Insight, ...] = (OPEN,)
    known_changes: Sequence[Change] = (POLICY, RAMP, Change(OPENED_US - 3 * HOUR_US, "model", "m-7"))
    refusal: Exception | None = None
    is_away: bool = False
    sliced: list[Slices] = dataclasses.field(default_factory=list)
    until_us: int = NOW_US

    def known(self) -> Known:
        return Known(self.until_us, frozenset())

    async def ask(self, _tenant: str, question: Question) -> Answered:
        if not isinstance(question, Slices):
            return Answered(Insights(self.found, len(self.found), (), 0, 0), cast("Any", None))
        self.sliced.append(question)
        if self.refusal is not None:
            raise self.refusal
        return Answered(Explained((SLICE,), (Money("EUR", 20.0),), 0.1), cast("Any", None))

    async def between(self, _tenant: str, start_us: int, end_us: int) -> Sequence[Change]:
        if self.is_away:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "Nobody knows.")
        return [each for each in self.known_changes if start_us <= each.time_us < end_us]


def watching(world: World, changed: Changes | None = None) -> Watching:
    return Watching(world, MemoryWatches(), lambda: NOW_US, Plan(), changes=changed or world)


async def known(watched: Watching) -> WatchedInsight:
    """The one incident, after another judgement."""
    await watched.judge()
    (its,) = (await watched.listed("")).insights
    return its


async def test_an_incident_is_told_with_what_explains_it_what_is_missing_and_what_changed() -> None:
    world = World()
    watched = watching(world)
    its = await known(watched)
    assert its.slices == (SLICE,)
    assert its.missing_money == (Money("EUR", 20.0 * 100),)
    assert its.changes == (RAMP, POLICY)
    assert its.is_explained
    # It is not counted again until the incident changes.
    assert await known(watched) == its
    assert len(world.sliced) == 1
    world.found = (OPEN._replace(closed_us=NOW_US, parts=(PART._replace(closed_us=NOW_US),)),)
    assert (await known(watched)).is_explained
    assert len(world.sliced) == 2


async def test_what_cannot_be_looked_up_is_told_without_and_tried_again() -> None:
    world = World(is_away=True)
    watched = watching(world)
    its = await known(watched)
    assert (its.slices, its.changes, its.is_explained) == ((SLICE,), (), False)
    world.is_away = False
    its = await known(watched)
    assert (its.changes, its.is_explained) == ((RAMP, POLICY), True)
    refused = watching(World(refusal=InvalidArgument("QUESTION_TOO_LARGE", "Too large.")))
    its = await known(refused)
    assert (its.slices, its.changes, its.is_explained) == ((), (RAMP, POLICY), True)


async def test_no_more_than_three_are_explained_at_once_and_the_latest_first() -> None:
    each = [
        OPEN._replace(
            opened_us=OPENED_US - n * DAY_US,
            parts=(PART._replace(opened_us=OPENED_US - n * DAY_US, closed_us=NOW_US - n * DAY_US),),
        )
        for n in range(5)
    ]
    world = World(found=tuple(each))
    watched = watching(world)
    for count in (3, 5, 5):
        await watched.judge()
        explained = [its.is_explained for its in (await watched.listed("")).insights]
        assert explained == [True] * count + [False] * (5 - count)
    assert len(world.sliced) == 5


async def test_what_is_noted_later_is_told_beside_the_incident_and_listed() -> None:
    watched = watching(World())
    await known(watched)
    deployed = Change(OPENED_US - 9 * MINUTE_US, "deploy", "web 1.2.3", "hotfix", "ada")
    assert await watched.note("", deployed) == deployed
    assert await watched.note("", deployed._replace(time_us=deployed.time_us + MINUTE_US, by="bob")) == deployed
    assert (await known(watched)).changes == (RAMP, deployed, POLICY)
    now = await watched.note("", Change(0, "other", "sale"))
    assert now.time_us == NOW_US
    assert [each.name for each in await watched.changes("")] == ["sale", "checkout", "web 1.2.3", "policy-2+abc", "m-7"]
    assert [each.name for each in await watching(World()).changes("acme")] == ["checkout", "policy-2+abc", "m-7"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Change(NOW_US, "deploy", " "), "MISSING_FIELD"),
        (Change(NOW_US, "", "web"), "MISSING_FIELD"),
        (Change(NOW_US, "policy", "web"), "VALUE_OUT_OF_RANGE"),
        (Change(NOW_US, "deploy", "n" * 101), "VALUE_OUT_OF_RANGE"),
        (Change(NOW_US, "deploy", "web", "d" * 501), "VALUE_OUT_OF_RANGE"),
        (Change(NOW_US + 1, "deploy", "web"), "VALUE_OUT_OF_RANGE"),
        (Change(NOW_US - 14 * DAY_US - 1, "deploy", "web"), "VALUE_OUT_OF_RANGE"),
    ],
)
async def test_what_cannot_be_noted_is_refused(change: Change, expected: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        await watching(World()).note("", change)
    assert error.value.reason == expected


KINDS = ("deploy", "model", "policy", "experiment", "setting", "other")


@given(st.lists(st.tuples(st.integers(-150, 90), st.sampled_from(KINDS), st.sampled_from("abc")), max_size=60))
def test_changes_are_told_by_how_near_they_are_and_none_of_another_kind_hides_the_nearest(
    made: list[tuple[int, str, str]],
) -> None:
    known = [Change(OPENED_US + minutes * MINUTE_US, kind, name) for minutes, kind, name in made]
    told = changes.beside(OPENED_US, known[::2], known[1::2], known)
    near = {each for each in known if -120 * MINUTE_US <= each.time_us - OPENED_US < 60 * MINUTE_US}
    far = [abs(each.time_us - OPENED_US) for each in told]
    assert far == sorted(far)
    assert len({*told}) == len(told) == min(len(near), changes.MOST_TOLD)
    assert {*told} <= near
    for kind in {each.kind for each in near}:
        least = min(abs(each.time_us - OPENED_US) for each in near if each.kind == kind)
        assert least in [abs(each.time_us - OPENED_US) for each in told if each.kind == kind]


@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(("deploy", "other")), st.sampled_from("abc")), max_size=300)
)
def test_noted_changes_are_bounded_in_order_and_none_is_twice_within_a_minute(said: list[tuple[int, str, str]]) -> None:
    noted: tuple[Change, ...] = ()
    for seconds, kind, name in said:
        noted, kept = changes.noted(noted, Change(NOW_US + seconds * 1_000_000, kind, name), NOW_US)
        assert (kept.kind, kept.name) == (kind, name)
    assert len(noted) <= changes.MOST_NOTED
    assert [*noted] == sorted(noted, key=lambda each: -each.time_us)
    for one in noted:
        same = [each for each in noted if each[1:4] == one[1:4] and abs(each.time_us - one.time_us) <= MINUTE_US]
        assert same == [one]


async def test_changes_are_noted_and_listed_over_rpc() -> None:
    async with stub(watching(World(known_changes=()))) as at:
        asked = wire.NoteChangeRequest(what=wire.CHANGE_KIND_DEPLOY, name="web 1.2.3", by="ada")
        noted = (await at.NoteChange(asked)).change
        assert (noted.kind, noted.time, noted.by) == (wire.CHANGE_KIND_DEPLOY, timestamp(NOW_US), "ada")
        assert [*(await at.ListChanges(wire.ListChangesRequest())).changes] == [noted]


class Policies(intervention_pb2_grpc.InterventionServiceServicer):
    """Knows policies."""

    async def ListPolicies(self, request: Any, context: object) -> intervention_pb2.ListPoliciesResponse:
        of = intervention_pb2.PolicyVersion
        return intervention_pb2.ListPoliciesResponse(
            policies=[
                of(version="p-2", start_time=timestamp(NOW_US)),
                of(version="acme/p-1", start_time=timestamp(NOW_US), tenant="acme"),
                of(version="globex/p-1", start_time=timestamp(NOW_US), tenant="globex"),
                of(version="p-1", start_time=timestamp(NOW_US - DAY_US)),
            ]
        )


class Models(models_pb2_grpc.ModelsServiceServicer):
    """Knows changes of stages."""

    async def ListModels(self, request: Any, context: object) -> models_pb2.ListModelsResponse:
        of, at = models_pb2.ModelChange, timestamp(NOW_US + 1)
        stage = models_pb2.MODEL_STAGE_CANARY
        return models_pb2.ListModelsResponse(
            changes=[
                of(change_time=at, model_version="m-2", stage=stage, canary_percent=5, actor="ada"),
                of(change_time=at, model_version="m-3", stage=models_pb2.MODEL_STAGE_LIVE, tenant="globex"),
            ]
        )


class Experiments(experiments_pb2_grpc.ExperimentsServiceServicer):
    """Knows an experiment that moved, and an old one."""

    async def ListExperiments(self, request: Any, context: object) -> experiments_pb2.ListExperimentsResponse:
        return experiments_pb2.ListExperimentsResponse(
            experiments=[self.experiment("new", NOW_US + 2), self.experiment("old", NOW_US - 1)]
        )

    async def GetExperiment(self, request: Any, context: object) -> experiments_pb2.GetExperimentResponse:
        assert request.experiment_id == "new"
        return experiments_pb2.GetExperimentResponse(experiment=self.experiment("new", NOW_US + 1, NOW_US + 2))

    def experiment(self, name: str, *times: int) -> experiments_pb2.Experiment:
        running = experiments_pb2.EXPERIMENT_STATE_RUNNING
        return experiments_pb2.Experiment(
            definition=experiments_pb2.ExperimentDefinition(experiment_id=name),
            history=[
                experiments_pb2.ExperimentChange(change_time=timestamp(at), state=running, percent=5 * n, actor="bob")
                for n, at in enumerate(times, 1)
            ],
        )


@contextlib.asynccontextmanager
async def peers() -> AsyncIterator[PeerChanges]:
    async with (
        serving(
            lambda to: intervention_pb2_grpc.add_InterventionServiceServicer_to_server(cast("Any", Policies)(), to)
        ) as one,
        serving(lambda to: models_pb2_grpc.add_ModelsServiceServicer_to_server(cast("Any", Models)(), to)) as two,
        serving(
            lambda to: experiments_pb2_grpc.add_ExperimentsServiceServicer_to_server(cast("Any", Experiments)(), to)
        ) as three,
    ):
        yield PeerChanges(
            intervention_pb2_grpc.InterventionServiceStub(one),
            models_pb2_grpc.ModelsServiceStub(two),
            experiments_pb2_grpc.ExperimentsServiceStub(three),
        )


async def test_what_changed_is_asked_of_the_services_that_keep_it() -> None:
    async with peers() as at:
        found = await at.between("acme", NOW_US, NOW_US + 3)
        models = [each for each in await at.between("", NOW_US, NOW_US + 3) if each.kind == "model"]
    # Who changed models is told to the operator alone.
    assert models == [Change(NOW_US + 1, "model", "m-2", "canary, 5 %", "ada")]
    assert sorted(found) == [
        Change(NOW_US, "policy", "acme/p-1"),
        Change(NOW_US, "policy", "p-2"),
        Change(NOW_US + 1, "experiment", "new", "running, 5 %", "bob"),
        Change(NOW_US + 1, "model", "m-2", "canary, 5 %"),
        Change(NOW_US + 2, "experiment", "new", "running, 10 %", "bob"),
    ]
