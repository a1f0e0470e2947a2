"""Asks about models and data from time to time, and reports the answers as metrics."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, cast

from mesh.clock import Clock
from mesh.errors import Damaged, InvalidArgument, MeshError
from mesh.observability import registry
from mesh.observability.metrics import Metrics
from services.analytics import watching
from services.analytics.domain import answer, gauged
from services.analytics.domain.gauged import Answers, Figures
from services.analytics.usecases import Asking, Costing

_SOON_SECONDS: Final = 60.0
_SECOND_US: Final = 1_000_000
_log = logging.getLogger(__name__)


Noticed = Callable[[Figures], Awaitable[None]]
"""Is handed what gauges tell, once they tell it."""


async def follow(
    asking: Asking, costing: Costing, metrics: Metrics, clock: Clock, period_seconds: float, noticed: Noticed
) -> None:
    """Looks each period until cancelled, or each minute while there is no tenant; figures stay until the next ones."""
    is_seen = False
    while True:
        await asyncio.sleep(period_seconds if is_seen else min(period_seconds, _SOON_SECONDS))
        is_seen = False
        with _telling("costs"):
            await look_at_costs(asking, costing, metrics)
        with _telling("models and data"):
            is_seen = await look(asking, metrics, clock(), noticed)


@contextlib.contextmanager
def _telling(what: str) -> Iterator[None]:
    try:
        yield
    except MeshError as error:
        _log.info("gauges of %s are not told now: %s", what, error.detail)


async def look_at_costs(asking: Asking, costing: Costing, metrics: Metrics) -> None:
    """Reports the share of today's budget that is used, of the tenant that has used most; nothing without budgets.

    Raises:
        MeshError: what was used cannot be read.
    """
    known = list[float]()
    for tenant in sorted(asking.known().tenants):
        try:
            share = await costing.used_share(tenant)
        except Damaged as error:
            _log.warning("gauges leave out a tenant: %s", error.detail)
            continue
        known += [] if share is None else [share]
    metrics.set_gauges(registry.COST_BUDGET_USED, {(): max(known)} if known else {})


async def look(asking: Asking, metrics: Metrics, now_us: int, noticed: Noticed) -> bool:
    """Asks about each tenant, one after the other, and reports the figures; returns whether there are tenants.

    A tenant about whom a question would read more than it may is left out.

    Raises:
        MeshError: as `Asking.ask`, or as whoever notices it.
    """
    asked, found = gauged.questions(now_us), []
    tenants = sorted(asking.known().tenants)
    for tenant in tenants:
        try:
            drift, calibration, events = [(await asking.ask(tenant, each)).answer for each in asked]
            of_model = cast("answer.Calibration", calibration)
            if again := gauged.again(now_us, of_model):
                of_model = cast("answer.Calibration", (await asking.ask(tenant, again)).answer)
        except InvalidArgument as error:
            _log.warning("gauges leave out a tenant: %s", error.detail)
            continue
        found.append(Answers(cast("answer.Drift", drift), of_model, cast("answer.Trend", events)))
    figures = gauged.figures(found, asked.drift.window.start_us)
    _report(metrics, figures)
    await noticed(figures)
    return bool(tenants)


def _report(metrics: Metrics, seen: Figures) -> None:
    metrics.set_gauges(registry.DRIFT_INDEX, {at: each.psi for at, each in seen.moved.items()})
    metrics.set_gauges(registry.DRIFT_POINTS, {at: each.points for at, each in seen.moved.items()})
    calibrated = {(version,): each for version, each in seen.calibrated.items()}
    metrics.set_gauges(registry.CALIBRATION_ERROR, {at: each.error for at, each in calibrated.items()})
    metrics.set_gauges(registry.CALIBRATION_GAP, {at: each.gap for at, each in calibrated.items()})
    metrics.set_gauges(registry.KNOWN_OUTCOMES, {at: each.outcome_count for at, each in calibrated.items()})
    metrics.set_gauges(registry.EVENT_RATIO, {(kind,): ratio for kind, ratio in seen.event_ratios.items()})


def report_watch(metrics: Metrics, figures: watching.Figures) -> None:
    """Reports how the watches of key figures are doing."""
    metrics.set_gauges(registry.INSIGHTS_OPEN, {(severity,): count for severity, count in figures.open_counts.items()})
    metrics.set_gauge(registry.INSIGHTS_LAG, figures.lag_us / _SECOND_US)
    metrics.set_gauges(registry.INSIGHTS_FOUND, {(metric,): count for metric, count in figures.found_counts.items()})
