"""Predictions of an archive joined with what came true, what moved, and the command that tells both."""

import asyncio
import contextlib
import datetime as dt
import itertools
import random
from argparse import ArgumentParser
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2
from scipy import stats
from scipy.spatial.distance import jensenshannon

from cli import model
from offline import archive
from offline.decisions import archived
from offline.declared import label
from offline.declared.label import Label
from offline.predictions import drift
from offline.predictions.gathering import Gathering
from offline.predictions.measuring import Costs, measured
from offline.predictions.predictions import Predictions
from offline.training import metrics
from services.analytics.adapters.copies import manifests
from services.analytics.adapters.copies.connection import opened
from services.analytics.adapters.copies.following import Follower
from services.analytics.adapters.copies.relations import Query, open_files
from services.analytics.adapters.questions import calibrating, drifting
from services.analytics.adapters.tasks import Place
from services.analytics.domain import drift as apart
from services.analytics.domain import layout, question
from services.analytics.domain.answer import Calibration
from services.analytics.domain.layout import DECISIONS, EVENTS
from services.analytics.domain.question import Interval, UserFilter, Window
from services.analytics.ports import Reading
from services.ingest.archive.adapters.files import ParquetArchive
from services.scoring.adapters.model_directory import load
from tests.builders import MINUTE_US, NOW_US, event
from tests.offline import mesh
from tests.offline.mesh import MODELS

DAY_US: Final = 24 * 60 * MINUTE_US
SILENT: Final = label.parse("no event for 14 days", ())
LIVE: Final = (MODELS / "live").read_text().strip()
COSTS: Final = Costs(5, 1)


def story() -> list[event_pb2.Event]:
    """120 users in the first ten days, and 120 later; those later meet more errors. Half of them come back once."""
    draw, found = random.Random(7), []  # noqa: S311 - a story
    for number in range(240):
        is_late = number >= 120
        day = draw.randrange(18, 28) if is_late else draw.randrange(9)
        days = [day, day + draw.randrange(1, 20)] if draw.random() < 0.5 else [day]
        for visit_us in (NOW_US + each * DAY_US + draw.randrange(20) * MINUTE_US for each in days):
            kinds = ["page_view", *["error"] * (draw.randint(2, 4) if is_late else 0), "task_success"]
            found += [
                event(
                    f"{number}-{visit_us}-{step}",
                    f"u-{number}",
                    kind,
                    event_time_us=visit_us + step * MINUTE_US,
                    received_time_us=visit_us + step * MINUTE_US,
                )
                for step, kind in enumerate(kinds)
            ]
    last_us = NOW_US + 50 * DAY_US
    found.append(event("bot", "u-0", "page_view", is_bot=True, event_time_us=last_us, received_time_us=last_us))
    found.append(event("last", "last", "page_view", event_time_us=last_us, received_time_us=last_us))
    return sorted(found, key=lambda each: each.received_time_us)


async def fill(folder: Path) -> None:
    """Archives the story. A record has at most one event per user, so each event has its own decision."""
    by_user: dict[str, list[event_pb2.Event]] = {}
    for each in story():
        by_user.setdefault(each.user_id, []).append(each)
    async with mesh.running(folder) as running:
        for together in itertools.zip_longest(*by_user.values()):
            await running.send(*filter(None, together))
        await running.archive()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of fifty days."""
    made = tmp_path_factory.mktemp("archive")
    asyncio.run(fill(made))
    return made


def gathered(folder: Path, wanted: Label = SILENT, one_in: int = 1) -> Predictions:
    """The predictions of an archive."""
    files, gathering = ParquetArchive(f"file://{folder}"), Gathering(wanted, one_in)
    asyncio.run(gathering.run(archived.records(files, archive.contents(files), iter)))
    assert not gathering.undecided_count
    return gathering.predictions()


@pytest.fixture(scope="module")
def made(folder: Path) -> Predictions:
    """All predictions of the archive."""
    return gathered(folder)


def test_each_prediction_has_the_outcome_that_its_user_had(made: Predictions) -> None:
    times: dict[str, list[int]] = {}
    for each in story():
        if not each.is_bot:
            times.setdefault(each.user_id, []).append(each.event_time_us)
    assert len(made) == len(story()) - 1, "the bot's event is no prediction"
    for user, at_us, is_known, is_true in zip(made.users, made.received_us, made.is_known, made.is_true, strict=True):
        its = times[user]
        end = bisect_right(its, at_us) - 1
        while end + 1 < len(its) and its[end + 1] - its[end] <= 30 * MINUTE_US:
            end += 1
        assert is_known == (its[end] + 14 * DAY_US <= NOW_US + 50 * DAY_US)
        if is_known:
            assert is_true == (not any(its[end] < each <= its[end] + 14 * DAY_US for each in its))


def test_the_features_derived_again_lead_to_the_scores_that_were_archived(made: Predictions) -> None:
    again = made.by(load(MODELS / LIVE))
    assert set(made.versions) == {LIVE}
    np.testing.assert_allclose(again.model_scores, made.model_scores, rtol=0, atol=1e-9)
    np.testing.assert_allclose(again.scores, made.scores, rtol=0, atol=1e-9)


def test_a_share_of_the_users_has_the_same_predictions(folder: Path, made: Predictions) -> None:
    some = gathered(folder, one_in=3)
    assert 0 < len(some) < len(made) / 2
    every = made.where(np.isin(made.users, some.users))
    assert set(zip(some.users, some.received_us, some.is_true, some.scores, strict=True)) == set(
        zip(every.users, every.received_us, every.is_true, every.scores, strict=True)
    )
    assert len(some) == len(every)


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of an anonymous user who turned out to be somebody."""
    made = tmp_path_factory.mktemp("linked")

    async def fill_linked() -> None:
        async with mesh.running(made) as running:
            await running.send(event("a", "anonymous", "page_view"))
            link = {"event_time_us": NOW_US + MINUTE_US, "received_time_us": NOW_US + MINUTE_US}
            await running.send(event("b", "anonymous", "identify", linked_user_id="known", **link))
            for day in (3, 30):
                at = {"event_time_us": NOW_US + day * DAY_US, "received_time_us": NOW_US + day * DAY_US}
                await running.send(event(f"c-{day}", "known", "page_view", **at))
            await running.archive()

    asyncio.run(fill_linked())
    return made


def test_what_an_anonymous_user_did_counts_for_the_known_one(linked: Path) -> None:
    found = gathered(linked)
    assert set(found.users) == {"known"}
    told = dict(zip(found.received_us.tolist(), zip(found.is_known, found.is_true, strict=True), strict=True))
    assert told == {
        NOW_US: (True, False),
        NOW_US + 3 * DAY_US: (True, True),
        NOW_US + 30 * DAY_US: (False, False),
    }


def test_a_version_is_measured_on_known_outcomes_alone(made: Predictions) -> None:
    told = measured(LIVE, made, COSTS)
    known = made.where(made.is_known)
    assert (told.count, told.known_count) == (len(made), len(known))
    assert told.base_rate == known.is_true.mean()
    assert sum(each.count for each in told.levels) == sum(each.count for each in told.weeks) == len(known)
    assert told.costs["never help"] == pytest.approx(100 * 5 * told.base_rate)
    assert told.costs["always help"] == pytest.approx(100 * (1 - told.base_rate))
    for measures in told.measures.values():
        assert all(figure.low <= figure.high for figure in measures.values())
    assert [each.monday.weekday() for each in told.weeks] == [0] * len(told.weeks)


def test_help_from_the_threshold_on_costs_least_if_probabilities_are_true() -> None:
    draw = np.random.default_rng(1)
    probabilities = draw.random(20_000)
    is_true = (draw.random(20_000) < probabilities).astype(np.float64)
    cost = COSTS.of(probabilities, is_true)
    for other in (0.05, 0.4, 0.7):
        shifted = np.where(probabilities >= other, 1.0, 0.0)
        assert cost < COSTS.of(shifted, is_true)


def test_what_moves_the_model_comes_first(made: Predictions) -> None:
    is_since = made.received_us >= NOW_US + 15 * DAY_US
    found = drift.drift(load(MODELS / LIVE), made.where(~is_since), made.where(is_since))
    moved = [each.moved for each in found.features]
    assert moved == sorted(moved, reverse=True)
    errors = next(each for each in found.features if each.name == "error_count")
    assert errors.psi > drift.NOTABLE_PSI
    assert errors.moved == 0.0, "the shipped model does not use errors"
    assert not errors.is_notable
    assert (errors.empty_before, errors.before) == (1.0, 0.0)
    assert errors.outside > 0.5
    rules = next(each for each in found.scores if each.name == "rules only")
    assert rules.moved > 5


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.lists(st.integers(0, 7), min_size=1, max_size=60))
def test_distances_are_those_of_scipy(some: list[int], others: list[int]) -> None:
    one, other = np.array(some, np.float64), np.array(others, np.float64)
    histograms = apart.counts(one, other)
    assert (sum(histograms[0]), sum(histograms[1])) == (len(some), len(others))
    expected = jensenshannon(*(np.array(each) / sum(each) for each in histograms), base=2)
    assert apart.jensen_shannon(*histograms) == pytest.approx(0.0 if np.isnan(expected) else expected, abs=1e-7)
    assert apart.jensen_shannon(*apart.counts(one, one)) == 0.0
    assert apart.wasserstein(one, one + 2.0) == pytest.approx(2.0)
    # Both are means over quantiles; ours looks at 1,000 of them, between which numpy interpolates.
    assert apart.wasserstein(one, other) == pytest.approx(stats.wasserstein_distance(one, other), abs=1.5)


def command(*options: str) -> int:
    """Runs `journeymesh model report`."""
    parser = ArgumentParser()
    model.add_arguments(parser)
    return asyncio.run(model.main(parser.parse_args(["report", *options])))


def test_the_command_tells_all_of_it_and_writes_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--archive", f"file://{folder}", "--since", "35d", "--report", str(tmp_path / "told")) == 0
    printed = capsys.readouterr().out
    for words in ("with outcome", "outcomes by level", "calibration of the model", "never help"):
        assert words in printed
    assert "those that move the model first" in printed
    text = (tmp_path / "told" / "report.md").read_text()
    page = (tmp_path / "told" / "report.html").read_text()
    for name in ("reliability-1.png", "drift.png"):
        assert f"({name})" in text
        assert f'src="{name}"' in page
        assert (tmp_path / "told" / name).read_bytes().startswith(b"\x89PNG")
    assert "u-1" not in text, "no ids of users"


def test_too_few_outcomes_are_said_to_be_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--archive", f"file://{folder}", "--since", "3", "--model", LIVE) == 0
    printed = capsys.readouterr().out
    assert f"{LIVE}: 0 outcomes are known; measures need 100." in printed
    assert "Drift is not told: it needs 100 users before the window and in it." in printed


@pytest.mark.parametrize("options", [["--since", "month"], ["--costs", "5:0"], ["--costs", "cheap"]])
def test_what_makes_no_sense_is_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit):
        command("--archive", "file:///nowhere", *options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [(["--model", "nobody"], "journeymesh: "), (["--label", "churn"], "none of the forms")],
)
def test_an_unknown_model_or_label_is_refused_in_a_sentence(
    folder: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--archive", f"file://{folder}", *options) == 1
    assert sentence in capsys.readouterr().out


@contextlib.contextmanager
def copied(folder: Path, aside: Path) -> Iterator[tuple[Query, int]]:
    """What analytics asks, from copies of an archive, and their watermark."""
    place = Place(f"file://{folder}", str(aside / "copies"))
    follower = Follower(place)
    while follower.bring_up(is_all=True):
        pass
    manifest = manifests.read(Path(place.root))
    paths: dict[str, list[str]] = {EVENTS: [], DECISIONS: []}
    for (kind, partition), part in manifest.parts.items():
        paths[kind].append(layout.part_path(kind, partition, part.name))
    with contextlib.closing(opened(aside / "spilled", [place.root])) as connection:
        everything = question.Drift(Window(0, NOW_US + 365 * DAY_US, "UTC"), (), UserFilter(), "")
        reading = Reading(everything, "", tuple(paths[EVENTS]), tuple(paths[DECISIONS]), manifest.watermark_us, False)
        open_files(connection, place.root, reading)
        with contextlib.closing(Query(connection)) as query:
            yield query, manifest.watermark_us


def calibrated(folder: Path, aside: Path, silent_days: int = 14) -> Calibration:
    """The answer of analytics from copies of an archive."""
    aside.mkdir(exist_ok=True)
    window = Window(NOW_US - 10 * DAY_US, NOW_US + 90 * DAY_US, "UTC")
    asked = question.Calibration(window, (), UserFilter(), "", Interval.WEEK, silent_days)
    with copied(folder, aside) as (query, watermark_us):
        return calibrating.calibration(query, asked, watermark_us)


def test_analytics_tells_the_same_calibration(folder: Path, made: Predictions, tmp_path: Path) -> None:
    told = measured(LIVE, made, COSTS)
    found = calibrated(folder, tmp_path)
    whole, *weeks = found.spans
    assert (found.model_version, found.one_in) == (LIVE, 1)
    assert [tuple(each) for each in found.versions] == [(LIVE, told.count)]
    assert (whole.prediction_count, whole.known_count) == (told.count, told.known_count)
    assert whole.user_count == told.user_count
    assert whole.came_true == pytest.approx(told.base_rate)
    assert whole.waiting_count == told.count - told.known_count > 0
    assert whole.error == pytest.approx(told.measures["model"]["calibration_error"])
    curve = metrics.bins(told.known.model_scores / 100.0, told.known.is_true)
    assert [each.known_count for each in whole.bins] == [each.count for each in curve]
    assert [each.predicted for each in whole.bins] == pytest.approx([each.predicted for each in curve])
    assert [each.came_true.value for each in whole.bins] == pytest.approx([each.observed for each in curve])
    of_weeks = {dt.datetime.fromtimestamp(each.start_us / 1e6, dt.UTC).date(): each for each in weeks}
    for week in told.weeks:
        its = of_weeks[week.monday]
        assert its.known_count == week.count
        assert its.predicted == pytest.approx(week.said)
        assert its.came_true == pytest.approx(week.came_true)
        if week.measures is None:
            assert (its.error, its.gap, its.bins) == (None, None, ())
        else:
            assert its.error == pytest.approx(week.measures["calibration_error"])
            assert its.gap is not None
            assert its.gap.value == pytest.approx(week.came_true - week.said)
    assert sum(each.prediction_count for each in weeks) == told.count


def test_analytics_tells_the_same_drift_of_scores(folder: Path, made: Predictions, tmp_path: Path) -> None:
    asked = question.Drift(Window(NOW_US + 15 * DAY_US, NOW_US + 60 * DAY_US, "UTC"), (), UserFilter(), "")
    with copied(folder, tmp_path) as (query, _):
        found = drifting.drift(query, asked)
    is_since = made.received_us >= NOW_US + 15 * DAY_US
    told = drift.drift(load(MODELS / LIVE), made.where(~is_since), made.where(is_since))
    assert (found.previous.prediction_count, found.current.prediction_count) == (told.before_count, told.after_count)
    scores = [each for each in found.items if each.kind == "score"]
    assert [each.name for each in scores] == [each.name for each in told.scores]
    for one, other in zip(scores, told.scores, strict=True):
        mine = (one.psi, one.distance, one.moved, one.previous_mean, one.mean)
        assert mine == pytest.approx((other.psi, other.distance, other.moved, other.before, other.after))
        assert (1 - one.previous_share, 1 - one.share) == pytest.approx((other.empty_before, other.empty_after))
    reasons = [each for each in found.items if each.kind == "reason"]
    assert [each.moved for each in reasons] == sorted((each.moved for each in reasons), reverse=True)
    assert reasons[0].name == "repeated_failures", "later users meet more errors"
    assert reasons[0].is_notable


def test_analytics_knows_the_anonymous_as_well(linked: Path, tmp_path: Path) -> None:
    whole, *_ = calibrated(linked, tmp_path).spans
    assert (whole.prediction_count, whole.known_count, whole.waiting_count) == (3, 2, 1)
    assert (whole.user_count, whole.came_true) == (1, 0.5)
