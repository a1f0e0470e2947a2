"""The services behind the gateway, as typed stubs over the mesh's channels."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from inference.inference_pb2_grpc import GRPCInferenceServiceStub
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub
from journeymesh.access.v1.audit_pb2_grpc import AuditServiceStub
from journeymesh.access.v1.limits_pb2_grpc import LimitsServiceStub
from journeymesh.access.v1.people_pb2_grpc import PeopleServiceStub
from journeymesh.analytics.v1.analytics_pb2_grpc import AnalyticsServiceStub
from journeymesh.analytics.v1.insights_pb2_grpc import InsightsServiceStub
from journeymesh.analytics.v1.jobs_pb2_grpc import JobsServiceStub
from journeymesh.analytics.v1.segments_pb2_grpc import SegmentsServiceStub
from journeymesh.customers.v1.customers_pb2_grpc import CustomersServiceStub
from journeymesh.customers.v1.predictions_pb2_grpc import CustomerPredictionsServiceStub
from journeymesh.customers.v1.segments_pb2_grpc import CustomerSegmentsServiceStub
from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceStub
from journeymesh.features.v1.features_pb2_grpc import FeaturesServiceStub
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.ingest.v1.erasure_pb2_grpc import ErasureServiceStub
from journeymesh.ingest.v1.export_pb2_grpc import ExportServiceStub
from journeymesh.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from journeymesh.ingest.v1.retention_pb2_grpc import RetentionServiceStub
from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceStub
from journeymesh.scoring.v1.models_pb2_grpc import ModelsServiceStub
from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceStub
from journeymesh.video.v1.video_pb2_grpc import VideoServiceStub

from gateway.settings import Settings
from mesh.errors import MeshError
from mesh.observability.telemetry import Telemetry
from mesh.rpc import channel
from mesh.rpc.tls import Tls

if TYPE_CHECKING:  # these names exist in the stubs only
    from inference.inference_pb2_grpc import GRPCInferenceServiceAsyncStub
    from journeymesh.access.v1.access_pb2_grpc import AccessServiceAsyncStub
    from journeymesh.access.v1.audit_pb2_grpc import AuditServiceAsyncStub
    from journeymesh.access.v1.limits_pb2_grpc import LimitsServiceAsyncStub
    from journeymesh.access.v1.people_pb2_grpc import PeopleServiceAsyncStub
    from journeymesh.analytics.v1.analytics_pb2_grpc import AnalyticsServiceAsyncStub
    from journeymesh.analytics.v1.insights_pb2_grpc import InsightsServiceAsyncStub
    from journeymesh.analytics.v1.jobs_pb2_grpc import JobsServiceAsyncStub
    from journeymesh.analytics.v1.segments_pb2_grpc import SegmentsServiceAsyncStub
    from journeymesh.customers.v1.customers_pb2_grpc import CustomersServiceAsyncStub
    from journeymesh.customers.v1.predictions_pb2_grpc import CustomerPredictionsServiceAsyncStub
    from journeymesh.customers.v1.segments_pb2_grpc import CustomerSegmentsServiceAsyncStub
    from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceAsyncStub
    from journeymesh.features.v1.features_pb2_grpc import FeaturesServiceAsyncStub
    from journeymesh.ingest.v1.erasure_pb2_grpc import ErasureServiceAsyncStub
    from journeymesh.ingest.v1.export_pb2_grpc import ExportServiceAsyncStub
    from journeymesh.ingest.v1.ingest_pb2_grpc import IngestServiceAsyncStub
    from journeymesh.ingest.v1.retention_pb2_grpc import RetentionServiceAsyncStub
    from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceAsyncStub
    from journeymesh.scoring.v1.models_pb2_grpc import ModelsServiceAsyncStub
    from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceAsyncStub
    from journeymesh.video.v1.video_pb2_grpc import VideoServiceAsyncStub

SERVICES: Final = (
    "access",
    "ingest",
    "archiver",
    "features",
    "scoring",
    "video",
    "intervention",
    "analytics",
    "experiments",
    "customers",
)
"""The services, named as the settings name their addresses."""
_BESIDE: Final = frozenset({"analytics", "archiver", "experiments", "customers"})
"""Services without which the gateway is ready all the same: they answer questions, and help nobody."""
_HEALTH_SECONDS: Final = 1.0

Accept = Callable[[bytes], Awaitable[ingest_pb2.AcceptEventsResponse]]
"""Sends a serialized `AcceptEventsRequest`."""


@dataclasses.dataclass(frozen=True)
class Peers:
    """The services; `accept` is ingest's AcceptEvents for a serialized request."""

    access: "AccessServiceAsyncStub"
    audit: "AuditServiceAsyncStub"
    limits: "LimitsServiceAsyncStub"
    people: "PeopleServiceAsyncStub"
    ingest: "IngestServiceAsyncStub"
    features: "FeaturesServiceAsyncStub"
    scoring: "ScoringServiceAsyncStub"
    models: "ModelsServiceAsyncStub"
    inference: "GRPCInferenceServiceAsyncStub"
    video: "VideoServiceAsyncStub"
    intervention: "InterventionServiceAsyncStub"
    erasure: "ErasureServiceAsyncStub"
    analytics: "AnalyticsServiceAsyncStub"
    segments: "SegmentsServiceAsyncStub"
    experiments: "ExperimentsServiceAsyncStub"
    customers: "CustomersServiceAsyncStub"
    predictions: "CustomerPredictionsServiceAsyncStub"
    customer_segments: "CustomerSegmentsServiceAsyncStub"
    insights: "InsightsServiceAsyncStub"
    jobs: "JobsServiceAsyncStub"
    export: "ExportServiceAsyncStub"
    retention: "RetentionServiceAsyncStub"
    accept: Accept
    health: Mapping[str, Any]

    async def lost(self) -> list[str]:
        """The names of the services that do not report that they serve."""
        states = await asyncio.gather(*(_serves(stub) for stub in self.health.values()))
        return [name for name, serves in zip(self.health, states, strict=True) if not serves]


@contextlib.asynccontextmanager
async def connect(settings: Settings, telemetry: Telemetry, tls: Tls | None) -> AsyncIterator[Peers]:
    """Connects to the services at the settings' addresses; the channels close with the block."""
    async with contextlib.AsyncExitStack() as stack:
        channels = {
            name: await stack.enter_async_context(channel.dial(getattr(settings, name), telemetry, tls))
            for name in SERVICES
        }
        yield over(channels)


def over(channels: Mapping[str, grpc.aio.Channel]) -> Peers:
    """The services over channels named after them."""
    method = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].methods_by_name["AcceptEvents"]
    accept: Any = channels["ingest"].unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        response_deserializer=ingest_pb2.AcceptEventsResponse.FromString,
    )
    return Peers(
        access=AccessServiceStub(channels["access"]),
        audit=AuditServiceStub(channels["access"]),
        limits=LimitsServiceStub(channels["access"]),
        people=PeopleServiceStub(channels["access"]),
        ingest=IngestServiceStub(channels["ingest"]),
        features=FeaturesServiceStub(channels["features"]),
        scoring=ScoringServiceStub(channels["scoring"]),
        models=ModelsServiceStub(channels["scoring"]),
        inference=GRPCInferenceServiceStub(channels["scoring"]),
        video=VideoServiceStub(channels["video"]),
        intervention=InterventionServiceStub(channels["intervention"]),
        erasure=ErasureServiceStub(channels["ingest"]),
        analytics=AnalyticsServiceStub(channels["analytics"]),
        segments=SegmentsServiceStub(channels["analytics"]),
        experiments=ExperimentsServiceStub(channels["experiments"]),
        customers=CustomersServiceStub(channels["customers"]),
        predictions=CustomerPredictionsServiceStub(channels["customers"]),
        customer_segments=CustomerSegmentsServiceStub(channels["customers"]),
        insights=InsightsServiceStub(channels["analytics"]),
        jobs=JobsServiceStub(channels["analytics"]),
        export=ExportServiceStub(channels["ingest"]),
        retention=RetentionServiceStub(channels["archiver"]),
        accept=accept,
        health={name: health_pb2_grpc.HealthStub(each) for name, each in channels.items() if name not in _BESIDE},
    )


async def _serves(stub: Any) -> bool:  # noqa: ANN401 - the health package has no types
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_HEALTH_SECONDS)
    except MeshError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
