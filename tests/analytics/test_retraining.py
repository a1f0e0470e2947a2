"""A model that is due is trained anew: by what gauges tell, once per interval, however many processes notice it."""

import asyncio
import dataclasses
import importlib.util
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from mesh.observability import telemetry
from mesh.observability.telemetry import Telemetry
from mesh.settings import SettingError
from mesh.store import redis
from monitoring import limits
from services.analytics import bootstrap
from services.analytics.adapters import children
from services.analytics.adapters.jobs import MemoryJobs, RedisJobs
from services.analytics.domain import job as domain
from services.analytics.domain import retraining
from services.analytics.domain.gauged import Calibrated, Figures, Moved
from services.analytics.domain.job import By, Job, Outcome, State
from services.analytics.domain.retraining import LABEL
from services.analytics.gauges import look
from services.analytics.ports import JobStore
from services.analytics.running import KINDS, Queueing, Retraining, Running, changed
from services.analytics.settings import Settings
from services.analytics.usecases import Asking
from tests.analytics.test_gauges import NOW_US, weeks, world
from tests.analytics.test_jobs import Done

DAY_US: Final = 86_400_000_000
BOTH: Final = frozenset({By.DRIFT, By.CALIBRATION})
ENOUGH: Final = retraining.KNOWN_OUTCOMES


def test_thresholds_are_those_of_the_alerts() -> None:
    for name in ("DRIFT_INDEX", "DRIFT_POINTS", "CALIBRATION_ERROR", "KNOWN_OUTCOMES"):
        assert getattr(retraining, name) == getattr(limits, name)


@pytest.mark.parametrize(
    ("moved", "calibrated", "wanted", "by"),
    [
        (Moved(0.26, 1.0), Calibrated(0.05, 0.0, ENOUGH), BOTH, By.DRIFT),
        (Moved(0.26, 1.0), Calibrated(0.06, 0.0, ENOUGH), BOTH, By.CALIBRATION),
        (Moved(0.26, 1.0), Calibrated(0.06, 0.0, ENOUGH), {By.DRIFT}, By.DRIFT),
        (Moved(0.26, 1.0), Calibrated(0.06, 0.0, ENOUGH), (), None),
        (Moved(0.25, 9.0), Calibrated(0.06, 0.0, ENOUGH - 1), BOTH, None),
        (Moved(9.0, 0.99), Calibrated(0.05, 0.0, 9 * ENOUGH), BOTH, None),
        (Moved(0.26, 1.0), Calibrated(0.06, 0.0, ENOUGH), {By.CALIBRATION}, By.CALIBRATION),
    ],
)
def test_what_is_beyond_its_threshold_is_a_cause(
    moved: Moved, calibrated: Calibrated, wanted: Collection[By], by: By | None
) -> None:
    assert retraining.cause(Figures({("score", "model"): moved}, {"m-1": calibrated}, {}), wanted) is by


def due(store: JobStore, now_us: int, causes: Collection[By], traced: Telemetry) -> Retraining:
    """A process that may start a training every 30 days."""
    queueing = Queueing(store, lambda: now_us, secrets.token_bytes, True, traced.metrics)
    return Retraining(queueing, causes, 30 * DAY_US, {"promote": "yes"})


async def test_of_several_processes_that_see_drift_one_starts_a_training(valkey: redis.Client) -> None:
    store, traced = RedisJobs(valkey), telemetry.off()
    shop = world(nobody=weeks(named=90, said=80.0, clicks=12))

    async def see(now_us: int, causes: Collection[By] = BOTH) -> list[Job]:
        processes = [due(store, now_us, causes, traced).noticed for _ in range(4)]
        await asyncio.gather(*(look(Asking(shop, shop), traced.metrics, NOW_US, each) for each in processes))
        return [*(await store.read("")).jobs]

    assert await see(NOW_US, frozenset()) == []
    (job,) = await see(NOW_US)
    assert (job.kind, job.state, job.started_by) == ("model_training", State.QUEUED, By.DRIFT)
    assert job.options == {"label": LABEL, "promote": "yes", "directions": "no"}
    assert 'journeymesh_jobs_started_total{by="drift",kind="model_training"} 1.0' in traced.metrics.render().decode()

    ran = Running(store, lambda: NOW_US + 1, secrets.token_bytes, lambda _tenant, _job: Done(Outcome()), traced)
    await ran.run_waiting()
    (ended,) = await see(NOW_US + 30 * DAY_US - 1)
    assert ended.state is State.DONE
    assert [each.started_by for each in await see(NOW_US + 30 * DAY_US)] == [By.DRIFT, By.DRIFT]


async def test_while_somebody_s_training_is_open_none_is_started() -> None:
    store, traced = MemoryJobs(), telemetry.off()
    process = due(store, NOW_US, BOTH, traced)
    asked = await process.queueing.create("", "model_training")
    figures = Figures({("score", "model"): Moved(1.0, 9.0)}, {}, {})
    await process.noticed(figures)
    assert (await store.read("")).jobs == (asked,)
    # Once it has ended, it says nothing of when the mesh may start one.
    await changed(store, "", lambda jobs: tuple(domain.ended(each, Outcome(), NOW_US) for each in jobs))
    await process.noticed(figures)
    assert [each.started_by for each in (await store.read("")).jobs] == [By.PERSON, By.DRIFT]


@given(st.integers(0, 99), st.integers(0, 3))
def test_the_last_that_nobody_asked_for_is_never_forgotten(before: int, of_itself: int) -> None:
    starts = [By.PERSON] * before + [By.DRIFT, By.CALIBRATION, By.DRIFT][:of_itself] + [By.PERSON] * 105
    jobs: tuple[Job, ...] = ()
    for number, by in enumerate(starts):
        jobs = domain.queued(jobs, Job(f"{number}", "model_training", State.DONE, number, started_by=by))
    assert len(jobs) == domain.MOST_KEPT
    assert domain.may_start(jobs, "model_training", len(starts), 1_000) == (of_itself == 0)
    assert domain.may_start(jobs, "model_training", before + of_itself, 1)


@pytest.mark.parametrize(("ahead_us", "may"), [(-DAY_US, True), (1 - DAY_US, False), (9, False), (9 * DAY_US, True)])
def test_a_clock_that_was_wrong_holds_up_trainings_for_an_interval_at_most(ahead_us: int, *, may: bool) -> None:
    done = Job("j-1", "model_training", State.DONE, NOW_US + ahead_us, started_by=By.DRIFT)
    assert domain.may_start((done,), "model_training", NOW_US, DAY_US) == may


async def test_a_training_that_makes_no_sense_is_refused() -> None:
    def queueing(installed: Collection[str] = KINDS) -> Queueing:
        metrics = telemetry.off().metrics
        return Queueing(MemoryJobs(), lambda: NOW_US, secrets.token_bytes, True, metrics, installed)

    with pytest.raises(PermissionDenied):
        await queueing().create("acme", "model_training")
    with pytest.raises(InvalidArgument, match="label"):
        await queueing().create("", "model_training", {"label": "x" * 201})
    with pytest.raises(InvalidArgument, match="model_training"):
        await queueing().create("", "customers_fit", {"label": "never returns"})
    with pytest.raises(FailedPrecondition) as refused:
        await queueing(("customers_fit",)).create("", "model_training")
    assert refused.value.reason == "JOB_KIND_NOT_AVAILABLE"
    kept = await queueing().create("", "model_training", {"label": "", "promote": "yes"})
    assert kept.options == {"label": LABEL, "promote": "yes", "directions": "no"}


async def test_where_training_is_not_installed_nothing_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert children.kinds() == {*KINDS}
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else found(name))
    assert children.kinds() == {*KINDS} - {"model_training"}
    for start, is_refused in (("no", False), ("drift", True), ("calibration", True), ("both", True)):
        entering = bootstrap.running(Settings(training_start=start), MemoryJobs(), lambda: NOW_US, telemetry.off())
        if is_refused:
            with pytest.raises(SettingError, match="JOURNEYMESH_TRAINING_START"):
                await entering.__aenter__()
        else:
            async with entering as (_, process):
                assert not process.causes


def test_the_default_label_makes_sense() -> None:
    children.require_label(LABEL)


@pytest.mark.parametrize("label", ["no event for a while", "coffee within 3 days", "", "never returns, at noon"])
async def test_a_label_that_makes_no_sense_is_refused_at_the_start(label: str) -> None:
    entering = bootstrap.running(Settings(training_label=label), MemoryJobs(), lambda: NOW_US, telemetry.off())
    with pytest.raises(SettingError, match="JOURNEYMESH_TRAINING_LABEL: The label "):
        await entering.__aenter__()


async def test_what_nobody_says_is_what_the_installation_says(tmp_path: Path) -> None:
    settings, store = Settings(training_label="never returns, at session end", training_start="drift"), MemoryJobs()
    async with bootstrap.running(settings, store, lambda: NOW_US, telemetry.off()) as (_, process):
        queueing = dataclasses.replace(process.queueing, has_archive=True)
        asked = await queueing.create("", "model_training")
        assert asked.options["label"] == "never returns, at session end"
        await queueing.cancel("", asked.job_id)
        started = await queueing.start_training(process.options, By.DRIFT, 1)
        assert started is not None
        assert started.options == {"label": "never returns, at session end", "promote": "no", "directions": "no"}
    assert Settings().training_label == LABEL


async def test_a_process_without_what_training_needs_leaves_it_to_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, begun = MemoryJobs(), asyncio.Event()
    queue = Queueing(store, lambda: NOW_US, secrets.token_bytes, True, telemetry.off().metrics)
    asked = await queue.create("", "model_training")
    await queue.create("", "customers_fit")

    def start(_self: object, _tenant: str, job: Job) -> Done:
        assert job.kind == "customers_fit"
        begun.set()
        return Done(Outcome())

    monkeypatch.setattr(children, "kinds", lambda: frozenset({"customers_fit"}))
    monkeypatch.setattr(children.Children, "start", start)
    settings = Settings(archive_url=str(tmp_path))
    async with asyncio.timeout(10), bootstrap.running(settings, store, lambda: NOW_US, telemetry.off()):
        await begun.wait()
    assert (await store.read("")).jobs[0] == asked
