"""Composition root of the intervention service."""

import asyncio

from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.intervention.v1.intervention_pb2_grpc import add_InterventionServiceServicer_to_server

from mesh import log, redis, server, telemetry
from mesh.clock import system_clock
from mesh.settings import read_or_exit, secret
from mesh.states.redis import RedisState
from mesh.telemetry import TelemetrySettings
from services.intervention.adapters.listeners import LocalListeners
from services.intervention.adapters.redis import RedisLedger
from services.intervention.adapters.spans import SpanWitness
from services.intervention.servicer import InterventionServicer
from services.intervention.settings import Settings
from services.intervention.usecases import Interventions


async def main() -> None:
    """Runs the service until the process is told to end."""
    settings, telemetry_settings = read_or_exit(Settings), read_or_exit(TelemetrySettings)
    log.start(read_or_exit(log.LogSettings))
    traced = telemetry.start("intervention", telemetry_settings)
    client = redis.connect(settings.redis_url, secret(settings.redis_password_file))
    state = RedisState(client, "intervention", settings.intervention_lifetime_seconds)
    interventions = Interventions(
        state,
        RedisLedger(client, settings.ledger_lifetime_seconds),
        SpanWitness(traced),
        LocalListeners(settings.watch_limit),
        system_clock,
        poll_seconds=settings.watch_poll_seconds,
    )
    servicer = InterventionServicer(interventions)
    await server.serve(
        settings.listen,
        [lambda grpc_server: add_InterventionServiceServicer_to_server(servicer, grpc_server)],
        [intervention_pb2.DESCRIPTOR.services_by_name["InterventionService"].full_name],
        {"state": state.ping},
        traced,
    )
    traced.close()
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(main())
