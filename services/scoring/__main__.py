"""Composition root of the scoring service."""

from pathlib import Path

import uvloop
from journeymesh.scoring.v1 import scoring_pb2
from journeymesh.scoring.v1.scoring_pb2_grpc import add_ScoringServiceServicer_to_server

from mesh.observability import log, telemetry
from mesh.observability.telemetry import TelemetrySettings
from mesh.process import server
from mesh.process.site import ServerSettings, open_site
from mesh.rpc.tls import TlsSettings
from mesh.settings import read_or_exit
from mesh.state.redis import RedisState
from mesh.store import redis
from services.scoring.adapters.measured import MeasuredModels
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.servicer import ScoringServicer
from services.scoring.settings import Settings
from services.scoring.usecases import Scoring

_DAY_SECONDS = 86_400


async def main() -> None:
    """Serves until the process is asked to stop."""
    settings, telemetry_settings = read_or_exit(Settings), read_or_exit(TelemetrySettings)
    log.start("scoring", read_or_exit(log.LogSettings))
    traced = telemetry.start("scoring", telemetry_settings)
    async with open_site(read_or_exit(ServerSettings), read_or_exit(TlsSettings)) as site:
        client = await redis.connect_or_exit(read_or_exit(redis.RedisSettings))
        journals = RedisState(client, "scoring", settings.state_days * _DAY_SECONDS)
        models = MeasuredModels(ModelDirectory(Path(settings.models_directory)), traced.metrics)
        servicer = ScoringServicer(Scoring(models, journals), traced.metrics)
        await server.serve(
            settings.listen,
            [lambda grpc_server: add_ScoringServiceServicer_to_server(servicer, grpc_server)],
            [scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].full_name],
            {"store": journals.ping, "model": models.check},
            traced,
            site,
        )
    traced.close()
    await client.aclose()


if __name__ == "__main__":
    uvloop.run(main())
