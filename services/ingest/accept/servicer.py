"""Ingest over gRPC: translate, call, translate."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from journeymesh.ingest.v1 import ingest_pb2, ingest_pb2_grpc

from mesh.observability import registry
from mesh.observability.metrics import Metrics
from records.table import Table
from services.ingest.accept.domain.masking.tables import masked_payload
from services.ingest.accept.domain.validation import Rejection
from services.ingest.accept.ports import Pipeline
from services.ingest.accept.replaying import Replays
from services.ingest.accept.translation import (
    accepted_table,
    failed_event_message,
    reason_name,
    receipt_message,
    refused,
    rejection_message,
    require_few,
    standing_message,
    unreadable,
    warning_messages,
    whole,
)
from services.ingest.accept.usecases import Ingest
from services.ingest.events.domain.event import Event

_PAGE_SIZE: Final = 20
# Too many, or not to be kept.
_NOT_KEPT: Final = frozenset({"BUFFER_FULL", "RATE_LIMITED", "USER_ERASED"})
_PAGE_SIZE_MOST: Final = 100


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """See `journeymesh.ingest.v1.IngestService`."""

    def __init__(self, ingest: Ingest, pipeline: Pipeline, metrics: Metrics) -> None:
        self._ingest = ingest
        self._replays = Replays(ingest)
        self._pipeline = pipeline
        self._metrics = metrics

    async def AcceptEvents(
        self, request: ingest_pb2.AcceptEventsRequest, context: Any
    ) -> ingest_pb2.AcceptEventsResponse:
        """Accepts a batch."""
        table = accepted_table(request)
        require_few(request.unreadable)
        accepted = await self._ingest.accept(table)
        self._metrics.count_each(registry.MASKED_VALUES, accepted.masked)
        self._metrics.count_each(registry.PERSONAL_IDS, accepted.personal_ids)
        if request.unreadable or accepted.rejections:
            await self._keep_failed(request.unreadable, table, accepted.rejections)
        return ingest_pb2.AcceptEventsResponse(
            verdicts=cast("list[ingest_pb2.Verdict.ValueType]", accepted.verdicts),
            rejections=[rejection_message(*rejected) for rejected in sorted(accepted.rejections.items())],
            warnings=warning_messages(accepted.notes),
        )

    async def _keep_failed(
        self, unread: Sequence[ingest_pb2.UnreadableEvent], table: Table, rejections: Mapping[int, Rejection]
    ) -> None:
        now_us, found = self._ingest.clock(), list[str]()
        erased = self._ingest.suppressing.now.among(one.user_id for one in unread)
        kept = [one for one in unread if one.user_id not in erased]
        maskings = self._ingest.masking.of(one.user_id for one in unread)
        payloads = [masked_payload(one.payload, maskings.of(one.user_id), found) for one in kept]
        self._metrics.count_each(registry.MASKED_VALUES, found)
        failed = [unreadable(one, payload, now_us) for one, payload in zip(kept, payloads, strict=True)]
        failed += [
            refused(table.event(index), rejection, now_us)
            for index, rejection in rejections.items()
            if rejection.reason not in _NOT_KEPT
        ]
        await self._ingest.keep_failed(failed)
        self._metrics.count_each(registry.REJECTED_EVENTS, [reason_name(one.reason) for one in unread])
        self._metrics.count_each(registry.REJECTED_EVENTS, [each.reason for each in rejections.values()])

    async def GetReceipt(self, request: ingest_pb2.GetReceiptRequest, context: Any) -> ingest_pb2.GetReceiptResponse:
        """Returns the receipt of an event."""
        receipt = await self._ingest.receipt(request.event_id)
        return ingest_pb2.GetReceiptResponse(receipt=receipt_message(request.event_id, receipt))

    async def ListFailedEvents(
        self, request: ingest_pb2.ListFailedEventsRequest, context: Any
    ) -> ingest_pb2.ListFailedEventsResponse:
        """Lists failed events, newest first."""
        page_size = min(request.page_size or _PAGE_SIZE, _PAGE_SIZE_MOST)
        reason = reason_name(request.reason) if request.reason else ""
        failed, following = await self._ingest.failed.list(page_size, request.page_token, reason)
        messages = [failed_event_message(one, request.payload_bytes) for one in failed]
        return ingest_pb2.ListFailedEventsResponse(failed_events=messages, next_page_token=following)

    async def GetFailedEvent(
        self, request: ingest_pb2.GetFailedEventRequest, context: Any
    ) -> ingest_pb2.GetFailedEventResponse:
        """Reads one failed event."""
        failed = await self._ingest.failed_event(request.id)
        return ingest_pb2.GetFailedEventResponse(failed_event=failed_event_message(failed))

    async def ResolveFailedEvent(
        self, request: ingest_pb2.ResolveFailedEventRequest, context: Any
    ) -> ingest_pb2.ResolveFailedEventResponse:
        """Removes a failed event from the list."""
        await self._ingest.failed.remove(request.id)
        return ingest_pb2.ResolveFailedEventResponse()

    async def ReplayFailedEvent(
        self, request: ingest_pb2.ReplayFailedEventRequest, context: Any
    ) -> ingest_pb2.ReplayFailedEventResponse:
        """Replays a failed event."""
        if request.HasField("event"):
            replayed = await self._replays.replay(request.id, cast("Event", request.event))
        else:
            failed = await self._ingest.failed_event(request.id)
            replayed = await self._replays.replay_whole(failed, cast("Event", whole(failed)))
        return ingest_pb2.ReplayFailedEventResponse(
            verdict=ingest_pb2.Verdict.ValueType(replayed.verdict),
            rejection=rejection_message(0, replayed.rejection) if replayed.rejection else None,
            warnings=warning_messages({0: replayed.notes}),
        )

    async def GetPipeline(self, request: ingest_pb2.GetPipelineRequest, context: Any) -> ingest_pb2.GetPipelineResponse:
        """Returns how far the consumers of the stream have come."""
        standings = await self._pipeline.standings()
        return ingest_pb2.GetPipelineResponse(standings=map(standing_message, standings))
