"""Sends segment changes to ingest, as events that the mesh makes itself."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from journeymesh.common.v1 import event_pb2
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.ingest.v1.ingest_pb2_grpc import IngestServiceStub

from mesh.clock import Clock
from mesh.observability.telemetry import Telemetry
from mesh.rpc import channel
from mesh.rpc.tls import Tls
from offline.customers.publishing import Change
from records import wire
from records.table import of_events
from services.ingest.events.domain.own_ids import segment_change_id

if TYPE_CHECKING:
    from journeymesh.ingest.v1.ingest_pb2_grpc import IngestServiceAsyncStub

_ON_STREAM: Final = frozenset({ingest_pb2.VERDICT_ACCEPTED, ingest_pb2.VERDICT_DUPLICATE})


class IngestStream:
    """Ingest; see `publishing.Stream`."""

    def __init__(self, stub: "IngestServiceAsyncStub", clock: Clock) -> None:
        self._stub = stub
        self._clock = clock

    async def accept(self, changes: Sequence[Change]) -> Sequence[bool]:
        """See `publishing.Stream`."""
        now_us = self._clock()
        table = wire.encoded(of_events([_event(each, now_us) for each in changes]))
        answer = await self._stub.AcceptEvents(ingest_pb2.AcceptEventsRequest(tables=[table]))
        return [verdict in _ON_STREAM for verdict in answer.verdicts]


@contextlib.asynccontextmanager
async def dialled(target: str, traced: Telemetry, tls: Tls | None, clock: Clock) -> AsyncIterator[IngestStream]:
    """Ingest at a target, for the duration of the block."""
    async with channel.dial(target, traced, tls) as to:
        yield IngestStream(IngestServiceStub(to), clock)


def _event(of: Change, now_us: int) -> event_pb2.Event:
    return event_pb2.Event(
        event_id=segment_change_id(of.user_id, of.fitted_ms),
        user_id=of.user_id,
        event_type=event_pb2.EVENT_TYPE_SEGMENT_CHANGE,
        event_time_us=of.fitted_ms * 1000,
        received_time_us=now_us,
        platform=event_pb2.PLATFORM_BACKEND,
        is_system=True,
        is_own=True,
        segment_change=event_pb2.SegmentChange(
            segment=of.segment,
            previous_segment=of.previous_segment,
            group=of.group,
            previous_group=of.previous_group,
            products=[
                event_pb2.RecommendedProduct(product_id=each.product, name=each.name, reason=each.reason)
                for each in of.products
            ],
        ),
    )
