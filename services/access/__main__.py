"""Composition root of the access service."""

from journeymesh.access.v1 import access_pb2, audit_pb2, limits_pb2, people_pb2
from journeymesh.access.v1.access_pb2_grpc import add_AccessServiceServicer_to_server
from journeymesh.access.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from journeymesh.access.v1.limits_pb2_grpc import add_LimitsServiceServicer_to_server
from journeymesh.access.v1.people_pb2_grpc import add_PeopleServiceServicer_to_server

from mesh.process import lifecycle, server
from mesh.process.started import started
from mesh.settings import read_or_exit
from mesh.store import redis
from services.access import bootstrap
from services.access.audit.servicer import AuditServicer
from services.access.keys.servicer import AccessServicer
from services.access.limits.servicer import LimitsServicer
from services.access.people.servicer import PeopleServicer
from services.access.settings import Settings


async def main() -> None:
    """Runs the service until the process is told to end."""
    settings = read_or_exit(Settings)
    async with started("access") as (client, traced, site):
        audit, access, people, limits = bootstrap.over_redis(client)
        await bootstrap.take_keys(settings.keys_folder, bootstrap.importing(access, client))
        keys = AccessServicer(access, people.end_of_tenant)
        async with bootstrap.keeping_up(settings, audit) as signer:
            await server.serve(
                settings.listen,
                [
                    lambda to: add_AccessServiceServicer_to_server(keys, to),
                    lambda to: add_AuditServiceServicer_to_server(AuditServicer(audit, signer), to),
                    lambda to: add_LimitsServiceServicer_to_server(LimitsServicer(limits), to),
                    lambda to: add_PeopleServiceServicer_to_server(PeopleServicer(people), to),
                ],
                [
                    each.full_name
                    for of in (access_pb2, audit_pb2, limits_pb2, people_pb2)
                    for each in of.DESCRIPTOR.services_by_name.values()
                ],
                {"store": lambda: redis.ping(client)},
                traced,
                site,
            )


if __name__ == "__main__":
    lifecycle.run(main())
