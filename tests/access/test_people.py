"""People's sessions and sign-in tokens: the port over every adapter, and the service over a real stub."""

import dataclasses
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

import pytest
from journeymesh.access.v1 import access_pb2
from journeymesh.access.v1 import people_pb2 as wire
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub, add_AccessServiceServicer_to_server
from journeymesh.access.v1.people_pb2_grpc import PeopleServiceStub, add_PeopleServiceServicer_to_server

from mesh.errors import InvalidArgument, NotFound, Unauthenticated, VersionMismatch
from mesh.store import redis
from services.access.audit.usecases import Filters
from services.access.keys.servicer import AccessServicer
from services.access.people.adapters.memory import MemorySessions
from services.access.people.adapters.redis import RedisSessions
from services.access.people.domain.session import SECOND_US, Session
from services.access.people.ports import SessionStore
from services.access.people.servicer import PeopleServicer
from services.access.people.usecases import People
from tests.access.builders import World
from tests.builders import NOW_US
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.access.v1.people_pb2_grpc import PeopleServiceAsyncStub

HOUR_US: Final = 3_600 * SECOND_US
ANN: Final = Session("s-1", "person:ann", "", ("analyst", "operator"), NOW_US, NOW_US + HOUR_US)


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> SessionStore:
    return MemorySessions() if request.param == "memory" else RedisSessions(valkey)


async def test_a_session_lives_until_its_end(store: SessionStore) -> None:
    assert not await store.live(NOW_US)
    short = dataclasses.replace(ANN, session_id="s-2", person="person:ö", tenant="acme", ends_us=NOW_US + SECOND_US)
    await store.begin(ANN, NOW_US)
    await store.begin(short, NOW_US)
    assert sorted(each.session_id for each in await store.live(NOW_US)) == ["s-1", "s-2"]
    assert await store.live(NOW_US + SECOND_US) == [ANN]
    assert not await store.live(ANN.ends_us)


async def test_what_was_ended_is_remembered_until_nobody_can_use_it_any_more(store: SessionStore) -> None:
    await store.begin(ANN, NOW_US)
    for _ in range(2):
        await store.end([ANN], NOW_US)
        assert not await store.live(NOW_US)
        assert [*await store.ended(ANN.ends_us)] == ["s-1"]
    assert not await store.ended(ANN.remembered_until_us)
    await store.end([], NOW_US)


async def test_a_token_is_taken_once(store: SessionStore) -> None:
    assert not await store.take_token(b"t" * 32)
    await store.keep_token(b"t" * 32, 300)
    assert await store.take_token(b"t" * 32)
    assert not await store.take_token(b"t" * 32)


async def test_a_token_is_kept_for_five_minutes(valkey: redis.Client) -> None:
    await RedisSessions(valkey).keep_token(b"t" * 32, 300)
    assert 290 < await valkey.ttl(f"jm:{{people}}:token:{(b't' * 32).hex()}") <= 300


async def test_what_a_newer_version_stored_is_not_misread(valkey: redis.Client) -> None:
    await valkey.zadd("jm:{people}:live", {b"\x97\x02\xa1s\xa1p\xa0\x90\x01\x02": NOW_US * 2})
    with pytest.raises(VersionMismatch):
        await RedisSessions(valkey).live(NOW_US)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def people(world: World) -> People:
    access = world.access
    await access.create_tenant("acme")
    return People(MemorySessions(), world.audit, lambda: world.now_us, access.random_bytes, access.require_tenant)


@pytest.fixture
async def stub(people: People) -> AsyncIterator["PeopleServiceAsyncStub"]:
    async with serving(lambda to: add_PeopleServiceServicer_to_server(PeopleServicer(people), to)) as channel:
        yield PeopleServiceStub(channel)


def asked(person: str = "person:ann", tenant: str = "", seconds: int = 3600) -> wire.BeginSessionRequest:
    return wire.BeginSessionRequest(person=person, tenant=tenant, roles=["viewer", "admin"], lifetime_seconds=seconds)


async def acts(world: World) -> list[tuple[str, str, str]]:
    """What the audit log says, the oldest first."""
    listed, _ = await world.audit.listed(Filters(), 0, 100)
    return [(each.entry.act.actor, each.entry.act.action, each.entry.act.subject) for each in reversed(listed)]


async def test_a_person_s_sessions_end_and_nobody_else_s(stub: "PeopleServiceAsyncStub", world: World) -> None:
    ids = [(await stub.BeginSession(asked(*who))).session_id for who in (("a",), ("a",), ("a", "acme"), ("b",))]
    assert len(set(ids)) == len(ids)
    ended = await stub.EndSessions(wire.EndSessionsRequest(person="a"))
    assert ended.ended_count == 2
    left = (await stub.ListSessions(wire.ListSessionsRequest())).sessions
    assert {(each.person, each.tenant) for each in left} == {("a", "acme"), ("b", "")}
    assert [*left[0].roles] == ["admin", "viewer"]
    assert {*(await stub.GetEndedSessions(wire.GetEndedSessionsRequest())).session_ids} == {*ids[:2]}
    assert (await acts(world))[-2:] == [("b", "people.sign-in", "admin,viewer"), ("command", "people.end", "a")]


async def test_a_session_is_forgotten_when_it_ends(stub: "PeopleServiceAsyncStub", world: World) -> None:
    await stub.BeginSession(asked())
    world.now_us += HOUR_US
    assert not (await stub.ListSessions(wire.ListSessionsRequest())).sessions
    assert (await stub.EndSessions(wire.EndSessionsRequest(person="person:ann"))).ended_count == 0


async def test_a_token_signs_in_once_and_is_recorded_without_its_text(
    stub: "PeopleServiceAsyncStub", world: World
) -> None:
    token = (await stub.CreateSignInToken(wire.CreateSignInTokenRequest())).token
    assert len(token) >= 43
    await stub.RedeemSignInToken(wire.RedeemSignInTokenRequest(token=token))
    for wrong in (token, "", "x"):
        with pytest.raises(Unauthenticated, match="SIGN_IN_FAILED"):
            await stub.RedeemSignInToken(wire.RedeemSignInTokenRequest(token=wrong))
    assert (await acts(world))[1:] == [("command", "people.create-token", "")]


async def test_people_go_with_their_tenant(people: People, stub: "PeopleServiceAsyncStub", world: World) -> None:
    ended, left = [(await stub.BeginSession(asked("a", tenant))).session_id for tenant in ("acme", "")]
    keys = AccessServicer(world.access, people.end_of_tenant)
    async with serving(lambda to: add_AccessServiceServicer_to_server(keys, to)) as channel:
        for _ in range(2):
            await AccessServiceStub(channel).DeleteTenant(access_pb2.DeleteTenantRequest(name="acme"))
    assert [*(await stub.GetEndedSessions(wire.GetEndedSessionsRequest())).session_ids] == [ended]
    assert [each.session_id for each in (await stub.ListSessions(wire.ListSessionsRequest())).sessions] == [left]
    for tenant in ("acme", "never-was"):
        with pytest.raises(NotFound, match="TENANT_NOT_FOUND"):
            await stub.BeginSession(asked("a", tenant))


@pytest.mark.parametrize(
    "request_",
    [asked(person=""), asked(person="p" * 65), asked(seconds=0), asked(seconds=86_401), wire.BeginSessionRequest()],
)
async def test_what_cannot_be_a_session_is_refused(
    stub: "PeopleServiceAsyncStub", request_: wire.BeginSessionRequest
) -> None:
    with pytest.raises(InvalidArgument):
        await stub.BeginSession(request_)
    with pytest.raises(InvalidArgument):
        await stub.EndSessions(wire.EndSessionsRequest())
