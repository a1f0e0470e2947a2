"""Boosted trees with exact Shapley values, and when training takes them."""

from collections.abc import Sequence
from itertools import combinations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier

from offline import train
from offline.datasets import oulad, students
from offline.training import branches, export, fitting, forms, parity, recalibration, shapley, unconstrained
from offline.training.additive import Floats
from offline.training.fitting import Source, Trained
from offline.training.forms import Compared, Form
from offline.training.metrics import Figure
from offline.training.recalibration import Recalibration
from offline.training.table import Table, table
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.adapters.model_folder import ModelFolder
from services.scoring.adapters.onnx import OnnxModel
from tests.offline.courses import made_up

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def course() -> Table:
    """Snapshots of users made up."""
    return table(each for journey in made_up(100) for each in students.snapshots(journey))


@pytest.fixture(scope="module")
def boosted(course: Table) -> CalibratedClassifierCV:
    """The boosted form, fitted to them."""
    return fitting.fit(course, oulad.MEASURED, is_directed=False, form=Form.BOOSTED)


@pytest.fixture(scope="module")
def source(course: Table) -> Source:
    """What is trained on, with the boosted form asked for."""
    return students.source(course)._replace(name="made-up", about="Made-up students.", form=Form.BOOSTED)


@pytest.fixture(scope="module")
def trained(source: Source) -> Trained:
    """What training on them gives."""
    return fitting.train(source)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(1, 4), st.integers(2, 8))
def test_contributions_are_those_of_all_subsets(seed: int, width: int, most_leaves: int) -> None:
    rows, model = _fitted(seed, width, most_leaves)
    read, asked = shapley.read(model, rows), rows[:3]
    baseline, wanted = _by_all_subsets(model, rows, asked)
    assert read.baseline == pytest.approx(baseline, abs=1e-9)
    np.testing.assert_allclose(read.terms(asked), wanted, atol=1e-9)
    _, terms = parity.run(export.to_onnx(read, []), asked) if read.tables else (None, None)
    if terms is not None:
        np.testing.assert_allclose(terms[:, 1:], wanted, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_the_values_of_a_table_are_those_of_all_subsets(seed: int, shape: list[int]) -> None:
    random = np.random.default_rng(seed)
    values, chances = random.normal(size=shape), random.random(shape)
    chances /= chances.sum()

    def mean(cell: Sequence[int], known: Sequence[int]) -> float:
        met = [
            (values[tuple(cell[axis] if axis in known else other[axis] for axis in range(len(shape)))], chances[other])
            for other in np.ndindex(*shape)
        ]
        return float(sum(value * chance for value, chance in met))

    found = shapley.shapley(values, chances)
    for cell in np.ndindex(*shape):
        for axis in range(len(shape)):
            others = [each for each in range(len(shape)) if each != axis]
            wanted = sum(
                _weight(len(known), len(shape)) * (mean(cell, (*known, axis)) - mean(cell, known))
                for size in range(len(shape))
                for known in combinations(others, size)
            )
            assert found[axis][cell] == pytest.approx(wanted, abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(1, 5), st.integers(2, 8), st.integers(1, 64), st.integers(1, 64))
def test_a_model_is_the_sum_of_its_branches_apart_and_joined(
    seed: int, width: int, most_leaves: int, small: int, most_cells: int
) -> None:
    rows, model = _fitted(seed, width, most_leaves)
    found = model.calibrated_classifiers_[0].estimator
    apart = [branch for (predictor,) in found._predictors for branch in branches.branches(predictor.nodes, small)]
    joined = [*branches.joined(apart, most_cells)]
    for parts in (apart, joined):
        said = np.full(len(rows), float(np.ravel(found._baseline_prediction)[0]))
        for branch in parts:
            cells = [np.searchsorted(b, rows[:, f]) for f, b in zip(branch.features, branch.bounds, strict=True)]
            said += branch.values[tuple(cells)]
        np.testing.assert_allclose(said, found.decision_function(rows), atol=1e-9)
    assert len(joined) <= len(apart)
    assert max(each.values.size for each in joined) <= max(most_cells, *(each.values.size for each in apart), 1)
    features = {feature for branch in apart for feature in branch.features}
    assert {feature for branch in joined for feature in branch.features} == features


def test_branches_of_the_same_features_become_one_table(boosted: CalibratedClassifierCV, course: Table) -> None:
    trees = [predictor.nodes for (predictor,) in boosted.calibrated_classifiers_[0].estimator._predictors]
    apart = [branch for nodes in trees for branch in branches.branches(nodes)]
    read = shapley.read(boosted, course.values)
    assert len({each.features for each in read.tables}) <= len(read.tables) < len(trees) < len(apart)


def test_the_file_says_what_the_model_says(course: Table, boosted: CalibratedClassifierCV) -> None:
    read = shapley.read(boosted, course.values)
    file = export.to_onnx(read, [])
    assert len(file) < 2_000_000
    random = np.random.default_rng(1)
    drawn = np.column_stack([random.choice(column, 10_000) for column in course.values.T])
    bounds = [
        (f, bound) for each in read.tables for f, its in zip(each.features, each.bounds, strict=True) for bound in its
    ]
    near = np.repeat(course.values[:1], 3 * len(bounds), axis=0)
    for number, (feature, bound) in enumerate(bounds):
        near[3 * number : 3 * number + 3, feature] = np.nextafter(bound, -np.inf), bound, np.nextafter(bound, np.inf)
    for rows in (course.values, drawn, near):
        assert parity.require(file, boosted, rows) <= parity.LIMIT
    assert export.to_onnx(shapley.read(boosted, course.values), []) == file


def test_a_row_s_result_does_not_depend_on_other_rows(source: Source, trained: Trained, tmp_path: Path) -> None:
    version = train.write(trained, ModelFolder(tmp_path), source, now_us=1)
    model = OnnxModel(trained.file, ModelDirectory(tmp_path).load(version).card)
    rows = source.snapshots.values[:40]
    together = model.predict(rows)
    alone = [model.predict(rows[at : at + 1]) for at in range(len(rows))]
    assert [each.probabilities[0] for each in alone] == list(together.probabilities)
    assert b"".join(each.packed_terms for each in alone) == together.packed_terms


def test_a_boosted_model_is_written_with_a_card_that_says_so(source: Source, trained: Trained, tmp_path: Path) -> None:
    assert trained.decided.form is Form.BOOSTED
    version = train.write(trained, ModelFolder(tmp_path), source, now_us=1)
    card = ModelDirectory(tmp_path).load(version).card
    assert "The boosted form was asked for." in card.text
    assert "These are no shape\nfunctions" in card.text
    assert "The step functions" not in card.text
    lines = [line for line in card.text.splitlines() if line.startswith("`") and "inf: " in line]
    assert len(lines) == len(trained.shapes) > 0


def test_a_boosted_model_can_be_recalibrated(source: Source, trained: Trained) -> None:
    rows, by = source.snapshots.values, Recalibration(0.3, 0.8)
    before, terms_before = parity.run(trained.file, rows)
    after, terms = parity.run(recalibration.recalibrated(trained.file, by), rows)
    np.testing.assert_allclose(after, by(before), atol=1e-12)
    np.testing.assert_allclose(terms.sum(axis=1), 0.3 + 0.8 * terms_before.sum(axis=1), atol=1e-12)


@pytest.mark.parametrize(
    ("leads", "form"),
    [
        ({"at events": (0.01, 0.002, 0.02)}, Form.BOOSTED),
        ({"at events": (0.004, 0.003, 0.005)}, Form.ADDITIVE),
        ({"at events": (0.02, -0.001, 0.05)}, Form.ADDITIVE),
        ({"at events": (0.0, -0.01, 0.01), "weekly": (0.01, 0.002, 0.02)}, Form.BOOSTED),
        ({"at events": (-0.006, -0.02, 0.01), "weekly": (0.01, 0.002, 0.02)}, Form.ADDITIVE),
        ({}, Form.ADDITIVE),
    ],
)
def test_boosted_trees_are_taken_where_they_are_clearly_ahead(
    leads: dict[str, tuple[float, float, float]], form: Form
) -> None:
    decided = forms.decide({name: Compared(0.7, 0.7 + lead[0], Figure(*lead)) for name, lead in leads.items()})
    assert decided.form is form
    assert f"The {form} form was chosen" in decided.why


def test_both_forms_are_compared_where_none_is_asked_for(course: Table, source: Source) -> None:
    assert fitting.decide(course, source._replace(is_directed=True)).form is Form.ADDITIVE
    why = fitting.decide(course, source._replace(form=None)).why
    assert "at events boosted 0." in why
    assert "weekly boosted 0." in why


def test_what_cannot_be_learned_gets_few_trees() -> None:
    random = np.random.default_rng(0)
    users = np.array([f"user-{number % 100}" for number in range(500)])
    rows, chance = random.normal(size=(500, 3)), random.random(500) < 0.5
    noise = unconstrained.Examples(rows, chance, users, np.ones(500))
    clear = noise._replace(is_true=rows[:, 0] * rows[:, 1] > 0.0)
    assert _trees(noise) < 100 < _trees(clear)


def _trees(examples: unconstrained.Examples) -> int:
    return int(unconstrained.booster(examples, 10, 0).get_params()["max_iter"])


def _fitted(seed: int, width: int, most_leaves: int) -> tuple[Floats, CalibratedClassifierCV]:
    """Rows with ties and features that depend on each other, and a model of interactions."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(80, width)).round(1)
    rows[:, -1] = (rows[:, -1] + rows[:, 0]).round(1)
    is_true = rows[:, 0] * rows[:, -1] + random.normal(size=len(rows)) > 0.0
    is_true[:10] = [True, False] * 5
    trees = HistGradientBoostingClassifier(
        max_iter=4, max_leaf_nodes=most_leaves, min_samples_leaf=4, early_stopping=False, random_state=0
    )
    return rows, CalibratedClassifierCV(trees, cv=2, ensemble=False).fit(rows, is_true)


def _by_all_subsets(model: Any, rows: Floats, asked: Floats) -> tuple[float, Floats]:
    """The mean logit, and each feature's Shapley value by the definition, with all rows as background."""
    width = rows.shape[1]

    def mean(row: Floats, known: Sequence[int]) -> float:
        mixed = rows.copy()
        mixed[:, list(known)] = row[list(known)]
        chances = model.predict_proba(mixed)[:, 1]
        return float(np.log(chances / (1.0 - chances)).mean())

    found = np.zeros(asked.shape)
    for number, row in enumerate(asked):
        means = {known: mean(row, known) for size in range(width + 1) for known in combinations(range(width), size)}
        for known, value in means.items():
            for feature in set(range(width)) - set(known):
                gain = means[tuple(sorted((*known, feature)))] - value
                found[number, feature] += _weight(len(known), width) * gain
    return mean(asked[0], ()), found


def _weight(known: int, width: int) -> float:
    return factorial(known) * factorial(width - known - 1) / factorial(width)


def test_directions_need_the_additive_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIRECTIONS", "yes")
    monkeypatch.setenv("FORM", "boosted")
    with pytest.raises(SystemExit, match="directions need the additive form"):
        train.main()
