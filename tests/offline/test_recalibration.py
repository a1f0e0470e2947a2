"""Recalibrating a model, choosing between that and a model of the data's own, and data that comes in by and by."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline import train
from offline.datasets import students
from offline.training import arrival, choice, fitting, parity, recalibration, stories
from offline.training.choice import Live
from offline.training.fitting import Source, TooLittleError, Trained
from offline.training.metrics import Floats
from offline.training.recalibration import Recalibrated, Recalibration
from offline.training.table import AT_EVENTS, Snapshot, Table, table
from services.features.domain.state import DAY_US
from services.scoring.adapters.model_directory import ModelDirectory, load
from services.scoring.adapters.model_folder import ModelFolder
from services.scoring.domain.inputs import names_of
from services.scoring.domain.schema import FEATURES
from tests.offline.courses import made_up
from tests.scoring.builders import MODELS

WIDTH = len(names_of(()))


@pytest.fixture(scope="module")
def live() -> Live:
    """The shipped model."""
    registry = ModelDirectory(MODELS)
    model = registry.live()
    return Live(model, registry.file(model.card.version))


@pytest.fixture(scope="module")
def source() -> Source:
    """Students made up, whom the shipped model does not know."""
    snapshots = table(each for journey in made_up(120) for each in students.snapshots(journey))
    return students.source(snapshots)._replace(name="made-up", about="Made-up students.", own_users=120)


@pytest.fixture(scope="module")
def chosen(source: Source, live: Live) -> choice.Choice:
    """What is made of them."""
    return choice.choose(source, live)


def rows(values: Floats, is_true: list[bool], users: list[str] | None = None) -> Table:
    """Snapshots a day apart, whose first feature has these values."""
    names = users or [f"user-{number}" for number in range(len(values))]
    return table(
        Snapshot(name, AT_EVENTS, at * DAY_US, (at + 1) * DAY_US, 0.0, true, 0.0, [value, *[0.0] * (WIDTH - 1)], [])
        for at, (name, value, true) in enumerate(zip(names, values.tolist(), is_true, strict=True))
    )


MANY = rows(np.zeros(4000), [False] * 4000)


@given(offset=st.floats(-2.0, 2.0), slope=st.floats(0.3, 2.5), seed=st.integers(0, 99))
def test_the_two_numbers_that_made_the_outcomes_are_found(offset: float, slope: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    said = 1.0 / (1.0 + np.exp(-random.normal(0.0, 1.5, len(MANY))))
    truth = Recalibration(offset, slope)(said)
    found = recalibration.fit(said, with_truth(MANY, random.random(len(MANY)) < truth))
    np.testing.assert_allclose(found(said), truth, atol=0.08)


@given(st.lists(st.booleans(), min_size=30, max_size=60), st.integers(0, 99))
def test_the_order_of_users_stays_whatever_came_true(is_true: list[bool], seed: int) -> None:
    said = np.random.default_rng(seed).random(len(is_true))
    some = with_truth(MANY.where(np.arange(len(MANY)) < len(said)), np.array(is_true))
    again = recalibration.fit(said, some)(said)
    assert (np.argsort(again, kind="stable") == np.argsort(said, kind="stable")).all()
    assert ((again >= 0.0) & (again <= 1.0)).all()


def test_a_file_says_the_recalibrated_probability_and_its_terms_sum_to_it(
    source: Source, live: Live, chosen: choice.Choice
) -> None:
    assert chosen.own is not None
    by = Recalibration(0.7, 0.4)
    shipped = source.snapshots.inputs(live.model.card.features, live.model.card.words)
    for file, values in ((live.file, shipped), (chosen.own.file, source.snapshots.values)):
        before, _ = parity.run(file, values)
        after, terms = parity.run(recalibration.recalibrated(file, by), values)
        np.testing.assert_allclose(after, by(before), atol=1e-12)
        np.testing.assert_allclose(1.0 / (1.0 + np.exp(-terms.sum(axis=1))), after, atol=1e-12)
        twice, _ = parity.run(recalibration.recalibrated(recalibration.recalibrated(file, by), by), values)
        np.testing.assert_allclose(twice, by(after), atol=1e-12)


def test_nobody_is_judged_by_numbers_that_were_fitted_to_them(source: Source, live: Live) -> None:
    made = recalibration.train(source, live.model, live.file)
    turned = source.snapshots.is_true.copy()
    ada = source.snapshots.users == source.snapshots.users[0]
    turned[ada] = ~turned[ada]
    other = recalibration.train(source._replace(snapshots=with_truth(source.snapshots, turned)), live.model, live.file)
    np.testing.assert_array_equal(made.after[ada], other.after[ada])
    assert (made.after[~ada] != other.after[~ada]).any()


def test_recalibration_mends_what_other_users_taught_wrong(source: Source, live: Live) -> None:
    report = recalibration.train(source, live.model, live.file).reports["other users, weekly"]
    assert report["recalibrated"]["calibration_error"].value < report["before"]["calibration_error"].value
    assert report["recalibrated"]["brier"].value < report["before"]["brier"].value


def test_few_users_are_enough_to_recalibrate_and_fewer_are_refused(source: Source, live: Live) -> None:
    names = sorted(set(source.snapshots.users))
    few = source._replace(snapshots=source.snapshots.where(np.isin(source.snapshots.users, names[:32])))
    with pytest.raises(TooLittleError):
        fitting.train(few)
    made = choice.choose(few, live)
    assert isinstance(made.offered, Recalibrated)
    assert "So the live model is recalibrated." in made.remark
    fewer = source._replace(snapshots=source.snapshots.where(np.isin(source.snapshots.users, names[:29])))
    with pytest.raises(TooLittleError, match="each must be 10 or more"):
        choice.choose(fewer, live)


def test_an_own_model_is_offered_where_what_came_later_shows_it_is_no_worse(chosen: choice.Choice) -> None:
    assert chosen.verdict is not None
    assert isinstance(chosen.offered, Trained if chosen.verdict.holds else Recalibrated)
    worse = chosen._replace(verdict=chosen.verdict._replace(difference=chosen.verdict.difference._replace(high=0.1)))
    better = chosen._replace(verdict=chosen.verdict._replace(difference=chosen.verdict.difference._replace(high=-0.1)))
    assert isinstance(worse.offered, Recalibrated)
    assert isinstance(better.offered, Trained)


def test_without_later_data_the_two_are_not_compared(source: Source, chosen: choice.Choice) -> None:
    assert chosen.own is not None
    assert chosen.recalibrated is not None
    own, end = replace(chosen.own, later=None), source.snapshots.known_us.max()
    assert choice.beside(own, chosen.recalibrated, known_at(source.snapshots, end)) is None
    assert isinstance(chosen._replace(verdict=None).offered, Recalibrated)


def test_what_is_known_at_the_end_only_is_judged_on_users_held_back(source: Source, chosen: choice.Choice) -> None:
    assert chosen.own is not None
    assert chosen.recalibrated is not None
    kept, own = fitting.kept_back(source.snapshots.users), replace(chosen.own, later=None)
    verdict = choice.beside(own, chosen.recalibrated, known_at(source.snapshots, 0))
    losses = [np.square(each - source.snapshots.is_true[kept]) for each in (own.kept, chosen.recalibrated.after[kept])]
    assert verdict is not None
    assert verdict.difference.value == pytest.approx((losses[0] - losses[1]).mean())


def test_a_recalibrated_model_can_be_served_and_says_what_it_is(source: Source, live: Live, tmp_path: Path) -> None:
    made = recalibration.train(source, live.model, live.file)
    version = train.write(made, ModelFolder(tmp_path), source, now_us=1_700_000_000_000_000)
    model = load(tmp_path / version)
    assert model.card.is_recalibrated
    assert model.card.features == FEATURES
    assert (model.card.own_users, model.card.outcome) == (120, source.label)
    assert live.model.card.version in model.card.text
    assert "with a known outcome: 120, so its state is `recalibrated`." in model.card.text
    np.testing.assert_allclose(recalibration.probabilities(model, source.snapshots), made.by(made.before), atol=1e-12)
    verdict = train.compare(made, live, source.snapshots)
    report = made.reports["other users, weekly"]
    better = report["recalibrated"]["brier"].value < report["before"]["brier"].value
    assert verdict is not None
    assert better
    assert train.write(made, ModelFolder(tmp_path), source, now_us=1_800_000_000_000_000) == version


def test_moments_are_when_so_many_users_have_an_outcome_for_the_first_time() -> None:
    names = [f"user-{number % 150}" for number in range(600)]
    snapshots = rows(np.arange(600.0), [False] * 600, names)
    found = arrival.moments(snapshots)
    assert [moment.users for moment in found] == [0, 30, 100]
    for moment in found[1:]:
        known = snapshots.where(snapshots.known_us <= moment.at_us)
        before = snapshots.where(snapshots.known_us < moment.at_us)
        assert len(set(known.users)) == moment.users
        assert len(set(before.users)) < moment.users
    assert not arrival.moments(known_at(snapshots, 0))


def test_a_new_installation_begins_with_the_live_model_and_may_know_nothing_of_what_comes(
    source: Source, live: Live
) -> None:
    first, second, *_ = arrival.moments(source.snapshots)
    (step,) = arrival.steps(source, live, first)
    assert (step.name, step.is_offered, step.users) == ("as shipped", True, 0)
    assert step.in_trouble >= stories.ALARM
    found = list(arrival.steps(source, live, second))
    assert [step.is_offered for step in found].count(True) == 1
    assert all(step.in_trouble >= stories.ALARM for step in found)
    later = source.snapshots.known_us > second.at_us
    turned = with_truth(source.snapshots, np.where(later, ~source.snapshots.is_true, source.snapshots.is_true))
    blind = list(arrival.steps(source._replace(snapshots=turned), live, second))
    assert [(step.name, step.is_offered) for step in blind] == [(step.name, step.is_offered) for step in found]


def test_what_comes_in_is_recalibrated_each_week_and_by_what_is_known_then_alone() -> None:
    random = np.random.default_rng(7)
    truth = random.random(700) < 0.2
    snapshots, said = rows(np.zeros(700), truth.tolist()), np.full(700, 0.6)
    found = arrival.recalibrated(said, snapshots)
    enough = next(at for at in range(30, 700) if at % 7 == 0 and truth[:at].sum() >= 5)
    assert (found[:enough] == 0.6).all()
    for at in range(enough, 700, 7):
        assert len(set(found[at : at + 7].tolist())) == 1
        assert found[at] == pytest.approx(truth[:at].mean(), abs=0.02)
    turned = with_truth(snapshots, np.where(np.arange(700) >= 350, ~truth, truth))
    np.testing.assert_array_equal(arrival.recalibrated(said, turned)[:350], found[:350])
    drawn = random.permutation(700)
    mixed = replace(snapshots, at_us=snapshots.at_us[drawn], known_us=snapshots.known_us[drawn], is_true=truth[drawn])
    np.testing.assert_allclose(arrival.recalibrated(said, mixed), found[drawn], atol=1e-6)


def known_at(snapshots: Table, at_us: int) -> Table:
    """The snapshots, if all of them were known at this time only."""
    return replace(snapshots, known_us=np.full(len(snapshots), at_us))


def with_truth(snapshots: Table, is_true: npt.NDArray[np.bool_]) -> Table:
    """The snapshots, if this had come true."""
    return replace(snapshots, is_true=is_true)
