"""The gRPC face of the watch: translate, call, translate."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from journeymesh.analytics.v1 import insights_pb2 as wire
from journeymesh.analytics.v1.insights_pb2_grpc import InsightsServiceServicer

from mesh.rpc.context import ServerContext
from mesh.rpc.timestamps import timestamp
from services.analytics.translation import (
    alarm_message,
    change_message,
    change_of,
    day_of,
    digest_message,
    time_of,
    watched_message,
)
from services.analytics.watching import Standing, Update, Watching

_SECOND_US: Final = 1_000_000


class InsightsServicer(InsightsServiceServicer):
    """Serves `InsightsService`."""

    def __init__(self, watching: Watching) -> None:
        self._watching = watching

    async def ListInsights(
        self, request: wire.ListInsightsRequest, _context: ServerContext
    ) -> wire.ListInsightsResponse:
        """Lists a tenant's incidents."""
        watched = await self._watching.listed(request.tenant)
        return wire.ListInsightsResponse(
            incidents=map(watched_message, watched.insights),
            sequence=watched.sequence,
            budget_alarms=map(alarm_message, watched.alarms),
        )

    async def GetInsightsStatus(
        self, request: wire.GetInsightsStatusRequest, _context: ServerContext
    ) -> wire.GetInsightsStatusResponse:
        """Tells how a tenant's watch is doing."""
        return _status_message(await self._watching.standing(request.tenant))

    async def AcknowledgeInsight(
        self, request: wire.AcknowledgeInsightRequest, _context: ServerContext
    ) -> wire.AcknowledgeInsightResponse:
        """Remembers who has seen an incident."""
        seen = await self._watching.acknowledge(request.tenant, request.insight_id, request.by)
        return wire.AcknowledgeInsightResponse(incident=watched_message(seen))

    async def SnoozeInsight(
        self, request: wire.SnoozeInsightRequest, _context: ServerContext
    ) -> wire.SnoozeInsightResponse:
        """Snoozes an incident: it is not told for a while."""
        until_us = time_of(request.until) if request.HasField("until") else None
        its = await self._watching.snooze(request.tenant, request.insight_id, request.by, until_us, request.reason)
        return wire.SnoozeInsightResponse(incident=watched_message(its))

    async def NoteChange(self, request: wire.NoteChangeRequest, _context: ServerContext) -> wire.NoteChangeResponse:
        """Remembers a change that somebody says."""
        noted = await self._watching.note(request.tenant, change_of(request))
        return wire.NoteChangeResponse(change=change_message(noted))

    async def ListChanges(self, request: wire.ListChangesRequest, _context: ServerContext) -> wire.ListChangesResponse:
        """Lists what changed."""
        return wire.ListChangesResponse(changes=map(change_message, await self._watching.changes(request.tenant)))

    async def GetInsightsDigest(
        self, request: wire.GetInsightsDigestRequest, _context: ServerContext
    ) -> wire.GetInsightsDigestResponse:
        """Tells what a day brought."""
        return digest_message(await self._watching.digest(request.tenant, day_of(request.day)))

    async def WatchInsights(
        self, request: wire.WatchInsightsRequest, _context: ServerContext
    ) -> AsyncGenerator[wire.WatchInsightsResponse, None]:
        """Streams a tenant's incidents."""
        async with contextlib.aclosing(self._watching.watch(request.tenant, request.sequence)) as changes:
            async for each in changes:
                yield _update_message(each)


def _update_message(of: Update) -> wire.WatchInsightsResponse:
    return wire.WatchInsightsResponse(
        is_snapshot=of.is_snapshot,
        incidents=map(watched_message, of.insights),
        sequence=of.watched.sequence,
        judged_until=timestamp(of.watched.until_us) if of.watched.until_us else None,
        budget_alarms=map(alarm_message, of.alarms),
    )


def _status_message(of: Standing) -> wire.GetInsightsStatusResponse:
    its = of.watched
    message = wire.GetInsightsStatusResponse(
        open_count=sum(each.closed_us is None for each in its.insights),
        needed_days=its.needed_days,
        period_seconds=of.plan.period_seconds,
        time_zone=of.plan.time_zone,
        watcher_count=of.watcher_count,
        has_webhook=of.has_webhook,
    )
    if of.watermark_us:
        message.arrived_until.CopyFrom(timestamp(of.watermark_us))
    if its.since_us:
        message.watching_since.CopyFrom(timestamp(its.since_us))
        message.last_judged.CopyFrom(timestamp(its.judged_us))
        message.judged_until.CopyFrom(timestamp(its.until_us))
        message.lag_seconds = max(0.0, (of.now_us - its.until_us) / _SECOND_US)
    return message
