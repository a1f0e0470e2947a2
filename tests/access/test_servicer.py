"""The service behind a real server, with real interceptors and a real stub."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from journeymesh.access.v1 import access_pb2 as wire
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub, add_AccessServiceServicer_to_server
from journeymesh.common.v1 import event_pb2

from gateway.formats import schema
from mesh import keys as texts
from mesh.clock import LATEST_US
from mesh.errors import AlreadyExists, FailedPrecondition, InvalidArgument, MeshError, NotFound, Unavailable
from mesh.store import redis
from services.access.keys.adapters.redis import RedisKeys
from services.access.keys.domain.key import Key
from services.access.keys.domain.lifecycle import MOST_ACTIVE
from services.access.keys.ports import KeyStore
from services.access.keys.servicer import AccessServicer
from services.access.keys.translation import VOCABULARY
from services.access.keys.usecases import MOST_USES
from tests.access.builders import DAY_US, World, asked, key
from tests.builders import MINUTE_US, NOW_US, SECOND_US
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.access.v1.access_pb2_grpc import AccessServiceAsyncStub

DAY = 86_400
DEAD = "redis://127.0.0.1:1/0"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def stub(world: World) -> AsyncIterator["AccessServiceAsyncStub"]:
    async with serving(
        lambda server: add_AccessServiceServicer_to_server(AccessServicer(world.access), server)
    ) as channel:
        yield AccessServiceStub(channel)


def public(name: str = "shop", *, lifetime: int = 0, **rights: Any) -> wire.CreateKeyRequest:
    """Asks for a public key."""
    return wire.CreateKeyRequest(
        kind=wire.KEY_KIND_PUBLIC, name=name, rights=wire.KeyRights(**rights), lifetime_seconds=lifetime
    )


def secret(name: str = "server", *, lifetime: int = 0, **rights: Any) -> wire.CreateKeyRequest:
    """Asks for a secret key."""
    return wire.CreateKeyRequest(
        kind=wire.KEY_KIND_SECRET, name=name, rights=wire.KeyRights(**rights), lifetime_seconds=lifetime
    )


async def keyring(stub: "AccessServiceAsyncStub", known: str = "") -> wire.GetKeyringResponse:
    """What a gateway is answered."""
    return await stub.GetKeyring(wire.GetKeyringRequest(known_revision=known))


def test_event_types_are_spelled_as_the_gateway_spells_them() -> None:
    assert VOCABULARY.event_types == schema.EVENT_TYPES.keys()
    assert "page_view" in VOCABULARY.event_types
    assert len(VOCABULARY.event_types) == len(event_pb2.EventType.items()) - 1


async def test_a_key_is_created_with_all_that_was_asked(stub: "AccessServiceAsyncStub") -> None:
    request = public(
        " the shop ",
        lifetime=90 * DAY,
        scopes=["events:write"],
        origins=["https://Shop.example:443/", "https://*.shop.example", "http://localhost:3000"],
        event_types=["page_view", "click", "click"],
    )
    made = await stub.CreateKey(request)
    presented = texts.presented(made.text)
    assert presented is not None
    assert (presented.kind, presented.key_id) == (texts.Kind.PUBLIC, made.key.key_id)
    assert len(made.identity_secret) == 43
    assert made.key.name == "the shop"
    assert list(made.key.rights.scopes) == ["events:write"]
    assert list(made.key.rights.origins) == ["http://localhost:3000", "https://*.shop.example", "https://shop.example"]
    assert list(made.key.rights.event_types) == ["click", "page_view"]
    assert made.key.state == wire.KEY_STATE_ACTIVE
    assert made.key.created_at.ToMicroseconds() == NOW_US
    assert made.key.ends_at.ToMicroseconds() == NOW_US + 90 * DAY_US
    assert not made.key.HasField("last_used_at")
    (entry,) = (await keyring(stub)).entries
    assert entry.key_id == made.key.key_id
    assert entry.text_hash == hashlib.sha256(made.text.encode()).digest()
    assert entry.rights == made.key.rights
    assert entry.ends_us == made.key.ends_at.ToMicroseconds()
    assert (entry.kind, entry.ended_as) == (wire.KEY_KIND_PUBLIC, wire.KEY_STATE_EXPIRED)
    assert entry.identity_secret == made.identity_secret


@pytest.mark.parametrize("kind", [wire.KEY_KIND_PUBLIC, wire.KEY_KIND_SECRET, wire.KEY_KIND_ADMIN])
async def test_without_scopes_a_key_has_the_usual_ones(
    stub: "AccessServiceAsyncStub", kind: wire.KeyKind.ValueType
) -> None:
    made = await stub.CreateKey(wire.CreateKeyRequest(kind=kind, name="x"))
    presented = texts.presented(made.text)
    assert presented is not None
    assert list(made.key.rights.scopes) == sorted(texts.USUAL_SCOPES[presented.kind])
    assert not made.key.HasField("ends_at")
    assert bool(made.identity_secret) == (kind == wire.KEY_KIND_PUBLIC)


async def test_keys_are_listed_newest_first_with_their_use(stub: "AccessServiceAsyncStub", world: World) -> None:
    first = await stub.CreateKey(secret("first"))
    world.now_us += SECOND_US
    second = await stub.CreateKey(public("second"))
    used_us = NOW_US - 7 * SECOND_US
    uses = [wire.KeyUse(key_id=first.key.key_id, used_us=used_us), wire.KeyUse(key_id="unknown", used_us=used_us)]
    await stub.RecordKeyUses(wire.RecordKeyUsesRequest(uses=uses))
    listed = (await stub.ListKeys(wire.ListKeysRequest())).keys
    assert [each.key_id for each in listed] == [second.key.key_id, first.key.key_id]
    assert not listed[0].HasField("last_used_at")
    assert listed[1].last_used_at.ToMicroseconds() == used_us // MINUTE_US * MINUTE_US
    assert listed[0] == second.key


async def test_a_time_of_use_never_moves_back_nor_beyond_now(stub: "AccessServiceAsyncStub") -> None:
    made = await stub.CreateKey(secret())
    for used_us in (NOW_US - MINUTE_US, LATEST_US, NOW_US - 9 * MINUTE_US):
        use = wire.KeyUse(key_id=made.key.key_id, used_us=used_us)
        await stub.RecordKeyUses(wire.RecordKeyUsesRequest(uses=[use]))
    (listed,) = (await stub.ListKeys(wire.ListKeysRequest())).keys
    assert listed.last_used_at.ToMicroseconds() == NOW_US // MINUTE_US * MINUTE_US


async def test_a_successor_has_the_rights_and_the_end_of_the_old_key(
    stub: "AccessServiceAsyncStub", world: World
) -> None:
    old = await stub.CreateKey(public(lifetime=90 * DAY, scopes=["help"], origins=["https://shop.example"]))
    await stub.RecordKeyUses(wire.RecordKeyUsesRequest(uses=[wire.KeyUse(key_id=old.key.key_id, used_us=world.now_us)]))
    world.now_us += DAY_US
    new = await stub.RotateKey(wire.RotateKeyRequest(key_id=old.key.key_id, grace_seconds=DAY))
    assert new.key.key_id != old.key.key_id
    assert (new.key.kind, new.key.name, new.key.rights) == (old.key.kind, old.key.name, old.key.rights)
    assert new.key.ends_at == old.key.ends_at
    assert new.text != old.text
    assert len({new.identity_secret, old.identity_secret, ""}) == 3
    assert new.replaced.successor_id == new.key.key_id
    assert new.replaced.state == wire.KEY_STATE_ACTIVE
    assert new.replaced.ends_at.ToMicroseconds() == world.now_us + DAY_US
    assert new.replaced.HasField("last_used_at")
    world.now_us += DAY_US
    states = {each.key_id: each.state for each in (await stub.ListKeys(wire.ListKeysRequest())).keys}
    assert states == {old.key.key_id: wire.KEY_STATE_ROTATED, new.key.key_id: wire.KEY_STATE_ACTIVE}


async def test_a_key_that_expires_within_its_grace_has_expired(stub: "AccessServiceAsyncStub", world: World) -> None:
    old = await stub.CreateKey(secret(lifetime=3600))
    new = await stub.RotateKey(wire.RotateKeyRequest(key_id=old.key.key_id, grace_seconds=DAY))
    assert new.replaced.ends_at == old.key.ends_at
    world.now_us += 3600 * SECOND_US
    assert {each.state for each in (await stub.ListKeys(wire.ListKeysRequest())).keys} == {wire.KEY_STATE_EXPIRED}


async def test_a_key_in_its_grace_is_revoked_at_once(stub: "AccessServiceAsyncStub", world: World) -> None:
    old = await stub.CreateKey(secret())
    await stub.RotateKey(wire.RotateKeyRequest(key_id=old.key.key_id, grace_seconds=DAY))
    world.now_us += SECOND_US
    revoked = (await stub.RevokeKey(wire.RevokeKeyRequest(key_id=old.key.key_id))).key
    assert revoked.state == wire.KEY_STATE_REVOKED
    assert revoked.ends_at.ToMicroseconds() == world.now_us
    (entry,) = [each for each in (await keyring(stub)).entries if each.key_id == old.key.key_id]
    assert (entry.ended_as, entry.ends_us) == (wire.KEY_STATE_REVOKED, world.now_us)


async def test_revoking_again_changes_nothing(stub: "AccessServiceAsyncStub", world: World) -> None:
    made = await stub.CreateKey(secret())
    first = await stub.RevokeKey(wire.RevokeKeyRequest(key_id=made.key.key_id))
    revision = (await keyring(stub)).revision
    world.now_us += SECOND_US
    assert await stub.RevokeKey(wire.RevokeKeyRequest(key_id=made.key.key_id)) == first
    assert (await keyring(stub, revision)).is_unchanged


async def test_a_keyring_is_sent_only_if_it_changed(stub: "AccessServiceAsyncStub") -> None:
    empty = await keyring(stub)
    assert empty.revision
    assert not empty.is_unchanged
    assert (await keyring(stub, empty.revision)).is_unchanged
    await stub.CreateKey(secret())
    changed = await keyring(stub, empty.revision)
    assert changed.revision != empty.revision
    assert (changed.is_unchanged, len(changed.entries)) == (False, 1)
    same = await keyring(stub, changed.revision)
    assert (same.is_unchanged, same.revision, len(same.entries)) == (True, changed.revision, 0)


async def test_keys_are_forgotten_a_month_after_their_end(stub: "AccessServiceAsyncStub", world: World) -> None:
    made = await stub.CreateKey(secret())
    await stub.RevokeKey(wire.RevokeKeyRequest(key_id=made.key.key_id))
    world.now_us += 30 * DAY_US
    assert len((await stub.ListKeys(wire.ListKeysRequest())).keys) == 1
    world.now_us += 1
    assert not (await stub.ListKeys(wire.ListKeysRequest())).keys
    assert not (await keyring(stub)).entries
    with pytest.raises(NotFound, match="KEY_NOT_FOUND"):
        await stub.RevokeKey(wire.RevokeKeyRequest(key_id=made.key.key_id))
    other = await stub.CreateKey(secret())
    assert (await world.store.read()).keys.keys() == {other.key.key_id}


WRONG = {
    "no kind": (wire.CreateKeyRequest(name="x"), "MISSING_FIELD"),
    "a strange kind": (wire.CreateKeyRequest(name="x", kind=9), "VALUE_OUT_OF_RANGE"),  # type: ignore[arg-type]
    "no name": (secret(""), "MISSING_FIELD"),
    "a blank name": (secret("  "), "MISSING_FIELD"),
    "a long name": (secret("x" * 101), "VALUE_OUT_OF_RANGE"),
    "a name of two lines": (secret("a\nb"), "VALUE_OUT_OF_RANGE"),
    "a name that turns the text round": (secret("a\u202eb"), "VALUE_OUT_OF_RANGE"),
    "a strange scope": (secret(scopes=["everything"]), "VALUE_OUT_OF_RANGE"),
    "a scope for another kind": (public(scopes=["people:read"]), "VALUE_OUT_OF_RANGE"),
    "a scope for operators": (secret(scopes=["operate"]), "VALUE_OUT_OF_RANGE"),
    "a server's origin": (secret(origins=["https://shop.example"]), "VALUE_OUT_OF_RANGE"),
    "many origins": (public(origins=[f"https://{n}.example" for n in range(51)]), "VALUE_OUT_OF_RANGE"),
    "no origin": (public(origins=["shop.example"]), "VALUE_OUT_OF_RANGE"),
    "any origin": (public(origins=["*"]), "VALUE_OUT_OF_RANGE"),
    "an origin without TLS": (public(origins=["http://shop.example"]), "VALUE_OUT_OF_RANGE"),
    "an unknown event type": (secret(event_types=["PAGE_VIEW"]), "VALUE_OUT_OF_RANGE"),
    "the event type that says nothing": (secret(event_types=["unspecified"]), "VALUE_OUT_OF_RANGE"),
    "a short life": (secret(lifetime=59), "VALUE_OUT_OF_RANGE"),
    "a long life": (secret(lifetime=3654 * DAY), "VALUE_OUT_OF_RANGE"),
    "a life that ended before": (secret(lifetime=-60), "VALUE_OUT_OF_RANGE"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_wrong_keys_are_refused(stub: "AccessServiceAsyncStub", wrong: str) -> None:
    request, reason = WRONG[wrong]
    with pytest.raises(InvalidArgument) as raised:
        await stub.CreateKey(request)
    assert raised.value.reason == reason
    assert raised.value.detail.endswith(".")
    assert not (await keyring(stub)).entries


async def test_what_cannot_be_rotated_is_refused(stub: "AccessServiceAsyncStub", world: World) -> None:
    rotated, revoked, expired = [(await stub.CreateKey(secret(lifetime=60))).key.key_id for _ in range(3)]
    await stub.RotateKey(wire.RotateKeyRequest(key_id=rotated, grace_seconds=DAY))
    await stub.RevokeKey(wire.RevokeKeyRequest(key_id=revoked))
    with pytest.raises(FailedPrecondition, match="KEY_ENDED"):
        await stub.RotateKey(wire.RotateKeyRequest(key_id=rotated, grace_seconds=DAY))
    world.now_us += 60 * SECOND_US
    for key_id in (revoked, expired):
        with pytest.raises(FailedPrecondition, match="KEY_ENDED"):
            await stub.RotateKey(wire.RotateKeyRequest(key_id=key_id))
    for grace in (-1, 30 * DAY + 1):
        with pytest.raises(InvalidArgument, match="VALUE_OUT_OF_RANGE"):
            await stub.RotateKey(wire.RotateKeyRequest(key_id=expired, grace_seconds=grace))


async def test_strangers_are_not_found(stub: "AccessServiceAsyncStub") -> None:
    with pytest.raises(NotFound, match="KEY_NOT_FOUND"):
        await stub.RotateKey(wire.RotateKeyRequest(key_id="nobody"))
    with pytest.raises(NotFound, match="KEY_NOT_FOUND"):
        await stub.RevokeKey(wire.RevokeKeyRequest(key_id=""))


async def test_there_are_only_so_many_keys(stub: "AccessServiceAsyncStub", world: World) -> None:
    many: list[Key] = [key(f"k{number}") for number in range(MOST_ACTIVE)]
    await world.store.change(many, [], (await world.store.read()).revision, "r1")
    for attempt in (stub.CreateKey(secret()), stub.RotateKey(wire.RotateKeyRequest(key_id="k1", grace_seconds=60))):
        with pytest.raises(FailedPrecondition, match="TOO_MANY_KEYS"):
            await attempt
    await stub.RotateKey(wire.RotateKeyRequest(key_id="k1"))
    await stub.RevokeKey(wire.RevokeKeyRequest(key_id="k2"))
    await stub.CreateKey(secret())


async def test_wrong_uses_are_refused(stub: "AccessServiceAsyncStub") -> None:
    for uses in (
        [wire.KeyUse(key_id="x")] * (MOST_USES + 1),
        [wire.KeyUse(used_us=-1)],
        [wire.KeyUse(used_us=1 << 60)],
    ):
        with pytest.raises(InvalidArgument, match="VALUE_OUT_OF_RANGE"):
            await stub.RecordKeyUses(wire.RecordKeyUsesRequest(uses=uses))
    await stub.RecordKeyUses(wire.RecordKeyUsesRequest(uses=[wire.KeyUse(key_id=f"k{n}") for n in range(MOST_USES)]))
    await stub.RecordKeyUses(wire.RecordKeyUsesRequest())


async def test_without_the_store_everything_is_unavailable() -> None:
    client = redis.connect(DEAD)
    store: KeyStore = RedisKeys(client)
    access = World(store).access
    async with serving(lambda server: add_AccessServiceServicer_to_server(AccessServicer(access), server)) as channel:
        stub: AccessServiceAsyncStub = AccessServiceStub(channel)
        uses = [wire.KeyUse(key_id="x", used_us=NOW_US)]
        for attempt in (
            stub.CreateKey(secret()),
            stub.ListKeys(wire.ListKeysRequest()),
            stub.RotateKey(wire.RotateKeyRequest(key_id="x")),
            stub.RevokeKey(wire.RevokeKeyRequest(key_id="x")),
            stub.GetKeyring(wire.GetKeyringRequest(known_revision="r")),
            stub.RecordKeyUses(wire.RecordKeyUsesRequest(uses=uses)),
        ):
            with pytest.raises(Unavailable, match="DEPENDENCY_UNAVAILABLE"):
                await attempt
    await client.aclose()


class Contested:
    """A store in which another writer always comes first."""

    def __init__(self, inner: KeyStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        """The store's own methods."""
        return getattr(self._inner, name)

    async def change(self, *_: object) -> bool:
        """Never takes the change."""
        return False


async def test_a_change_that_always_comes_second_is_given_up(world: World) -> None:
    contested: KeyStore = Contested(world.store)  # type: ignore[assignment]
    with pytest.raises(MeshError, match="DEPENDENCY_UNAVAILABLE"):
        await World(contested).access.create(asked())


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (wire.Rate(per_second=1), wire.Rate(per_second=1, burst=2)),
        (wire.Rate(per_second=500, burst=500), wire.Rate(per_second=500, burst=500)),
        (wire.Rate(per_second=1_000_000), wire.Rate(per_second=1_000_000, burst=2_000_000)),
        (wire.Rate(per_second=2, burst=7_200), wire.Rate(per_second=2, burst=7_200)),
    ],
)
async def test_a_rate_stays_with_the_key_and_gateways_learn_it(
    stub: "AccessServiceAsyncStub", asked: wire.Rate, given: wire.Rate
) -> None:
    made = await stub.CreateKey(secret(rate=asked))
    assert made.key.rights.rate == given
    rotated = await stub.RotateKey(wire.RotateKeyRequest(key_id=made.key.key_id))
    assert rotated.key.rights.rate == given
    assert [entry.rights.rate for entry in (await keyring(stub)).entries] == [given, given]
    assert not (await stub.CreateKey(secret())).key.rights.HasField("rate")


@pytest.mark.parametrize(
    "rate",
    [
        wire.Rate(),
        wire.Rate(per_second=1_000_001),
        wire.Rate(per_second=10, burst=9),
        wire.Rate(per_second=10, burst=36_001),
    ],
)
async def test_a_rate_out_of_range_is_refused(stub: "AccessServiceAsyncStub", rate: wire.Rate) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await stub.CreateKey(secret(rate=rate))
    assert caught.value.reason == "VALUE_OUT_OF_RANGE"
    with pytest.raises(InvalidArgument):
        await stub.CreateTenant(wire.CreateTenantRequest(name="acme", rate=rate))


def made(kind: texts.Kind = texts.Kind.SECRET) -> tuple[str, wire.MadeKey]:
    """A key that its holder made: its text, and what the service gets of it."""
    text = texts.new_text(kind, secrets.token_bytes)
    presented = texts.presented(text)
    assert presented is not None
    return text, wire.MadeKey(key_id=presented.key_id, text_hash=presented.text_hash)


async def test_a_key_that_its_holder_made_is_created_once(stub: "AccessServiceAsyncStub") -> None:
    text, own = made(texts.Kind.PUBLIC)
    request = wire.CreateKeyRequest(kind=wire.KEY_KIND_PUBLIC, name="shop", made=own)
    first, *others = await asyncio.gather(*(stub.CreateKey(request) for _ in range(10)))
    assert all(other == first for other in others)
    assert (first.key.key_id, first.text, len(first.identity_secret)) == (own.key_id, "", 43)
    (entry,) = (await keyring(stub)).entries
    assert entry.text_hash == hashlib.sha256(text.encode()).digest()
    assert entry.identity_secret == first.identity_secret


async def test_a_successor_that_its_holder_made_is_created_once(stub: "AccessServiceAsyncStub") -> None:
    old = (await stub.CreateKey(secret())).key
    _, own = made()
    request = wire.RotateKeyRequest(key_id=old.key_id, grace_seconds=0, made=own)
    first, *others = await asyncio.gather(*(stub.RotateKey(request) for _ in range(5)))
    assert all(other == first for other in others)
    assert (first.key.key_id, first.text, first.replaced.successor_id) == (own.key_id, "", own.key_id)
    assert first.replaced.state == wire.KEY_STATE_ROTATED
    with pytest.raises(FailedPrecondition, match="KEY_ENDED"):
        await stub.RotateKey(wire.RotateKeyRequest(key_id=old.key_id, made=made()[1]))
    assert len((await stub.ListKeys(wire.ListKeysRequest())).keys) == 2


async def test_nobody_gets_another_key_by_its_id(stub: "AccessServiceAsyncStub") -> None:
    one, other = (await stub.CreateKey(public())).key, (await stub.CreateKey(secret())).key
    _, fresh = made()
    await stub.CreateKey(wire.CreateKeyRequest(kind=wire.KEY_KIND_SECRET, name="own", made=fresh))
    stolen = wire.MadeKey(key_id=one.key_id, text_hash=bytes(32))
    for act in (
        stub.CreateKey(wire.CreateKeyRequest(kind=wire.KEY_KIND_PUBLIC, name="shop", made=stolen)),
        stub.CreateKey(wire.CreateKeyRequest(kind=wire.KEY_KIND_PUBLIC, name="own", made=fresh)),
        stub.RotateKey(wire.RotateKeyRequest(key_id=other.key_id, made=stolen)),
        stub.RotateKey(wire.RotateKeyRequest(key_id=other.key_id, made=fresh)),
    ):
        with pytest.raises(AlreadyExists) as caught:
            await act
        assert caught.value.reason == "KEY_EXISTS"
    assert not (await stub.ListKeys(wire.ListKeysRequest())).keys[-1].successor_id


@pytest.mark.parametrize(
    "own",
    [
        wire.MadeKey(),
        wire.MadeKey(key_id="k" * 21, text_hash=bytes(32)),
        wire.MadeKey(key_id="k" * 21 + "-", text_hash=bytes(32)),
        wire.MadeKey(key_id="k" * 22, text_hash=bytes(31)),
    ],
)
async def test_what_cannot_be_a_key_is_refused(stub: "AccessServiceAsyncStub", own: wire.MadeKey) -> None:
    for act in (
        stub.CreateKey(wire.CreateKeyRequest(kind=wire.KEY_KIND_SECRET, name="own", made=own)),
        stub.RotateKey(wire.RotateKeyRequest(key_id="k" * 22, made=own)),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await act
        assert caught.value.reason == "VALUE_OUT_OF_RANGE"
