"""Tenants, over a real stub and every store: created once, their keys end with them, and nobody gets their names."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec
import pytest
from journeymesh.access.v1 import access_pb2 as wire
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub, add_AccessServiceServicer_to_server

from mesh.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from mesh.store import redis
from services.access.audit.usecases import Filters
from services.access.keys.adapters.memory import MemoryKeys
from services.access.keys.adapters.redis import RedisKeys
from services.access.keys.domain.tenant import MOST, Tenant
from services.access.keys.ports import NO_REVISION, KeyStore
from services.access.keys.servicer import AccessServicer
from tests.access.builders import World, asked, key
from tests.builders import NOW_US, SECOND_US
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.access.v1.access_pb2_grpc import AccessServiceAsyncStub


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> KeyStore:
    return MemoryKeys() if request.param == "memory" else RedisKeys(valkey)


@pytest.fixture
def world(store: KeyStore) -> World:
    return World(store)


@pytest.fixture
async def stub(world: World) -> AsyncIterator["AccessServiceAsyncStub"]:
    async with serving(lambda to: add_AccessServiceServicer_to_server(AccessServicer(world.access), to)) as channel:
        yield AccessServiceStub(channel)


def of(tenant: str) -> wire.CreateKeyRequest:
    return wire.CreateKeyRequest(kind=wire.KEY_KIND_SECRET, name="server", tenant=tenant)


async def created(stub: "AccessServiceAsyncStub", name: str) -> wire.Tenant:
    return (await stub.CreateTenant(wire.CreateTenantRequest(name=name))).tenant


async def test_keys_are_of_the_tenant_they_were_created_for(stub: "AccessServiceAsyncStub") -> None:
    await created(stub, "acme")
    made, default = await stub.CreateKey(of("acme")), await stub.CreateKey(of(""))
    assert (made.key.tenant, default.key.tenant) == ("acme", "")
    entries = {entry.key_id: entry.tenant for entry in (await stub.GetKeyring(wire.GetKeyringRequest())).entries}
    assert entries == {made.key.key_id: "acme", default.key.key_id: ""}
    rotated = await stub.RotateKey(wire.RotateKeyRequest(key_id=made.key.key_id, grace_seconds=60))
    assert (rotated.key.tenant, rotated.replaced.tenant) == ("acme", "acme")


async def test_keys_end_with_their_tenant(stub: "AccessServiceAsyncStub", world: World) -> None:
    for name in ("acme", "other"):
        await created(stub, name)
    one, two, others, default = [await stub.CreateKey(of(name)) for name in ("acme", "acme", "other", "")]
    await stub.RevokeKey(wire.RevokeKeyRequest(key_id=two.key.key_id))
    world.now_us += SECOND_US
    deleted = await stub.DeleteTenant(wire.DeleteTenantRequest(name="acme"))
    assert (deleted.ended_key_count, deleted.tenant.deleted_at.ToMicroseconds()) == (1, world.now_us)
    states = {each.key_id: each.state for each in (await stub.ListKeys(wire.ListKeysRequest())).keys}
    assert states == {
        one.key.key_id: wire.KEY_STATE_TENANT_DELETED,
        two.key.key_id: wire.KEY_STATE_REVOKED,
        others.key.key_id: wire.KEY_STATE_ACTIVE,
        default.key.key_id: wire.KEY_STATE_ACTIVE,
    }
    with pytest.raises(FailedPrecondition, match="KEY_ENDED"):
        await stub.RotateKey(wire.RotateKeyRequest(key_id=one.key.key_id))
    revision = (await stub.GetKeyring(wire.GetKeyringRequest())).revision
    again = await stub.DeleteTenant(wire.DeleteTenantRequest(name="acme"))
    assert (again.ended_key_count, again.tenant) == (0, deleted.tenant)
    assert (await stub.GetKeyring(wire.GetKeyringRequest(known_revision=revision))).is_unchanged


async def test_the_name_of_a_tenant_is_given_once(stub: "AccessServiceAsyncStub") -> None:
    await created(stub, "acme")
    with pytest.raises(AlreadyExists, match="TENANT_EXISTS"):
        await created(stub, "acme")
    await stub.DeleteTenant(wire.DeleteTenantRequest(name="acme"))
    with pytest.raises(AlreadyExists, match="TENANT_EXISTS"):
        await created(stub, "acme")
    with pytest.raises(NotFound, match="TENANT_NOT_FOUND"):
        await stub.CreateKey(of("acme"))


async def test_tenants_are_listed_by_name(stub: "AccessServiceAsyncStub") -> None:
    made = [await created(stub, name) for name in ("b", "a", "c")]
    await stub.DeleteTenant(wire.DeleteTenantRequest(name="c"))
    listed = (await stub.ListTenants(wire.ListTenantsRequest())).tenants
    assert [(each.name, each.HasField("deleted_at")) for each in listed] == [("a", False), ("b", False), ("c", True)]
    assert {each.created_at.ToMicroseconds() for each in made} == {NOW_US}


@pytest.mark.parametrize("name", ["", "default", "Acme", "a b", "a\x1fb", "-a", "a" * 32])
async def test_what_cannot_be_a_tenant_is_refused(stub: "AccessServiceAsyncStub", name: str) -> None:
    with pytest.raises(InvalidArgument, match="VALUE_OUT_OF_RANGE"):
        await created(stub, name)
    for attempt in (stub.CreateKey(of(name or "unknown")), stub.DeleteTenant(wire.DeleteTenantRequest(name=name))):
        with pytest.raises(NotFound, match="TENANT_NOT_FOUND"):
            await attempt


async def test_there_are_only_so_many_tenants(stub: "AccessServiceAsyncStub", world: World) -> None:
    many = [Tenant(f"t{number}", NOW_US) for number in range(MOST)]
    assert await world.store.change([], [], NO_REVISION, "r1", many)
    with pytest.raises(FailedPrecondition, match="TOO_MANY_TENANTS"):
        await created(stub, "acme")
    await stub.DeleteTenant(wire.DeleteTenantRequest(name="t1"))
    await created(stub, "acme")


async def test_no_key_outlives_a_tenant_that_is_deleted_meanwhile(store: KeyStore) -> None:
    one, other = World(store, seed=1), World(store, seed=2)
    await one.access.create_tenant("acme")
    request = dataclasses.replace(asked(), tenant="acme")
    await asyncio.gather(
        *(one.access.create(request) for _ in range(4)),
        other.access.delete_tenant("acme"),
        return_exceptions=True,
    )
    assert all(each.has_ended for each in await one.access.listed())


async def test_tenants_are_changed_with_the_keys_or_not_at_all(store: KeyStore) -> None:
    assert not await store.change([], [], "r0", "r1", [Tenant("acme", 1)])
    assert not (await store.read()).tenants
    of_acme = dataclasses.replace(key("k1"), tenant="acme")
    assert await store.change([of_acme], [], NO_REVISION, "r1", [Tenant("acme", 1), Tenant("gone", 1, 2)])
    snapshot = await store.read()
    assert dict(snapshot.tenants) == {"acme": Tenant("acme", 1), "gone": Tenant("gone", 1, 2)}
    assert dict(snapshot.keys) == {"k1": of_acme}


async def test_a_key_whose_tenant_cannot_be_read_opens_nothing(server: redis.Client) -> None:
    store = RedisKeys(server)
    of_acme = dataclasses.replace(key("k1"), tenant="acme")
    await store.change([of_acme, key("k2")], [], NO_REVISION, "r1", [Tenant("acme", 1)])
    await server.hset("jm:{access}:tenants", "acme", b"\xc1")
    assert (await store.read()).keys.keys() == {"k2"}
    await server.hset("jm:{access}:tenants", "acme", msgspec.msgpack.encode([1, 1, 0, None, "", 0, [[], []], "newer"]))
    assert (await store.read()).keys.keys() == {"k1", "k2"}


async def test_acts_upon_tenants_are_recorded(stub: "AccessServiceAsyncStub", world: World) -> None:
    await created(stub, "acme")
    await stub.DeleteTenant(wire.DeleteTenantRequest(name="acme"))
    entries, _ = await world.audit.listed(Filters(), 0, 20)
    acts = [(each.entry.act.actor, each.entry.act.action, each.entry.act.subject) for each in entries]
    assert acts == [("command", "tenants.delete", "acme"), ("command", "tenants.create", "acme")]


async def test_gateways_learn_how_much_a_tenant_may(stub: "AccessServiceAsyncStub") -> None:
    limited = wire.CreateTenantRequest(name="acme", rate=wire.Rate(per_second=5))
    assert (await stub.CreateTenant(limited)).tenant.rate == wire.Rate(per_second=5, burst=10)
    for tenant in ("acme", ""):
        await stub.CreateKey(of(tenant))

    async def rates() -> dict[str, wire.Rate | None]:
        entries = (await stub.GetKeyring(wire.GetKeyringRequest())).entries
        return {entry.tenant: entry.tenant_rate if entry.HasField("tenant_rate") else None for entry in entries}

    assert await rates() == {"acme": wire.Rate(per_second=5, burst=10), "": None}
    raised = wire.LimitTenantRequest(name="acme", rate=wire.Rate(per_second=7, burst=8))
    assert (await stub.LimitTenant(raised)).tenant.rate == raised.rate
    assert await rates() == {"acme": raised.rate, "": None}
    assert not (await stub.LimitTenant(wire.LimitTenantRequest(name="acme"))).tenant.HasField("rate")
    assert await rates() == {"acme": None, "": None}


@pytest.mark.parametrize("name", ["globex", "", "default"])
async def test_only_tenants_that_there_are_get_a_rate(stub: "AccessServiceAsyncStub", name: str) -> None:
    with pytest.raises(NotFound) as caught:
        await stub.LimitTenant(wire.LimitTenantRequest(name=name, rate=wire.Rate(per_second=5)))
    assert caught.value.reason == "TENANT_NOT_FOUND"
    await created(stub, "acme")
    await stub.DeleteTenant(wire.DeleteTenantRequest(name="acme"))
    with pytest.raises(NotFound):
        await stub.LimitTenant(wire.LimitTenantRequest(name="acme"))


async def test_a_repeated_request_creates_a_tenant_once(stub: "AccessServiceAsyncStub", world: World) -> None:
    request = wire.CreateTenantRequest(name="acme", rate=wire.Rate(per_second=5), request_id="r-1")
    first = await stub.CreateTenant(request)
    world.now_us += SECOND_US
    assert await stub.CreateTenant(request) == first
    for other in ("r-2", ""):
        with pytest.raises(AlreadyExists):
            await stub.CreateTenant(wire.CreateTenantRequest(name="acme", request_id=other))
    await created(stub, "globex")
    with pytest.raises(AlreadyExists):  # without an id nobody knows whether it is the same request
        await created(stub, "globex")
    with pytest.raises(InvalidArgument):
        await stub.CreateTenant(wire.CreateTenantRequest(name="other", request_id="r" * 65))


async def test_retention_and_masking_are_set_kept_and_told_to_ingest(stub: "AccessServiceAsyncStub") -> None:
    await created(stub, "acme")
    await created(stub, "globex")
    none = await stub.GetTenantSettings(wire.GetTenantSettingsRequest())
    assert not none.settings
    retained = await stub.SetTenantRetention(wire.SetTenantRetentionRequest(name="acme", days=30))
    assert retained.tenant.retention_days == 30
    asked_for = wire.TenantMasking(kinds=[wire.MASKED_KIND_PHONE, wire.MASKED_KIND_EMAIL], names=["b", "a", "b"])
    masked = (await stub.SetTenantMasking(wire.SetTenantMaskingRequest(name="acme", masking=asked_for))).tenant
    kinds = [wire.MASKED_KIND_EMAIL, wire.MASKED_KIND_PHONE]
    assert masked.masking == wire.TenantMasking(kinds=kinds, names=["a", "b"])
    told = await stub.GetTenantSettings(wire.GetTenantSettingsRequest(known_revision=none.revision))
    assert list(told.settings) == [wire.TenantSettings(tenant="acme", retention_days=30, masking=masked.masking)]
    assert (await stub.GetTenantSettings(wire.GetTenantSettingsRequest(known_revision=told.revision))).is_unchanged
    # They hold for what a tenant has left, and can be changed for that.
    await stub.DeleteTenant(wire.DeleteTenantRequest(name="acme"))
    await stub.SetTenantRetention(wire.SetTenantRetentionRequest(name="acme", days=1))
    await stub.SetTenantMasking(wire.SetTenantMaskingRequest(name="acme"))
    (left,) = (await stub.GetTenantSettings(wire.GetTenantSettingsRequest())).settings
    assert (left.tenant, left.retention_days, left.masking) == ("acme", 1, wire.TenantMasking())
    await stub.SetTenantRetention(wire.SetTenantRetentionRequest(name="acme"))
    assert not (await stub.GetTenantSettings(wire.GetTenantSettingsRequest())).settings


async def test_retention_and_masking_have_limits_and_need_a_tenant(stub: "AccessServiceAsyncStub") -> None:
    await created(stub, "acme")
    with pytest.raises(InvalidArgument):
        await stub.SetTenantRetention(wire.SetTenantRetentionRequest(name="acme", days=36_501))
    wrong = (
        wire.TenantMasking(names=[""]),
        wire.TenantMasking(names=["_-"]),
        wire.TenantMasking(names=["a,b"]),
        wire.TenantMasking(names=["x" * 65]),
        wire.TenantMasking(names=[str(number) for number in range(101)]),
        wire.TenantMasking(kinds=[99]),  # type: ignore[list-item]
    )
    for masking in wrong:
        with pytest.raises(InvalidArgument):
            await stub.SetTenantMasking(wire.SetTenantMaskingRequest(name="acme", masking=masking))
    for name in ("", "globex"):
        with pytest.raises(NotFound):
            await stub.SetTenantRetention(wire.SetTenantRetentionRequest(name=name, days=1))
        with pytest.raises(NotFound):
            await stub.SetTenantMasking(wire.SetTenantMaskingRequest(name=name))
    assert not (await stub.GetTenantSettings(wire.GetTenantSettingsRequest())).settings


async def test_who_changes_retention_and_masking_is_recorded(stub: "AccessServiceAsyncStub", world: World) -> None:
    await created(stub, "acme")
    await stub.SetTenantRetention(wire.SetTenantRetentionRequest(name="acme", days=30, actor="k1"))
    await stub.SetTenantMasking(
        wire.SetTenantMaskingRequest(name="acme", masking=wire.TenantMasking(names=["order_note"]))
    )
    entries, _ = await world.audit.listed(Filters(), 0, 2)
    acts = [(each.entry.act.actor, each.entry.act.action, each.entry.act.subject) for each in entries]
    assert acts == [("command", "tenants.masking", "acme"), ("k1", "tenants.retention", "acme 30")]
