"""What applies and archives events, in the test's process: real services behind real gRPC, over memory."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from journeymesh.common.v1 import event_pb2
from journeymesh.customers.v1.customers_pb2_grpc import add_CustomersServiceServicer_to_server
from journeymesh.features.v1.features_pb2_grpc import add_FeaturesServiceServicer_to_server
from journeymesh.intervention.v1.intervention_pb2_grpc import (
    InterventionServiceStub,
    add_InterventionServiceServicer_to_server,
)
from journeymesh.scoring.v1.scoring_pb2_grpc import add_ScoringServiceServicer_to_server
from journeymesh.video.v1.video_pb2_grpc import add_VideoServiceServicer_to_server

from mesh.leases.memory import MemoryLeases
from mesh.observability import telemetry
from mesh.observability.metrics import Metrics
from mesh.process.server import serving
from mesh.rpc import channel
from mesh.state.memory import MemoryShards, MemoryState
from mesh.stream.memory import MemoryStream
from records.table import of_events
from services.customers.adapters.memory import MemoryFits
from services.customers.servicer import CustomersServicer
from services.customers.usecases import Purchases
from services.features.servicer import FeaturesServicer
from services.features.usecases import Features
from services.ingest.archive import archiver
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.adapters.plans import MemoryPlans
from services.ingest.archive.adapters.tail import ArrowTail
from services.ingest.archive.archiver import Archiver
from services.ingest.dispatch import dispatcher
from services.ingest.dispatch.dispatcher import Dispatcher
from services.ingest.dispatch.steps import Peers, Steps
from services.ingest.events.adapters.event_log import StreamEventLog
from services.ingest.events.adapters.memory import (
    MemoryApplied,
    MemoryFailedEvents,
    MemoryFailedRecords,
    MemorySeenEvents,
)
from services.intervention.bootstrap import in_memory
from services.intervention.servicer import InterventionServicer
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.ports import Models
from services.scoring.servicer import ScoringServicer
from services.scoring.usecases import Scoring
from services.video.servicer import VideoServicer
from services.video.usecases import Playback
from tests.builders import NOW_US
from tests.ingest.harness import QuickReader
from tests.intervention.builders import DOCUMENT

MODELS: Final = Path(__file__).parents[2] / "models" / "exit-risk"


class Mesh(NamedTuple):
    """What applies and archives events."""

    stream: MemoryStream
    log: StreamEventLog
    dispatcher: Dispatcher
    archiver: Archiver
    features: MemoryState
    customers: MemoryState

    async def send(self, *events: event_pb2.Event) -> None:
        """Puts events on the stream, each user's in their order."""
        await self.log.append(of_events(events))

    async def dispatch(self) -> None:
        """Applies what waits, parents before children."""
        for shard in await self.stream.shards():
            lease = await self.dispatcher.leases.acquire(shard.name, "dispatcher")
            assert lease
            checkpoint = await self.dispatcher.leases.checkpoint(shard.name)
            while checkpoint != (checkpoint := await self.dispatcher.advance(lease, checkpoint)):
                pass

    async def archive(self) -> None:
        """Closes all shards, and applies and archives what waits."""
        shards = [shard.name for shard in await self.stream.shards()]
        parents = {parent for shard in await self.stream.shards() for parent in shard.parents}
        for shard in shards:
            if shard not in parents:
                await self.stream.split(shard)
        await self.dispatch()
        for shard in shards:
            lease = await self.archiver.leases.acquire(shard, "archiver")
            assert lease
            await self.archiver.follow(lease)


@contextlib.asynccontextmanager
async def running(folder: Path, document: str = DOCUMENT, models: Models | None = None) -> AsyncIterator[Mesh]:
    """A mesh that archives into a folder; by default with the shipped model."""
    features, customers, traced = MemoryState(), MemoryState(), telemetry.off()
    interventions = in_memory([(0, document)], lambda: NOW_US)
    registers: list[Any] = [
        lambda to: add_VideoServiceServicer_to_server(
            VideoServicer(Playback(MemoryState(), MemoryShards()), Metrics()), to
        ),
        lambda to: add_FeaturesServiceServicer_to_server(FeaturesServicer(Features(features), Metrics()), to),
        lambda to: add_ScoringServiceServicer_to_server(
            ScoringServicer(Scoring(models or ModelDirectory(MODELS), MemoryState()), Metrics()), to
        ),
        lambda to: add_InterventionServiceServicer_to_server(InterventionServicer(*interventions, Metrics()), to),
        lambda to: add_CustomersServiceServicer_to_server(
            CustomersServicer(Purchases(customers, MemoryFits()), lambda: NOW_US), to
        ),
    ]
    stream = MemoryStream(shard_count=2)
    log, seen, set_aside = StreamEventLog(stream), MemorySeenEvents(), MemoryFailedRecords()
    dispatched = MemoryLeases(lambda: NOW_US)
    async with serving("127.0.0.1:0", registers, [], {}, traced) as port:
        target = f"127.0.0.1:{port}"
        async with channel.dial(target, traced) as dialled:
            applying = Dispatcher(
                reader=QuickReader(stream),
                leases=dispatched,
                steps=Steps("events", seen, log, Peers.dial([target] * 5, traced), traced),
                failed=MemoryFailedEvents(),
                failed_records=set_aside,
                applied=MemoryApplied(),
                clock=lambda: NOW_US,
                limits=dispatcher.Limits(100, 0, 0.5),
                metrics=Metrics(),
                trims=False,
            )
            archiving = Archiver(
                reader=QuickReader(stream),
                leases=MemoryLeases(lambda: NOW_US),
                dispatched=dispatched,
                plans=MemoryPlans(),
                archive=ParquetArchive(f"file://{folder}"),
                tail=ArrowTail(f"file://{folder}"),
                seen=seen,
                failed_records=set_aside,
                intervention=InterventionServiceStub(dialled),
                limits=archiver.Limits(flush_events=20, rest_seconds=0),
                metrics=Metrics(),
            )
            yield Mesh(stream, log, applying, archiving, features, customers)
