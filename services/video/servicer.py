"""The gRPC face of the video service: translate, call, translate."""

from journeymesh.common.v1 import erasure_pb2
from journeymesh.video.v1 import video_pb2 as wire
from journeymesh.video.v1.video_pb2_grpc import VideoServiceServicer

from mesh.observability import registry
from mesh.observability.metrics import Metrics
from mesh.rpc.context import ServerContext
from mesh.state import applied, erasing
from services.video import translation
from services.video.usecases import Playback


class VideoServicer(VideoServiceServicer):
    """Serves `VideoService`."""

    def __init__(self, playback: Playback, metrics: Metrics) -> None:
        self._playback = playback
        self._metrics = metrics
        metrics.count(registry.BEATS, 0)

    async def ApplyPlayback(
        self, request: wire.ApplyPlaybackRequest, _context: ServerContext
    ) -> wire.ApplyPlaybackResponse:
        """Applies the playback events of a batch."""
        scores = await self._playback.apply(applied.batch(request.position), translation.playback_events_of(request))
        if not request.position.is_retraction:
            self._metrics.count(registry.BEATS, len(scores))
        return wire.ApplyPlaybackResponse(engagement_scores=scores)

    async def GetViewer(self, request: wire.GetViewerRequest, _context: ServerContext) -> wire.GetViewerResponse:
        """Reads what a user watched and how."""
        return translation.viewer_message(request.user_id, await self._playback.viewer(request.user_id))

    async def GetVideo(self, request: wire.GetVideoRequest, _context: ServerContext) -> wire.GetVideoResponse:
        """Reads how a video is watched."""
        return translation.video_message(request.video_id, await self._playback.video(request.video_id))

    async def EraseUser(self, request: wire.EraseUserRequest, _context: ServerContext) -> wire.EraseUserResponse:
        """Erases what is kept of a person, or counts it."""
        erasing.require_person(request.user_ids)
        if not request.counts_only:
            await self._playback.erase(request.user_ids)
        kept = await self._playback.kept(request.user_ids)
        return wire.EraseUserResponse(
            stores=[erasure_pb2.PersonalEntries(store=store, count=count) for store, count in kept.items()]
        )

    async def ExportUser(self, request: wire.ExportUserRequest, _context: ServerContext) -> wire.ExportUserResponse:
        """Reads all that is kept of a person."""
        erasing.require_person(request.user_ids)
        records = await self._playback.export(request.user_ids)
        return wire.ExportUserResponse(
            records=[erasure_pb2.PersonalRecord(store=each.store, json=each.json) for each in records]
        )
