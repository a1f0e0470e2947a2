"""Models and prompts compared: the user's arm says which one words an intervention, and what came of it is counted."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from journeymesh.experiments.v1.experiments_pb2_grpc import add_ExperimentsServiceServicer_to_server

from comparison.assignment import Arm
from mesh.clock import monotonic_clock, system_clock
from mesh.observability import telemetry
from mesh.rpc import channel
from mesh.settings import SettingError
from services.analytics.adapters import prices as analytics_prices
from services.experiments import bootstrap
from services.experiments.adapters.memory import MemoryExperiments
from services.experiments.bootstrap import UseCases
from services.experiments.domain.definition import Definition, Metric, Score
from services.intervention.language.adapters import prices
from services.intervention.language.adapters.trials import MeshTrials
from services.intervention.language.domain.budget import Amount, Prices
from services.intervention.language.ports import Came, Trial, TrialArm
from tests import bedrock
from tests.bedrock import words
from tests.intervention.builders import NOON_ISH
from tests.intervention.model_world import GOOD, help_, known_facts, model_world
from tests.serving import serving

MICRO, LITE = "amazon.nova-micro-v1:0", "amazon.nova-lite-v1:0"
ARMS = (Arm("control", value=MICRO), Arm("lite", value=LITE))
DEFINITION = Definition("words", "", "words", ARMS, (Metric("cost_usd", "average"),), Score(), ramp=(100.0,))


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    bedrock.have_credentials(monkeypatch)


@contextlib.asynccontextmanager
async def experiment(definition: Definition = DEFINITION) -> AsyncIterator[tuple[UseCases, MeshTrials]]:
    """A running experiment, and what asks for it."""
    use_cases = bootstrap.over(MemoryExperiments(), system_clock, monotonic_clock, 1_000)
    await use_cases.experiments.create("", definition, "ann", "")
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
        assert await trials.meet("ada", [arm], 80.0, NOON_ISH) == []
        await trials.report("ada", [arm], Came("i-1", is_used=True, latency_ms=1.0, cost_usd=0.0))


HAIKU, SONNET = "anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-sonnet-4-5-20250929-v1:0"
CLAUDES = DEFINITION._replace(arms=(Arm("haiku", value=HAIKU), Arm("sonnet", value=f"us.{SONNET}")))


def priced(folder: Path, *models: dict[str, object]) -> Prices:
    """The prices of a file with these models."""
    file = folder / "prices.json"
    file.write_text(json.dumps({"version": 1, "parts": [{"name": "store", "usdPerDay": 1}], "models": models}))
    assert [each.name for each in analytics_prices.read(str(file)).parts] == ["store"]
    return prices.read(str(file))


def price(model_id: str, asks: float, answers: float) -> dict[str, object]:
    """A model with its price in dollars per million tokens."""
    return {"id": model_id, "usdPerMillionInputTokens": asks, "usdPerMillionOutputTokens": answers}


def as_claude_says(request: dict[str, Any]) -> bedrock.Reply:
    """An answer as Claude gives it: thought about first, and in a fence of code."""
    assert request["inferenceConfig"] == {"maxTokens": 120, "temperature": 0.0}
    assert {"modelId", "system", "messages"} <= request.keys()
    body = json.loads(bedrock.says(f"```json\n{json.dumps({'message': GOOD})}\n```").body)
    content = body["output"]["message"]["content"]
    content.insert(0, {"reasoningContent": {"reasoningText": {"text": "They need help.", "signature": "x"}}})
    return bedrock.Reply(json.dumps(body).encode())


async def test_claude_is_compared_by_id_at_the_price_of_the_file(tmp_path: Path) -> None:
    known = priced(tmp_path, price(HAIKU, 1, 5), price(SONNET, 3, 15))
    async with (
        experiment(CLAUDES) as (use_cases, trials),
        model_world(as_claude_says, trials=trials, prices=known) as world,
    ):
        for number in range(12):
            assert (await world.generated(help_(number), known_facts(user_id=f"u-{number}"))).is_used
        # The geography is asked as it was written.
        assert set(world.server.model_ids) == {HAIKU, f"us.{SONNET}"}
        used = {each.model_id: each for each in (await world.models.usage()).models}
        assert {name: (each.cost_micro_usd, each.has_price) for name, each in used.items()} == {
            HAIKU: (600 * 1 + 80 * 5, True),
            f"us.{SONNET}": (600 * 3 + 80 * 15, True),
        }
        _, totals, results = await use_cases.experiments.results("", "words")
        assert totals.unpriced == 0
        score, cost = results.findings
        assert score.treated.size + score.control.size == 12
        # Each model was asked once, and its words were then remembered.
        assert cost.treated.mean * cost.treated.size == pytest.approx(0.003)
        assert cost.control.mean * cost.control.size == pytest.approx(0.001)


async def test_without_a_price_the_cost_is_not_known_and_there_is_no_winner(tmp_path: Path) -> None:
    known = priced(tmp_path, price(HAIKU, 1, 5), {"id": SONNET})
    async with (
        experiment(CLAUDES) as (use_cases, trials),
        model_world(as_claude_says, trials=trials, prices=known) as world,
    ):
        found = [await world.generated(help_(number), known_facts(user_id=f"u-{number}")) for number in range(12)]
        assert all(each.is_used and each.has_price == (each.model_id == HAIKU) for each in found)
        unpriced = sum(not each.has_price for each in found)
        assert 0 < unpriced < 12
        used = {each.model_id: each.has_price for each in (await world.models.usage()).models}
        assert used == {HAIKU: True, f"us.{SONNET}": False}
        _, totals, results = await use_cases.experiments.results("", "words")
        assert totals.unpriced == unpriced
        score, cost = results.findings
        # Neither a score by another formula, nor a cost of 0.
        assert (score.treated.size, score.control.size) == (0, 12 - unpriced)
        assert (cost.treated.size, cost.control.size) == (0, 12 - unpriced)
        assert results.decision.verdict == "not_yet"
        assert results.decision.waits_for[0] == (
            f"{unpriced} reports have no score, as what they cost is not known: make it anew once each model has a "
            "price, or without cost (`costWeight` 0)."
        )


async def test_a_model_without_a_price_is_not_asked_where_only_money_is_limited(tmp_path: Path) -> None:
    known = priced(tmp_path, price(HAIKU, 1, 5), {"id": SONNET})
    async with (
        experiment(CLAUDES) as (_, trials),
        model_world(as_claude_says, trials=trials, prices=known, limits=Amount(0, 10**9)) as world,
    ):
        found = [await world.generated(help_(number), known_facts(user_id=f"u-{number}")) for number in range(12)]
        assert {each.refusal for each in found if each.model_id == f"us.{SONNET}"} == {"unaccounted"}
        assert set(world.server.model_ids) == {HAIKU}


async def test_a_score_that_does_not_weigh_cost_needs_no_price(tmp_path: Path) -> None:
    known = priced(tmp_path, {"id": HAIKU}, {"id": SONNET})
    without = CLAUDES._replace(score=Score(cost_weight=0.0))
    async with (
        experiment(without) as (use_cases, trials),
        model_world(as_claude_says, trials=trials, prices=known) as world,
    ):
        for number in range(8):
            await world.generated(help_(number), known_facts(user_id=f"u-{number}"))
        _, totals, results = await use_cases.experiments.results("", "words")
        assert totals.unpriced == 0
        assert results.findings[0].treated.size + results.findings[0].control.size == 8


async def test_a_model_that_the_file_does_not_name_is_not_asked() -> None:
    async with experiment(CLAUDES) as (use_cases, trials), model_world(words(GOOD), trials=trials) as world:
        for number in range(4):
            await world.generated(help_(number), known_facts(user_id=f"u-{number}"))
        assert set(world.server.model_ids) == {MICRO}
        assert (await use_cases.experiments.results("", "words"))[2].units == {"haiku": 0, "sonnet": 0}


@pytest.mark.parametrize(
    "models",
    [
        [price(HAIKU, 1, 5), price(HAIKU, 1, 5)],
        [price(f"us.{HAIKU}", 1, 5)],
        [price("haiku", 1, 5)],
        [price(f"{HAIKU}\n", 1, 5)],
        [price(HAIKU, -1, 5)],
        [{"id": HAIKU, "usdPerMillionInputTokens": 1}],
        [{"id": HAIKU, "usdPerToken": 1}],
    ],
)
def test_prices_of_models_that_say_nothing_clear_are_refused(tmp_path: Path, models: list[dict[str, object]]) -> None:
    with pytest.raises(SettingError, match="JOURNEYMESH_PRICES_FILE"):
        priced(tmp_path, *models)
