"""What the mesh knows of a user: the other services are asked by gRPC."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import grpc
from journeymesh.scoring.v1 import scoring_pb2
from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceStub
from journeymesh.video.v1 import video_pb2
from journeymesh.video.v1.video_pb2_grpc import VideoServiceStub

from mesh.errors import NotFound
from services.intervention.decision.domain.facts import Indicator
from services.intervention.language.domain.analysis import Helping, Struggle, Watching

if TYPE_CHECKING:  # these names stand in the stubs only
    from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceAsyncStub
    from journeymesh.video.v1.video_pb2_grpc import VideoServiceAsyncStub

_MOST_SIGNALS: Final = 10
_MOST_POINTS: Final = 10


class MeshInsights:
    """Asks other services over channels that the caller opens and closes, and `helping` for what this one knows."""

    def __init__(
        self, scoring: grpc.aio.Channel, video: grpc.aio.Channel, helping: Callable[[str], Awaitable[Helping]]
    ) -> None:
        self._scoring: "ScoringServiceAsyncStub" = ScoringServiceStub(scoring)
        self._video: "VideoServiceAsyncStub" = VideoServiceStub(video)
        self._helping = helping

    async def struggle(self, user_id: str) -> Struggle:
        """See `services.intervention.language.ports.Insights`."""
        risk = await self._scoring.GetRisk(scoring_pb2.GetRiskRequest(user_id=user_id))
        of = risk.assessment
        return Struggle(
            score=of.score,
            level=of.level,
            confidence=of.confidence,
            indicators=tuple(Indicator(each.name, each.contribution, each.reason) for each in of.indicators),
            signals=tuple(each.signal.reason for each in risk.signals[:_MOST_SIGNALS]),
            history=tuple(each.score for each in risk.history[:_MOST_POINTS]),
        )

    async def video(self, user_id: str) -> Watching | None:
        """See `services.intervention.language.ports.Insights`."""
        try:
            found = await self._video.GetViewer(video_pb2.GetViewerRequest(user_id=user_id))
        except NotFound:
            return None
        return Watching(
            engagement_score=found.engagement_score,
            video_count=len(found.videos),
            best_completion=max((each.completion_ratio for each in found.videos), default=0.0),
            preferred_content=found.preferred_content_type,
            best_hours=found.best_viewing_hours,
            recommended=found.recommended_content,
        )

    async def intervention(self, user_id: str) -> Helping:
        """See `services.intervention.language.ports.Insights`."""
        return await self._helping(user_id)
