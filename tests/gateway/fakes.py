"""Recording services: real gRPC servers whose answers a test sets and whose requests it reads."""

import asyncio
import dataclasses
import itertools
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import grpc
from inference.inference_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from journeymesh.access.v1 import access_pb2_grpc, audit_pb2, audit_pb2_grpc, people_pb2_grpc
from journeymesh.analytics.v1 import analytics_pb2 as ask
from journeymesh.analytics.v1 import analytics_pb2_grpc, insights_pb2_grpc, jobs_pb2_grpc, segments_pb2_grpc
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.customers.v1 import customers_pb2, customers_pb2_grpc, predictions_pb2, predictions_pb2_grpc
from journeymesh.customers.v1 import segments_pb2_grpc as customer_segments_pb2_grpc
from journeymesh.experiments.v1 import experiments_pb2_grpc
from journeymesh.features.v1 import features_pb2, features_pb2_grpc
from journeymesh.ingest.v1 import (
    erasure_pb2,
    erasure_pb2_grpc,
    export_pb2,
    export_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    retention_pb2,
    retention_pb2_grpc,
)
from journeymesh.intervention.v1 import intervention_pb2, intervention_pb2_grpc
from journeymesh.scoring.v1 import models_pb2_grpc, scoring_pb2, scoring_pb2_grpc
from journeymesh.video.v1 import video_pb2, video_pb2_grpc

from gateway.accepting.rows import Rows
from mesh.clock import monotonic_clock
from mesh.errors import FailedPrecondition, InvalidArgument, MeshError, NotFound
from mesh.observability import telemetry
from mesh.state.memory import MemoryState
from records import wire
from services.access.keys.servicer import AccessServicer
from services.access.people.adapters.memory import MemorySessions
from services.access.people.servicer import PeopleServicer
from services.access.people.usecases import People
from services.analytics.adapters.jobs import MemoryJobs
from services.analytics.adapters.segments import MemorySegments
from services.analytics.adapters.watched import MemoryWatches
from services.analytics.domain.question import Question
from services.analytics.insights import InsightsServicer
from services.analytics.jobs import JobsServicer
from services.analytics.ports import WatchStore
from services.analytics.running import Queueing
from services.analytics.segments import SegmentsServicer
from services.analytics.usecases import Answered, Known, Saving
from services.analytics.watching import Plan, Watching
from services.customers.adapters.memory import MemoryFits
from services.customers.foretelling import Foretelling
from services.customers.segments import CustomerSegmentsServicer
from services.experiments import bootstrap as experiments_bootstrap
from services.experiments.adapters.memory import MemoryExperiments
from services.experiments.servicer import ExperimentsServicer
from services.scoring.domain import stages
from services.scoring.domain.stages import Stages
from services.scoring.inference import InferenceServicer
from services.scoring.ports import Described, Model, Models
from services.scoring.servicer import ModelsServicer
from services.scoring.usecases import Promotion
from tests.access.builders import World
from tests.builders import NOW_US
from tests.scoring.builders import Fixed, OneTerm

SECONDS = 1_767_348_000
MUST_WAIT = {
    "limited": error_reason_pb2.ERROR_REASON_RATE_LIMITED,
    "full": error_reason_pb2.ERROR_REASON_BUFFER_FULL,
}
"""2026-01-02T10:00:00Z."""


def intervention(intervention_id: str = "i-1") -> intervention_pb2.Intervention:
    """Help, as the worked example has it."""
    made = intervention_pb2.Intervention(
        id=intervention_id,
        type="critical_intervention",
        action="show_live_chat_popup",
        message="May we help?",
        channel="in_app",
        priority="critical",
        payload=intervention_pb2.Payload(risk_score=78.4, risk_level="high", indicators=["repeated_failures"]),
    )
    made.expires_at.FromSeconds(SECONDS + 900)
    return made


def delivery() -> intervention_pb2.Delivery:
    """An e-mail that was sent at the second try."""
    sent = intervention_pb2.Delivery(
        channel="email",
        state=intervention_pb2.DELIVERY_STATE_SENT,
        attempt_count=2,
        provider="ses",
        provider_id="0100",
        idempotency_key="i-1:email",
    )
    sent.update_time.FromSeconds(SECONDS + 40)
    return sent


def decision(decision_id: str = "d-1") -> intervention_pb2.Decision:
    """A decision to help, with every field set."""
    made = intervention_pb2.Decision(
        id=decision_id,
        user_id="ada",
        event_id="e-1",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        kind=intervention_pb2.DECISION_KIND_INTERVENE,
        reasons=[intervention_pb2.DECISION_REASON_RISK_AT_TRIGGER],
        explanation="The exit risk is 78.4, at or above 75.",
        assessment=scoring_pb2.Assessment(
            score=78.4,
            level=scoring_pb2.RISK_LEVEL_HIGH,
            confidence=0.87,
            rule_score=80,
            model_score=61.5,
            strong_signal_count=1,
            indicators=[
                scoring_pb2.Indicator(name="repeated_failures", contribution=51.2, reason="3 failed attempts in a row"),
                scoring_pb2.Indicator(name="success_rate", contribution=-4.1, reason="every second task succeeds"),
            ],
        ),
        model_version="exit-risk-3",
        rules_version="rules-2",
        policy_version="policy-2+3f9a0c1d",
        intervention=intervention(),
        propensity=0.9,
        page="/calculator",
        candidates=[
            intervention_pb2.Candidate(action="none", propensity=0.1),
            intervention_pb2.Candidate(
                action="show_live_chat_popup",
                channel="in_app",
                success_probability=0.41,
                propensity=0.9,
                is_chosen=True,
            ),
            intervention_pb2.Candidate(
                action="send_help_email",
                channel="email",
                success_probability=0.33,
                refusal=intervention_pb2.DECISION_REASON_FREQUENCY_CAP,
            ),
        ],
        draw=0.734,
        exposure=intervention_pb2.Exposure(experiment="2026-01", is_treated=True),
        arm="eager",
        features=[
            features_pb2.Feature(name="error_count", value=3),
            features_pb2.Feature(name="success_rate", value=0.5),
        ],
        feature_schema_version="features-1",
        inputs=b"\x81\x00",
        outcome=event_pb2.OUTCOME_SHOWN,
        deliveries=[delivery()],
    )
    made.decision_time.FromSeconds(SECONDS + 30)
    made.position.shard, made.position.sequence = "3", "17"
    made.intervention.wording.model_id = "amazon.nova-micro-v1:0"
    made.intervention.wording.prompt_version = "wording-1"
    made.intervention.wording.prompt_hash = "9f" * 32
    made.intervention.wording.is_used = True
    made.intervention.wording.input_tokens, made.intervention.wording.output_tokens = 412, 38
    made.intervention.wording.cost_micro_usd = 19.7
    made.intervention.wording.worded_time.FromSeconds(SECONDS + 31)
    return made


class Ingest(ingest_pb2_grpc.IngestServiceServicer):
    """Accepts what has not been accepted; refuses events of the user `refused`; `error` is raised while it is set."""

    def __init__(self) -> None:
        self.requests: list[ingest_pb2.AcceptEventsRequest] = []
        self.failed: dict[str, ingest_pb2.FailedEvent] = {}
        self.receipts: dict[str, ingest_pb2.Receipt] = {}
        self.seen: set[str] = set()
        self.error: MeshError | None = None
        self.gate: asyncio.Event | None = None
        self.arrived = asyncio.Event()
        self.underway = self.most_underway = 0
        self.page_requests: list[ingest_pb2.ListFailedEventsRequest] = []
        self.replays: list[ingest_pb2.ReplayFailedEventRequest] = []
        self.replay_warnings: list[ingest_pb2.Warning] = []
        self.standings: list[ingest_pb2.ShardStanding] = []

    @property
    def events(self) -> list[event_pb2.Event]:
        """All events received."""
        return [event for request in self.requests for event in events_of(request)]

    @property
    def unreadable(self) -> list[ingest_pb2.UnreadableEvent]:
        """All unreadable events received."""
        return [each for request in self.requests for each in request.unreadable]

    async def AcceptEvents(
        self, request: ingest_pb2.AcceptEventsRequest, context: object
    ) -> ingest_pb2.AcceptEventsResponse:
        self.arrived.set()
        self.underway += 1
        self.most_underway = max(self.most_underway, self.underway)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.error is not None:
                raise self.error
            _require_few(request)
            self.requests.append(request)
            return self._judge(request)
        finally:
            self.underway -= 1

    def _judge(self, request: ingest_pb2.AcceptEventsRequest) -> ingest_pb2.AcceptEventsResponse:
        response = ingest_pb2.AcceptEventsResponse()
        for index, event in enumerate(events_of(request)):
            if _is_too_long(event) or event.attempt_count > 1000:
                response.verdicts.append(ingest_pb2.VERDICT_REJECTED)
                reason = error_reason_pb2.ERROR_REASON_VALUE_OUT_OF_RANGE
                response.rejections.add(event_index=index, reason=reason, detail="Beyond the limits.")
            elif event.event_id.startswith("jm:") and not event.is_own:
                response.verdicts.append(ingest_pb2.VERDICT_REJECTED)
                reason = error_reason_pb2.ERROR_REASON_RESERVED_ID
                response.rejections.add(event_index=index, reason=reason, detail="It is the mesh's own.")
            elif event.user_id in MUST_WAIT:
                response.verdicts.append(ingest_pb2.VERDICT_REJECTED)
                response.rejections.add(event_index=index, reason=MUST_WAIT[event.user_id], detail="Too many events.")
            elif event.user_id == "refused":
                response.verdicts.append(ingest_pb2.VERDICT_REJECTED)
                response.rejections.add(
                    event_index=index, reason=error_reason_pb2.ERROR_REASON_MISSING_FIELD, detail="It needs `page`."
                )
            elif event.event_id in self.seen:
                response.verdicts.append(ingest_pb2.VERDICT_DUPLICATE)
            else:
                self.seen.add(event.event_id)
                response.verdicts.append(ingest_pb2.VERDICT_ACCEPTED)
        return response

    async def GetReceipt(self, request: ingest_pb2.GetReceiptRequest, context: object) -> ingest_pb2.GetReceiptResponse:
        if request.event_id not in self.receipts:
            raise NotFound("EVENT_NOT_FOUND", "No such event.")
        return ingest_pb2.GetReceiptResponse(receipt=self.receipts[request.event_id])

    async def ListFailedEvents(
        self, request: ingest_pb2.ListFailedEventsRequest, context: object
    ) -> ingest_pb2.ListFailedEventsResponse:
        self.page_requests.append(request)
        found = [one for one in self.failed.values() if request.reason in {0, one.reason}]
        return ingest_pb2.ListFailedEventsResponse(
            failed_events=found, next_page_token="" if request.page_token else "more"
        )

    async def GetFailedEvent(
        self, request: ingest_pb2.GetFailedEventRequest, context: object
    ) -> ingest_pb2.GetFailedEventResponse:
        if request.id not in self.failed:
            raise NotFound("FAILED_EVENT_NOT_FOUND", "No such failed event.")
        return ingest_pb2.GetFailedEventResponse(failed_event=self.failed[request.id])

    async def ResolveFailedEvent(
        self, request: ingest_pb2.ResolveFailedEventRequest, context: object
    ) -> ingest_pb2.ResolveFailedEventResponse:
        self.failed.pop(request.id, None)
        return ingest_pb2.ResolveFailedEventResponse()

    async def ReplayFailedEvent(
        self, request: ingest_pb2.ReplayFailedEventRequest, context: object
    ) -> ingest_pb2.ReplayFailedEventResponse:
        if request.id not in self.failed:
            raise NotFound("FAILED_EVENT_NOT_FOUND", "No such failed event.")
        if self.error is not None:
            raise self.error
        self.replays.append(request)
        if not request.HasField("event"):
            if not self.failed.pop(request.id).is_kept_whole:
                raise InvalidArgument("MISSING_FIELD", "It is not kept whole.")
            return ingest_pb2.ReplayFailedEventResponse(verdict=ingest_pb2.VERDICT_ACCEPTED)
        judged = self._judge(ingest_pb2.AcceptEventsRequest(events=[request.event]))
        if not judged.rejections:
            del self.failed[request.id]
        return ingest_pb2.ReplayFailedEventResponse(
            verdict=judged.verdicts[0],
            rejection=judged.rejections[0] if judged.rejections else None,
            warnings=self.replay_warnings,
        )

    async def GetPipeline(
        self, request: ingest_pb2.GetPipelineRequest, context: object
    ) -> ingest_pb2.GetPipelineResponse:
        if self.error is not None:
            raise self.error
        return ingest_pb2.GetPipelineResponse(standings=self.standings)


def events_of(request: ingest_pb2.AcceptEventsRequest) -> list[event_pb2.Event]:
    """The events of a request, in whichever form it has them."""
    return [*request.events, *(event for table in request.tables for event in wire.decoded(table).events())]


def rows_of(ids: Sequence[str], users: Sequence[str] = ()) -> Rows:
    """Events with these ids, of these users."""
    rows = Rows()
    for event_id, user_id in itertools.zip_longest(ids, users, fillvalue=""):
        rows.add(
            event_id=event_id,
            user_id=user_id,
            event_type=event_pb2.EVENT_TYPE_ERROR,
            event_time_us=SECONDS * 1_000_000,
            received_time_us=SECONDS * 1_000_000,
            trace_id=bytes(16),
            span_id=bytes(8),
        )
    return rows


def _require_few(request: ingest_pb2.AcceptEventsRequest) -> None:
    """Refuses what ingest refuses as a whole."""
    sizes = [len(one.payload) for one in request.unreadable]
    if len(sizes) > 1_000 or sum(sizes) > 4 * 1024 * 1024 or max(sizes, default=0) > 32 * 1024:
        raise InvalidArgument("REQUEST_TOO_LARGE", "A request holds at most 1000 unreadable events of 32 KiB.")
    if len(events_of(request)) > 5_000:
        raise InvalidArgument("REQUEST_TOO_LARGE", "A request holds at most 5000 events.")


def _is_too_long(event: event_pb2.Event) -> bool:
    """Whether an identifier is longer than the contract says; ingest refuses it."""
    identifiers = (event.user_id, event.anonymous_id, event.session_id, event.device_id, event.correlation_id)
    return len(event.event_id) > 100 or len(event.user_agent) > 512 or any(len(one) > 128 for one in identifiers)


def known(user_id: str) -> None:
    """Raises for the user nobody knows."""
    if user_id == "nobody":
        raise NotFound("USER_NOT_FOUND", "Nothing is known of this user.")


class Features(features_pb2_grpc.FeaturesServiceServicer):
    """Knows everybody but `nobody`, by the events set."""

    def __init__(self) -> None:
        self.recent: list[event_pb2.Event] = []

    async def ApplyEvents(self, request: Any, context: object) -> Any:
        raise AssertionError

    async def GetFeatures(
        self, request: features_pb2.GetFeaturesRequest, context: object
    ) -> features_pb2.GetFeaturesResponse:
        known(request.user_id)
        response = features_pb2.GetFeaturesResponse(
            user_id=request.user_id,
            features=[features_pb2.Feature(name="error_count", value=3), features_pb2.Feature(name="success_rate")],
            feature_schema_version="features-1",
        )
        response.as_of_time.FromSeconds(SECONDS)
        return response

    async def GetProfile(
        self, request: features_pb2.GetProfileRequest, context: object
    ) -> features_pb2.GetProfileResponse:
        known(request.user_id)
        return features_pb2.GetProfileResponse(user_id=request.user_id, event_count=7, platforms=["web"])

    async def ListRecentEvents(
        self, request: features_pb2.ListRecentEventsRequest, context: object
    ) -> features_pb2.ListRecentEventsResponse:
        known(request.user_id)
        return features_pb2.ListRecentEventsResponse(events=self.recent[: request.limit])

    async def ListFeatureDefinitions(
        self, request: features_pb2.ListFeatureDefinitionsRequest, context: object
    ) -> features_pb2.ListFeatureDefinitionsResponse:
        return features_pb2.ListFeatureDefinitionsResponse(
            definitions=[features_pb2.FeatureDefinition(name="error_count", unit="count")]
        )


class Scoring(scoring_pb2_grpc.ScoringServiceServicer):
    """Says `high` of everybody but `nobody`; `broken` brings a fault."""

    async def AssessUsers(self, request: Any, context: object) -> Any:
        raise AssertionError

    async def GetModel(self, request: scoring_pb2.GetModelRequest, context: object) -> scoring_pb2.GetModelResponse:
        response = scoring_pb2.GetModelResponse(model_version="oulad-1", training_source="oulad", card="# Model")
        response.training_time.FromSeconds(SECONDS)
        return response

    async def GetUser(self, request: scoring_pb2.GetUserRequest, context: object) -> scoring_pb2.GetUserResponse:
        known(request.user_id)
        response = scoring_pb2.GetUserResponse(
            user_id=request.user_id,
            features=[features_pb2.Feature(name="error_count", value=3), features_pb2.Feature(name="success_rate")],
            feature_schema_version="features-1",
            assessment=scoring_pb2.Assessment(score=78.4, level=scoring_pb2.RISK_LEVEL_HIGH),
            model_version="oulad-1",
            rules_version="rules-1",
        )
        response.event_time.FromSeconds(SECONDS)
        return response

    async def GetRisk(self, request: scoring_pb2.GetRiskRequest, context: object) -> scoring_pb2.GetRiskResponse:
        known(request.user_id)
        if request.user_id == "broken":
            raise ValueError("password=hunter2")
        response = scoring_pb2.GetRiskResponse(
            user_id=request.user_id,
            assessment=scoring_pb2.Assessment(score=78.4, level=scoring_pb2.RISK_LEVEL_HIGH, strong_signal_count=1),
            signals=[
                scoring_pb2.ActiveSignal(
                    signal=features_pb2.Signal(
                        type=features_pb2.SIGNAL_TYPE_FORM_ERRORS, strength=78.4, signal_time_us=SECONDS * 1_000_000
                    )
                )
            ],
        )
        response.event_time.FromSeconds(SECONDS)
        return response


class Registry:
    """Knows the models `oulad-1`, which is live, and `next`."""

    def __init__(self) -> None:
        self._stages = stages.starting("oulad-1")

    def stages(self) -> Stages:
        """See `services.scoring.ports.Registry`."""
        return self._stages

    def versions(self) -> list[Described]:
        """See `services.scoring.ports.Registry`."""
        return [Described(each, "oulad", SECONDS * 1_000_000, "features-1") for each in ("next", "oulad-1")]

    def load(self, version: str) -> Model:
        """See `services.scoring.ports.Registry`."""
        if version not in {"oulad-1", "next"}:
            raise NotFound("MODEL_NOT_FOUND", "There is no model of this version.")
        return OneTerm()

    def change(self, change: Callable[[Stages], Stages]) -> Stages:
        """See `services.scoring.ports.Registry`."""
        self._stages = change(self._stages)
        return self._stages


class Customers(customers_pb2_grpc.CustomersServiceServicer):
    """Knows every customer but `nobody`."""

    ApplyPurchases: Any = None
    EraseUser: Any = None
    ExportUser: Any = None

    async def GetCustomer(
        self, request: customers_pb2.GetCustomerRequest, context: object
    ) -> customers_pb2.GetCustomerResponse:
        known(request.user_id)
        money = customers_pb2.CustomerMoney(currency="EUR", order_count=2, amount=23, mean_amount=11.5)
        return customers_pb2.GetCustomerResponse(user_id=request.user_id, order_count=2, money=[money])

    async def ListPurchases(
        self, request: customers_pb2.ListPurchasesRequest, context: object
    ) -> customers_pb2.ListPurchasesResponse:
        known(request.user_id)
        line = event_pb2.OrderLine(product_id="p-1", name="Beans", quantity=2, price=9.9)
        order = customers_pb2.CustomerOrder(order_id="o-1", amount=19.8, currency="EUR", lines=[line])
        return customers_pb2.ListPurchasesResponse(user_id=request.user_id, orders=[order] * min(request.limit, 2))


class Predictions(predictions_pb2_grpc.CustomerPredictionsServiceServicer):
    """Foretells what every customer but `nobody` buys; keeps files of jobs, one of which goes in the middle."""

    async def ReadCustomersExport(
        self, request: predictions_pb2.ReadCustomersExportRequest, context: object
    ) -> AsyncIterator[predictions_pb2.ReadCustomersExportResponse]:
        if request.job_id in {"done", "going"}:
            yield predictions_pb2.ReadCustomersExportResponse(piece=b'"customer"\n')
            yield predictions_pb2.ReadCustomersExportResponse(piece=f'"{request.tenant}"\n'.encode())
        if request.job_id != "done":
            raise NotFound("EXPORT_NOT_FOUND", "This job has no file, or not any more.")

    async def GetPredictions(
        self, request: predictions_pb2.GetPredictionsRequest, context: object
    ) -> predictions_pb2.GetPredictionsResponse:
        known(request.user_id)
        span = predictions_pb2.PredictionSpan(lower=1, upper=3)
        due = predictions_pb2.DueProduct(product_id="p-1", days_left=request.days, probability_span=span)
        horizon = predictions_pb2.PredictionHorizon(days=30, orders=2, orders_span=span)
        return predictions_pb2.GetPredictionsResponse(
            user_id=request.user_id,
            fit=_READY,
            segment="Loyal",
            horizons=[horizon],
            due=[due],
            next_basket=_NEXT_BASKET,
        )

    async def GetRecommendations(
        self, request: predictions_pb2.GetRecommendationsRequest, context: object
    ) -> predictions_pb2.GetRecommendationsResponse:
        found = predictions_pb2.ProductRecommendation(
            product_id="p-1", reason=predictions_pb2.RECOMMENDATION_REASON_BOUGHT_TOGETHER, because="p-2"
        )
        return predictions_pb2.GetRecommendationsResponse(fit=_READY, recommendations=[found] * request.limit)


_NEXT_BASKET: Final = predictions_pb2.NextBasketTest(
    until_date="2026-01-31", customer_count=30, recall=0.25, personal_recall=0.125, protocol="Recall@10"
)
_READY: Final = predictions_pb2.CustomersFit(state=predictions_pb2.LEARNING_STATE_READY, customer_count=40)


def customer_segments(fits: MemoryFits) -> CustomerSegmentsServicer:
    """The real one, over memory."""
    return CustomerSegmentsServicer(Foretelling(MemoryState(), fits), lambda: 0)


class Video(video_pb2_grpc.VideoServiceServicer):
    """Knows the video `v-1` and every viewer but `nobody`."""

    async def ApplyPlayback(self, request: Any, context: object) -> Any:
        raise AssertionError

    async def GetViewer(self, request: video_pb2.GetViewerRequest, context: object) -> video_pb2.GetViewerResponse:
        known(request.user_id)
        return video_pb2.GetViewerResponse(
            user_id=request.user_id, engagement_score=78, videos=[video_pb2.VideoEngagement(video_id="v-1")]
        )

    async def GetVideo(self, request: video_pb2.GetVideoRequest, context: object) -> video_pb2.GetVideoResponse:
        if request.video_id != "v-1":
            raise NotFound("VIDEO_NOT_FOUND", "No such video.")
        return video_pb2.GetVideoResponse(
            video_id="v-1", retention=[video_pb2.RetentionPoint(second=0, viewer_count=2, retention_ratio=1)]
        )


class Interventions(intervention_pb2_grpc.InterventionServiceServicer):
    """Has what a test sets. A stream sends `changes` after the cursor, one per line, then waits or ends."""

    def __init__(self) -> None:
        self.pending: intervention_pb2.Intervention | None = None
        self.cursor = 0
        self.made: dict[str, intervention_pb2.GetInterventionResponse] = {}
        self.decisions: list[intervention_pb2.Decision] = []
        self.list_requests: list[intervention_pb2.ListDecisionsRequest] = []
        self.watched: list[intervention_pb2.WatchPendingInterventionRequest] = []
        self.changes: deque[intervention_pb2.WatchPendingInterventionResponse] = deque()
        self.happenings: list[intervention_pb2.WatchHappeningsResponse] = []
        self.watched_tenants: list[str] = []
        self.ends = False
        self.watch_error: MeshError | None = None
        self.watch_left = asyncio.Event()
        self.policies = intervention_pb2.ListPoliciesResponse()
        self.prompts = intervention_pb2.ListPromptsResponse()
        self.lift = intervention_pb2.GetLiftResponse()
        self.lift_error: MeshError | None = None
        self.lift_requests: list[intervention_pb2.GetLiftRequest] = []
        self.usage = intervention_pb2.GetModelUsageResponse(degraded="off")
        self.usage_error: MeshError | None = None
        self.analyses: list[intervention_pb2.AnalyzeUserRequest] = []
        self.analysis_seconds: float | None = None

    async def DecideInterventions(self, request: Any, context: object) -> Any:
        raise AssertionError

    async def ReadLedger(self, request: Any, context: object) -> Any:
        raise AssertionError

    async def GetPendingIntervention(
        self, request: intervention_pb2.GetPendingInterventionRequest, context: object
    ) -> intervention_pb2.GetPendingInterventionResponse:
        return intervention_pb2.GetPendingInterventionResponse(
            has_pending_intervention=self.pending is not None, intervention=self.pending, cursor=str(self.cursor)
        )

    async def WatchPendingIntervention(
        self, request: intervention_pb2.WatchPendingInterventionRequest, context: object
    ) -> AsyncIterator[intervention_pb2.WatchPendingInterventionResponse]:
        self.watched.append(request)
        if self.watch_error is not None:
            raise self.watch_error
        try:
            news = [each for each in self.changes if not request.cursor or int(each.cursor) > int(request.cursor)]
            for change in news or [intervention_pb2.WatchPendingInterventionResponse(is_unchanged=True)]:
                yield change
            if not self.ends:
                await asyncio.Event().wait()
        finally:
            self.watch_left.set()

    async def WatchHappenings(
        self, request: intervention_pb2.WatchHappeningsRequest, context: object
    ) -> AsyncIterator[intervention_pb2.WatchHappeningsResponse]:
        self.watched_tenants.append(request.tenant)
        if self.watch_error is not None:
            raise self.watch_error
        try:
            yield intervention_pb2.WatchHappeningsResponse()
            for each in self.happenings:
                yield each
            await asyncio.Event().wait()
        finally:
            self.watch_left.set()

    async def GetIntervention(
        self, request: intervention_pb2.GetInterventionRequest, context: object
    ) -> intervention_pb2.GetInterventionResponse:
        if request.id not in self.made:
            raise NotFound("INTERVENTION_NOT_FOUND", "No such intervention.")
        return self.made[request.id]

    async def GetDecision(
        self, request: intervention_pb2.GetDecisionRequest, context: object
    ) -> intervention_pb2.GetDecisionResponse:
        for decision in self.decisions:
            if decision.id == request.id:
                return intervention_pb2.GetDecisionResponse(decision=decision)
        raise NotFound("DECISION_NOT_FOUND", "No such decision.")

    async def DeriveDecision(
        self, request: intervention_pb2.DeriveDecisionRequest, context: object
    ) -> intervention_pb2.DeriveDecisionResponse:
        found = await self.GetDecision(intervention_pb2.GetDecisionRequest(id=request.id), context)
        found.decision.policy_version = request.policy
        return intervention_pb2.DeriveDecisionResponse(decision=found.decision, has_past=True)

    async def ListDecisions(
        self, request: intervention_pb2.ListDecisionsRequest, context: object
    ) -> intervention_pb2.ListDecisionsResponse:
        self.list_requests.append(request)
        return intervention_pb2.ListDecisionsResponse(decisions=self.decisions)

    async def ListPolicies(
        self, request: intervention_pb2.ListPoliciesRequest, context: object
    ) -> intervention_pb2.ListPoliciesResponse:
        return self.policies

    async def ListPrompts(
        self, request: intervention_pb2.ListPromptsRequest, context: object
    ) -> intervention_pb2.ListPromptsResponse:
        return self.prompts

    async def GetLift(
        self, request: intervention_pb2.GetLiftRequest, context: object
    ) -> intervention_pb2.GetLiftResponse:
        self.lift_requests.append(request)
        if self.lift_error:
            raise self.lift_error
        return self.lift

    async def AnalyzeUser(
        self, request: intervention_pb2.AnalyzeUserRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> intervention_pb2.AnalyzeUserResponse:
        known(request.user_id)
        self.analyses.append(request)
        self.analysis_seconds = context.time_remaining()
        return intervention_pb2.AnalyzeUserResponse(
            user_id=request.user_id,
            exit_risk_score=78.4,
            engagement_level="low",
            recommended_actions=["show_live_chat_popup"],
            key_insights=["3 failed attempts in a row"],
            source="template",
            refusal="off",
        )

    async def EraseUser(
        self, request: intervention_pb2.EraseUserRequest, context: object
    ) -> intervention_pb2.EraseUserResponse:
        raise AssertionError

    async def ExportUser(
        self, request: intervention_pb2.ExportUserRequest, context: object
    ) -> intervention_pb2.ExportUserResponse:
        raise AssertionError

    async def GetModelUsage(
        self, request: intervention_pb2.GetModelUsageRequest, context: object
    ) -> intervention_pb2.GetModelUsageResponse:
        if self.usage_error is not None:
            raise self.usage_error
        return self.usage


class Audit(audit_pb2_grpc.AuditServiceServicer):
    """Keeps acts; `error` is raised while it is set."""

    def __init__(self) -> None:
        self.acts: list[audit_pb2.Act] = []
        self.list_requests: list[audit_pb2.ListEntriesRequest] = []
        self.error: MeshError | None = None

    async def RecordActs(self, request: audit_pb2.RecordActsRequest, context: object) -> audit_pb2.RecordActsResponse:
        if self.error is not None:
            raise self.error
        self.acts += request.acts
        return audit_pb2.RecordActsResponse()

    async def ListEntries(
        self, request: audit_pb2.ListEntriesRequest, context: object
    ) -> audit_pb2.ListEntriesResponse:
        self.list_requests.append(request)
        entry = audit_pb2.AuditEntry(
            sequence=7, actor="k", action="GET /api/users/{userId}", subject="user:1", hash="0a"
        )
        entry.time.FromSeconds(SECONDS)
        return audit_pb2.ListEntriesResponse(entries=[entry], next_page_token="7")  # noqa: S106 - of a page


class Erasures(erasure_pb2_grpc.ErasureServiceServicer):
    """Knows one erasure."""

    def __init__(self) -> None:
        self.erasure = erasure_pb2.Erasure(id="e_1", state=erasure_pb2.ERASURE_STATE_SUPPRESSED, is_suppressing=True)
        self.erasure.requested_at.FromSeconds(SECONDS)
        self.user_ids: list[str] = []

    async def CreateErasure(
        self, request: erasure_pb2.CreateErasureRequest, context: object
    ) -> erasure_pb2.CreateErasureResponse:
        self.user_ids.append(request.user_id)
        return erasure_pb2.CreateErasureResponse(erasure=self.erasure)

    async def GetErasure(
        self, request: erasure_pb2.GetErasureRequest, context: object
    ) -> erasure_pb2.GetErasureResponse:
        self._require(request.id)
        return erasure_pb2.GetErasureResponse(erasure=self.erasure)

    async def EndSuppression(
        self, request: erasure_pb2.EndSuppressionRequest, context: object
    ) -> erasure_pb2.EndSuppressionResponse:
        self._require(request.id)
        raise FailedPrecondition("ERASURE_UNFINISHED", "The erasure is still going on.")

    def _require(self, erasure_id: str) -> None:
        if erasure_id != self.erasure.id:
            raise NotFound("ERASURE_NOT_FOUND", "No erasure with this id.")


def _people(world: World) -> PeopleServicer:
    """The real one, over memory."""
    access = world.access
    people = People(MemorySessions(), world.audit, lambda: world.now_us, access.random_bytes, access.require_tenant)
    return PeopleServicer(people)


def saved_segments() -> SegmentsServicer:
    """The real one, over memory."""
    return SegmentsServicer(Saving(MemorySegments(), lambda: NOW_US, secrets.token_bytes))


def jobs(store: MemoryJobs | None = None) -> JobsServicer:
    """The real one, over memory, where nobody runs them."""
    metrics = telemetry.off().metrics
    return JobsServicer(Queueing(store or MemoryJobs(), lambda: NOW_US, secrets.token_bytes, True, metrics))


class NothingArchived:
    """Has no figures to judge."""

    def known(self) -> Known:
        return Known(0, frozenset())

    async def ask(self, tenant: str, question: Question) -> Answered:
        raise AssertionError(tenant)


def watched_insights(store: WatchStore | None = None) -> Watching:
    """The real watch, over a store that a test fills."""
    return Watching(NothingArchived(), store or MemoryWatches(), lambda: NOW_US, Plan())


class Analytics(analytics_pb2_grpc.AnalyticsServiceServicer):
    """Answers every question alike."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.kpis = ask.AskKpisResponse(kpis=[ask.Kpi(name=ask.KPI_NAME_ABANDONMENT_RATE)])

    async def AskKpis(self, request: ask.AskKpisRequest, context: object) -> ask.AskKpisResponse:
        self.requests.append(request)
        return self.kpis

    async def GetBudget(self, request: ask.GetBudgetRequest, context: object) -> ask.GetBudgetResponse:
        self.requests.append(request)
        return ask.GetBudgetResponse(budget=ask.Budget(used_today_usd=1.5))

    async def SetBudget(self, request: ask.SetBudgetRequest, context: object) -> ask.SetBudgetResponse:
        self.requests.append(request)
        own = request.daily_usd if request.HasField("daily_usd") else None
        return ask.SetBudgetResponse(budget=ask.Budget(own_daily_usd=own, daily_usd=own, used_today_usd=1.5))

    async def AskTrend(self, request: ask.AskTrendRequest, context: object) -> ask.AskTrendResponse:
        self.requests.append(request)
        return ask.AskTrendResponse()

    async def AskFunnel(self, request: ask.AskFunnelRequest, context: object) -> ask.AskFunnelResponse:
        self.requests.append(request)
        return ask.AskFunnelResponse()

    async def AskRetention(self, request: ask.AskRetentionRequest, context: object) -> ask.AskRetentionResponse:
        self.requests.append(request)
        return ask.AskRetentionResponse()

    async def AskPaths(self, request: ask.AskPathsRequest, context: object) -> ask.AskPathsResponse:
        self.requests.append(request)
        return ask.AskPathsResponse()

    async def AskStruggles(self, request: ask.AskStrugglesRequest, context: object) -> ask.AskStrugglesResponse:
        self.requests.append(request)
        return ask.AskStrugglesResponse()

    async def AskJourney(self, request: ask.AskJourneyRequest, context: object) -> ask.AskJourneyResponse:
        self.requests.append(request)
        return ask.AskJourneyResponse()

    async def AskEffect(self, request: ask.AskEffectRequest, context: object) -> ask.AskEffectResponse:
        self.requests.append(request)
        return ask.AskEffectResponse()

    async def AskCalibration(self, request: ask.AskCalibrationRequest, context: object) -> ask.AskCalibrationResponse:
        self.requests.append(request)
        return ask.AskCalibrationResponse()

    async def AskDrift(self, request: ask.AskDriftRequest, context: object) -> ask.AskDriftResponse:
        self.requests.append(request)
        return ask.AskDriftResponse()

    async def AskInsights(self, request: ask.AskInsightsRequest, context: object) -> ask.AskInsightsResponse:
        self.requests.append(request)
        return ask.AskInsightsResponse()

    async def AskCosts(self, request: ask.AskCostsRequest, context: object) -> ask.AskCostsResponse:
        self.requests.append(request)
        return ask.AskCostsResponse()

    async def AskList(self, request: ask.AskListRequest, context: object) -> ask.AskListResponse:
        self.requests.append(request)
        return ask.AskListResponse()

    async def ExportAnswer(
        self, request: ask.ExportAnswerRequest, context: object
    ) -> AsyncIterator[ask.ExportAnswerResponse]:
        self.requests.append(request)
        yield ask.ExportAnswerResponse(content=b"a", receipt=ask.AnswerReceipt(sha256="9f" * 32))
        yield ask.ExportAnswerResponse(content=b"\n1")


class Exports(export_pb2_grpc.ExportServiceServicer):
    """Knows one export, whose data is its format and id."""

    def __init__(self) -> None:
        self.export = export_pb2.Export(id="x_1", state=export_pb2.EXPORT_STATE_COLLECTING)
        self.user_ids: list[str] = []

    async def CreateExport(
        self, request: export_pb2.CreateExportRequest, context: object
    ) -> export_pb2.CreateExportResponse:
        self.user_ids.append(request.user_id)
        return export_pb2.CreateExportResponse(export=self.export)

    async def GetExport(self, request: export_pb2.GetExportRequest, context: object) -> export_pb2.GetExportResponse:
        self._require(request.id)
        return export_pb2.GetExportResponse(export=self.export)

    async def ReadExport(
        self, request: export_pb2.ReadExportRequest, context: object
    ) -> AsyncIterator[export_pb2.ReadExportResponse]:
        self._require(request.id)
        if self.export.state != export_pb2.EXPORT_STATE_READY:
            raise FailedPrecondition("EXPORT_UNFINISHED", "Not yet.")
        for piece in (str(request.format), " ", request.id):
            yield export_pb2.ReadExportResponse(piece=piece.encode())

    def _require(self, export_id: str) -> None:
        if export_id != self.export.id:
            raise NotFound("EXPORT_NOT_FOUND", "No export with this id.")


class Retention(retention_pb2_grpc.RetentionServiceServicer):
    """Deletes something of two tenants tomorrow."""

    def __init__(self) -> None:
        self.days: list[str] = []

    async def ForecastRetention(
        self, request: retention_pb2.ForecastRetentionRequest, context: Any
    ) -> retention_pb2.ForecastRetentionResponse:
        """Says what is deleted."""
        self.days.append(request.on)
        return retention_pb2.ForecastRetentionResponse(
            on=request.on or "2026-01-03",
            expiries=[
                retention_pb2.Expiry(tenant=tenant, kind="events", days=30, first_kept_day="2025-12-04", row_count=7)
                for tenant in ("", "acme")
            ],
            files=retention_pb2.ExpiredFiles(deleted_count=2, deleted_bytes=70),
        )


def experiments() -> ExperimentsServicer:
    """The experiments service, over memory."""
    return experiments_bootstrap.over(
        MemoryExperiments(), lambda: SECONDS * 1_000_000, monotonic_clock, 10_000
    ).servicer


@dataclasses.dataclass(frozen=True)
class Services:
    """All behind the gateway, on one server."""

    audit: Audit = dataclasses.field(default_factory=Audit)
    world: World = dataclasses.field(default_factory=World)
    """The access service, of which keys, tenants and people are served."""
    retention: Retention = dataclasses.field(default_factory=Retention)
    ingest: Ingest = dataclasses.field(default_factory=Ingest)
    erasures: Erasures = dataclasses.field(default_factory=Erasures)
    exports: Exports = dataclasses.field(default_factory=Exports)
    features: Features = dataclasses.field(default_factory=Features)
    scoring: Scoring = dataclasses.field(default_factory=Scoring)
    registry: Registry = dataclasses.field(default_factory=Registry)
    models: Models = dataclasses.field(default_factory=lambda: Fixed(OneTerm()))
    """Those that serve, for the Open Inference Protocol."""
    video: Video = dataclasses.field(default_factory=Video)
    customers: Customers = dataclasses.field(default_factory=Customers)
    predictions: Predictions = dataclasses.field(default_factory=Predictions)
    fits: MemoryFits = dataclasses.field(default_factory=MemoryFits)
    """What was learnt of customers: nothing yet."""
    intervention: Interventions = dataclasses.field(default_factory=Interventions)
    analytics: Analytics = dataclasses.field(default_factory=Analytics)
    watches: MemoryWatches = dataclasses.field(default_factory=MemoryWatches)
    jobs: MemoryJobs = dataclasses.field(default_factory=MemoryJobs)
    insights: InsightsServicer | None = None
    """Empty: the real one over `watches`."""

    def register(self, server: grpc.aio.Server) -> None:
        """Adds all to a server."""
        audit_pb2_grpc.add_AuditServiceServicer_to_server(self.audit, server)
        access_pb2_grpc.add_AccessServiceServicer_to_server(AccessServicer(self.world.access), server)
        retention_pb2_grpc.add_RetentionServiceServicer_to_server(self.retention, server)
        people_pb2_grpc.add_PeopleServiceServicer_to_server(_people(self.world), server)
        ingest_pb2_grpc.add_IngestServiceServicer_to_server(self.ingest, server)
        erasure_pb2_grpc.add_ErasureServiceServicer_to_server(self.erasures, server)
        export_pb2_grpc.add_ExportServiceServicer_to_server(self.exports, server)
        features_pb2_grpc.add_FeaturesServiceServicer_to_server(self.features, server)
        scoring_pb2_grpc.add_ScoringServiceServicer_to_server(self.scoring, server)
        models = ModelsServicer(Promotion(self.registry, lambda: SECONDS * 1_000_000))
        models_pb2_grpc.add_ModelsServiceServicer_to_server(models, server)
        add_GRPCInferenceServiceServicer_to_server(InferenceServicer(self.models), server)
        video_pb2_grpc.add_VideoServiceServicer_to_server(self.video, server)
        customers_pb2_grpc.add_CustomersServiceServicer_to_server(self.customers, server)
        predictions_pb2_grpc.add_CustomerPredictionsServiceServicer_to_server(self.predictions, server)
        customer_segments_pb2_grpc.add_CustomerSegmentsServiceServicer_to_server(customer_segments(self.fits), server)
        intervention_pb2_grpc.add_InterventionServiceServicer_to_server(self.intervention, server)
        analytics_pb2_grpc.add_AnalyticsServiceServicer_to_server(self.analytics, server)
        segments_pb2_grpc.add_SegmentsServiceServicer_to_server(saved_segments(), server)
        jobs_pb2_grpc.add_JobsServiceServicer_to_server(jobs(self.jobs), server)
        experiments_pb2_grpc.add_ExperimentsServiceServicer_to_server(experiments(), server)
        insights = self.insights or InsightsServicer(watched_insights(self.watches))
        insights_pb2_grpc.add_InsightsServiceServicer_to_server(insights, server)
