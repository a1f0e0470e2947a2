"""Ingest over gRPC: translate, call, translate."""

from collections.abc import Sequence
from typing import Any, Final, cast

from journeymesh.common.v1 import error_reason_pb2, position_pb2
from journeymesh.ingest.v1 import ingest_pb2, ingest_pb2_grpc

from mesh.errors import InvalidArgument
from services.ingest.domain.event import Event, FailedEvent, failed_event_id
from services.ingest.translation import event_json, failed_event_message, reason_name
from services.ingest.usecases import Ingest

_EVENTS_MOST: Final = 5_000
_PAGE_SIZE: Final = 20
_PAGE_SIZE_MOST: Final = 100


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """See `journeymesh.ingest.v1.IngestService`."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def AcceptEvents(
        self, request: ingest_pb2.AcceptEventsRequest, context: Any
    ) -> ingest_pb2.AcceptEventsResponse:
        """Accepts a batch."""
        if len(request.events) > _EVENTS_MOST:
            raise InvalidArgument("REQUEST_TOO_LARGE", f"A request holds at most {_EVENTS_MOST} events.")
        accepted = await self._ingest.accept(cast("Sequence[Event]", request.events))
        now_us = self._ingest.clock()
        failed = [_unreadable(one, now_us) for one in request.unreadable]
        for index, rejection in accepted.rejections.items():
            event = request.events[index]
            payload = event_json(event)
            failed.append(
                FailedEvent(
                    failed_event_id(event.event_id, payload),
                    rejection.reason,
                    rejection.detail,
                    now_us,
                    event.event_id,
                    event.user_id,
                    payload,
                    event.trace_id,
                    "ingest",
                )
            )
        await self._ingest.keep_failed(failed)
        return ingest_pb2.AcceptEventsResponse(
            verdicts=[ingest_pb2.Verdict.ValueType(verdict) for verdict in accepted.verdicts],
            rejections=[
                ingest_pb2.Rejection(
                    event_index=index,
                    reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{rejection.reason}"),
                    detail=rejection.detail,
                )
                for index, rejection in sorted(accepted.rejections.items())
            ],
        )

    async def GetReceipt(self, request: ingest_pb2.GetReceiptRequest, context: Any) -> ingest_pb2.GetReceiptResponse:
        """Tells what became of an event."""
        told = await self._ingest.receipt(request.event_id)
        receipt = ingest_pb2.Receipt(event_id=request.event_id)
        if told.seen is not None:
            place = told.seen.place
            receipt.state = ingest_pb2.RECEIPT_STATE_APPLIED if told.is_applied else ingest_pb2.RECEIPT_STATE_BUFFERED
            receipt.received_time.FromMicroseconds(told.seen.received_time_us)
            receipt.trace_id = told.seen.trace_id.hex()
            receipt.position.CopyFrom(
                position_pb2.EventPosition(
                    shard=place.shard, sequence=str(place.sequence), event_index=place.event_index
                )
            )
        if told.failed is not None:
            receipt.state = ingest_pb2.RECEIPT_STATE_FAILED
            receipt.failed_event_id = told.failed.id
            receipt.reason = error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{told.failed.reason}")
            receipt.trace_id = told.failed.trace_id.hex()
            receipt.received_time.FromMicroseconds(told.failed.failed_time_us)
        return ingest_pb2.GetReceiptResponse(receipt=receipt)

    async def ListFailedEvents(
        self, request: ingest_pb2.ListFailedEventsRequest, context: Any
    ) -> ingest_pb2.ListFailedEventsResponse:
        """Lists failed events, newest first."""
        page_size = min(request.page_size or _PAGE_SIZE, _PAGE_SIZE_MOST)
        failed, following = await self._ingest.failed.list(page_size, request.page_token)
        return ingest_pb2.ListFailedEventsResponse(
            failed_events=map(failed_event_message, failed), next_page_token=following
        )

    async def GetFailedEvent(
        self, request: ingest_pb2.GetFailedEventRequest, context: Any
    ) -> ingest_pb2.GetFailedEventResponse:
        """Reads one failed event."""
        failed = await self._ingest.failed_event(request.id)
        return ingest_pb2.GetFailedEventResponse(failed_event=failed_event_message(failed))

    async def ResolveFailedEvent(
        self, request: ingest_pb2.ResolveFailedEventRequest, context: Any
    ) -> ingest_pb2.ResolveFailedEventResponse:
        """Strikes a failed event off the list."""
        await self._ingest.failed.remove(request.id)
        return ingest_pb2.ResolveFailedEventResponse()


def _unreadable(one: ingest_pb2.UnreadableEvent, now_us: int) -> FailedEvent:
    return FailedEvent(
        failed_event_id(one.event_id, one.payload),
        reason_name(one.reason),
        one.detail,
        one.received_time_us or now_us,
        one.event_id,
        one.user_id,
        one.payload,
        one.trace_id,
        "gateway",
    )
