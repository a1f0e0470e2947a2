"""Composition root of the access service."""

import secrets

import uvloop
from journeymesh.access.v1 import access_pb2, audit_pb2, limits_pb2, people_pb2
from journeymesh.access.v1.access_pb2_grpc import add_AccessServiceServicer_to_server
from journeymesh.access.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from journeymesh.access.v1.limits_pb2_grpc import add_LimitsServiceServicer_to_server
from journeymesh.access.v1.people_pb2_grpc import add_PeopleServiceServicer_to_server

from mesh.clock import system_clock
from mesh.process import server
from mesh.process.started import started
from mesh.settings import read_or_exit
from services.access import bootstrap
from services.access.audit.adapters.redis import RedisChain
from services.access.audit.servicer import AuditServicer
from services.access.audit.usecases import Audit
from services.access.keys.adapters.redis import RedisKeys
from services.access.keys.servicer import AccessServicer
from services.access.keys.translation import VOCABULARY
from services.access.keys.usecases import Access
from services.access.limits.adapters.redis import RedisLimits
from services.access.limits.servicer import LimitsServicer
from services.access.limits.usecases import Limits
from services.access.people.adapters.redis import RedisSessions
from services.access.people.servicer import PeopleServicer
from services.access.people.usecases import People
from services.access.settings import Settings


async def main() -> None:
    """Runs the service until the process is told to end."""
    settings = read_or_exit(Settings)
    async with started("access") as (client, traced, site):
        store = RedisKeys(client)
        audit = Audit(RedisChain(client), system_clock, secrets.token_bytes)
        access = Access(store, audit, VOCABULARY, system_clock, secrets.token_bytes)
        await bootstrap.take_keys(settings.keys_folder, bootstrap.importing(access, client))
        limits = LimitsServicer(Limits(RedisLimits(client), system_clock))
        people = People(RedisSessions(client), audit, system_clock, secrets.token_bytes, access.require_tenant)
        servicer = AccessServicer(access, people.end_of_tenant)
        async with bootstrap.keeping_up(settings, audit) as signer:
            await server.serve(
                settings.listen,
                [
                    lambda grpc_server: add_AccessServiceServicer_to_server(servicer, grpc_server),
                    lambda grpc_server: add_AuditServiceServicer_to_server(AuditServicer(audit, signer), grpc_server),
                    lambda grpc_server: add_LimitsServiceServicer_to_server(limits, grpc_server),
                    lambda grpc_server: add_PeopleServiceServicer_to_server(PeopleServicer(people), grpc_server),
                ],
                [
                    each.full_name
                    for of in (access_pb2, audit_pb2, limits_pb2, people_pb2)
                    for each in of.DESCRIPTOR.services_by_name.values()
                ],
                {"store": store.ping},
                traced,
                site,
            )


if __name__ == "__main__":
    uvloop.run(main())
