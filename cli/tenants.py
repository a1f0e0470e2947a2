"""`journeymesh tenants`: creates, lists, limits and deletes tenants, and sets their retention and masking."""

import argparse
import json
import uuid
from typing import TYPE_CHECKING, Any, Final, cast

import grpc
from journeymesh.access.v1 import access_pb2 as wire
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub
from rich.console import Console
from rich.table import Table

from cli.access import asking
from cli.rates import add_rate, in_words, rate_json, rate_of
from cli.terminal import minute, plain
from mesh.retry import retry

if TYPE_CHECKING:
    from journeymesh.access.v1.access_pb2_grpc import AccessServiceAsyncStub

_RETRY_SECONDS: Final = 5.0
_PREFIX: Final = "MASKED_KIND_"
_KINDS: Final = {name.removeprefix(_PREFIX).lower(): number for name, number in wire.MaskedKind.items() if number}
_MOST: Final = 4_294_967_295
_UNKNOWN: Final = _MOST // 2
"""A number that is no kind: the service says so."""
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
    retention = doing.add_parser("retention", help="set for how many days the archive keeps what a tenant sent")
    retention.add_argument(
        "--days", type=int, required=True, metavar="N", help="1 to 36500; 0: as the mesh (JOURNEYMESH_RETENTION_DAYS)"
    )
    masking = doing.add_parser("masking", help="set what is masked in a tenant's events beside what the mesh masks")
    masking.add_argument("--kinds", default="", metavar="KINDS", help=f"some of {', '.join(_KINDS)} (default: none)")
    masking.add_argument(
        "--names", default="", metavar="NAMES", help="of properties and parameters: order_note,birthday (default: none)"
    )
    for each in (create, limit, retention, masking, delete):
        each.add_argument("name", metavar="NAME", help="1 to 31 small letters, digits and hyphens")
    for each in (create, limit, retention, masking, listed, delete):
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


async def _retain(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    days = arguments.days if 0 <= arguments.days <= _MOST else _MOST
    tenant = (await stub.SetTenantRetention(wire.SetTenantRetentionRequest(name=arguments.name, days=days))).tenant
    if arguments.is_json:
        console.print(json.dumps(_tenant_json(tenant)), soft_wrap=True)
        return
    kept = f"for {tenant.retention_days} days" if tenant.retention_days else "as long as the mesh's"
    console.print(
        f"What the tenant {tenant.name} sent is kept {kept}, from tomorrow's pass on. `journeymesh privacy retention` "
        "says what that deletes.",
        soft_wrap=True,
    )


async def _mask(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    words, names = _words(arguments.kinds), _words(arguments.names)
    kinds = [_KINDS.get(word, _UNKNOWN) for word in words]
    masking = wire.TenantMasking(kinds=cast("list[wire.MaskedKind.ValueType]", kinds), names=names)
    tenant = (await stub.SetTenantMasking(wire.SetTenantMaskingRequest(name=arguments.name, masking=masking))).tenant
    if arguments.is_json:
        console.print(json.dumps(_tenant_json(tenant)), soft_wrap=True)
        return
    masked = ", ".join([*_kinds_of(tenant), *tenant.masking.names]) or "nothing"
    console.print(
        f"In events of the tenant {tenant.name}, {masked} is masked beside what the mesh masks, within two seconds.",
        soft_wrap=True,
    )


def _words(text: str) -> list[str]:
    return [*filter(None, (word.strip() for word in text.split(",")))]


def _kinds_of(tenant: wire.Tenant) -> list[str]:
    return [wire.MaskedKind.Name(each).removeprefix(_PREFIX).lower() for each in tenant.masking.kinds]


async def _list(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    tenants = (await stub.ListTenants(wire.ListTenantsRequest())).tenants
    if arguments.is_json:
        console.print(json.dumps({"tenants": [_tenant_json(each) for each in tenants]}), soft_wrap=True)
        return
    if not tenants:
        console.print("There is only the default tenant.", soft_wrap=True)
        return
    columns = ("name", "rate", "created", "deleted", "kept", "masked too")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0), caption="Times are in UTC.")
    for each in tenants:
        rate = f"{each.rate.per_second}/s" if each.HasField("rate") else "usual"
        deleted = minute(each.deleted_at) if each.HasField("deleted_at") else ""
        kept = f"{each.retention_days} days" if each.retention_days else "as the mesh"
        masked = ", ".join([*_kinds_of(each), *each.masking.names])
        table.add_row(each.name, rate, minute(each.created_at), deleted, kept, plain(masked))
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


_COMMANDS: Final = {
    "create": _create,
    "limit": _limit,
    "retention": _retain,
    "masking": _mask,
    "list": _list,
    "delete": _delete,
}


def _tenant_json(tenant: wire.Tenant) -> dict[str, Any]:
    return {
        "name": tenant.name,
        "rate": rate_json(tenant),
        "retentionDays": tenant.retention_days,
        "maskedKinds": _kinds_of(tenant),
        "maskedNames": [*tenant.masking.names],
        "createdAt": tenant.created_at.ToJsonString(),
        "deletedAt": tenant.deleted_at.ToJsonString() if tenant.HasField("deleted_at") else None,
    }
