"""Makes what the analytics service needs from its settings and joins it."""

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from journeymesh.analytics.v1 import analytics_pb2, insights_pb2, jobs_pb2, segments_pb2
from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceStub

from mesh import webhook
from mesh.clock import Clock, system_clock
from mesh.errors import MeshError, Unavailable
from mesh.observability.telemetry import Telemetry
from mesh.process.lifecycle import in_background
from mesh.rpc import channel
from mesh.rpc.tls import Tls
from services.analytics.adapters.children import Children
from services.analytics.adapters.messenger import WebhookMessenger
from services.analytics.adapters.prices import read
from services.analytics.adapters.spending import PeerSpending
from services.analytics.adapters.tasks import Place
from services.analytics.adapters.workers import DuckDb, FolderCopies, working
from services.analytics.domain.manifest import Manifest
from services.analytics.jobs import JobsServicer
from services.analytics.ports import Copies, JobStore, Outdated, WatchStore
from services.analytics.running import Queueing, Running
from services.analytics.settings import Settings
from services.analytics.usecases import Asking, Costing
from services.analytics.watching import Plan, Watching

SERVICE_NAMES: Final = [
    each.full_name
    for of in (analytics_pb2, segments_pb2, insights_pb2, jobs_pb2)
    for each in of.DESCRIPTOR.services_by_name.values()
]

_log = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 0.25
_TAIL_SECONDS: Final = 1.0
# Of a processor that others want too, no more goes into the tail than one part of so many.
_REST_SHARE: Final = 4


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


@contextlib.asynccontextmanager
async def answering(settings: Settings, traced: Telemetry, tls: Tls | None) -> AsyncIterator[Answering]:
    """What answers, with copies that follow the archive in the background of the block.

    Raises:
        SettingError: the price file cannot be read.
    """
    prices = read(settings.prices_file)
    async with (
        following(settings) as (asking, copies),
        channel.dial(settings.intervention_target, traced, tls) as dialled,
    ):
        yield Answering(asking, Costing(copies, PeerSpending(InterventionServiceStub(dialled)), prices, system_clock))


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
async def watching(settings: Settings, asking: Asking, store: WatchStore, clock: Clock) -> AsyncIterator[Watching]:
    """What watches key figures, and does so in the background of the block if there is an archive."""
    url = settings.insights_webhook_url
    plan = Plan(settings.insights_period_seconds, settings.insights_time_zone, is_for_all=bool(url))
    async with contextlib.AsyncExitStack() as stack:
        messenger = None
        if url:
            client = await stack.enter_async_context(webhook.client())
            messenger = WebhookMessenger(webhook.Webhook(client, url, settings.webhook_secret, clock))
        watched = Watching(asking, store, clock, plan, messenger=messenger)
        if settings.archive_url:
            await stack.enter_async_context(in_background(watched.run()))
        yield watched


@contextlib.asynccontextmanager
async def running(settings: Settings, store: JobStore, clock: Clock, traced: Telemetry) -> AsyncIterator[JobsServicer]:
    """What serves jobs, which run in the background of the block if there is an archive."""
    children = Children(settings.archive_url, settings.job_memory_mib, os.environ)
    async with contextlib.AsyncExitStack() as stack:
        if settings.archive_url:
            runner = Running(store, clock, secrets.token_bytes, children.start, traced)
            await stack.enter_async_context(in_background(runner.run()))
        yield JobsServicer(Queueing(store, clock, secrets.token_bytes, has_archive=bool(settings.archive_url)))


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
