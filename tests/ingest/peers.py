"""The services behind the dispatcher, as small servicers that keep an ordered log of what they were asked."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from journeymesh.common.v1 import event_pb2
from journeymesh.customers.v1 import customers_pb2, customers_pb2_grpc
from journeymesh.features.v1 import features_pb2, features_pb2_grpc
from journeymesh.intervention.v1 import intervention_pb2, intervention_pb2_grpc
from journeymesh.scoring.v1 import scoring_pb2, scoring_pb2_grpc
from journeymesh.video.v1 import video_pb2, video_pb2_grpc

from mesh.observability.telemetry import Telemetry
from records import wire
from services.ingest.dispatch.steps import Peers
from tests.serving import serving

Fault = Callable[[str, Any], None]
"""Called with the step's name and request before it is served; may raise."""


class Steps(
    video_pb2_grpc.VideoServiceServicer,
    features_pb2_grpc.FeaturesServiceServicer,
    scoring_pb2_grpc.ScoringServiceServicer,
    intervention_pb2_grpc.InterventionServiceServicer,
    customers_pb2_grpc.CustomersServiceServicer,
):
    """Answers every step with as many rows as it was given."""

    # The dispatcher erases and exports nobody.
    EraseUser: Any = None
    ExportUser: Any = None

    def __init__(self, fault: Fault) -> None:
        self.log: list[tuple[str, list[str]]] = []
        self.requests: list[Any] = []
        self.fault = fault
        self.asked: list[list[str]] = []
        self.recent: dict[str, list[event_pb2.Event]] = {}
        """What features has of a user's last events, newest first."""
        self.ignores_history = False

    def _serve(self, step: str, request: Any, ids: list[str]) -> None:
        self.fault(step, request)
        self.log.append((step, ids))
        self.requests.append(request)

    async def ApplyPlayback(self, request: Any, context: Any) -> video_pb2.ApplyPlaybackResponse:
        self._serve("video", request, [event.event_id for event in request.events])
        return video_pb2.ApplyPlaybackResponse(engagement_scores=[50.0] * len(request.events))

    async def ApplyEvents(self, request: Any, context: Any) -> features_pb2.ApplyEventsResponse:
        events = applied_events(request)
        self._serve("features", request, [event.event_id for event in events])
        return features_pb2.ApplyEventsResponse(
            values=[1.0] * (len(request.assessed_rows) or len(events)), feature_count=1, feature_schema_version="test-1"
        )

    async def BatchListRecentEvents(self, request: Any, context: Any) -> features_pb2.BatchListRecentEventsResponse:
        self.asked.append(list(request.user_ids))
        users = [features_pb2.ListRecentEventsResponse(events=self.recent.get(each, [])) for each in request.user_ids]
        return features_pb2.BatchListRecentEventsResponse(users=users)

    async def AssessUsers(self, request: Any, context: Any) -> scoring_pb2.AssessUsersResponse:
        self._serve("scoring", request, list(request.user_ids))
        return scoring_pb2.AssessUsersResponse(
            assessments=[scoring_pb2.Assessment(score=80)] * len(request.user_ids),
            model_version="m-1",
            ignores_history=self.ignores_history,
        )

    async def DecideInterventions(self, request: Any, context: Any) -> Any:
        self._serve("intervention", request, list(request.event_ids))
        return intervention_pb2.DecideInterventionsResponse()

    async def ApplyPurchases(self, request: Any, context: Any) -> customers_pb2.ApplyPurchasesResponse:
        self._serve("customers", request, [row.event_id for row in request.purchases])
        return customers_pb2.ApplyPurchasesResponse()


def applied_events(request: features_pb2.ApplyEventsRequest) -> list[event_pb2.Event]:
    """The events that features is sent, in their order."""
    parts = [(wire.decoded(each.table), each.rows) for each in request.tables]
    return [*request.events, *(table.event(row) for table, rows in parts for row in rows or range(len(table)))]


def recording(fault: Fault = lambda _step, _request: None) -> Steps:
    """Steps that only serve what the dispatcher asks."""
    return Steps(fault)  # type: ignore[abstract]


@contextlib.asynccontextmanager
async def peers(steps: Steps, observed_by: Telemetry | None = None) -> AsyncIterator[Peers]:
    """Stubs of all five, served by `steps` over a real channel."""
    async with serving(
        lambda to: video_pb2_grpc.add_VideoServiceServicer_to_server(steps, to),
        lambda to: features_pb2_grpc.add_FeaturesServiceServicer_to_server(steps, to),
        lambda to: scoring_pb2_grpc.add_ScoringServiceServicer_to_server(steps, to),
        lambda to: intervention_pb2_grpc.add_InterventionServiceServicer_to_server(steps, to),
        lambda to: customers_pb2_grpc.add_CustomersServiceServicer_to_server(steps, to),
        observed_by=observed_by,
    ) as channel:
        yield Peers(
            video_pb2_grpc.VideoServiceStub(channel),
            features_pb2_grpc.FeaturesServiceStub(channel),
            scoring_pb2_grpc.ScoringServiceStub(channel),
            intervention_pb2_grpc.InterventionServiceStub(channel),
            customers_pb2_grpc.CustomersServiceStub(channel),
        )
