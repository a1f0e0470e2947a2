"""Composition root of the video service."""

from journeymesh.video.v1 import video_pb2
from journeymesh.video.v1.video_pb2_grpc import add_VideoServiceServicer_to_server

from mesh.process import lifecycle, server
from mesh.process.started import started
from mesh.settings import read_or_exit
from mesh.state.redis import RedisShards, RedisState
from services.video.servicer import VideoServicer
from services.video.settings import Settings
from services.video.usecases import Playback


async def main() -> None:
    """Serves until the process is asked to stop."""
    settings = read_or_exit(Settings)
    async with started("video") as (client, telemetry, site):
        state = RedisState(client, "video", settings.lifetime_seconds)
        servicer = VideoServicer(Playback(state, RedisShards(client, "video")), telemetry.metrics)
        await server.serve(
            settings.listen,
            [lambda grpc_server: add_VideoServiceServicer_to_server(servicer, grpc_server)],
            [video_pb2.DESCRIPTOR.services_by_name["VideoService"].full_name],
            {"store": state.ping},
            telemetry,
            site,
        )


if __name__ == "__main__":
    lifecycle.run(main())
