"""Both roles of ingest in the test's process, over memory adapters and real gRPC."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from journeymesh.common.v1 import event_pb2
from journeymesh.ingest.v1 import ingest_pb2, ingest_pb2_grpc

from mesh.leases.memory import MemoryLeases
from mesh.observability import telemetry
from mesh.observability.metrics import Metrics
from mesh.stream.memory import MemoryStream
from mesh.stream.port import Read
from services.ingest.accept.adapters.memory import MemoryDuplicates, MemoryIdentities, MemorySkews
from services.ingest.accept.adapters.progress import LeasePipeline, LeaseProgress
from services.ingest.accept.domain.rate_limit import UserRateLimiter
from services.ingest.accept.servicer import IngestServicer
from services.ingest.accept.usecases import Ingest
from services.ingest.dispatch.dispatcher import Dispatcher, Limits
from services.ingest.dispatch.steps import Steps
from services.ingest.events.adapters.event_log import StreamEventLog
from services.ingest.events.adapters.memory import (
    MemoryApplied,
    MemoryFailedEvents,
    MemoryFailedRecords,
    MemorySeenEvents,
)
from services.ingest.events.domain.event import FailedEvent, failed_event_id
from tests.builders import NOW_US
from tests.ingest import peers as fake
from tests.serving import serving

OWNER = "test"
ACCEPTED, DUPLICATE, REJECTED = 1, 2, 3


class Time:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_us = NOW_US

    def __call__(self) -> int:
        return self.now_us


class Harness(NamedTuple):
    """Both roles of ingest over one stream in memory."""

    stub: "ingest_pb2_grpc.IngestServiceAsyncStub"
    ingest: Ingest
    dispatcher: Dispatcher
    steps: fake.Steps
    stream: MemoryStream
    seen: MemorySeenEvents
    failed: MemoryFailedEvents
    leases: MemoryLeases
    time: Time

    async def accept(self, *events: event_pb2.Event, **members: Any) -> ingest_pb2.AcceptEventsResponse:
        return await self.stub.AcceptEvents(ingest_pb2.AcceptEventsRequest(events=events, **members))

    async def dispatch(self) -> None:
        """Takes all that waits through the mesh."""
        for shard in await self.stream.shards():
            await self.advance(shard.name)

    async def advance(self, shard: str) -> None:
        """Takes what waits in a shard through the mesh."""
        lease = await self.leases.acquire(shard, OWNER)
        assert lease is not None
        await self.dispatcher.advance(lease, await self.leases.checkpoint(shard))

    async def set_aside(self, event_id: str) -> str:
        """Sets an accepted event aside as the dispatcher does, and goes on; returns its id as a failed event."""
        (seen,) = await self.seen.find([event_id], self.time())
        assert seen is not None
        failed_id = failed_event_id(event_id, b"")
        await self.failed.add(
            [FailedEvent(failed_id, "POISON", "", NOW_US, event_id, "ada", b"{}", b"t", "dispatcher", seen.position)]
        )
        lease = await self.leases.acquire(seen.position.shard, OWNER)
        assert lease is not None
        await self.leases.save(lease, seen.position.sequence, 0.0)
        return failed_id

    async def receipt(self, event_id: str) -> ingest_pb2.Receipt:
        return (await self.stub.GetReceipt(ingest_pb2.GetReceiptRequest(event_id=event_id))).receipt

    def applied(self, step: str = "features") -> list[str]:
        return [one for name, ids in self.steps.log if name == step for one in ids]

    def events(self) -> list[event_pb2.Event]:
        """All events that features was given, in that order."""
        requests = [request for request in self.steps.requests if hasattr(request, "engagements")]
        return [each for request in requests for each in fake.applied_events(request)]


@contextlib.asynccontextmanager
async def running(
    steps: fake.Steps | None = None,
    observed_by: telemetry.Telemetry | None = None,
    around: Callable[[Any], Any] = lambda port: port,
    **ports: Any,
) -> AsyncIterator[Harness]:
    """A harness. `around` wraps each port of the api, not the dispatcher's; `ports` replace what the api has."""
    steps = steps or fake.recording()
    time = Time()
    stream, leases = MemoryStream(shard_count=2, clock=time), MemoryLeases(time)
    log, seen, failed, applied = StreamEventLog(stream), MemorySeenEvents(), MemoryFailedEvents(), MemoryApplied()
    made: dict[str, Any] = {
        "log": around(log),
        "seen": around(seen),
        "duplicates": around(MemoryDuplicates()),
        "failed": around(failed),
        "skews": around(MemorySkews()),
        "identities": around(MemoryIdentities()),
        "progress": LeaseProgress(leases, failed, time),
        "applied": around(applied),
        "limiter": UserRateLimiter(200, 2_000),
        "clock": time,
        "monotonic": time,
        "max_lag_seconds": 10.0,
    }
    ingest = Ingest(**(made | ports))
    servicer = IngestServicer(ingest, LeasePipeline({"dispatcher": leases, "archiver": MemoryLeases(time)}), Metrics())
    traced = observed_by or telemetry.off()
    async with (
        serving(lambda to: ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, to)) as channel,
        fake.peers(steps, observed_by) as behind,
    ):
        dispatcher = Dispatcher(
            reader=QuickReader(stream),
            leases=leases,
            steps=Steps("events", seen, log, behind, traced),
            failed=failed,
            failed_records=MemoryFailedRecords(),
            applied=applied,
            clock=time,
            limits=Limits(100, 0, 0.5),
            metrics=Metrics(),
            trims=True,
        )
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        yield Harness(stub, ingest, dispatcher, steps, stream, seen, failed, leases, time)


class QuickReader:
    """The stream's reader without its patience, so that an empty shard costs a test nothing."""

    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream
        self.shards, self.trim = stream.shards, stream.trim
        self.now_us, self.waiting_seconds = stream.now_us, stream.waiting_seconds

    async def read(self, shard: str, after: int, max_records: int, wait_seconds: float) -> Read:
        return await self._stream.read(shard, after, max_records, min(wait_seconds, 0.001))
