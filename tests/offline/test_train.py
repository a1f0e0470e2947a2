"""Snapshots, training, export and what is written of it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GroupKFold

from offline import published, train
from offline.datasets import oulad, students
from offline.datasets.oulad import Journey
from offline.datasets.students import HORIZON_DAYS, snapshots
from offline.training import additive, export, fitting, parity, staged
from offline.training.fitting import Source, Trained
from offline.training.forms import Form
from offline.training.table import AT_EVENTS, WEEKLY, Snapshot, Table, table
from services.features.domain import journey as features
from services.features.domain.state import DAY_US, State
from services.features.domain.vector import past, vector
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.adapters.model_folder import ModelFolder
from tests.offline.courses import journey, made_up, real


@pytest.fixture(scope="module")
def course() -> Table:
    """Snapshots of users made up."""
    return table(each for journey in made_up(150) for each in snapshots(journey))


@pytest.fixture(scope="module")
def source(course: Table) -> Source:
    """What is trained on, in the form of which all can be read."""
    found = students.source(course)
    return found._replace(name="made-up", about="Made-up students.", form=Form.ADDITIVE)


@pytest.fixture(scope="module")
def trained(source: Source) -> Trained:
    """What training on them gives."""
    return fitting.train(source)


def test_a_label_is_no_event_in_the_next_14_days() -> None:
    one = journey("ada", [0, 20, 34, 35, 90])
    weekly = {_day(one, s): s.is_true for s in snapshots(one) if s.moment == WEEKLY}
    assert weekly == {
        day: not any(day <= active < day + HORIZON_DAYS for active in one.active_days) for day in range(14, 107, 7)
    }
    at_events = {_day(one, s): s.is_true for s in snapshots(one) if s.moment == AT_EVENTS}
    assert at_events == {0: True, 20: False, 34: False, 35: True, 90: True}


def test_nothing_is_asked_after_a_withdrawal_or_of_days_not_recorded() -> None:
    one = journey("ada", [0, 20, 60, 110], enrolled_until=50)
    assert max(_day(one, s) for s in snapshots(one)) == 49
    one = journey("ada", [0, 20, 60, 110])
    assert max(_day(one, s) for s in snapshots(one)) == 106 - 1


def test_a_snapshot_knows_nothing_of_what_comes_after() -> None:
    one = journey("ada", [0, 1, 16, 40])
    for snapshot in snapshots(one):
        if snapshot.moment == WEEKLY:
            at_us, state = snapshot.at_us, State()
            for event in one.events:
                if event.at_us < at_us:
                    features.apply(state, event)
            assert snapshot.values == vector(state, at_us) + past(state, at_us)
            assert snapshot.idle_days == (at_us - state.last_us) / DAY_US


def test_every_event_of_the_first_day_is_looked_at() -> None:
    one = journey("ada", [0, 5])
    days = [_day(one, s) for s in snapshots(one) if s.moment == AT_EVENTS]
    assert days == [0, 0, 5]


def test_training_twice_gives_the_same_bytes(source: Source, trained: Trained) -> None:
    with ThreadPoolExecutor(2) as fits:
        assert fitting.train(source, fits.map) == trained


def test_the_model_learns(trained: Trained) -> None:
    report = trained.reports["other users, weekly"]
    assert report["model"]["auroc"].value > 0.8
    assert report["model"]["brier"].value < report["majority"]["brier"].value


def test_figures_at_events_come_first(trained: Trained) -> None:
    assert next(iter(trained.reports)).endswith(AT_EVENTS)


def test_the_calendar_split_tests_later_than_anything_that_was_known(source: Source, trained: Trained) -> None:
    assert any(name.startswith(fitting.LATER) for name in trained.reports)
    cut_us = int(np.quantile(source.snapshots.at_us, fitting.CUT_SHARE, method="nearest"))
    early = source.snapshots.where(source.snapshots.known_us <= cut_us)
    assert early.at_us.max() < cut_us


def test_the_cost_of_directions_is_said_per_moment(source: Source) -> None:
    costs = fitting.cost_of_directions(source)
    assert costs.keys() == {AT_EVENTS, WEEKLY}
    assert all(abs(cost) < 0.5 for cost in costs.values())


def test_too_few_users_are_refused(source: Source) -> None:
    few = source._replace(snapshots=source.snapshots.where(source.snapshots.users < "student-2"))
    with pytest.raises(fitting.TooLittleError, match="each must be 10 or more"):
        fitting.train(few)


def test_features_that_tell_nothing_are_refused(source: Source) -> None:
    with pytest.raises(fitting.TooLittleError, match="nothing to learn"):
        fitting.train(source._replace(measured=frozenset()))


def test_the_sum_of_steps_is_the_model(course: Table) -> None:
    model = fitting.fit(course, oulad.MEASURED, is_directed=True)
    read = additive.read(model, course.values)
    logits = read.baseline + read.terms(course.values).sum(axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), model.predict_proba(course.values)[:, 1], atol=1e-12)
    np.testing.assert_allclose(read.terms(course.values).mean(axis=0), 0.0, atol=1e-9)
    for name, steps in zip(course.names, read.steps, strict=True):
        assert (name in oulad.MEASURED) or not len(steps.bounds)
        rises = np.diff(steps.values) * fitting.DIRECTIONS.get(name, 0)
        assert (rises >= -1e-12).all() or name not in fitting.DIRECTIONS


def test_a_value_on_a_bound_falls_on_the_same_side(course: Table) -> None:
    model = fitting.fit(course, oulad.MEASURED, is_directed=True)
    read = additive.read(model, course.values)
    rows = np.repeat(course.values[:1], 500, axis=0)
    for index, steps in enumerate(read.steps):
        near = [np.nextafter(bound, way) for bound in steps.bounds for way in (-np.inf, bound, np.inf)][: len(rows)]
        rows[: len(near), index] = near
    assert parity.require(export.to_onnx(read, []), model, rows) <= 1e-12


def test_an_export_that_says_something_else_is_refused(course: Table) -> None:
    model = fitting.fit(course, oulad.MEASURED, is_directed=True)
    read = additive.read(model, course.values)
    with pytest.raises(parity.ParityError):
        parity.require(export.to_onnx(additive.Additive(read.baseline + 1e-3, read.steps), []), model, course.values)


def test_pairs_are_shared_out_and_exported_exactly(course: Table) -> None:
    pairs = staged.ranked(course.values, course.is_true, np.ones(len(course)), leaf=20, seed=1)
    assert 0 < len(pairs) <= staged.PAIRS_MOST
    folds = list(GroupKFold(2).split(course.values, course.is_true, course.users))
    calibrated = CalibratedClassifierCV(staged.Boosted(pairs, 30, leaf=20), method="sigmoid", cv=folds, ensemble=False)
    model = calibrated.fit(course.values, course.is_true)
    read = additive.read(model, course.values)
    assert read.grids
    logits = read.baseline + read.terms(course.values).sum(axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), model.predict_proba(course.values)[:, 1], atol=1e-12)
    for grid in read.grids:
        of_rows = grid(course.values)
        for feature, bounds in ((grid.first, grid.first_bounds), (grid.second, grid.second_bounds)):
            step = np.searchsorted(bounds, course.values[:, feature])
            means = [of_rows[step == each].mean() for each in np.unique(step)]
            np.testing.assert_allclose(means, 0.0, atol=1e-3)
    file = export.to_onnx(read, [])
    assert parity.require(file, model, course.values) <= 1e-12
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (terms,) = session.run(["terms"], {"features": course.values[:100]})
    np.testing.assert_allclose(terms[:, 1:], read.terms(course.values[:100]), atol=1e-12)


def test_a_model_of_interactions_is_refused(course: Table) -> None:
    model = fitting.fit(course, oulad.MEASURED, is_directed=True)
    boosted = model.calibrated_classifiers_[0].estimator.boosted_
    boosted.set_params(interaction_cst=None, monotonic_cst=None, max_iter=205, max_leaf_nodes=16)
    boosted.fit(course.values, course.is_true)
    with pytest.raises(ValueError, match="an additive model has at most pairs"):
        additive.read(model, course.values)


def test_what_is_written_can_be_served_and_is_written_once(source: Source, trained: Trained, tmp_path: Path) -> None:
    version = train.write(trained, ModelFolder(tmp_path), source, now_us=1_700_000_000_000_000)
    assert not (tmp_path / "live").exists()
    train.promote(ModelFolder(tmp_path), version, 1_700_000_000_000_000)
    files = {path.name: path.read_bytes() for path in (tmp_path / version).iterdir()}
    assert set(files) == {"model.onnx", "model.json", "card.md", "card.html", *trained.plots}
    assert len(files["model.onnx"]) < 300_000
    card = ModelDirectory(tmp_path).live().card
    assert (card.version, card.training_source) == (version, "made-up")
    described = msgspec.json.decode(files["model.json"])
    for value, low, high in described["metrics"]["other users, weekly"]["model"].values():
        assert f"{value:.4f} ({low:.3f}-{high:.3f})" in card.text
    assert "OULAD" not in card.text
    assert train.write(trained, ModelFolder(tmp_path), source, now_us=1_800_000_000_000_000) == version
    assert {path.name: path.read_bytes() for path in (tmp_path / version).iterdir()} == files


def test_a_model_says_from_how_many_users_of_the_installation_it_learned(
    source: Source, trained: Trained, tmp_path: Path
) -> None:
    version = train.write(trained, ModelFolder(tmp_path), source._replace(own_users=40), now_us=1_700_000_000_000_000)
    card = ModelDirectory(tmp_path).load(version).card
    assert (card.own_users, card.outcome) == (40, source.label)
    assert "with a known outcome: 40, so its state is `learning`." in card.text


def test_a_small_sample_of_real_behaviour_trains_and_exports() -> None:
    sampled = table(each for journey in real()[::16] for each in snapshots(journey))
    trained = fitting.train(students.source(sampled))
    assert trained.parity_difference <= parity.LIMIT
    assert set(trained.shapes) <= oulad.MEASURED
    report = trained.reports["other users, weekly"]
    assert report["model"]["brier"].value < report["majority"]["brier"].value


def _day(of: Journey, snapshot: Snapshot) -> int:
    return (snapshot.at_us - of.start_us) // DAY_US


def test_what_is_reached_is_a_row_a_moment_with_each_side_s_figures(trained: Trained, course: Table) -> None:
    found = [row.split("|") for row in published.rows(trained, course)]
    assert [cells[0] for cells in found] == list(trained.reports)
    for title, share, _, *sides in found:
        report = trained.reports[title]
        assert share == f"{report['majority']['auprc'].value:.1%}"
        assert sides[1].startswith(f"{report['model']['auroc'].value:.3f} / ")
        assert sides[-2].startswith("0.500 / ")
        assert bool(sides[-1]) == title.startswith(fitting.LATER)
