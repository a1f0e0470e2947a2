"""What was told is what is judged: from the answer of scoring to the report, analytics and an archive of before."""

import asyncio
import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq
import pytest
from journeymesh.common.v1 import event_pb2

from offline.declared import archived, label, moments
from offline.declared.journeys import spill
from offline.declared.label import Label
from offline.declared.moments import Span
from offline.predictions import drift, gathering, report, telling
from offline.predictions.measuring import measured
from offline.predictions.predictions import Predictions
from offline.predictions.report import Report
from offline.predictions.telling import Asked
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import DECISIONS
from services.scoring.adapters.model_directory import load
from services.scoring.domain.learning import LearnedRules
from services.scoring.ports import Matrix, Model, Prediction
from tests.builders import MINUTE_US, NOW_US, event
from tests.offline import mesh
from tests.offline.mesh import MODELS
from tests.offline.test_predictions import COSTS, DAY_US, LIVE, SILENT, calibrated, command, gathered
from tests.scoring.builders import Fixed

JOINED: Final = LearnedRules({"repeated_failures": 0.125}, is_in_probability=True)
OUTCOME: Final = "no event for 30 days, at events"
THIRTY: Final = label.parse(OUTCOME, ())


class Joined:
    """The shipped model, as if it had learned here, and that rules belong to the probability."""

    def __init__(self) -> None:
        self._model = load(MODELS / LIVE)
        card = dataclasses.replace(self._model.card, version="joined-1", own_users=40, outcome=OUTCOME)
        self.card = dataclasses.replace(card, rules=JOINED)

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        return self._model.predict(rows)


def story() -> list[event_pb2.Event]:
    """150 users, some in trouble. A third is back after 20 days, and a third after 40."""
    draw, found = random.Random(5), []  # noqa: S311 - a story
    for number in range(150):
        begun_us = NOW_US + draw.randrange(5 * 24 * 60) * MINUTE_US
        kinds = ["page_view", *["error"] * (number % 5), "page_view"]
        times = [(kind, begun_us + step * MINUTE_US) for step, kind in enumerate(kinds)]
        if number % 3:
            times.append(("page_view", begun_us + (number % 3) * 20 * DAY_US))
        found += [
            event(f"{number}-{step}", f"u-{number}", kind, event_time_us=at_us, received_time_us=at_us)
            for step, (kind, at_us) in enumerate(times)
        ]
    last_us = NOW_US + 80 * DAY_US
    found.append(event("last", "last", "page_view", event_time_us=last_us, received_time_us=last_us))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of what the joined model told."""
    made = tmp_path_factory.mktemp("told")

    asyncio.run(lived(made, sorted(story(), key=lambda each: each.received_time_us)))
    return made


async def lived(folder: Path, events: Sequence[event_pb2.Event]) -> None:
    """Writes an archive of events and of what the joined model told at each."""
    async with mesh.running(folder, models=Fixed(Joined())) as running:
        for each in events:
            await running.send(each)
        await running.archive()


@pytest.fixture(scope="module")
def made(folder: Path) -> Predictions:
    """Its predictions, by the outcome that the model tells."""
    return gathered(folder, THIRTY)


def told_of(made: Predictions, wanted: Label = THIRTY, model: Model | None = None) -> Report:
    """The report."""
    return telling.report_on(made, Asked(wanted, 0, COSTS, model), lambda _: Joined())


def test_the_report_judges_exactly_what_was_told(made: Predictions) -> None:
    assert made.is_told.all()
    assert set(made.outcomes) == {OUTCOME}
    # Model and weighed rules together, by the noisy-or, computed from what was archived beside it.
    by_hand = 1 - (1 - made.model_scores / 100) * (1 - made.rule_scores / 100)
    np.testing.assert_allclose(made.told, by_hand, rtol=0, atol=1e-12)
    assert (made.told > made.model_scores / 100 + 0.05).sum() > 20, "rules change what is told"
    of = told_of(made)
    (found,) = of.versions
    known = made.where(made.is_known)
    assert found.told_count == found.known_count == len(known) > 100
    truth = known.is_true.astype(np.float64)
    assert found.measures["told"]["brier"].value == pytest.approx(((known.told - truth) ** 2).mean())
    assert found.measures["model"]["brier"].value == pytest.approx(((known.model_scores / 100 - truth) ** 2).mean())
    assert [each.said for each in found.weeks] == pytest.approx(_by_week(known))
    assert of.remarks[0] == f"joined-1: of {len(known):,} predictions the probability that was told is judged."
    titles = [each.title for each in report.grids(of)]
    assert "joined-1: calibration of what was told over time" in titles


def _by_week(known: Predictions) -> list[float]:
    weeks = (known.received_us // DAY_US + 3) // 7
    return [float(known.told[weeks == week].mean()) for week in np.unique(weeks)]


def every_kind() -> list[event_pb2.Event]:
    """A user for each kind of event and each mark, who does nothing else; the last event is long after."""
    marks: list[dict[str, object]] = [{}, {"is_system": True}, {"is_bot": True}, {"copied_event_id": "e"}]
    kinds = [name.removeprefix("EVENT_TYPE_").lower() for name in event_pb2.EventType.keys()[1:]]
    found = [
        event(f"{kind}-{number}", f"{kind}-{number}", kind, **mark)
        for kind in kinds
        for number, mark in enumerate(marks)
    ]
    late_us = NOW_US + 9 * DAY_US
    return [*found, event("last", "last", event_time_us=late_us, received_time_us=late_us)]


def test_training_asks_exactly_where_a_risk_is_told(tmp_path: Path) -> None:
    asyncio.run(lived(tmp_path / "archive", every_kind()))
    rows = [pq.read_table(path).to_pylist() for path in (tmp_path / "archive" / DECISIONS).rglob("*.parquet")]
    told = {row["user_id"] for its in rows for row in its if row["probability"] is not None}
    (tmp_path / "spilled").mkdir()
    spilled = spill(archived.taken(str(tmp_path / "archive")), tmp_path / "spilled")
    span, wanted = Span(spilled.first_us, spilled.last_us), label.parse("no event for 1 days, at events", ())
    asked = {each.user_id for journey in spilled.journeys() for each in moments.snapshots(journey, wanted, span)}
    reported = gathered(tmp_path / "archive", wanted)
    assert told - {"last"} == asked
    assert told == set(reported.users)
    assert {"page_view-0", "purchase-0", "error-0"} < asked
    assert not asked & {"identify-0", "intervention_outcome-0", "page_view-1", "page_view-2", "page_view-3"}


def test_drift_is_that_of_what_was_told_too(made: Predictions) -> None:
    is_since = made.received_us >= NOW_US + 2 * DAY_US
    before, since = made.where(~is_since), made.where(is_since)
    told, model, *_ = drift.drift(Joined(), before, since).scores
    assert (told.name, model.name) == ("told", "model")
    assert (told.before, told.after) == pytest.approx((100 * before.told.mean(), 100 * since.told.mean()))
    assert told.before > model.before


def test_analytics_judges_the_same_by_the_days_that_the_model_tells(
    folder: Path, made: Predictions, tmp_path: Path
) -> None:
    found, known = calibrated(folder, tmp_path, 0), made.where(made.is_known)
    (whole, *_), (mine,) = found.spans, told_of(made).versions
    assert (found.outcome, found.silent_days, found.is_other_outcome) == (OUTCOME, 30, False)
    assert whole.known_count == whole.told_count == len(known)
    assert whole.predicted == pytest.approx(known.told.mean())
    assert whole.came_true == pytest.approx(known.is_true.mean())
    assert whole.error == pytest.approx(mine.measures["told"]["calibration_error"])
    assert calibrated(folder, tmp_path / "other", 14).is_other_outcome


def test_what_was_told_is_not_judged_by_another_outcome(folder: Path) -> None:
    made = gathered(folder)
    of = told_of(made, SILENT)
    assert of.versions == []
    assert of.remarks[0] == (
        f"joined-1 tells the probability of {OUTCOME!r}: its {len(made):,} predictions are not judged by "
        "'no event for 14 days, at events'."
    )


def test_the_command_asks_for_what_the_model_tells(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--archive", f"file://{folder}", "--since", "365") == 0
    printed = capsys.readouterr().out
    assert "the probability that was told is judged." in printed
    assert "calibration of what was told over time" in printed
    assert command("--archive", f"file://{folder}", "--since", "365", "--label", "no event for 14 days") == 0
    assert "are not judged by" in capsys.readouterr().out


def test_what_another_model_says_of_the_same_moments_was_not_told(made: Predictions) -> None:
    shipped = load(MODELS / LIVE)
    of = told_of(made, THIRTY, shipped)
    assert of.versions[0].told_count == 0
    assert "told" not in of.versions[0].measures
    assert f"{LIVE} told no probability here: what its model said is judged." in of.remarks


def test_an_archive_of_before_what_was_told_was_kept_is_judged_by_the_model(
    folder: Path, made: Predictions, tmp_path: Path
) -> None:
    files = ParquetArchive(f"file://{folder}")
    assert gathering.latest_outcome(files) == OUTCOME
    for path in sorted(folder.rglob("*.parquet")):
        table, aside = pq.read_table(path, partitioning=None), tmp_path / path.relative_to(folder)
        aside.parent.mkdir(parents=True, exist_ok=True)
        is_decisions = path.relative_to(folder).parts[0] == DECISIONS
        pq.write_table(table.drop_columns(["probability", "model_outcome"]) if is_decisions else table, aside)
    assert gathering.latest_outcome(ParquetArchive(f"file://{tmp_path}")) == ""
    older = gathered(tmp_path, THIRTY)
    assert not older.is_told.any()
    np.testing.assert_array_equal(older.judged, made.model_scores / 100)
    assert measured("joined-1", older, COSTS).told_count == 0


def test_of_some_told_and_some_not_both_are_counted(made: Predictions) -> None:
    known = np.flatnonzero(made.is_known)
    some = dataclasses.replace(made, told=np.where(np.isin(np.arange(len(made)), known[:30]), np.nan, made.told))
    of = told_of(some)
    count = len(known) - 30
    assert of.versions[0].told_count == count
    words = f"of {count:,} predictions the probability that was told is judged; of 30 others, what its model said."
    assert of.remarks[0] == f"joined-1: {words}"
