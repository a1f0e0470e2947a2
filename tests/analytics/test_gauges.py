"""What is watched without being asked: figures of all tenants, as metrics."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import pytest

from mesh.errors import InvalidArgument, Unavailable
from mesh.observability import registry
from mesh.observability.metrics import Metrics
from mesh.observability.registry import Metric
from mesh.store import redis
from services.analytics.adapters.budgets import MemoryBudgets, RedisBudgets
from services.analytics.adapters.questions.calibrating import calibration
from services.analytics.adapters.questions.counting import trend
from services.analytics.adapters.questions.drifting import drift
from services.analytics.adapters.watched import MemoryWatches
from services.analytics.domain import answer, gauged, question
from services.analytics.domain.answer import Answer
from services.analytics.domain.gauged import Answers, Moved
from services.analytics.domain.insights import METRICS
from services.analytics.domain.layout import EVENTS, Partition
from services.analytics.domain.manifest import EMPTY, Manifest, Part
from services.analytics.domain.question import DAY_US
from services.analytics.gauges import look, look_at_costs, report_watch
from services.analytics.ports import Reading
from services.analytics.usecases import Asking, Costing
from services.analytics.watching import Plan, Watching
from tests.analytics.rows import MINUTE_US, START_US, Decision, Event, asking
from tests.analytics.test_watching import DROP, Figures

NOW_US: Final = START_US + 9 * 60 * MINUTE_US
WEEK_US: Final = 7 * DAY_US
USERS: Final = 120


class Rows(NamedTuple):
    """What is known of a tenant."""

    events: Sequence[Event]
    decisions: Sequence[Decision]


class World:
    """The ports, over rows in memory."""

    def __init__(self, tenants: Mapping[str, Rows], refuses: type[Exception] | None = None) -> None:
        self.tenants = tenants
        self.refuses = refuses

    def manifest(self) -> Manifest:
        """See `ports.Copies`."""
        parts = {(EVENTS, Partition(name, 0)): Part("p", 1) for name in self.tenants}
        return EMPTY._replace(parts=parts, watermark_us=NOW_US)

    async def check(self) -> None:
        """See `ports.Copies`."""

    async def answer(self, reading: Reading) -> Answer:
        """See `ports.Engine`."""
        if self.refuses and reading.tenant == "large":
            raise self.refuses("QUESTION_TOO_LARGE", "It would read too much.")
        query, asked = asking(*self.tenants[reading.tenant]), reading.question
        if isinstance(asked, question.Drift):
            return drift(query, asked)
        if isinstance(asked, question.Calibration):
            return calibration(query, asked, reading.watermark_us)
        assert isinstance(asked, question.Trend)
        return trend(query, asked, reading.watermark_us)


def weeks(*, named: int, said: float, clicks: int) -> Rows:
    """Users of three weeks; so many name a reason in the last one, and so many clicks are left in it.

    In the week whose outcomes are known each is told to leave with a probability of `said` percent; half of them do.
    """
    day_us = START_US - START_US % DAY_US
    last, before, known = day_us - DAY_US, day_us - 8 * DAY_US, day_us - 16 * DAY_US
    users = range(USERS)
    events = [Event(f"u-{each}", known + each, f"k-{each}") for each in users]
    events += [Event(f"u-{each}", known + DAY_US, f"b-{each}") for each in users if each % 2]
    events += [Event(f"c-{each}", before + each, f"c-{each}", "click") for each in users]
    events += [Event(f"c-{each}", last + each, f"d-{each}", "click") for each in range(clicks)]
    made = [Decision(f"u-{each}", known + each, f"k-{each:03}", model_score=said) for each in users]
    made += [Decision(f"u-{each}", before + each, f"b-{each:03}") for each in users]
    made += [
        Decision(f"u-{each}", last + each, f"l-{each:03}", ("rage_clicks",) if each < named else (), score=60.0)
        for each in users
    ]
    return Rows(events, made)


def seen(metrics: Metrics, metric: Metric) -> dict[tuple[str, ...], float]:
    """The series of a gauge."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.collect()
        if family.name == metric.name
        for sample in family.samples
    }


async def ignored(_figures: gauged.Figures) -> None:
    """Nobody needs to know."""


def world(**tenants: Rows) -> World:
    return World({name.removeprefix("nobody"): rows for name, rows in tenants.items()})


async def test_figures_of_a_tenant_are_metrics() -> None:
    metrics, one = Metrics(), world(nobody=weeks(named=90, said=80.0, clicks=12))
    assert await look(Asking(one, one), metrics, NOW_US, ignored)
    index, points = seen(metrics, registry.DRIFT_INDEX), seen(metrics, registry.DRIFT_POINTS)
    assert set(index) == set(points)
    assert index["reason", "rage_clicks"] > 0.25
    assert points["reason", "rage_clicks"] == pytest.approx(0.75, abs=0.01)
    assert points["score", "model and rules"] == pytest.approx(50.0)
    assert index["score", "model"] == 0.0
    assert seen(metrics, registry.KNOWN_OUTCOMES) == {("m-1",): USERS}
    assert seen(metrics, registry.CALIBRATION_ERROR)["m-1",] == pytest.approx(0.3)
    assert seen(metrics, registry.CALIBRATION_GAP)["m-1",] == pytest.approx(-0.3)
    assert seen(metrics, registry.EVENT_RATIO) == {("click",): 0.1}


@pytest.mark.parametrize("days", [7, 30])
async def test_a_model_is_judged_by_its_own_silent_days(days: int) -> None:
    day_us = START_US - START_US % DAY_US
    known = day_us - (max(days, 14) + 2) * DAY_US
    outcome = f"no event for {days} days, at events"

    def told(t: int, name: str) -> list[Decision]:
        each = Decision("", t, "", probability=0.8, model_outcome=outcome)
        return [dataclasses.replace(each, user_id=f"u-{at}", decision_id=f"{name}-{at:03}") for at in range(USERS)]

    # Half of the users come back one day before their silent days are over.
    events = [Event(f"u-{at}", known, f"k-{at}") for at in range(USERS)]
    events += [Event(f"u-{at}", known + (days - 1) * DAY_US, f"b-{at}") for at in range(0, USERS, 2)]
    metrics, one = Metrics(), world(nobody=Rows(events, told(known, "k") + told(day_us - 16 * DAY_US, "s")))
    await look(Asking(one, one), metrics, NOW_US, ignored)
    assert seen(metrics, registry.KNOWN_OUTCOMES) == {("m-1",): USERS * (2 if days < 14 else 1)}
    assert seen(metrics, registry.CALIBRATION_GAP)["m-1",] == pytest.approx(-0.3)


async def test_of_tenants_the_worst_counts_and_events_are_of_all() -> None:
    metrics = Metrics()
    both = world(acme=weeks(named=0, said=60.0, clicks=USERS), globex=weeks(named=90, said=90.0, clicks=0))
    await look(Asking(both, both), metrics, NOW_US, ignored)
    assert seen(metrics, registry.DRIFT_POINTS)["reason", "rage_clicks"] == pytest.approx(0.75, abs=0.01)
    assert seen(metrics, registry.CALIBRATION_ERROR)["m-1",] == pytest.approx(0.4)
    assert seen(metrics, registry.EVENT_RATIO) == {("click",): 0.5}
    labels = {value for family in metrics.collect() for sample in family.samples for value in sample.labels.values()}
    assert not labels & {"acme", "globex"}


async def test_what_is_gone_is_reported_no_longer() -> None:
    metrics, one = Metrics(), world(nobody=weeks(named=90, said=80.0, clicks=12))
    await look(Asking(one, one), metrics, NOW_US, ignored)
    assert not await look(Asking(world(), one), metrics, NOW_US, ignored)
    assert seen(metrics, registry.DRIFT_INDEX) == seen(metrics, registry.EVENT_RATIO) == {}


async def test_a_tenant_that_is_too_large_is_left_out_and_no_answer_changes_nothing() -> None:
    metrics = Metrics()
    both = {"large": weeks(named=0, said=0.0, clicks=0), "small": weeks(named=90, said=80.0, clicks=12)}
    refused = World(both, InvalidArgument)
    assert await look(Asking(refused, refused), metrics, NOW_US, ignored)
    before = seen(metrics, registry.EVENT_RATIO)
    assert before == {("click",): 0.1}
    away = World(both, Unavailable)
    with pytest.raises(Unavailable):
        await look(Asking(away, away), metrics, NOW_US, ignored)
    assert seen(metrics, registry.EVENT_RATIO) == before


def test_questions_are_about_whole_days_and_known_outcomes() -> None:
    for now_us in (START_US, START_US + DAY_US - 1):
        drifted, calibrated, events = gauged.questions(now_us)
        assert (drifted.window.start_us, drifted.window.end_us) == (START_US - WEEK_US, START_US)
        assert events.window.start_us == drifted.previous.start_us
        assert calibrated.window.end_us == START_US - 15 * DAY_US
    assert gauged.questions(START_US + DAY_US) != gauged.questions(START_US)


def test_of_many_names_those_that_moved_furthest_are_kept() -> None:
    item = answer.DriftItem("reason", "", 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, is_notable=False)
    nothing = answer.CalibrationSpan(0, True, 0, 0, 0, 0, None, None, None, None, (), 0)
    side = answer.DriftSide(0, 0, None, None)

    def of_tenant(tenant: int) -> Answers:
        score = item._replace(kind="score", name="model", moved=0.5)
        items = tuple(item._replace(name=f"{tenant}-{each}", moved=100.0 - each) for each in range(80))
        return Answers(
            answer.Drift((score, *items), "m-1", side, side, 1, 100),
            answer.Calibration((nothing,), "m-1", (), 1, 100, "", 14, is_other_outcome=False),
            answer.Trend(()),
        )

    figures = gauged.figures([of_tenant(0), of_tenant(1)], 0)
    assert len(figures.moved) == gauged.MOST_NAMES
    assert figures.moved["score", "model"] == Moved(1.0, 0.5)
    assert ("reason", "1-79") not in figures.moved
    assert (figures.calibrated, figures.event_ratios) == ({}, {})


async def test_the_watch_reports_open_incidents_how_far_it_is_behind_and_how_many_there_were() -> None:
    metrics = Metrics()
    figures = Figures("acme")
    report = functools.partial(report_watch, metrics)
    watched = Watching(figures, MemoryWatches(), lambda: NOW_US, Plan(is_for_all=True), report=report)
    await watched.judge()
    assert seen(metrics, registry.INSIGHTS_OPEN) == dict.fromkeys([("low",), ("medium",), ("high",), ("critical",)], 0)
    figures.until = DROP + 3
    await watched.judge()
    assert seen(metrics, registry.INSIGHTS_OPEN)["critical",] == 2, "one of each tenant"
    assert seen(metrics, registry.INSIGHTS_LAG)[()] == pytest.approx(0, abs=1e-3)
    found = seen(metrics, registry.INSIGHTS_FOUND)
    assert found["users",] == 1
    assert found.keys() == {(metric,) for metric in METRICS}
    # What arrives and is not judged is told, although the watch fails.
    figures.until, figures.is_away = DROP + 5, True
    with pytest.raises(Unavailable):
        await watched.judge()
    assert seen(metrics, registry.INSIGHTS_LAG)[()] == pytest.approx(2 * 3600, abs=1e-3)
    assert seen(metrics, registry.INSIGHTS_OPEN)["critical",] == 2


class Spent:
    """What language models cost on each day."""

    async def usd_by_day(self, tenant: str, day_count: int) -> Mapping[int, float]:
        assert day_count == 1
        return {NOW_US // DAY_US * DAY_US: 3.0 if tenant == "acme" else 1.0}


async def test_a_budget_that_nobody_can_read_is_left_out_and_can_be_set_again(valkey: redis.Client) -> None:
    metrics = Metrics()
    its = world(acme=weeks(named=90, said=80.0, clicks=12), globex=weeks(named=90, said=80.0, clicks=12))
    costing = Costing(its, Spent(), question.Prices(), RedisBudgets(valkey), lambda: NOW_US)
    await costing.set_budget("globex", 4.0, "ada")
    await valkey.hset("jm:{analytics}:budgets", "acme", b"\x94\x01")
    await look_at_costs(Asking(its, its), costing, metrics)
    assert seen(metrics, registry.COST_BUDGET_USED) == {(): 0.25}
    await costing.set_budget("acme", 4.0, "ada")
    await look_at_costs(Asking(its, its), costing, metrics)
    assert seen(metrics, registry.COST_BUDGET_USED) == {(): 0.75}


async def test_the_budget_of_the_tenant_that_has_used_most_is_reported() -> None:
    metrics = Metrics()
    its = world(acme=weeks(named=90, said=80.0, clicks=12), globex=weeks(named=90, said=80.0, clicks=12))
    for prices, expected in (
        (question.Prices((), 4.0), {(): 0.75}),
        (question.Prices((), 4.0, (("globex", 0.5),)), {(): 2.0}),
        (question.Prices(), {}),
    ):
        costing = Costing(its, Spent(), prices, MemoryBudgets(), lambda: NOW_US)
        await look_at_costs(Asking(its, its), costing, metrics)
        assert seen(metrics, registry.COST_BUDGET_USED) == expected
        # A tenant's own budget counts where it is the lower one.
        await costing.set_budget("globex", 0.25, "ada")
        await look_at_costs(Asking(its, its), costing, metrics)
        assert seen(metrics, registry.COST_BUDGET_USED) == {(): 4.0}
