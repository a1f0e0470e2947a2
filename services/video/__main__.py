"""Composition root of the video service."""

import uvloop
from journeymesh.video.v1 import video_pb2
from journeymesh.video.v1.video_pb2_grpc import add_VideoServiceServicer_to_server

from mesh.observability import log, telemetry
from mesh.observability.telemetry import TelemetrySettings
from mesh.process import server
from mesh.process.site import ServerSettings, open_site
from mesh.rpc.tls import TlsSettings
from mesh.settings import read_or_exit
from mesh.state.redis import RedisShards, RedisState
from mesh.store import redis
from services.video.servicer import VideoServicer
from services.video.settings import Settings
from services.video.usecases import Playback


async def main() -> None:
    """Serves until the process is asked to stop."""
    settings, telemetry_settings = read_or_exit(Settings), read_or_exit(TelemetrySettings)
    log.start("video", read_or_exit(log.LogSettings))
    traced = telemetry.start("video", telemetry_settings)
    async with open_site(read_or_exit(ServerSettings), read_or_exit(TlsSettings)) as site:
        client = await redis.connect_or_exit(read_or_exit(redis.RedisSettings))
        state = RedisState(client, "video", settings.lifetime_seconds)
        servicer = VideoServicer(Playback(state, RedisShards(client, "video")), traced.metrics)
        await server.serve(
            settings.listen,
            [lambda grpc_server: add_VideoServiceServicer_to_server(servicer, grpc_server)],
            [video_pb2.DESCRIPTOR.services_by_name["VideoService"].full_name],
            {"store": state.ping},
            traced,
            site,
        )
    traced.close()
    await client.aclose()


if __name__ == "__main__":
    uvloop.run(main())
