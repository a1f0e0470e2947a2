"""`journeymesh people` and `journeymesh sign-in`, against the access service."""

import argparse
import io
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from journeymesh.access.v1 import people_pb2 as wire
from journeymesh.access.v1.people_pb2_grpc import PeopleServiceStub, add_PeopleServiceServicer_to_server
from rich.console import Console

from cli import people, sign_in
from services.access.people.adapters.memory import MemorySessions
from services.access.people.servicer import PeopleServicer
from services.access.people.usecases import People
from tests.access.builders import World
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.access.v1.people_pb2_grpc import PeopleServiceAsyncStub


@pytest.fixture
async def stub() -> AsyncIterator["PeopleServiceAsyncStub"]:
    world = World()
    access = world.access
    await access.create_tenant("acme")
    servicer = PeopleServicer(
        People(MemorySessions(), world.audit, lambda: world.now_us, access.random_bytes, access.require_tenant)
    )
    async with serving(lambda to: add_PeopleServiceServicer_to_server(servicer, to)) as channel:
        yield PeopleServiceStub(channel)


async def printed(stub: "PeopleServiceAsyncStub", *given: str) -> str:
    """What a subcommand prints."""
    parser = argparse.ArgumentParser()
    people.add_arguments(parser)
    written = io.StringIO()
    await people.run(stub, parser.parse_args(given), Console(file=written, width=120, highlight=False, markup=False))
    return written.getvalue()


async def test_who_is_signed_in_is_listed_and_ended(stub: "PeopleServiceAsyncStub") -> None:
    assert "Nobody is signed in." in await printed(stub, "sessions")
    for person, tenant in (("person:ann", ""), ("person:ann", "acme"), ("person:[b]\x1b", "")):
        await stub.BeginSession(
            wire.BeginSessionRequest(person=person, tenant=tenant, roles=["viewer"], lifetime_seconds=3600)
        )
    said = await printed(stub, "sessions")
    assert "acme    viewer  2026-01-02 10:00  2026-01-02 11:00" in said
    assert "\x1b" not in said
    assert "1 session has ended" in await printed(stub, "end", "person:ann")
    assert json.loads(await printed(stub, "end", "person:ann", "--tenant", "acme", "--json"))["endedCount"] == 1
    (left,) = json.loads(await printed(stub, "sessions", "--json"))["sessions"]
    assert (left["roles"], left["endsAt"]) == (["viewer"], "2026-01-02T11:00:00Z")


async def test_a_link_goes_to_the_output_and_what_it_is_beside_it(stub: "PeopleServiceAsyncStub") -> None:
    written, beside = io.StringIO(), io.StringIO()
    await sign_in.run(stub, "http://127.0.0.1:8080/", Console(file=written), Console(file=beside))
    address, _, token = written.getvalue().strip().partition("?token=")
    assert address == "http://127.0.0.1:8080/auth/local"
    await stub.RedeemSignInToken(wire.RedeemSignInTokenRequest(token=token))
    assert "within five minutes" in beside.getvalue()
