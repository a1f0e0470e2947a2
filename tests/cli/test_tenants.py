"""`journeymesh tenants`, against the access service."""

import argparse
import io
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from journeymesh.access.v1 import access_pb2 as wire
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub, add_AccessServiceServicer_to_server
from rich.console import Console

from cli import tenants
from mesh.errors import AlreadyExists, InvalidArgument, NotFound
from services.access.keys.servicer import AccessServicer
from tests.access.builders import World
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.access.v1.access_pb2_grpc import AccessServiceAsyncStub


@pytest.fixture
async def stub() -> AsyncIterator["AccessServiceAsyncStub"]:
    servicer = AccessServicer(World().access)
    async with serving(lambda to: add_AccessServiceServicer_to_server(servicer, to)) as channel:
        yield AccessServiceStub(channel)


async def printed(stub: "AccessServiceAsyncStub", *given: str) -> str:
    """What a subcommand prints."""
    parser = argparse.ArgumentParser()
    tenants.add_arguments(parser)
    written = io.StringIO()
    await tenants.run(stub, parser.parse_args(given), Console(file=written, width=120, highlight=False, markup=False))
    return written.getvalue()


async def test_tenants_come_and_go(stub: "AccessServiceAsyncStub") -> None:
    assert "only the default tenant" in await printed(stub, "list")
    assert "The tenant acme is created." in await printed(stub, "create", "acme")
    await stub.CreateKey(wire.CreateKeyRequest(kind=wire.KEY_KIND_SECRET, name="server", tenant="acme"))
    assert "acme  usual  2026-01-02 10:00" in await printed(stub, "list")
    said = await printed(stub, "delete", "acme")
    assert "The tenant acme is deleted, and 1 key with it" in said
    assert "Its data stays" in said
    with pytest.raises(AlreadyExists):
        await printed(stub, "create", "acme")


async def test_scripts_get_one_object(stub: "AccessServiceAsyncStub") -> None:
    made = json.loads(await printed(stub, "create", "acme", "--json"))
    assert made == {
        "name": "acme",
        "rate": None,
        "retentionDays": 0,
        "maskedKinds": [],
        "maskedNames": [],
        "createdAt": "2026-01-02T10:00:00Z",
        "deletedAt": None,
    }
    assert json.loads(await printed(stub, "list", "--json")) == {"tenants": [made]}
    deleted = json.loads(await printed(stub, "delete", "acme", "--json"))
    assert deleted == made | {"deletedAt": "2026-01-02T10:00:00Z", "endedKeyCount": 0}


async def test_a_tenant_is_limited_and_no_longer(stub: "AccessServiceAsyncStub") -> None:
    made = json.loads(await printed(stub, "create", "acme", "--rate", "500", "--json"))
    assert made["rate"] == {"perSecond": 500, "burst": 1000}
    said = await printed(stub, "limit", "acme", "--rate", "2000", "--burst", "2500")
    assert "acme may send and ask for 2,000 events and other requests per second, 2,500 at once." in said
    assert "acme  2000/s  2026-01-02 10:00" in await printed(stub, "list")
    assert "JOURNEYMESH_TENANT_RATE" in await printed(stub, "limit", "acme", "--rate", "0")
    assert json.loads(await printed(stub, "limit", "acme", "--rate", "0", "--json"))["rate"] is None
    with pytest.raises(NotFound):
        await printed(stub, "limit", "globex", "--rate", "1")
    with pytest.raises(SystemExit):
        await printed(stub, "limit", "acme", "--rate", "-1")


async def test_retention_and_masking_are_set_and_listed(stub: "AccessServiceAsyncStub") -> None:
    await printed(stub, "create", "acme")
    assert "is kept for 30 days" in await printed(stub, "retention", "acme", "--days", "30")
    said = await printed(stub, "masking", "acme", "--kinds", "phone", "--names", " order_note ,,birthday")
    assert "phone, birthday, order_note is masked" in said
    listed = await printed(stub, "list")
    assert "30 days" in listed
    assert "phone, birthday, order_note" in listed
    told = json.loads(await printed(stub, "masking", "acme", "--json"))
    assert (told["retentionDays"], told["maskedKinds"], told["maskedNames"]) == (30, [], [])
    assert json.loads(await printed(stub, "retention", "acme", "--days", "0", "--json"))["retentionDays"] == 0


@pytest.mark.parametrize(
    "given", [("retention", "--days", "-1"), ("masking", "--kinds", "mails"), ("masking", "--names", "_")]
)
async def test_what_cannot_be_set_is_refused_by_the_service(
    stub: "AccessServiceAsyncStub", given: tuple[str, ...]
) -> None:
    await printed(stub, "create", "acme")
    with pytest.raises(InvalidArgument):
        await printed(stub, *given, "acme")
