"""Canaries out of bounds are taken back, and shadows decide nothing."""

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.observability.metrics import Metrics
from mesh.process.lifecycle import in_background
from mesh.state.memory import MemoryState
from services.scoring.adapters.measured import MeasuredModels
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.adapters.onnx import OnnxModel
from services.scoring.domain import guardrail, stages
from services.scoring.domain.guardrail import Bounds, Tally
from services.scoring.domain.stages import EVERYBODY, Stage, Wanted
from services.scoring.ports import Matrix, Prediction, Serving
from services.scoring.usecases import Promotion, Scoring
from tests.builders import NOW_US
from tests.scoring.builders import MODELS, batch, rows, values
from tests.scoring.test_models import copy
from tests.scoring.test_serving import Broken, Named, Several

HISTOGRAMS = st.lists(st.integers(0, 1000), min_size=10, max_size=10).filter(any)


def tally(runs: int = 100, seconds: float = 0.001, chance: float = 0.05, failures: int = 0) -> Tally:
    made = Tally()
    for _ in range(runs):
        made.note([chance] * 40, seconds)
    for _ in range(failures):
        made.note_failure()
    return made


@pytest.mark.parametrize(
    ("canary", "said"),
    [
        (tally(), ""),
        (tally(runs=5, seconds=1.0, chance=0.9), ""),
        (tally(failures=1), ""),
        (tally(failures=3), "failed"),
        (tally(runs=0, failures=20), "failed"),
        (tally(seconds=0.0029), ""),
        (tally(seconds=0.0031), "as long"),
        (tally(chance=0.95), "PSI"),
        (tally(runs=49, chance=0.95), ""),
    ],
)
def test_a_canary_is_taken_back_if_it_fails_is_slow_or_says_something_else(canary: Tally, said: str) -> None:
    found = guardrail.fault(canary, tally(), Bounds())
    assert said in found
    assert bool(said) == bool(found)


@given(HISTOGRAMS, HISTOGRAMS)
def test_the_index_is_zero_for_equal_shares_and_grows_both_ways(some: list[int], others: list[int]) -> None:
    assert guardrail.psi(some, some) == 0.0
    assert guardrail.psi(some, others) >= 0.0
    assert guardrail.psi(some, others) == pytest.approx(guardrail.psi(others, some))


def test_the_index_is_that_of_the_textbook() -> None:
    expected = (0.3 - 0.5) * np.log(0.3 / 0.5) + (0.7 - 0.5) * np.log(0.7 / 0.5)
    assert guardrail.psi([300, 700], [500, 500]) == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [float("nan"), -0.1, 1.1])
def test_what_is_no_probability_is_a_failure(wrong: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Tally().note([wrong], 0.1)


async def test_a_canary_that_fails_is_taken_back_and_nobody_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Path(shutil.copytree(MODELS, tmp_path / "models"))
    copy(directory, "next")
    registry = ModelDirectory(directory, directory)
    registry.change(lambda now: stages.changed(now, Wanted("next", Stage.CANARY, "ops", percent=50), NOW_US))
    models = MeasuredModels(registry, Metrics())
    scoring, promotion = Scoring(models, MemoryState()), Promotion(registry, lambda: NOW_US)
    live, predict = registry.live().card.version, OnnxModel.predict

    def failing(model: OnnxModel, given: Matrix) -> Prediction:
        if model.card.version == "next":
            raise RuntimeError
        return predict(model, given)

    monkeypatch.setattr(OnnxModel, "predict", failing)
    users = [f"user-{number}" for number in range(20)]
    async with in_background(registry.follow(), promotion.guard(models)), asyncio.timeout(20):
        sequence = 0
        while registry.stages().of(EVERYBODY).canary:
            sequence += 1
            given = rows(users, [NOW_US] * len(users), [values()] * len(users))
            assessed = await scoring.assess(given, batch(sequence))
            assert (assessed.model_version, assessed.others) == (live, {})
            await asyncio.sleep(0)
    last = registry.stages().changes[-1]
    assert (last.version, last.stage, last.actor) == ("next", Stage.CANDIDATE, "guardrail")
    assert last.why.startswith("It failed in 100.0% of its runs")
    assert registry.live().card.version == live


@pytest.mark.parametrize("shadow", [Named("shadow", 5.0), Broken("shadow")])
async def test_a_shadow_changes_no_answer(shadow: Named) -> None:
    given = rows(["ada", "bob"], [NOW_US, NOW_US], [values(), values(error_count=9)])
    without = await Scoring(Several(Serving(Named("live"))), MemoryState()).assess(given, batch(1))
    beside = await Scoring(Several(Serving(Named("live"), shadow=shadow)), MemoryState()).assess(given, batch(1))
    assert beside._replace(shadowed=[]) == without
    assert len(beside.shadowed) == (0 if isinstance(shadow, Broken) else 2)
    for risk, score in beside.shadowed:
        by_either = 1 - (1 - risk.rule_score / 100) * (1 - 5 * risk.model_score / 100)
        assert score == pytest.approx(100 * by_either)
