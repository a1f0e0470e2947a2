"""`journeymesh tenants`: creates, lists, limits and deletes the tenants that use the mesh beside the default one."""

import argparse
import json
import uuid
from typing import TYPE_CHECKING, Any, Final

import grpc
from journeymesh.access.v1 import access_pb2 as wire
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub
from rich.console import Console
from rich.table import Table

from cli.access import asking
from cli.rates import add_rate, in_words, rate_json, rate_of
from cli.terminal import minute
from mesh.retry import retry

if TYPE_CHECKING:
    from journeymesh.access.v1.access_pb2_grpc import AccessServiceAsyncStub

_RETRY_SECONDS: Final = 5.0
_USUAL: Final = "what gateways are set to (JOURNEYMESH_TENANT_RATE)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands and their options."""
    doing = parser.add_subparsers(dest="doing", required=True)
    create = doing.add_parser("create", help="create a tenant; `keys create --tenant` gives it keys")
    add_rate(create, _USUAL)
    limit = doing.add_parser("limit", help="set how much a tenant may send and ask for, with all its keys together")
    add_rate(limit, _USUAL, is_required=True)
    listed = doing.add_parser("list", help="list all tenants but the default one, those that were deleted too")
    delete = doing.add_parser(
        "delete", help="end a tenant's keys, for good; its data stays until it expires or is erased"
    )
    for each in (create, limit, delete):
        each.add_argument("name", metavar="NAME", help="1 to 31 small letters, digits and hyphens")
    for each in (create, limit, listed, delete):
        each.add_argument("--json", dest="is_json", action="store_true", help="print one JSON object, for scripts")


async def main(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; returns the exit code."""

    async def ask(dialled: grpc.aio.Channel, console: Console, _: Console) -> int:
        await run(AccessServiceStub(dialled), arguments, console)
        return 0

    return await asking(ask)


async def run(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    """Runs the subcommand against a service.

    Raises:
        MeshError: the service refuses it or cannot be reached.
    """
    await _COMMANDS[arguments.doing](stub, arguments, console)


async def _create(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    request = wire.CreateTenantRequest(name=arguments.name, rate=rate_of(arguments), request_id=str(uuid.uuid4()))
    tenant = (await retry(lambda: stub.CreateTenant(request), _RETRY_SECONDS)).tenant
    if arguments.is_json:
        console.print(json.dumps(_tenant_json(tenant)), soft_wrap=True)
    else:
        console.print(f"The tenant {tenant.name} is created. It has no keys yet.", soft_wrap=True)


async def _limit(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    request = wire.LimitTenantRequest(name=arguments.name, rate=rate_of(arguments))
    tenant = (await stub.LimitTenant(request)).tenant
    if arguments.is_json:
        console.print(json.dumps(_tenant_json(tenant)), soft_wrap=True)
        return
    rate = in_words(tenant.rate) if tenant.HasField("rate") else _USUAL
    console.print(f"From now on the tenant {tenant.name} may send and ask for {rate}.", soft_wrap=True)


async def _list(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    tenants = (await stub.ListTenants(wire.ListTenantsRequest())).tenants
    if arguments.is_json:
        console.print(json.dumps({"tenants": [_tenant_json(each) for each in tenants]}), soft_wrap=True)
        return
    if not tenants:
        console.print("There is only the default tenant.", soft_wrap=True)
        return
    table = Table("name", "rate", "created", "deleted", box=None, padding=(0, 2, 0, 0), caption="Times are in UTC.")
    for each in tenants:
        rate = f"{each.rate.per_second}/s" if each.HasField("rate") else "usual"
        deleted = minute(each.deleted_at) if each.HasField("deleted_at") else ""
        table.add_row(each.name, rate, minute(each.created_at), deleted)
    console.print(table)


async def _delete(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    deleted = await stub.DeleteTenant(wire.DeleteTenantRequest(name=arguments.name))
    ended = deleted.ended_key_count
    keys = "1 key" if ended == 1 else f"{ended} keys"
    if arguments.is_json:
        console.print(json.dumps({**_tenant_json(deleted.tenant), "endedKeyCount": ended}), soft_wrap=True)
        return
    console.print(
        f"The tenant {deleted.tenant.name} is deleted, and {keys} with it, which gateways refuse within five "
        "seconds. Its data stays until it expires or is erased.",
        soft_wrap=True,
    )


_COMMANDS: Final = {"create": _create, "limit": _limit, "list": _list, "delete": _delete}


def _tenant_json(tenant: wire.Tenant) -> dict[str, Any]:
    return {
        "name": tenant.name,
        "rate": rate_json(tenant),
        "createdAt": tenant.created_at.ToJsonString(),
        "deletedAt": tenant.deleted_at.ToJsonString() if tenant.HasField("deleted_at") else None,
    }
