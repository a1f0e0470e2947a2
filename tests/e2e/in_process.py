"""All services in the test's process, over memory adapters and real gRPC, with one exporter of spans."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import grpc
import httpx
from inference.inference_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from journeymesh.access.v1.access_pb2_grpc import add_AccessServiceServicer_to_server
from journeymesh.access.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from journeymesh.access.v1.limits_pb2_grpc import add_LimitsServiceServicer_to_server
from journeymesh.access.v1.people_pb2_grpc import add_PeopleServiceServicer_to_server
from journeymesh.analytics.v1.analytics_pb2_grpc import add_AnalyticsServiceServicer_to_server
from journeymesh.analytics.v1.insights_pb2_grpc import add_InsightsServiceServicer_to_server
from journeymesh.analytics.v1.jobs_pb2_grpc import add_JobsServiceServicer_to_server
from journeymesh.analytics.v1.segments_pb2_grpc import add_SegmentsServiceServicer_to_server
from journeymesh.customers.v1.customers_pb2_grpc import add_CustomersServiceServicer_to_server
from journeymesh.customers.v1.predictions_pb2_grpc import add_CustomerPredictionsServiceServicer_to_server
from journeymesh.customers.v1.segments_pb2_grpc import add_CustomerSegmentsServiceServicer_to_server
from journeymesh.experiments.v1.experiments_pb2_grpc import add_ExperimentsServiceServicer_to_server
from journeymesh.features.v1.features_pb2_grpc import add_FeaturesServiceServicer_to_server
from journeymesh.ingest.v1.erasure_pb2_grpc import add_ErasureServiceServicer_to_server
from journeymesh.ingest.v1.export_pb2_grpc import add_ExportServiceServicer_to_server
from journeymesh.ingest.v1.ingest_pb2_grpc import add_IngestServiceServicer_to_server
from journeymesh.ingest.v1.retention_pb2_grpc import add_RetentionServiceServicer_to_server
from journeymesh.intervention.v1.intervention_pb2_grpc import add_InterventionServiceServicer_to_server
from journeymesh.scoring.v1.models_pb2_grpc import add_ModelsServiceServicer_to_server
from journeymesh.scoring.v1.scoring_pb2_grpc import add_ScoringServiceServicer_to_server
from journeymesh.video.v1.video_pb2_grpc import add_VideoServiceServicer_to_server
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway import peers as gateway_peers
from gateway.app import Application
from gateway.core import Core, bootstrap
from gateway.settings import Settings
from mesh.clock import monotonic_clock, system_clock
from mesh.leases.memory import MemoryLeases
from mesh.leases.sharing import Sharing
from mesh.observability import telemetry
from mesh.observability.metrics import Metrics
from mesh.observability.telemetry import Telemetry
from mesh.process.lifecycle import in_background
from mesh.process.server import Register, serving
from mesh.rpc import channel
from mesh.state.memory import MemoryShards, MemoryState
from mesh.stream.memory import MemoryStream
from services.access.audit.adapters.memory import MemoryChain
from services.access.audit.servicer import AuditServicer
from services.access.audit.usecases import Audit
from services.access.keys.adapters.memory import MemoryKeys
from services.access.keys.servicer import AccessServicer
from services.access.keys.translation import VOCABULARY
from services.access.keys.usecases import Access
from services.access.limits.adapters.memory import MemoryLimits
from services.access.limits.servicer import LimitsServicer
from services.access.limits.usecases import Limits as SharedLimits
from services.access.people.adapters.memory import MemorySessions
from services.access.people.servicer import PeopleServicer
from services.access.people.usecases import People
from services.analytics.insights import InsightsServicer
from services.customers.adapters.memory import MemoryFits
from services.customers.foretelling import Foretelling
from services.customers.predictions import PredictionsServicer
from services.customers.segments import CustomerSegmentsServicer
from services.customers.servicer import CustomersServicer
from services.customers.usecases import Purchases
from services.features.servicer import FeaturesServicer
from services.features.usecases import Features
from services.ingest.accept.adapters.memory import MemoryDuplicates, MemoryIdentities, MemorySkews
from services.ingest.accept.adapters.progress import LeasePipeline, LeaseProgress
from services.ingest.accept.domain.rate_limit import UserRateLimiter
from services.ingest.accept.servicer import IngestServicer
from services.ingest.accept.usecases import Ingest
from services.ingest.archive.domain.layout import EVENTS, ArchiveFile, Holding
from services.ingest.dispatch.dispatcher import Dispatcher, Limits
from services.ingest.dispatch.steps import Peers, Steps
from services.ingest.erasure.adapters import peers
from services.ingest.erasure.adapters.memory import MemoryErasures
from services.ingest.erasure.adapters.own import OwnRecords
from services.ingest.erasure.servicer import ErasureServicer
from services.ingest.erasure.usecases import Erasing
from services.ingest.events.adapters.event_log import StreamEventLog
from services.ingest.events.adapters.memory import (
    MemoryApplied,
    MemoryFailedEvents,
    MemoryFailedRecords,
    MemorySeenEvents,
    MemorySuppressions,
)
from services.ingest.events.usecases import Suppressing
from services.ingest.export.adapters.memory import MemoryExports
from services.ingest.export.servicer import ExportServicer
from services.ingest.export.usecases import Exported, Exporting
from services.ingest.retention.domain.terms import Terms
from services.ingest.retention.servicer import RetentionServicer
from services.ingest.retention.usecases import Retention
from services.intervention.bootstrap import in_memory
from services.intervention.decision.adapters.spans import SpanObserver
from services.intervention.decision.ports import Ledger
from services.intervention.servicer import InterventionServicer
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.inference import InferenceServicer
from services.scoring.servicer import ModelsServicer, ScoringServicer
from services.scoring.usecases import Promotion, Scoring
from services.video.servicer import VideoServicer
from services.video.usecases import Playback
from tests.gateway.fakes import Analytics, experiments, jobs, saved_segments, watched_insights

DOCUMENT: Final = (Path(__file__).parents[2] / "policies" / "default.yaml").read_text()
MODELS: Final = Path(__file__).parents[2] / "models" / "exit-risk"


def _customers(to: grpc.aio.Server) -> None:
    state, fits = MemoryState(), MemoryFits()
    foretelling = Foretelling(state, fits)
    add_CustomersServiceServicer_to_server(CustomersServicer(Purchases(state, fits), system_clock), to)
    add_CustomerPredictionsServiceServicer_to_server(PredictionsServicer(foretelling, system_clock), to)
    add_CustomerSegmentsServiceServicer_to_server(CustomerSegmentsServicer(foretelling, system_clock), to)


def _analytics(to: grpc.aio.Server) -> None:
    add_AnalyticsServiceServicer_to_server(Analytics(), to)
    add_SegmentsServiceServicer_to_server(saved_segments(), to)
    add_JobsServiceServicer_to_server(jobs(), to)
    add_InsightsServiceServicer_to_server(InsightsServicer(watched_insights()), to)


def _scoring(folder: str, metrics: Metrics) -> Register:
    """Scoring over a registry of its own, which has the shipped models."""
    models = ModelDirectory(Path(folder), MODELS)

    def register(to: grpc.aio.Server) -> None:
        add_ScoringServiceServicer_to_server(ScoringServicer(Scoring(models, MemoryState()), metrics), to)
        add_ModelsServiceServicer_to_server(ModelsServicer(Promotion(models, system_clock)), to)
        add_GRPCInferenceServiceServicer_to_server(InferenceServicer(models), to)

    return register


class Patient(httpx.AsyncBaseTransport):
    """Sends again what a busy mesh asks to be sent again, as clients do."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with asyncio.timeout(20):
            while True:
                answer = await self._transport.handle_async_request(request)
                if answer.status_code not in {429, 503, 504}:
                    return answer
                await answer.aread()
                await asyncio.sleep(0.1)


class Mesh(NamedTuple):
    """The mesh in this process."""

    client: httpx.AsyncClient
    exporter: InMemorySpanExporter
    traced: Mapping[str, Telemetry]
    core: Core

    def spans(self) -> Sequence[ReadableSpan]:
        """All spans that have ended."""
        for one in self.traced.values():
            one.provider.force_flush()
        return self.exporter.get_finished_spans()


@contextlib.asynccontextmanager
async def running_mesh(
    ledger: Ledger | None = None, sample_ratio: float = 1.0, document: str = DOCUMENT, **settings: Any
) -> AsyncIterator[Mesh]:
    exporter = InMemorySpanExporter()
    names = (
        "gateway",
        "access",
        "analytics",
        "archiver",
        "experiments",
        "ingest-api",
        "ingest-dispatcher",
        "video",
        "features",
        "scoring",
        "intervention",
        "customers",
        "experiments",
    )
    traced = {name: telemetry.exporting(name, exporter, sample_ratio) for name in names}
    stream, leases = MemoryStream(clock=system_clock), MemoryLeases(system_clock)
    seen, failed = MemorySeenEvents(), MemoryFailedEvents()
    interventions = in_memory(
        [(0, document)], system_clock, ledger=ledger, observer=SpanObserver(traced["intervention"])
    )
    applied = MemoryApplied()
    identities, skews = MemoryIdentities(), MemorySkews()
    suppressing, suppressions = Suppressing(), MemorySuppressions()
    ingest = Ingest(
        log=StreamEventLog(stream),
        seen=seen,
        duplicates=MemoryDuplicates(),
        failed=failed,
        skews=skews,
        identities=identities,
        progress=LeaseProgress(leases, failed, monotonic_clock),
        applied=applied,
        limiter=UserRateLimiter(1000, 1000),
        clock=system_clock,
        monotonic=monotonic_clock,
        max_lag_seconds=10,
        suppressing=suppressing,
    )
    pipeline = LeasePipeline({"dispatcher": leases})
    registers: dict[str, Register] = {
        "access": _access,
        "analytics": _analytics,
        "experiments": lambda to: add_ExperimentsServiceServicer_to_server(experiments(), to),
        "archiver": lambda to: add_RetentionServiceServicer_to_server(_retention(), to),
        "video": lambda to: add_VideoServiceServicer_to_server(
            VideoServicer(Playback(MemoryState(), MemoryShards()), traced["video"].metrics), to
        ),
        "features": lambda to: add_FeaturesServiceServicer_to_server(
            FeaturesServicer(Features(MemoryState()), traced["features"].metrics), to
        ),
        "customers": _customers,
        "intervention": lambda to: add_InterventionServiceServicer_to_server(
            InterventionServicer(*interventions, traced["intervention"].metrics), to
        ),
    }
    async with contextlib.AsyncExitStack() as stack:
        registers["scoring"] = _scoring(stack.enter_context(tempfile.TemporaryDirectory()), traced["scoring"].metrics)
        targets = {
            name: "127.0.0.1:"
            + str(await stack.enter_async_context(serving("127.0.0.1:0", [register], [], {}, traced[name])))
            for name, register in registers.items()
        }
        visited = [targets[name] for name in ("video", "features", "scoring", "intervention", "customers")]
        behind = Peers.dial(visited, traced["ingest-dispatcher"])
        records = OwnRecords(identities, skews, failed)
        kept, exports = MemoryErasures(), MemoryExports()
        services = peers.services([*visited, targets["experiments"]], traced["ingest-api"])
        audit = peers.PeerAuditLog(targets["access"], traced["ingest-api"])
        exporting = Exporting(
            kept=exports,
            turns=kept,
            suppressions=suppressions,
            links=records,
            sources=[*services, records],
            audit=audit,
            clock=system_clock,
            random_bytes=os.urandom,
            has_archive=False,
        )
        erasing = Erasing(
            kept=kept,
            suppressions=suppressions,
            links=records,
            services=[*services, records, Exported(exports, suppressions)],
            pipeline=pipeline,
            audit=audit,
            signer=audit,
            clock=system_clock,
            random_bytes=os.urandom,
            has_archive=False,
        )
        api: list[Register] = [
            lambda to: add_IngestServiceServicer_to_server(
                IngestServicer(ingest, pipeline, traced["ingest-api"].metrics), to
            ),
            lambda to: add_ErasureServiceServicer_to_server(ErasureServicer(erasing), to),
            lambda to: add_ExportServiceServicer_to_server(ExportServicer(exporting), to),
        ]
        port = await stack.enter_async_context(serving("127.0.0.1:0", api, [], {}, traced["ingest-api"]))
        targets["ingest-api"] = f"127.0.0.1:{port}"
        dispatcher = Dispatcher(
            reader=stream,
            leases=leases,
            steps=Steps("events", seen, StreamEventLog(stream), behind, traced["ingest-dispatcher"]),
            failed=failed,
            failed_records=MemoryFailedRecords(),
            applied=applied,
            clock=system_clock,
            limits=Limits(max_batch_events=100, period_seconds=0, tolerated_failure_share=0.5),
            metrics=traced["ingest-dispatcher"].metrics,
            trims=True,
            suppressing=suppressing,
        )
        channels = {
            name.removesuffix("-api"): await stack.enter_async_context(channel.dial(target, traced["gateway"]))
            for name, target in targets.items()
        }
        core = bootstrap(Settings(**settings), gateway_peers.over(channels), traced["gateway"], asyncio.Event())
        transport = Patient(httpx.ASGITransport(Application(core, system_clock)))
        client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://localhost"))
        works = erasing.run("test"), exporting.run("test"), suppressing.follow(suppressions)
        await stack.enter_async_context(in_background(*works))
        dispatching = asyncio.create_task(Sharing(stream, leases, "test", dispatcher.follow, lease_seconds=10).run())
        try:
            yield Mesh(client, exporter, traced, core)
        finally:
            dispatching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await dispatching


def _retention() -> RetentionServicer:
    """Retention of an archive with one file of each tenant of the tests."""
    file = ArchiveFile(EVENTS, 0, "0", 1, 2)

    class Files:
        async def before(self, hour: int) -> dict[ArchiveFile, Holding]:
            return {file: Holding(70, {"": 4, "acme": 2, "globex": 1})} if hour else {}

    async def terms() -> Terms:
        return Terms(30)

    return RetentionServicer(Retention(cast("Any", Files()), terms, system_clock))


def event(number: int, kind: str, user: str = "ada", **properties: object) -> dict[str, object]:
    return {"eventId": f"{user}-{number}", "userId": user, "eventType": kind, "properties": properties}


async def applied(mesh: Mesh, event_id: str) -> dict[str, object]:
    """The receipt of an event, once it is applied."""
    async with asyncio.timeout(20):
        while True:
            answer = await mesh.client.get(f"/api/events/{event_id}")
            assert answer.status_code == 200, answer.text
            receipt: dict[str, object] = answer.json()
            if receipt["state"] == "applied":
                return receipt
            await asyncio.sleep(0.01)


def _access(to: grpc.aio.Server) -> None:
    """Adds the access service, with its audit log."""
    audit = Audit(MemoryChain(), system_clock, os.urandom)
    access = Access(MemoryKeys(), audit, VOCABULARY, system_clock, os.urandom)
    people = People(MemorySessions(), audit, system_clock, os.urandom, access.require_tenant)
    add_AccessServiceServicer_to_server(AccessServicer(access, people.end_of_tenant), to)
    add_AuditServiceServicer_to_server(AuditServicer(audit), to)
    add_LimitsServiceServicer_to_server(LimitsServicer(SharedLimits(MemoryLimits(), system_clock)), to)
    add_PeopleServiceServicer_to_server(PeopleServicer(people), to)
