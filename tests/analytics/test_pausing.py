"""Incidents that pause experiments, over the real service of experiments."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from journeymesh.experiments.v1 import experiments_pb2 as wire
from journeymesh.experiments.v1.experiments_pb2_grpc import (
    ExperimentsServiceStub,
    add_ExperimentsServiceServicer_to_server,
)

from mesh.errors import Unavailable
from services.analytics.adapters.pausing import PeerPausing
from services.analytics.adapters.watched import MemoryWatches
from services.analytics.domain import telling
from services.analytics.domain.question import HOUR_US
from services.analytics.domain.watched import Message
from services.analytics.watching import NOBODY, Plan, Tellers, Watching
from tests.analytics.test_telling import CLOSED, OPEN, Told, found
from tests.gateway.fakes import experiments
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceAsyncStub

START: Final = wire.EXPERIMENT_ACTION_START
INSIGHT_ID: Final = "20260102T0900-users"


class Place(NamedTuple):
    """A watch, and the experiments of its tenant: one that pauses on incidents, and one that does not."""

    figures: Told
    watching: Watching
    stub: "ExperimentsServiceAsyncStub"

    async def start(self, *experiment_ids: str) -> None:
        """Starts experiments."""
        for each in experiment_ids:
            await self.stub.ChangeExperiment(
                wire.ChangeExperimentRequest(tenant="acme", experiment_id=each, action=START, actor="ann")
            )

    async def running(self) -> list[str]:
        """The experiments that run."""
        listed = (await self.stub.ListExperiments(wire.ListExperimentsRequest(tenant="acme"))).experiments
        return [each.definition.experiment_id for each in listed if each.state == wire.EXPERIMENT_STATE_RUNNING]

    async def messages(self) -> list[Message]:
        """What came of the messages about the incident."""
        return [each for its in (await self.watching.listed("acme")).insights for each in its.messages]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    figures, servicer = Told(), experiments()
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(servicer, to)) as channel:
        stub = ExperimentsServiceStub(channel)
        for name, pauses in (("careful", True), ("bold", False)):
            definition = wire.ExperimentDefinition(
                experiment_id=name,
                arms=[wire.ExperimentArm(name=each, weight=1, value=each) for each in ("control", "new")],
                metrics=[wire.ExperimentMetric(name="sold")],
                min_outcomes=100,
                smallest_effect=0.1,
                pauses_on_incident=pauses,
            )
            await stub.CreateExperiment(wire.CreateExperimentRequest(tenant="acme", definition=definition, actor="ann"))
        watching = Watching(
            figures,
            MemoryWatches(),
            lambda: figures.now_us,
            Plan(is_for_all=True),
            tellers=Tellers({telling.PAUSED: PeerPausing(stub)}),
        )
        place = Place(figures, watching, stub)
        await place.start("careful", "bold")
        yield place


async def test_an_incident_that_opens_pauses_the_experiments_that_say_so_once(place: Place) -> None:
    await place.watching.judge()
    assert await place.running() == ["bold", "careful"]
    place.figures.found = found(OPEN)
    await place.watching.judge()
    assert await place.running() == ["bold"]
    (message,) = await place.messages()
    assert (message.kind, message.state, message.reason) == ("paused", "sent", "careful")
    history = (
        await place.stub.GetExperiment(wire.GetExperimentRequest(tenant="acme", experiment_id="careful"))
    ).experiment.history
    assert (history[-1].actor, history[-1].why) == ("insights", "high: fewer users")
    # Whoever starts it again knows better.
    await place.start("careful")
    for found_ in (OPEN, CLOSED):
        place.figures.found, place.figures.now_us = found(found_), place.figures.now_us + HOUR_US
        await place.watching.judge()
    assert await place.running() == ["bold", "careful"]
    assert len(await place.messages()) == 1


async def test_one_that_is_snoozed_or_over_pauses_nothing(place: Place) -> None:
    pauses = place.watching._tellers
    place.watching._tellers = NOBODY
    place.figures.found = found(OPEN)
    await place.watching.judge()
    await place.watching.snooze("acme", INSIGHT_ID, "ada", place.figures.now_us + HOUR_US, "a release")
    place.watching._tellers = pauses
    await place.watching.judge()
    assert await place.running() == ["bold", "careful"]
    place.figures.found, place.figures.now_us = found(CLOSED), place.figures.now_us + 2 * HOUR_US
    await place.watching.judge()
    assert await place.running() == ["bold", "careful"]


async def test_while_experiments_are_away_it_is_tried_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "They are away.")

    place.figures.found = found(OPEN)
    with monkeypatch.context() as patched:
        patched.setattr(place.stub, "PauseExperiments", away)
        await place.watching.judge()
    assert [(each.state, each.reason) for each in await place.messages()] == [("waiting", "unreachable")]
    await place.watching.judge()
    assert await place.running() == ["bold", "careful"], "not before a minute has gone"
    place.figures.now_us += 60_000_000
    await place.watching.judge()
    assert await place.running() == ["bold"]
