"""Composition root of the analytics service."""

import uvloop
from journeymesh.analytics.v1 import analytics_pb2
from journeymesh.analytics.v1.analytics_pb2_grpc import add_AnalyticsServiceServicer_to_server

from mesh.clock import system_clock
from mesh.observability import log, telemetry
from mesh.observability.telemetry import TelemetrySettings
from mesh.process import server
from mesh.process.site import ServerSettings, open_site
from mesh.rpc.tls import TlsSettings
from mesh.settings import read_or_exit
from services.analytics.adapters.files import AnswerFiles
from services.analytics.bootstrap import answering
from services.analytics.servicer import AnalyticsServicer
from services.analytics.settings import Settings


async def main() -> None:
    """Serves until the process is asked to stop."""
    settings = read_or_exit(Settings)
    log.start("analytics", read_or_exit(log.LogSettings))
    traced = telemetry.start("analytics", read_or_exit(TelemetrySettings))
    async with (
        open_site(read_or_exit(ServerSettings), read_or_exit(TlsSettings)) as site,
        answering(settings) as asking,
    ):
        servicer = AnalyticsServicer(asking, AnswerFiles(), system_clock)
        await server.serve(
            settings.listen,
            [lambda grpc_server: add_AnalyticsServiceServicer_to_server(servicer, grpc_server)],
            [analytics_pb2.DESCRIPTOR.services_by_name["AnalyticsService"].full_name],
            {"archive": asking.check},
            traced,
            site,
        )
    traced.close()


if __name__ == "__main__":
    uvloop.run(main())
