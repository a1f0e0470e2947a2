"""What the mesh knows of a user, read from its services by gRPC, this one included."""

from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.descriptor import EnumDescriptor
from journeymesh.common.v1.event_pb2 import Outcome
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceStub
from journeymesh.scoring.v1 import scoring_pb2
from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceStub
from journeymesh.video.v1 import video_pb2
from journeymesh.video.v1.video_pb2_grpc import VideoServiceStub

from mesh.errors import NotFound
from services.intervention.decision.domain.facts import Indicator
from services.intervention.language.domain.analysis import Helping, Past, Struggle, Watching

if TYPE_CHECKING:  # these names stand in the stubs only
    from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceAsyncStub
    from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceAsyncStub
    from journeymesh.video.v1.video_pb2_grpc import VideoServiceAsyncStub

_MOST_SIGNALS: Final = 10
_MOST_POINTS: Final = 10
_MOST_DECISIONS: Final = 5
_ENGAGEMENT: Final = "engagement_score"
_REASONS: Final = intervention_pb2.DecisionReason.DESCRIPTOR
_OUTCOMES: Final = Outcome.DESCRIPTOR


class MeshInsights:
    """Asks the services of the mesh over channels that the caller opens and closes."""

    def __init__(self, scoring: grpc.aio.Channel, video: grpc.aio.Channel, intervention: grpc.aio.Channel) -> None:
        self._scoring: "ScoringServiceAsyncStub" = ScoringServiceStub(scoring)
        self._video: "VideoServiceAsyncStub" = VideoServiceStub(video)
        self._intervention: "InterventionServiceAsyncStub" = InterventionServiceStub(intervention)

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
        waiting = await self._intervention.GetPendingIntervention(
            intervention_pb2.GetPendingInterventionRequest(user_id=user_id)
        )
        listed = await self._intervention.ListDecisions(
            intervention_pb2.ListDecisionsRequest(user_id=user_id, page_size=_MOST_DECISIONS)
        )
        engagements = (
            feature.value for each in listed.decisions for feature in each.features if feature.name == _ENGAGEMENT
        )
        return Helping(
            waiting_action=waiting.intervention.action,
            waiting_channel=waiting.intervention.channel,
            past=tuple(map(_past, listed.decisions)),
            engagement_score=next(engagements, None),
        )


def _past(of: intervention_pb2.Decision) -> Past:
    return Past(
        reason=_word(_REASONS, of.reasons[0], "DECISION_REASON_") if of.reasons else "",
        action=of.intervention.action,
        channel=of.intervention.channel,
        outcome=_word(_OUTCOMES, of.outcome, "OUTCOME_") if of.outcome else "",
    )


def _word(enum: EnumDescriptor, number: int, prefix: str) -> str:
    """The word of a number; none of one that only a newer version knows."""
    known = enum.values_by_number.get(number)
    return known.name.removeprefix(prefix).lower() if known else ""
