"""Composition root of the features service."""

import sys
from typing import Final

from journeymesh.features.v1 import features_pb2
from journeymesh.features.v1.features_pb2_grpc import add_FeaturesServiceServicer_to_server

from mesh.process import lifecycle, server
from mesh.process.started import started
from mesh.settings import read_or_exit
from mesh.state.redis import RedisState
from services.features.domain import own
from services.features.servicer import FeaturesServicer
from services.features.settings import Settings
from services.features.usecases import Features

_DAY_SECONDS: Final = 86_400


async def main() -> None:
    """Serves until the process is asked to stop."""
    settings = read_or_exit(Settings)
    try:
        columns = own.declared(settings.numbers, settings.words)
    except ValueError as error:
        sys.exit(f"journeymesh: JOURNEYMESH_FEATURES_NUMBERS and JOURNEYMESH_FEATURES_WORDS: {error}")
    async with started("features") as (client, telemetry, site):
        state = RedisState(client, "features", settings.state_days * _DAY_SECONDS)
        servicer = FeaturesServicer(Features(state, columns), telemetry.metrics)
        await server.serve(
            settings.listen,
            [lambda grpc_server: add_FeaturesServiceServicer_to_server(servicer, grpc_server)],
            [features_pb2.DESCRIPTOR.services_by_name["FeaturesService"].full_name],
            {"store": state.ping},
            telemetry,
            site,
        )


if __name__ == "__main__":
    lifecycle.run(main())
