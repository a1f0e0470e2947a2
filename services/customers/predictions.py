"""The gRPC face of what is foretold of a customer: translate, call, translate."""

import datetime as dt
from collections.abc import AsyncIterator, Mapping
from typing import Final

from journeymesh.customers.v1 import predictions_pb2 as wire
from journeymesh.customers.v1.predictions_pb2_grpc import CustomerPredictionsServiceServicer

from mesh.clock import Clock
from mesh.rpc.context import ServerContext
from services.customers import translation
from services.customers.domain import consumption
from services.customers.domain.consumption import Due
from services.customers.domain.fit import BackTest, Fit, Foretold, Horizon, NextBasket, Span
from services.customers.domain.recommendations import Reason, Recommendation
from services.customers.foretelling import Foretelling

_DAYS: Final = 30
_COUNT: Final = 10
_MOST_DUE: Final = 50
_EPOCH: Final = dt.date(1970, 1, 1)
_PROTOCOL: Final = (
    "Recall@10 of the first basket of each customer in each of six windows of 5 % of all baskets, learnt from the days "
    "before the window; the interval is of 2,000 resamples of customers."
)
_REASONS: Final[Mapping[Reason, wire.RecommendationReason.ValueType]] = {
    Reason.DUE: wire.RECOMMENDATION_REASON_DUE_AGAIN,
    Reason.TOGETHER: wire.RECOMMENDATION_REASON_BOUGHT_TOGETHER,
    Reason.SIMILAR: wire.RECOMMENDATION_REASON_SIMILAR,
    Reason.POPULAR: wire.RECOMMENDATION_REASON_POPULAR_IN_SEGMENT,
}


class PredictionsServicer(CustomerPredictionsServiceServicer):
    """Serves `CustomerPredictionsService`."""

    def __init__(self, foretelling: Foretelling, clock: Clock) -> None:
        self._foretelling = foretelling
        self._clock = clock

    async def GetPredictions(
        self, request: wire.GetPredictionsRequest, _context: ServerContext
    ) -> wire.GetPredictionsResponse:
        """Foretells what a customer will buy."""
        fit, found = await self._foretelling.predictions(request.user_id, request.days or _DAYS, self._today())
        if not fit or not found:
            return wire.GetPredictionsResponse(user_id=request.user_id, fit=translation.fit_message(fit))
        return _predictions(request.user_id, fit, found)

    async def GetRecommendations(
        self, request: wire.GetRecommendationsRequest, _context: ServerContext
    ) -> wire.GetRecommendationsResponse:
        """Recommends products."""
        count = request.limit or _COUNT
        fit, found = await self._foretelling.recommendations(request.user_id, count, self._today())
        return wire.GetRecommendationsResponse(
            fit=translation.fit_message(fit), recommendations=[*map(_recommendation, found)]
        )

    async def ReadCustomersExport(
        self, request: wire.ReadCustomersExportRequest, _context: ServerContext
    ) -> AsyncIterator[wire.ReadCustomersExportResponse]:
        """Reads the file of a job."""
        async for piece in self._foretelling.export(request.tenant, request.job_id):
            yield wire.ReadCustomersExportResponse(piece=piece)

    def _today(self) -> int:
        return consumption.day_of(self._clock() // 1000)


def _predictions(user_id: str, fit: Fit, of: Foretold) -> wire.GetPredictionsResponse:
    return wire.GetPredictionsResponse(
        user_id=user_id,
        fit=translation.fit_message(fit),
        segment=of.segment,
        group=of.group,
        active=translation.number(of.active),
        currency=of.currency,
        horizons=[*map(_horizon, of.horizons)],
        due=[*map(_due, of.due[:_MOST_DUE])],
        back_test=_back_test(fit.back_test) if fit.back_test else None,
        next_basket=_next_basket(fit.next_basket) if fit.next_basket else None,
    )


def _horizon(of: Horizon) -> wire.PredictionHorizon:
    return wire.PredictionHorizon(
        days=of.days,
        orders=of.orders,
        orders_span=_span(of.orders_span),
        money=translation.number(of.money),
        money_span=_span(of.money_span) if of.money_span else None,
    )


def _due(of: Due) -> wire.DueProduct:
    return wire.DueProduct(
        product_id=of.product,
        name=of.name,
        category=of.category,
        bought_days=of.times,
        usual_days=of.usual,
        days_left=of.left,
        probability=of.probability,
        probability_span=wire.PredictionSpan(lower=of.lower, upper=of.upper),
    )


def _back_test(of: BackTest) -> wire.PredictionBackTest:
    return wire.PredictionBackTest(
        expected_orders=of.expected, happened_orders=of.happened, error=of.error, naive_error=of.naive_error
    )


def _next_basket(of: NextBasket) -> wire.NextBasketTest:
    return wire.NextBasketTest(
        until_date=(_EPOCH + dt.timedelta(of.cut)).isoformat(),
        customer_count=of.customers,
        recall=of.recall,
        personal_recall=of.personal,
        gain_span=wire.PredictionSpan(lower=of.lower, upper=of.upper),
        protocol=_PROTOCOL,
    )


def _recommendation(of: Recommendation) -> wire.ProductRecommendation:
    return wire.ProductRecommendation(
        product_id=of.product,
        name=of.name,
        category=of.category,
        score=of.score,
        reason=_REASONS[of.reason],
        because=of.because,
        probability=translation.number(of.probability),
    )


def _span(of: Span) -> wire.PredictionSpan:
    return wire.PredictionSpan(lower=of.lower, upper=of.upper)
