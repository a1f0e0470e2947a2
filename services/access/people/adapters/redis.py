"""Sessions in Redis: those that live and those that were ended, each by when it may be forgotten; a key per token."""

from collections.abc import Collection, Sequence
from typing import Final, cast

import msgspec

from mesh.errors import VersionMismatch
from mesh.store import redis
from mesh.stored import readable
from services.access.people.domain.session import Session

_LIVE: Final = "jm:{people}:live"
_ENDED: Final = "jm:{people}:ended"
_TOKEN: Final = "jm:{people}:token:"  # noqa: S105 - a prefix
_VERSION: Final = 1

# KEYS: those that live. ARGV: now, when the session ends, the session.
_BEGIN: Final = redis.Script("""
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
return 1
""")
# KEYS: those that live, those that were ended. ARGV: now; session, id and until when it is remembered, for each.
_END: Final = redis.Script("""
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])
for i = 2, #ARGV, 3 do
  redis.call('ZREM', KEYS[1], ARGV[i])
  redis.call('ZADD', KEYS[2], ARGV[i + 2], ARGV[i + 1])
end
return 1
""")


class _Packed(msgspec.Struct, array_like=True):
    """A session as it is stored; grows at its end."""

    version: int
    session_id: str
    person: str
    tenant: str
    roles: tuple[str, ...]
    began_us: int
    ends_us: int


class _Version(msgspec.Struct, array_like=True):
    version: int


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Packed).decode
_DECODE_VERSION: Final = msgspec.msgpack.Decoder(_Version).decode


class RedisSessions:
    """Keeps sessions in Redis."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def begin(self, session: Session, now_us: int) -> None:
        """See `services.access.people.ports.SessionStore`."""
        await _BEGIN.run(self._client, redis.Call([_LIVE], [now_us, session.ends_us, _encode(session)]))

    async def live(self, now_us: int) -> Sequence[Session]:
        """See `services.access.people.ports.SessionStore`."""
        with redis.translating_errors():
            found = cast("list[bytes]", await self._client.zrangebyscore(_LIVE, f"({now_us}", "+inf"))
        return [*readable("A session", found, _decode).values()]

    async def end(self, sessions: Sequence[Session], now_us: int) -> None:
        """See `services.access.people.ports.SessionStore`."""
        if not sessions:
            return
        rows = [part for each in sessions for part in (_encode(each), each.session_id, each.remembered_until_us)]
        await _END.run(self._client, redis.Call([_LIVE, _ENDED], [now_us, *rows]))

    async def ended(self, now_us: int) -> Collection[str]:
        """See `services.access.people.ports.SessionStore`."""
        with redis.translating_errors():
            found = cast("list[bytes]", await self._client.zrangebyscore(_ENDED, f"({now_us}", "+inf"))
        return [each.decode() for each in found]

    async def keep_token(self, token_hash: bytes, lifetime_seconds: int) -> None:
        """See `services.access.people.ports.SessionStore`."""
        with redis.translating_errors():
            await self._client.set(_TOKEN + token_hash.hex(), b"", ex=lifetime_seconds)

    async def take_token(self, token_hash: bytes) -> bool:
        """See `services.access.people.ports.SessionStore`."""
        with redis.translating_errors():
            return bool(await self._client.delete(_TOKEN + token_hash.hex()))


def _encode(session: Session) -> bytes:
    return _ENCODE(
        _Packed(
            _VERSION,
            session.session_id,
            session.person,
            session.tenant,
            session.roles,
            session.began_us,
            session.ends_us,
        )
    )


def _decode(blob: bytes) -> Session:
    """A session as it is stored.

    Raises:
        VersionMismatch: only a newer build can read it.
    """
    if _DECODE_VERSION(blob).version > _VERSION:
        raise VersionMismatch("A session was stored by a newer version of the service.")
    packed = _DECODE(blob)
    return Session(packed.session_id, packed.person, packed.tenant, packed.roles, packed.began_us, packed.ends_us)
