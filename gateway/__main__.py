"""Runs the gateway: settings, channels, application, serve. SIGTERM drains."""

import logging

from gateway.access import door, limits
from gateway.access.people.sign_in import SignIn, asking
from gateway.app import Application
from gateway.core import bootstrap
from gateway.peers import connect
from gateway.routes import operation, web
from gateway.serving import listen, serve
from gateway.settings import LogSettings, Settings, TelemetrySettings
from gateway.transport.certificate import Certificates
from mesh.clock import system_clock
from mesh.observability import log, registry, telemetry
from mesh.process import lifecycle
from mesh.process.certificate import report_expiry
from mesh.rpc.tls import Tls, TlsSettings
from mesh.settings import read_or_exit


async def main() -> None:
    """Serves until the process is to end."""
    lifecycle.dump_no_core()
    settings = read_or_exit(Settings)
    log.start("gateway", read_or_exit(LogSettings))
    tracing = telemetry.start("gateway", read_or_exit(TelemetrySettings))
    tls = Tls.wanted(read_or_exit(TlsSettings))
    stop = lifecycle.stop_signal()
    listener = listen(settings.address, settings.keys, is_tls=settings.is_tls)
    certificates = Certificates.wanted(settings.certificate_file, settings.key_file)
    async with connect(settings, tracing, tls) as peers, asking(settings) as client:
        core = bootstrap(settings, peers, tracing, stop, SignIn.wanted(settings, client), web.built())
        lifecycle.spare_collections()
        async with lifecycle.in_background(
            operation.watch_services(core),
            door.follow_keys(core.door, peers.access, peers.people, system_clock),
            limits.follow_limits(core.rates, peers.limits),
            report_expiry(tls, tracing.metrics),
            report_expiry(certificates, tracing.metrics, registry.HTTP_CERTIFICATE_EXPIRY),
        ):
            await serve(Application(core, system_clock), listener, stop, settings, certificates)
    logging.getLogger("gateway").info("drained")
    tracing.close()


if __name__ == "__main__":
    lifecycle.run(main())
