"""Runs ingest: `python -m services.ingest api`, `dispatcher` or `archiver`."""

import os
import sys
from typing import Final

from journeymesh.ingest.v1 import erasure_pb2, export_pb2, ingest_pb2

from mesh import settings
from mesh.leases.sharing import Sharing
from mesh.observability import log, telemetry
from mesh.process import lifecycle, server
from mesh.process.site import ServerSettings, open_site
from mesh.rpc.tls import TlsSettings
from services.ingest import bootstrap
from services.ingest.settings import Settings

ROLES: Final = ("api", "dispatcher", "archiver")
SERVICES: Final = [
    each.full_name for of in (ingest_pb2, erasure_pb2, export_pb2) for each in of.DESCRIPTOR.services_by_name.values()
]
_ARCHIVER_NICENESS: Final = 10


async def main(role: str) -> None:
    """Runs one role until the process is asked to end."""
    own = settings.read_or_exit(Settings)
    lifecycle.dump_no_core()
    log.start(f"ingest-{role}", settings.read_or_exit(log.LogSettings))
    traced = telemetry.start(f"ingest-{role}", settings.read_or_exit(telemetry.TelemetrySettings))
    stands = open_site(settings.read_or_exit(ServerSettings), settings.read_or_exit(TlsSettings))
    async with stands as site, bootstrap.resources(own, traced, site, role) as on:
        if role == "api":
            people = bootstrap.people(on)
            async with lifecycle.in_background(*bootstrap.working(on, people)):
                await server.serve(own.listen, bootstrap.faces(on, people), SERVICES, on.checks, traced, site)
        elif role == "dispatcher":
            await _share(bootstrap.dispatching(on), own.dispatcher_listen, on)
        else:
            os.nice(_ARCHIVER_NICENESS)  # the archive never delays a decision
            await _share(bootstrap.archiving(on), own.archiver_listen, on, bootstrap.archive_works(on))
    traced.close()


async def _share(
    sharing: Sharing, listen: str, on: bootstrap.Resources, beside: bootstrap.Beside = bootstrap.NOTHING
) -> None:
    # A fault of a consumer ends the process.
    async with lifecycle.in_background(sharing.run(), bootstrap.following(on), *beside.works):
        await server.serve(listen, beside.faces, beside.names, on.checks, on.traced, on.site)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ROLES:
        sys.exit(f"journeymesh: say which role: python -m services.ingest {'|'.join(ROLES)}")
    lifecycle.run(main(sys.argv[1]))
