"""Runs ingest: `python -m services.ingest api` or `python -m services.ingest dispatcher`."""

import asyncio
import sys

from journeymesh.ingest.v1 import ingest_pb2, ingest_pb2_grpc

from mesh import clock, log, redis, server, settings, telemetry
from mesh.streams.redis import RedisCheckpoints, RedisStream
from services.ingest.adapters.event_log import StreamEventLog
from services.ingest.adapters.progress import CheckpointProgress
from services.ingest.adapters.redis import RedisFailedEvents, RedisSeenEvents
from services.ingest.dispatcher import Dispatcher, Peers
from services.ingest.servicer import IngestServicer
from services.ingest.settings import Settings
from services.ingest.usecases import Ingest

STREAM = "events"
SERVICE = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name


async def main(role: str) -> None:
    """Runs one role until the process is told to end."""
    own = settings.read_or_exit(Settings)
    log.start(settings.read_or_exit(log.LogSettings))
    traced = telemetry.start(f"ingest-{role}", settings.read_or_exit(telemetry.TelemetrySettings))
    client = redis.connect(own.redis_url, settings.secret(own.redis_password_file))
    stream = RedisStream(client, STREAM, own.shard_count, own.max_waiting_records)
    checkpoints = RedisCheckpoints(client, STREAM, "dispatcher")
    seen, failed = RedisSeenEvents(client), RedisFailedEvents(client)
    await settings.or_exit(stream.keep_shard_count)
    checks = {"store": stream.ping}
    if role == "api":
        progress = CheckpointProgress(checkpoints)
        ingest = Ingest(StreamEventLog(stream), seen, failed, progress, clock.system_clock)
        register = [lambda to: ingest_pb2_grpc.add_IngestServiceServicer_to_server(IngestServicer(ingest), to)]
        await server.serve(own.listen, register, [SERVICE], checks, traced)
    else:
        peers = Peers.dial(own.video_target, own.features_target, own.scoring_target, own.intervention_target, traced)
        limits = own.max_batch_events, own.dispatch_period_seconds
        dispatcher = Dispatcher(STREAM, stream, checkpoints, seen, failed, peers, clock.system_clock, traced, *limits)
        async with asyncio.TaskGroup() as tasks:  # a fault of the dispatcher ends the process
            dispatching = tasks.create_task(dispatcher.run())
            await server.serve(own.dispatcher_listen, [], [], checks, traced)
            dispatching.cancel()
    traced.close()


if __name__ == "__main__":
    if sys.argv[1:] not in (["api"], ["dispatcher"]):
        sys.exit("journeymesh: say which role: python -m services.ingest api|dispatcher")
    asyncio.run(main(sys.argv[1]))
