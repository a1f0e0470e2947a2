"""Makes what the analytics service needs from its settings and joins it."""

import asyncio
import contextlib
import functools
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, NamedTuple

from journeymesh.analytics.v1 import analytics_pb2, insights_pb2, jobs_pb2, segments_pb2
from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceStub
from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceStub
from journeymesh.scoring.v1.models_pb2_grpc import ModelsServiceStub

from mesh import webhook
from mesh.clock import Clock, system_clock
from mesh.errors import MeshError, Unavailable
from mesh.observability.metrics import Metrics
from mesh.observability.telemetry import Telemetry
from mesh.process.lifecycle import in_background
from mesh.rpc import channel
from mesh.rpc.tls import Tls
from mesh.settings import SettingError
from mesh.store import redis
from services.analytics import gauges
from services.analytics.adapters import children
from services.analytics.adapters.changing import PeerChanges
from services.analytics.adapters.messenger import WebhookMessenger
from services.analytics.adapters.pausing import PeerPausing
from services.analytics.adapters.prices import read
from services.analytics.adapters.releases import RedisReleases
from services.analytics.adapters.spending import PeerSpending
from services.analytics.adapters.tasks import Place
from services.analytics.adapters.watched import RedisWatches
from services.analytics.adapters.workers import DuckDb, FolderCopies, working
from services.analytics.domain import telling
from services.analytics.domain.job import TRAINING, By
from services.analytics.domain.manifest import Manifest
from services.analytics.domain.question import DAY_US
from services.analytics.domain.releases import Start
from services.analytics.domain.retraining import LABEL
from services.analytics.jobs import JobsServicer
from services.analytics.ports import BudgetStore, Copies, JobStore, Messenger, Outdated
from services.analytics.releasing import AllChanges, note
from services.analytics.running import Queueing, Retraining, Running
from services.analytics.settings import Settings
from services.analytics.usecases import Asking, Costing
from services.analytics.watching import Plan, Tellers, Watching

SERVICE_NAMES: Final = [
    each.full_name
    for of in (analytics_pb2, segments_pb2, insights_pb2, jobs_pb2)
    for each in of.DESCRIPTOR.services_by_name.values()
]

_CAUSES: Final[Mapping[str, frozenset[By]]] = {
    "no": frozenset(),
    "drift": frozenset({By.DRIFT}),
    "calibration": frozenset({By.CALIBRATION}),
    "both": frozenset({By.DRIFT, By.CALIBRATION}),
}

_log = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 0.25
_TAIL_SECONDS: Final = 1.0
# Of a processor that others want too, no more goes into the tail than one part of so many.
_REST_SHARE: Final = 4


def require_cluster(settings: Settings) -> None:
    """Returns if jobs can use the cluster that the settings name, if they name one. It may be away.

    Raises:
        SettingError: what that needs is not here.
    """
    if settings.jobs_cluster:
        children.require_cluster(settings.jobs_cluster_files)


class _Nothing:
    """No archive, so no copies."""

    def manifest(self) -> Manifest:
        """See `ports.Copies`."""
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "There is no archive: JOURNEYMESH_ARCHIVE_URL is empty.")

    async def check(self) -> None:
        """See `ports.Copies`."""


class Answering(NamedTuple):
    """What answers, and what is looked up for it."""

    asking: Asking
    costing: Costing
    changes: PeerChanges


@contextlib.asynccontextmanager
async def answering(
    settings: Settings, budgets: BudgetStore, traced: Telemetry, tls: Tls | None
) -> AsyncIterator[Answering]:
    """What answers, with copies that follow the archive in the background of the block.

    Raises:
        SettingError: the price file cannot be read.
    """
    prices = read(settings.prices_file)
    async with (
        following(settings) as (asking, copies),
        channel.dial(settings.intervention_target, traced, tls) as dialled,
        channel.dial(settings.scoring_target, traced, tls) as scoring,
        channel.dial(settings.experiments_target, traced, tls) as experiments,
    ):
        intervention = InterventionServiceStub(dialled)
        changes = PeerChanges(intervention, ModelsServiceStub(scoring), ExperimentsServiceStub(experiments))
        yield Answering(asking, Costing(copies, PeerSpending(intervention), prices, budgets, system_clock), changes)


@contextlib.asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[tuple[Asking, Copies]]:
    """What answers from copies, and the copies, which follow the archive in the background of the block."""
    place = Place(settings.archive_url, settings.folder)
    async with working(settings.worker_count) as counting, working(1) as copying:
        engine = DuckDb(counting, place.root)
        if not settings.archive_url:
            yield Asking(_Nothing(), engine), _Nothing()
            return
        copies = FolderCopies(copying, place)
        async with in_background(follow(copies, settings.period_seconds)):
            yield Asking(copies, engine, settings.most_rows), copies


@contextlib.asynccontextmanager
async def watching(
    settings: Settings, its: Answering, client: redis.Client, version: str, clock: Clock, metrics: Metrics
) -> AsyncIterator[Watching]:
    """What watches key figures and budgets, and does so in the background of the block if there is an archive.

    The start of this process, of a version of the mesh, is noted meanwhile.
    """
    releases = RedisReleases(client)
    start = Start(f"{socket.gethostname()} {settings.listen}", version)
    url = settings.insights_webhook_url
    plan = Plan(
        settings.insights_period_seconds,
        settings.insights_time_zone,
        is_for_all=bool(url),
        digest_at=settings.digest_at,
    )
    posting: WebhookMessenger | None = None
    messengers: dict[str, Messenger] = {telling.PAUSED: PeerPausing(its.changes.experiments)}
    async with contextlib.AsyncExitStack() as stack:
        if url:
            http = await stack.enter_async_context(webhook.client())
            posting = WebhookMessenger(webhook.Webhook(http, url, settings.webhook_secret, clock))
            messengers |= dict.fromkeys(telling.KINDS, posting)
        report = functools.partial(gauges.report_watch, metrics)
        tellers = Tellers(messengers, posting, posting)
        watched = Watching(
            its.asking,
            RedisWatches(client),
            clock,
            plan,
            tellers=tellers,
            changes=AllChanges(its.changes, releases),
            budgets=its.costing,
            report=report,
        )
        await stack.enter_async_context(in_background(note(releases, start, clock())))
        if settings.archive_url:
            await stack.enter_async_context(in_background(watched.run()))
        yield watched


@contextlib.asynccontextmanager
async def running(
    settings: Settings, store: JobStore, clock: Clock, traced: Telemetry
) -> AsyncIterator[tuple[JobsServicer, Retraining]]:
    """What serves jobs, which run in the background of the block if there is an archive, and what starts some.

    Raises:
        SettingError: the label of trainings makes no sense; or trainings are to start by themselves, and what they need
            is not installed.
    """
    memory = children.Memory(settings.job_memory_mib, settings.training_memory_mib)
    processes = children.Children(settings.archive_url, memory, os.environ, Path(settings.folder) / "jobs")
    has_archive, installed = bool(settings.archive_url), children.kinds()
    if TRAINING in installed and settings.training_label != LABEL:
        await asyncio.to_thread(children.require_label, settings.training_label)
    async with contextlib.AsyncExitStack() as stack:
        if has_archive:
            runner = Running(store, clock, secrets.token_bytes, processes.start, traced, installed)
            await stack.enter_async_context(in_background(runner.run()))
        queueing = Queueing(
            store, clock, secrets.token_bytes, has_archive, traced.metrics, installed, settings.training_label
        )
        yield JobsServicer(queueing), _retraining(settings, queueing)


def reporting(
    settings: Settings, asking: Asking, costing: Costing, retraining: Retraining, metrics: Metrics
) -> AbstractAsyncContextManager[object]:
    """Reports about models and data in the background of the block, and hands on what it reports."""
    looks = gauges.follow(asking, costing, metrics, system_clock, settings.gauges_seconds, retraining.noticed)
    return in_background(looks)


def _retraining(settings: Settings, queueing: Queueing) -> Retraining:
    causes = _CAUSES[settings.training_start]
    if causes and TRAINING not in queueing.installed:
        message = "JOURNEYMESH_TRAINING_START needs the extra `offline`, which is not installed (docs/training.md)."
        raise SettingError(message)
    options = {"promote": settings.training_promote}
    return Retraining(queueing, causes, round(settings.training_interval_days * DAY_US), options)


async def follow(copies: FolderCopies, period_seconds: float) -> None:
    """Keeps copies up with the archive until cancelled; a pass that fails is repeated."""
    now = asyncio.get_running_loop().time
    is_behind, looked_at = True, now()
    while True:
        is_all, begun = is_behind or now() - looked_at >= period_seconds, now()
        looked_at = begun if is_all else looked_at
        try:
            is_behind = await copies.bring_up(is_all=is_all)
        except Outdated:  # the archiver has joined or written files meanwhile
            is_behind = True
            await asyncio.sleep(_RETRY_SECONDS)
        except MeshError:
            _log.exception("the archive cannot be followed")
            is_behind = False
            await asyncio.sleep(period_seconds)
        if not is_behind:
            await asyncio.sleep(min(period_seconds, max(_TAIL_SECONDS, _REST_SHARE * (now() - begun))))
