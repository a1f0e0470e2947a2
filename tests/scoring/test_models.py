"""The registry and the model in ONNX."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import Unavailable
from mesh.observability.metrics import Metrics
from services.scoring.adapters.measured import MeasuredModels
from services.scoring.adapters.model_directory import ModelDirectory, UnusableModelError, load
from services.scoring.domain.schema import FEATURE_COUNT, FEATURES
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
    shutil.copytree(directory / LIVE, folder)
    described = msgspec.json.decode((folder / "model.json").read_bytes()) | {"version": version} | members
    (folder / "model.json").write_bytes(msgspec.json.encode(described))


def test_the_pointer_says_which_model_is_live(directory: Path) -> None:
    copy(directory, "next")
    models = ModelDirectory(directory)
    first = models.live()
    assert first.card.version == LIVE
    assert models.live() is first
    promote(directory, "next")
    assert models.live().card.version == "next"
    promote(directory, LIVE)
    assert models.live().card.version == LIVE


@pytest.mark.parametrize("version", ["missing", "other"])
def test_a_model_that_cannot_be_loaded_leaves_the_one_before(directory: Path, version: str) -> None:
    copy(directory, "other", feature_schema_version="features-0")
    models = ModelDirectory(directory)
    models.live()
    promote(directory, version)
    assert models.live().card.version == LIVE


async def test_without_a_model_it_is_unavailable_until_there_is_one(directory: Path, tmp_path: Path) -> None:
    models = MeasuredModels(ModelDirectory(tmp_path / "empty"), Metrics())
    with pytest.raises(Unavailable):
        await models.check()
    shutil.copytree(directory, tmp_path / "empty")
    await models.check()


@pytest.mark.parametrize("spoilt", ["model.json", "model.onnx"])
def test_a_broken_file_is_reported_in_a_sentence(directory: Path, spoilt: str) -> None:
    (directory / LIVE / spoilt).write_bytes(b"{}")
    with pytest.raises(UnusableModelError, match=spoilt.removesuffix(".onnx").removesuffix(".json")):
        load(directory / LIVE)


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
