"""Exports in Redis.

jm:exports        set: the ids of exports
jm:export:<id>    hash: `state` -> the export, `services` and `archive` -> the parts of its data; expires after 24 hours
"""

from collections.abc import Sequence
from typing import Any, Final

from mesh.store import redis
from mesh.stored import readable, reading
from services.ingest.export.domain import export as exports
from services.ingest.export.domain.export import KEPT_SECONDS, Export, Part

_IDS: Final = "jm:exports"
_EXPORT: Final = "jm:export:"
_STATE: Final = "state"
# KEYS: an export. ARGV: its fields with their values.
_REPLACE: Final = redis.Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
""")
# KEYS: an export. ARGV: its state, and for how many seconds it is kept.
_CREATE: Final = redis.Script("""
redis.call('HSET', KEYS[1], 'state', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
""")


class RedisExports:
    """Each export as one key, which expires."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def create(self, export: Export) -> None:
        """See `services.ingest.export.ports.Exports`."""
        # Its id is known before it is there, so that none is forgotten; and again after, as `all` drops ids of none.
        with redis.translating_errors():
            await self._client.sadd(_IDS, export.id)
        await _CREATE.run(self._client, redis.Call([_EXPORT + export.id], [exports.encode(export), KEPT_SECONDS]))
        with redis.translating_errors():
            await self._client.sadd(_IDS, export.id)

    async def save(self, export: Export, part: Part | None = None, packed: bytes = b"") -> None:
        """See `services.ingest.export.ports.Exports`."""
        fields: list[Any] = [_STATE, exports.encode(export), *([part.value, packed] if part is not None else [])]
        await _REPLACE.run(self._client, redis.Call([_EXPORT + export.id], fields))

    async def find(self, export_id: str) -> Export | None:
        """See `services.ingest.export.ports.Exports`."""
        with redis.translating_errors():
            stored: Any = await self._client.hget(_EXPORT + export_id, _STATE)
        with reading("The export"):
            return None if stored is None else exports.decode(stored)

    async def all(self) -> list[Export]:
        """See `services.ingest.export.ports.Exports`."""
        with redis.translating_errors():
            ids: Any = await self._client.smembers(_IDS)
            stored: Any = {each: await self._client.hget(_EXPORT + each.decode(), _STATE) for each in ids}
        expired = [each for each, blob in stored.items() if blob is None]
        if expired:
            with redis.translating_errors():
                await self._client.srem(_IDS, *expired)
        found = readable("An export", filter(None, stored.values()), exports.decode).values()
        return sorted(found, key=lambda each: (each.requested_us, each.id))

    async def parts(self, export_id: str) -> list[bytes]:
        """See `services.ingest.export.ports.Exports`."""
        with redis.translating_errors():
            stored: Any = await self._client.hmget(_EXPORT + export_id, [*Part])
        return [each for each in stored if each is not None]

    async def remove(self, export_ids: Sequence[str]) -> None:
        """See `services.ingest.export.ports.Exports`."""
        with redis.translating_errors():
            for each in export_ids:
                await self._client.delete(_EXPORT + each)
                await self._client.srem(_IDS, each)
