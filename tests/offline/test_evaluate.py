"""The measures, and the live model on real behaviour where it is at hand."""

import io

import msgspec
import numpy as np
import pytest
from rich.console import Console

from offline import evaluate
from offline.training import fitting, metrics
from offline.training.snapshots import table
from services.scoring.adapters.model_directory import ModelDirectory
from tests.offline.courses import made_up, real
from tests.scoring.builders import MODELS

GONE = np.array([True, False, False, True])


def test_perfect_predictions_have_perfect_measures() -> None:
    measures = metrics.measure(np.array([1.0, 0.0, 0.0, 1.0]), GONE)
    assert measures == metrics.Measures(1.0, 1.0, 1.0, 0.0, 0.0)


def test_a_constant_is_chance_and_calibrated_where_it_is_the_share() -> None:
    measures = metrics.measure(np.full(400, 0.25), np.tile([True, False, False, False], 100))
    assert (measures.accuracy, measures.auroc, measures.auprc) == (0.75, 0.5, 0.25)
    assert measures.calibration_error == pytest.approx(0.0)


def test_one_label_alone_cannot_be_ranked() -> None:
    assert metrics.measure(np.array([0.1, 0.2]), np.array([False, False])).auroc == 0.5


def test_a_rule_that_says_yes_or_no_is_ranked_by_what_it_rests_on() -> None:
    measures = metrics.measure(np.array([1.0, 1.0, 0.0, 0.0]), GONE, ranking=np.array([40.0, 30.0, 1.0, 35.0]))
    assert (measures.accuracy, measures.auroc) == (0.5, 1.0)


def test_a_gain_over_the_rule_is_given_with_its_interval() -> None:
    course = table(made_up(30))
    weekly = course.where(course.is_weekly)
    same = metrics.gain((weekly.idle_days >= metrics.IDLE_DAYS).astype(float), weekly)
    assert same == metrics.Gain(0.0, 0.0, 0.0)
    truth = metrics.gain(weekly.is_gone.astype(float), weekly)
    assert 0.0 < truth.low < truth.accuracy < truth.high


def test_bins_hold_every_snapshot_once_in_rising_order() -> None:
    bins = metrics.bins(np.linspace(0, 1, 57), np.arange(57) % 2 == 0)
    assert sum(each.count for each in bins) == 57
    assert [each.predicted for each in bins] == sorted(each.predicted for each in bins)
    assert len(bins) == metrics.BIN_COUNT


def test_the_baselines_stand_beside_the_model() -> None:
    printed = io.StringIO()
    report = evaluate.evaluate(ModelDirectory(MODELS).live(), table(made_up(12)))
    Console(width=120, file=printed).print(evaluate.render("made up", report))
    for name in ("model", "model and rules", "majority", "25 days idle", "rules only", "calibration error"):
        assert name in printed.getvalue()


def test_the_live_model_is_as_good_as_its_card_says() -> None:
    journeys = real()
    is_kept_back = fitting.kept_back(np.array([journey.user_id for journey in journeys]))
    snapshots = table(journey for journey, kept in zip(journeys, is_kept_back, strict=True) if kept)
    model = ModelDirectory(MODELS).live()
    described = msgspec.json.decode((MODELS / model.card.version / "model.json").read_bytes())
    for moments, part in fitting.parts(snapshots).items():
        described_metrics = described["metrics"][f"other users, {moments}"]
        assert evaluate.evaluate(model, part)["model"] == pytest.approx(described_metrics["model"], abs=1e-9)
    weekly = described["metrics"]["other users, weekly"]
    assert weekly["model"]["accuracy"] >= 0.85
    assert weekly["model"]["accuracy"] > weekly["majority"]["accuracy"]
    assert weekly["model"]["auroc"] > weekly["25 days idle"]["auroc"]
    assert weekly["model"]["calibration_error"] < 0.03
