"""What the mesh knows of a user: the other services are asked by gRPC."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from journeymesh.customers.v1 import customers_pb2, predictions_pb2
from journeymesh.customers.v1.customers_pb2_grpc import CustomersServiceStub
from journeymesh.customers.v1.predictions_pb2_grpc import CustomerPredictionsServiceStub
from journeymesh.scoring.v1 import scoring_pb2
from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceStub
from journeymesh.video.v1 import video_pb2
from journeymesh.video.v1.video_pb2_grpc import VideoServiceStub

from mesh.errors import NotFound
from services.intervention.decision.domain.facts import Indicator
from services.intervention.language.domain.analysis import Helping, Struggle, Watching
from services.intervention.language.domain.buying import DUE_DAYS, EXPECTED_DAYS, MOST_ORDERS, Buying, Due, Order

if TYPE_CHECKING:  # these names stand in the stubs only
    from journeymesh.customers.v1.customers_pb2_grpc import CustomersServiceAsyncStub
    from journeymesh.customers.v1.predictions_pb2_grpc import CustomerPredictionsServiceAsyncStub
    from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceAsyncStub
    from journeymesh.video.v1.video_pb2_grpc import VideoServiceAsyncStub

_MOST_SIGNALS: Final = 10
_MOST_POINTS: Final = 10
_DAY_US: Final = 86_400_000_000


class MeshInsights:
    """Asks other services over channels that the caller opens and closes, and `helping` for what this one knows."""

    def __init__(
        self,
        scoring: grpc.aio.Channel,
        video: grpc.aio.Channel,
        customers: grpc.aio.Channel,
        helping: Callable[[str], Awaitable[Helping]],
    ) -> None:
        self._scoring: "ScoringServiceAsyncStub" = ScoringServiceStub(scoring)
        self._video: "VideoServiceAsyncStub" = VideoServiceStub(video)
        self._customers: "CustomersServiceAsyncStub" = CustomersServiceStub(customers)
        self._predictions: "CustomerPredictionsServiceAsyncStub" = CustomerPredictionsServiceStub(customers)
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

    async def purchases(self, user_id: str, now_us: int) -> Buying | None:
        """See `services.intervention.language.ports.Insights`."""
        try:
            customer = await self._customers.GetCustomer(customers_pb2.GetCustomerRequest(user_id=user_id))
            asked = customers_pb2.ListPurchasesRequest(user_id=user_id, limit=MOST_ORDERS)
            listed, foretold = await asyncio.gather(self._customers.ListPurchases(asked), self._foretold(user_id))
        except NotFound:
            return None
        return Buying(
            orders=tuple(_order(each, now_us) for each in listed.orders),
            order_count=customer.order_count,
            days_since=_days_ago(customer.last_order_time, now_us) if customer.HasField("last_order_time") else None,
            usual_days=customer.usual_days.value if customer.HasField("usual_days") else None,
            segment=customer.segment,
            active=foretold.active.value if foretold.HasField("active") else None,
            expected_orders=next((each.orders for each in foretold.horizons if each.days == EXPECTED_DAYS), None),
            due=tuple(Due(each.name or each.product_id, each.probability, each.days_left) for each in foretold.due),
        )

    async def _foretold(self, user_id: str) -> predictions_pb2.GetPredictionsResponse:
        asked = predictions_pb2.GetPredictionsRequest(user_id=user_id, days=DUE_DAYS)
        try:
            return await self._predictions.GetPredictions(asked)
        except NotFound:  # all was given back
            return predictions_pb2.GetPredictionsResponse()


def _order(of: customers_pb2.CustomerOrder, now_us: int) -> Order:
    products = tuple(each.name or each.product_id for each in of.lines)
    return Order(int(_days_ago(of.order_time, now_us)), of.amount, of.currency, of.is_refund, products)


def _days_ago(at: Timestamp, now_us: int) -> float:
    """How many days ago a time is; 0 for one to come."""
    return max(0.0, (now_us - at.ToMicroseconds()) / _DAY_US)
