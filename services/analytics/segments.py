"""The gRPC face of saved segments: translate, call, translate."""

from journeymesh.analytics.v1 import segments_pb2 as wire
from journeymesh.analytics.v1.segments_pb2_grpc import SegmentsServiceServicer

from mesh.rpc.context import ServerContext
from services.analytics.translation import draft_of, segment_message
from services.analytics.usecases import Saving


class SegmentsServicer(SegmentsServiceServicer):
    """Serves `SegmentsService`."""

    def __init__(self, segments: Saving) -> None:
        self._segments = segments

    async def CreateSegment(
        self, request: wire.CreateSegmentRequest, _context: ServerContext
    ) -> wire.CreateSegmentResponse:
        """Saves a new segment."""
        created = await self._segments.create(request.tenant, draft_of(request.segment))
        return wire.CreateSegmentResponse(segment=segment_message(created))

    async def ListSegments(
        self, request: wire.ListSegmentsRequest, _context: ServerContext
    ) -> wire.ListSegmentsResponse:
        """Lists a tenant's segments."""
        listed = await self._segments.listed(request.tenant)
        return wire.ListSegmentsResponse(segments=map(segment_message, listed))

    async def GetSegment(self, request: wire.GetSegmentRequest, _context: ServerContext) -> wire.GetSegmentResponse:
        """Shows a segment."""
        found = await self._segments.get(request.tenant, request.segment_id)
        return wire.GetSegmentResponse(segment=segment_message(found))

    async def ChangeSegment(
        self, request: wire.ChangeSegmentRequest, _context: ServerContext
    ) -> wire.ChangeSegmentResponse:
        """Replaces what a segment says."""
        draft = draft_of(request.segment)
        changed = await self._segments.change(request.tenant, request.segment_id, draft, request.revision)
        return wire.ChangeSegmentResponse(segment=segment_message(changed))

    async def DeleteSegment(
        self, request: wire.DeleteSegmentRequest, _context: ServerContext
    ) -> wire.DeleteSegmentResponse:
        """Deletes a segment."""
        await self._segments.delete(request.tenant, request.segment_id)
        return wire.DeleteSegmentResponse()
