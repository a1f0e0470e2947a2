"""The registry and the model in ONNX."""

import asyncio
import functools
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import FailedPrecondition, NotFound, Unavailable
from mesh.observability.metrics import Metrics
from mesh.process.lifecycle import in_background
from services.scoring.adapters import model_directory
from services.scoring.adapters.measured import MeasuredModels
from services.scoring.adapters.model_directory import ModelDirectory, UnusableModelError, load
from services.scoring.adapters.onnx import OnnxModel
from services.scoring.domain import stages
from services.scoring.domain.schema import FEATURE_COUNT, FEATURES
from services.scoring.domain.stages import Stage, Wanted
from tests.builders import NOW_US
from tests.scoring.builders import MODELS, values

LIVE = (MODELS / "live").read_text().strip()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the registry."""
    return Path(shutil.copytree(MODELS, tmp_path / "models"))


def promote(directory: Path, version: str) -> None:
    (directory / "live.new").write_text(version)
    (directory / "live.new").replace(directory / "live")


def copy(directory: Path, version: str, **members: object) -> None:
    """Another version with the same model; `members` of its description are replaced."""
    folder = directory / version
    shutil.copytree(MODELS / LIVE, folder)
    describe(folder, version=version, **members)


def describe(folder: Path, **members: object) -> None:
    described = msgspec.json.decode((folder / "model.json").read_bytes()) | members
    (folder / "model.json").write_bytes(msgspec.json.encode(described))


def test_the_pointer_says_which_model_is_live(directory: Path) -> None:
    copy(directory, "next")
    models = ModelDirectory(directory)
    first = models.live()
    assert first.card.version == LIVE
    assert models.live() is first
    promote(directory, "next")
    models.refresh()
    assert models.live().card.version == "next"
    promote(directory, LIVE)
    models.refresh()
    assert models.live().card.version == LIVE


@pytest.mark.parametrize("version", ["missing", "other"])
def test_a_model_that_cannot_be_loaded_leaves_the_one_before(directory: Path, version: str) -> None:
    copy(directory, "other", feature_schema_version="features-0")
    models = ModelDirectory(directory)
    models.live()
    promote(directory, version)
    models.refresh()
    assert models.live().card.version == LIVE
    assert version in models.problems


async def test_without_a_model_it_is_unavailable_until_there_is_one(directory: Path, tmp_path: Path) -> None:
    models = MeasuredModels(ModelDirectory(tmp_path / "empty", tmp_path / "empty"), Metrics())
    with pytest.raises(Unavailable):
        await models.check()
    shutil.copytree(directory, tmp_path / "empty")
    await models.check()


@pytest.mark.parametrize("spoilt", ["model.json", "model.onnx"])
def test_a_broken_file_is_reported_in_a_sentence(directory: Path, spoilt: str) -> None:
    (directory / LIVE / spoilt).write_bytes(b"{}")
    with pytest.raises(UnusableModelError, match=spoilt.removesuffix(".onnx").removesuffix(".json")):
        load(directory / LIVE)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b""), "hash differs"),
        (lambda folder: (folder / "card.md").unlink(), "no complete model"),
        (lambda folder: (folder / "model.json").unlink(), "no complete model"),
        (lambda folder: describe(folder, feature_schema_version="features-0"), "takes the features"),
        (lambda folder: describe(folder, features=["error_count"]), "takes the features"),
        (lambda folder: describe(folder, sha256="0" * 64), "hash differs"),
        (
            lambda folder: describe(folder, vectors={"rows": [[0.0] * FEATURE_COUNT], "probabilities": [0.99]}),
            "other answers",
        ),
    ],
)
def test_a_damaged_model_never_takes_the_place_of_a_good_one(
    directory: Path, damage: Callable[[Path], object], said: str
) -> None:
    copy(directory, "next")
    damage(directory / "next")
    models = ModelDirectory(directory, directory)
    for stage in (Stage.CANARY, Stage.SHADOW, Stage.LIVE):
        models.change(
            functools.partial(stages.changed, wanted=Wanted("next", stage, "ops", percent=50), time_us=NOW_US)
        )
        serving = models.served().of("")
        assert (serving.live.card.version, serving.canary, serving.shadow) == (LIVE, None, None)
        assert said in models.problems["next"]
    with pytest.raises((FailedPrecondition, NotFound), match=said):
        models.load("next")
    started = ModelDirectory(directory, directory)
    assert started.live().card.version == LIVE
    assert said in started.problems["next"]


def test_stages_that_cannot_be_read_leave_what_serves(directory: Path) -> None:
    models = ModelDirectory(directory, directory)
    first = models.served()
    (directory / "stages.json").write_bytes(b"{")
    models.refresh()
    assert models.served() is first
    assert models.problems.keys() == {""}
    (directory / "stages.json").unlink()
    models.refresh()
    assert not models.problems


def test_a_registry_without_models_serves_the_shipped_one_until_it_has_its_own(tmp_path: Path) -> None:
    models = ModelDirectory(tmp_path / "registry", MODELS)
    assert models.live().card.version == LIVE
    copy(tmp_path / "registry", "own")
    models.change(lambda now: stages.changed(now, Wanted("own", Stage.LIVE, "ops"), NOW_US))
    assert models.live().card.version == "own"
    assert [each.version for each in models.versions()] == [LIVE, "own"]
    models.change(lambda now: stages.rolled_back(now, "", "ops", "", NOW_US))
    assert models.live().card.version == LIVE


@pytest.mark.parametrize("version", ["..", "../exit-risk", "", "/etc", ".", "a/b", "missing"])
def test_a_version_that_is_none_is_not_looked_for_elsewhere(directory: Path, version: str) -> None:
    with pytest.raises(NotFound):
        ModelDirectory(directory).load(version)


def test_a_registry_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "registry").write_text("a file")
    models = ModelDirectory(tmp_path / "registry", MODELS)
    with pytest.raises(FailedPrecondition) as caught:
        models.change(lambda now: now)
    assert caught.value.reason == "MODELS_READ_ONLY"


async def test_a_change_is_followed_within_seconds(directory: Path) -> None:
    copy(directory, "next")
    models, other = ModelDirectory(directory, directory), ModelDirectory(directory, directory)
    models.served()
    async with in_background(models.follow()), asyncio.timeout(5):
        other.change(lambda now: stages.changed(now, Wanted("next", Stage.LIVE, "ops"), NOW_US))
        while models.live().card.version != "next":  # noqa: ASYNC110 - what is waited for happens in a thread
            await asyncio.sleep(0.05)


def test_the_committed_model_is_small_and_described() -> None:
    assert (MODELS / LIVE / "model.onnx").stat().st_size < 300_000
    described = msgspec.json.decode((MODELS / LIVE / "model.json").read_bytes())
    card = (MODELS / LIVE / "card.md").read_text()
    assert described["version"] == LIVE
    assert described["parity"]["max_abs_difference"] <= described["parity"]["limit"] == 1e-5
    for report in described["metrics"].values():
        assert {"model", "majority", "best single rule", "rules only"} <= set(report)
        for measures in report.values():
            assert {"accuracy", "auroc", "auprc", "brier", "calibration_error"} == set(measures)
            assert all(f"{value:.4f} ({low:.3f}-{high:.3f})" in card for value, low, high in measures.values())


VECTORS = st.lists(st.floats(0, 1e6), min_size=FEATURE_COUNT, max_size=FEATURE_COUNT)


@settings(max_examples=60, deadline=None)
@given(st.lists(VECTORS, min_size=1, max_size=40))
def test_a_row_s_answer_does_not_depend_on_the_rows_beside_it(vectors: list[list[float]]) -> None:
    model = ModelDirectory(MODELS).live()
    together = model.predict(np.array(vectors))
    alone = [model.predict(np.array([vector])) for vector in vectors]
    assert together.probabilities == [chance for one in alone for chance in one.probabilities]
    assert together.packed_terms == b"".join(one.packed_terms for one in alone)


def test_the_terms_sum_to_the_logit() -> None:
    model = ModelDirectory(MODELS).live()
    chance, packed = model.predict(np.array([values()]))
    logit = np.frombuffer(packed, "<f4").astype(float).sum()
    assert 1 / (1 + np.exp(-logit)) == pytest.approx(chance[0], abs=1e-6)


WORSE = {
    "error_count": 1,
    "success_rate": -1,
    "engagement_score": -1,
    "time_since_last_success": 1,
    "session_count": -1,
}


@given(VECTORS, st.sampled_from(sorted(WORSE)), st.floats(0, 1e6))
@settings(max_examples=200, deadline=None)
def test_worse_is_never_less_risk(vector: list[float], name: str, step: float) -> None:
    worse = list(vector)
    worse[FEATURES.index(name)] += step * WORSE[name]
    before, after = ModelDirectory(MODELS).live().predict(np.array([vector, worse])).probabilities
    assert after >= before


def test_who_asks_while_the_first_model_is_loading_waits_for_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_loading, may_load = threading.Event(), threading.Event()

    def slowly(folder: Path) -> OnnxModel:
        is_loading.set()
        may_load.wait(10)
        return load(folder)

    monkeypatch.setattr(model_directory, "load", slowly)
    models = ModelDirectory(directory, directory)
    with ThreadPoolExecutor(2) as threads:
        threads.submit(models.refresh)
        assert is_loading.wait(10)
        asked = threads.submit(models.served)
        with pytest.raises(TimeoutError):
            asked.result(0.2)
        may_load.set()
        assert asked.result(10).of("").live.card.version == LIVE
