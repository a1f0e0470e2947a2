"""The measures, and the live model on real behaviour where it is at hand."""

import io

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sklearn.metrics import accuracy_score, average_precision_score, brier_score_loss, roc_auc_score

from offline import evaluate
from offline.datasets.students import snapshots
from offline.training import baselines, fitting, metrics
from offline.training.metrics import Floats, Said
from offline.training.table import WEEKLY, Table, table
from services.scoring.adapters.model_directory import ModelDirectory
from tests.offline.courses import made_up, real
from tests.scoring.builders import MODELS

GONE = np.array([True, False, False, True])


def said(probabilities: list[float] | Floats, ranking: list[float] | None = None) -> Said:
    chances = np.array(probabilities, np.float64)
    return Said(chances, chances if ranking is None else np.array(ranking))


def test_perfect_predictions_have_perfect_measures() -> None:
    measures = metrics.measure(said([1.0, 0.0, 0.0, 1.0]), GONE)
    assert tuple(measures.values()) == (1.0, 1.0, 1.0, 0.0, 0.0)


@pytest.mark.parametrize("order", [0, 1])
def test_a_constant_is_chance_and_calibrated_where_it_is_the_share(order: int) -> None:
    is_true = np.tile([True, False, False, False], 100) if order else np.arange(400) < 100
    measures = metrics.measure(said(np.full(400, 0.25)), is_true)
    assert (measures["accuracy"], measures["auroc"], measures["auprc"]) == (0.75, 0.5, 0.25)
    assert measures["calibration_error"] == pytest.approx(0.0, abs=1e-12)


def test_one_label_alone_cannot_be_ranked() -> None:
    assert metrics.measure(said([0.1, 0.2]), np.array([False, False]))["auroc"] == 0.5


def test_a_rule_that_says_yes_or_no_is_ranked_by_what_it_rests_on() -> None:
    measures = metrics.measure(said([1.0, 1.0, 0.0, 0.0], [40.0, 30.0, 1.0, 35.0]), GONE)
    assert (measures["accuracy"], measures["auroc"]) == (0.5, 1.0)


@given(
    rows=st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(1, 3)), min_size=4, max_size=60).filter(
        lambda rows: len({is_true for _, is_true, _ in rows}) == 2
    )
)
def test_measures_are_those_of_scikit_learn(rows: list[tuple[int, bool, int]]) -> None:
    tenths, is_true, counts = (np.array(column) for column in zip(*rows, strict=True))
    chances, weights = tenths / 7.0, counts.astype(np.float64)
    measures = metrics.measure(said(chances), is_true, weights)
    expected = (
        accuracy_score(is_true, chances >= 0.5, sample_weight=weights),
        roc_auc_score(is_true, chances, sample_weight=weights),
        average_precision_score(is_true, chances, sample_weight=weights),
        brier_score_loss(is_true, chances, sample_weight=weights),
    )
    assert list(measures.values())[:4] == pytest.approx(expected)


def test_a_gain_over_the_rule_is_given_with_its_interval() -> None:
    weekly = of_students(30)
    weekly = weekly.where(weekly.moments == WEEKLY)
    rule = (weekly.idle_days >= 25.0).astype(float)
    assert metrics.accuracy_gain(rule, rule, weekly) == metrics.Figure(0.0, 0.0, 0.0)
    truth = metrics.accuracy_gain(weekly.is_true.astype(float), rule, weekly)
    assert 0.0 < truth.low < truth.value < truth.high


def test_an_interval_holds_its_figure() -> None:
    rows = of_students(30)
    chances = np.clip(rows.idle_days / 30.0, 0.0, 1.0)
    for name, figure in metrics.report({"idle": said(chances)}, rows)["idle"].items():
        assert figure.low <= figure.value <= figure.high or name == "calibration_error"


def test_the_single_rule_is_found() -> None:
    rows = of_students(60)
    weekly = rows.where(rows.moments == WEEKLY)
    found = baselines.fit(weekly, 1, 20).rule
    rule = metrics.measure(found.said(weekly), weekly.is_true)
    assert rule["accuracy"] >= max(weekly.is_true.mean(), 1 - weekly.is_true.mean())


def test_bins_hold_every_snapshot_once_in_rising_order() -> None:
    bins = metrics.bins(np.linspace(0, 1, 57), np.arange(57) % 2 == 0)
    assert sum(each.count for each in bins) == 57
    assert [each.predicted for each in bins] == sorted(each.predicted for each in bins)
    assert len(bins) == metrics.BIN_COUNT


def of_students(count: int) -> Table:
    return table(each for journey in made_up(count) for each in snapshots(journey))


def test_the_baselines_stand_beside_the_model() -> None:
    printed = io.StringIO()
    report = evaluate.evaluate(ModelDirectory(MODELS).live(), of_students(12))
    Console(width=120, file=printed).print(evaluate.render("made up", report))
    for name in ("model", "model and rules", "majority", "rules only", "calibration error"):
        assert name in printed.getvalue()


def test_the_live_model_is_as_good_as_its_card_says() -> None:
    journeys = real()
    is_kept_back = fitting.kept_back(np.array([journey.user_id for journey in journeys]))
    kept = [journey for journey, is_kept in zip(journeys, is_kept_back, strict=True) if is_kept]
    rows = table(each for journey in kept for each in snapshots(journey))
    model = ModelDirectory(MODELS).live()
    described = msgspec.json.decode((MODELS / model.card.version / "model.json").read_bytes())
    for moment, part in fitting.parts(rows).items():
        on_card = {
            name: value for name, (value, _, _) in described["metrics"][f"other users, {moment}"]["model"].items()
        }
        chances = np.array(model.predict(part.inputs(model.card.features, model.card.words)).probabilities)
        assert metrics.measure(said(chances), part.is_true) == pytest.approx(on_card, abs=1e-9)
    weekly = {
        name: {measure: value for measure, (value, _, _) in measures.items()}
        for name, measures in described["metrics"]["other users, weekly"].items()
    }
    assert weekly["model"]["accuracy"] >= 0.85
    assert weekly["model"]["accuracy"] > weekly["majority"]["accuracy"]
    assert weekly["model"]["auroc"] > weekly["best single rule"]["auroc"]
    assert weekly["model"]["calibration_error"] < 0.03
