"""CPU an event of ingest's two roles, in one process over a real store: `python -m bench.ingest`.

The steps behind the dispatcher answer at once, so that what is measured is ingest's own work.
"""

import asyncio
import itertools
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import redis as redis_client
from journeymesh.common.v1 import event_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2

from mesh import clock, embedded, redis, telemetry
from mesh.leasing.redis import RedisLeases
from mesh.metrics import Metrics
from mesh.streams.redis import RedisStream
from records import wire
from records.table import of_events
from services.ingest.accept.adapters.progress import LeasePipeline, LeaseProgress
from services.ingest.accept.adapters.redis import RedisDuplicates, RedisIdentities, RedisSkews
from services.ingest.accept.domain.rate_limit import UserRateLimiter
from services.ingest.accept.servicer import IngestServicer
from services.ingest.accept.usecases import Ingest
from services.ingest.dispatch.dispatcher import Dispatcher, Limits
from services.ingest.dispatch.steps import Peers, Steps
from services.ingest.events.adapters.event_log import StreamEventLog
from services.ingest.events.adapters.redis_applied import RedisApplied
from services.ingest.events.adapters.redis_failed import RedisFailedEvents, RedisFailedRecords
from services.ingest.events.adapters.redis_seen import RedisSeenEvents
from tests.conftest import free_port

_REQUESTS: Final = 300
_EVENTS: Final = 100
_USERS: Final = 5000


class _Instant:
    """Steps that answer with as many rows as they were given."""

    async def ApplyEvents(self, request: Any, timeout: float) -> Any:  # noqa: ANN401, ARG002, ASYNC109, N802
        return features_pb2.ApplyEventsResponse(values=[0.0] * 13 * len(request.events), feature_count=13)

    async def AssessUsers(self, request: Any, timeout: float) -> Any:  # noqa: ANN401, ARG002, ASYNC109, N802
        return scoring_pb2.AssessUsersResponse(assessments=[scoring_pb2.Assessment(score=10)] * len(request.user_ids))

    async def DecideInterventions(self, request: Any, timeout: float) -> Any:  # noqa: ANN401, ARG002, ASYNC109, N802
        return intervention_pb2.DecideInterventionsResponse()


async def main(url: str) -> None:
    """Measures and prints."""
    client = redis.connect(url)
    stream, leases = RedisStream(client, "events", 4, 1 << 30), RedisLeases(client, "events", "dispatcher", 60)
    seen, failed, applied = RedisSeenEvents(client), RedisFailedEvents(client), RedisApplied(client)
    ingest = Ingest(
        log=StreamEventLog(stream),
        seen=seen,
        duplicates=RedisDuplicates(client),
        failed=failed,
        skews=RedisSkews(client),
        identities=RedisIdentities(client),
        progress=LeaseProgress(leases, failed, clock.monotonic_clock),
        applied=applied,
        limiter=UserRateLimiter(200, 2000),
        clock=clock.system_clock,
        monotonic=clock.monotonic_clock,
        max_lag_seconds=10,
    )
    servicer = IngestServicer(ingest, LeasePipeline({"dispatcher": leases}), Metrics())
    numbers = itertools.count()
    bodies = [
        ingest_pb2.AcceptEventsRequest(
            tables=[wire.encoded(of_events([_event(next(numbers)) for _ in range(_EVENTS)]))]
        ).SerializeToString()
        for _ in range(_REQUESTS)
    ]
    started = time.process_time()
    for body in bodies:
        answer = await servicer.AcceptEvents(ingest_pb2.AcceptEventsRequest.FromString(body), None)
        answer.SerializeToString()
    _report("api", time.process_time() - started)

    instant: Any = _Instant()
    peers = Peers(instant, instant, instant, instant)
    dispatcher = Dispatcher(
        reader=stream,
        leases=leases,
        steps=Steps("events", seen, StreamEventLog(stream), peers, telemetry.off()),
        failed=failed,
        failed_records=RedisFailedRecords(client),
        applied=applied,
        clock=clock.system_clock,
        limits=Limits(max_batch_events=2_000, period_seconds=0, tolerated_failure_share=0.5),
        metrics=Metrics(),
        trims=True,
    )
    started = time.process_time()
    for shard in await stream.shards():
        lease = await leases.acquire(shard.name, "bench")
        checkpoint = await leases.checkpoint(shard.name)
        while lease is not None and (await stream.read(shard.name, checkpoint, 1, 0.001)).records:
            checkpoint = await dispatcher.advance(lease, checkpoint)
    _report("dispatcher", time.process_time() - started)
    await client.aclose()


def _event(number: int) -> event_pb2.Event:
    return event_pb2.Event(
        event_id=f"01JDX0000000000000{number:08}",
        user_id=f"user-{number % _USERS}",
        event_type=event_pb2.EVENT_TYPE_PAGE_VIEW,
        event_time_us=clock.system_clock(),
        received_time_us=clock.system_clock(),
        page="/products/7",
        properties=b'{"page": "/products/7", "referrer": "/home"}',
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
    )


def _report(name: str, seconds: float) -> None:
    print(f"{name:>10}: {seconds / _REQUESTS / _EVENTS * 1e6:5.1f} µs CPU an event")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        server = subprocess.Popen(embedded.server_command(port, Path(folder), "everysec"))  # noqa: S603
        try:
            with redis_client.Redis(port=port) as probe:
                while True:
                    try:
                        probe.ping()
                        break
                    except redis_client.ConnectionError:
                        time.sleep(0.05)
            asyncio.run(main(f"redis://127.0.0.1:{port}/0"))
        finally:
            server.terminate()
            server.wait()
