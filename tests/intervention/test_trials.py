"""Models and prompts compared: the user's arm says which one words an intervention, and what came of it is counted."""

import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from journeymesh.experiments.v1.experiments_pb2_grpc import add_ExperimentsServiceServicer_to_server

from comparison.assignment import Arm
from mesh.clock import monotonic_clock, system_clock
from mesh.observability import telemetry
from mesh.rpc import channel
from services.experiments import bootstrap
from services.experiments.adapters.memory import MemoryExperiments
from services.experiments.bootstrap import UseCases
from services.experiments.domain.definition import Definition, Metric, Score
from services.intervention.language.adapters.trials import MeshTrials
from services.intervention.language.ports import Came, Trial, TrialArm
from tests import bedrock
from tests.bedrock import words
from tests.intervention.model_world import GOOD, help_, known_facts, model_world
from tests.serving import serving

MICRO, LITE = "amazon.nova-micro-v1:0", "amazon.nova-lite-v1:0"
ARMS = (Arm("control", value=MICRO), Arm("lite", value=LITE))
DEFINITION = Definition("words", "", "words", ARMS, (Metric("cost_usd", "average"),), Score(), ramp=(100.0,))


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    bedrock.have_credentials(monkeypatch)


@contextlib.asynccontextmanager
async def experiment() -> AsyncIterator[tuple[UseCases, MeshTrials]]:
    """A running experiment, and what asks for it."""
    use_cases = bootstrap.over(MemoryExperiments(), system_clock, monotonic_clock, 1_000)
    await use_cases.experiments.create("", DEFINITION, "ann", "")
    await use_cases.experiments.change("", "words", "start", "", "ann", "")
    async with serving(lambda to: add_ExperimentsServiceServicer_to_server(use_cases.servicer, to)) as dialled:
        yield use_cases, MeshTrials(dialled, "words", "")


async def test_each_user_gets_the_model_of_their_arm_and_what_came_of_it_counts() -> None:
    async with experiment() as (use_cases, trials), model_world(words(GOOD), trials=trials) as world:
        for number in range(12):
            found = await world.generated(help_(number), known_facts(user_id=f"u-{number}"))
            assert found.is_used
            told = (await trials.begin(f"u-{number}")).model
            assert told is not None
            assert told.takes_part
            assert found.model_id == told.value
            assert found.arms == (("words", told.name),)
        assert set(world.server.model_ids) == {MICRO, LITE}
        _, totals, results = await use_cases.experiments.results("", "words")
        assert sum(results.units.values()) == 12
        assert min(results.units.values()) > 0
        score, cost = results.findings
        assert score.treated.size + score.control.size == 12
        assert score.treated.mean > 0.5
        assert totals.unmatched == 0
        # The same brief is remembered for each model, and costs nothing after the first.
        assert len(world.server.requests) == 2
        assert cost.treated.mean > 0


async def test_words_that_cannot_be_used_are_a_failure() -> None:
    refused = bedrock.says(json.dumps({"message": "Buy now!!! 100% free"}))
    async with experiment() as (use_cases, trials), model_world(refused, trials=trials) as world:
        assert not (await world.generated(help_(), known_facts(user_id="u-1"))).is_used
        _, totals, _ = await use_cases.experiments.results("", "words")
        ((_, group),) = totals.assigned.items()
        assert group.sums["score"].x < 0.5
        assert group.sums["cost_usd"].x > 0


async def test_where_the_service_is_away_the_usual_model_is_asked() -> None:
    async with channel.dial("127.0.0.1:1", telemetry.off()) as nobody:
        trials = MeshTrials(nobody, "words", "")
        arm = TrialArm("words", "control", "", takes_part=True)
        assert await trials.begin("ada") == Trial()
        assert await trials.meet("ada", [arm], 80.0) == []
        await trials.report("ada", [arm], Came("i-1", is_used=True, latency_ms=1.0, cost_usd=0.0))
