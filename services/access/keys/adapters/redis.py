"""Keys in Redis: a hash of keys, one of tenants, one of uses and the revision, under one hash tag."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TypeVar, cast

import msgspec

from mesh.errors import VersionMismatch
from mesh.store import redis
from services.access.keys.domain.key import Credentials, Ending, Key, Rights
from services.access.keys.domain.rate import Rate
from services.access.keys.domain.tenant import Masking, Tenant
from services.access.keys.ports import NO_REVISION, Snapshot

_KEYS: Final = "jm:{access}:keys"
_REVISION: Final = "jm:{access}:revision"
_USES: Final = "jm:{access}:uses"
_TENANTS: Final = "jm:{access}:tenants"
_VERSION: Final = 1
_Kept = TypeVar("_Kept", Key, Tenant)

_log = logging.getLogger(__name__)

# KEYS: the revision, the keys, the tenants.
_READ: Final = redis.Script("""
return {redis.call('GET', KEYS[1]) or '', redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3])}
""")
# KEYS: the revision, the keys, the uses, the tenants. ARGV: the revision before and after, how many ids to drop, how
# many tenants to put, those ids, name and bytes of each of those tenants, then id and bytes of each key to put.
_CHANGE: Final = redis.Script("""
local revision = redis.call('GET', KEYS[1]) or ''
if revision == ARGV[2] then return 1 end
if revision ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
local last = 4 + tonumber(ARGV[3])
for i = 5, last do
  redis.call('HDEL', KEYS[2], ARGV[i])
  redis.call('HDEL', KEYS[3], ARGV[i])
end
local named = last + 2 * tonumber(ARGV[4])
for i = last + 1, named, 2 do redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1]) end
for i = named + 1, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
""")
# KEYS: the keys, the uses. ARGV: id and time of each use.
_USE: Final = redis.Script("""
for i = 1, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    local known = tonumber(redis.call('HGET', KEYS[2], ARGV[i]) or '0')
    if known < tonumber(ARGV[i + 1]) then redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
  end
end
return 1
""")


class _Packed(msgspec.Struct, array_like=True):
    """A key as it is stored under its id; grows at its end."""

    version: int
    kind: str
    name: str
    scopes: tuple[str, ...]
    origins: tuple[str, ...]
    event_types: tuple[str, ...]
    created_us: int
    ends_us: int
    ended_as: str
    successor_id: str
    text_hash: bytes
    identity_secret: str
    tenant: str = ""
    rate: tuple[int, int] | None = None


class _PackedTenant(msgspec.Struct, array_like=True):
    """A tenant as it is stored under its name; grows at its end."""

    version: int
    created_us: int
    deleted_us: int
    rate: tuple[int, int] | None = None
    request_id: str = ""
    retention_days: int = 0
    masking: tuple[tuple[int, ...], tuple[str, ...]] = ((), ())


class _Version(msgspec.Struct, array_like=True):
    version: int


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Packed).decode
_DECODE_TENANT: Final = msgspec.msgpack.Decoder(_PackedTenant).decode
_DECODE_VERSION: Final = msgspec.msgpack.Decoder(_Version).decode


class RedisKeys:
    """Keeps keys in Redis."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def revision(self) -> str:
        """See `services.access.keys.ports.KeyStore`."""
        with redis.translating_errors():
            found = cast("bytes | None", await self._client.get(_REVISION))
        return found.decode() if found else NO_REVISION

    async def read(self) -> Snapshot:
        """See `services.access.keys.ports.KeyStore`."""
        call = redis.Call([_REVISION, _KEYS, _TENANTS], [])
        ((revision, members, named),) = await _READ.run(self._client, call)
        tenants = _read("tenant", named, _decode_tenant)
        keys = _read("key", members, _decode)
        # A key of a tenant that nobody knows must not open anything.
        known = {key_id: key for key_id, key in keys.items() if not key.tenant or key.tenant in tenants}
        return Snapshot(revision.decode() or NO_REVISION, known, tenants)

    async def change(
        self, put: Sequence[Key], dropped: Collection[str], before: str, after: str, tenants: Sequence[Tenant] = ()
    ) -> bool:
        """See `services.access.keys.ports.KeyStore`."""
        expected = "" if before == NO_REVISION else before
        pairs = [part for key in put for part in (key.key_id, _encode(key))]
        named = [part for tenant in tenants for part in (tenant.name, _encode_tenant(tenant))]
        arguments = [expected, after, len(dropped), len(tenants), *dropped, *named, *pairs]
        call = redis.Call([_REVISION, _KEYS, _USES, _TENANTS], arguments)
        (is_changed,) = await _CHANGE.run(self._client, call)
        return bool(is_changed)

    async def record_uses(self, uses: Mapping[str, int]) -> None:
        """See `services.access.keys.ports.KeyStore`."""
        pairs = [part for use in uses.items() for part in use]
        await _USE.run(self._client, redis.Call([_KEYS, _USES], pairs))

    async def last_used(self) -> Mapping[str, int]:
        """See `services.access.keys.ports.KeyStore`."""
        with redis.translating_errors():
            found = cast("dict[bytes, bytes]", await self._client.hgetall(_USES))
        return {key_id.decode(): int(used_us) for key_id, used_us in found.items()}

    async def ping(self) -> None:
        """See `services.access.keys.ports.KeyStore`."""
        await redis.ping(self._client)


def _encode(key: Key) -> bytes:
    rights, credentials = key.rights, key.credentials
    return _ENCODE(
        _Packed(
            _VERSION,
            key.kind,
            key.name,
            rights.scopes,
            rights.origins,
            rights.event_types,
            key.created_us,
            key.ends_us,
            key.ended_as,
            key.successor_id,
            credentials.text_hash,
            credentials.identity_secret,
            key.tenant,
            rights.rate,
        )
    )


def _decode(key_id: str, blob: bytes) -> Key:
    """A key as it is stored.

    Raises:
        VersionMismatch: only a newer build can read it.
        DecodeError, ValueError: nobody can.
    """
    if _DECODE_VERSION(blob).version > _VERSION:
        raise VersionMismatch("A key was stored by a newer version of the service.")
    packed = _DECODE(blob)
    return Key(
        Credentials(key_id, packed.text_hash, packed.identity_secret),
        packed.kind,
        packed.name,
        Rights(packed.scopes, packed.origins, packed.event_types, _rate(packed.rate)),
        packed.created_us,
        packed.ends_us,
        Ending(packed.ended_as),
        packed.successor_id,
        packed.tenant,
    )


def _encode_tenant(tenant: Tenant) -> bytes:
    return _ENCODE(
        _PackedTenant(
            _VERSION,
            tenant.created_us,
            tenant.deleted_us,
            tenant.rate,
            tenant.request_id,
            tenant.retention_days,
            tenant.masking,
        )
    )


def _decode_tenant(name: str, blob: bytes) -> Tenant:
    """A tenant as it is stored; raises as `_decode`."""
    if _DECODE_VERSION(blob).version > _VERSION:
        raise VersionMismatch("A tenant was stored by a newer version of the service.")
    packed = _DECODE_TENANT(blob)
    return Tenant(
        name,
        packed.created_us,
        packed.deleted_us,
        _rate(packed.rate),
        packed.request_id,
        packed.retention_days,
        Masking(*packed.masking),
    )


def _rate(packed: tuple[int, int] | None) -> Rate | None:
    return Rate(*packed) if packed else None


def _read(what: str, members: Sequence[bytes], decode: Callable[[str, bytes], _Kept]) -> dict[str, _Kept]:
    """The members of a hash, by name, without those that nobody can read.

    Raises:
        VersionMismatch: only a newer build can read one.
    """
    found = {}
    for name, blob in zip(members[::2], members[1::2], strict=True):
        try:
            found[name.decode()] = decode(name.decode(), blob)
        except (msgspec.DecodeError, ValueError):
            # Nobody can use it any more, which is the safe side; all others stay valid.
            _log.exception("%s %r cannot be read: it is left out", what, name)
    return found
