"""Erasures in Redis.

jm:erasures              hash: id -> an erasure
jm:erasures:open         set: the ids of those that are not done
jm:erasures:archived     hash: id -> what it changed in the archive
jm:erasures:turn:<work>  string: who has the turn
"""

from typing import Any, Final

from mesh.store import redis
from mesh.stored import readable, reading
from services.ingest.erasure.domain import erasure as erasures
from services.ingest.erasure.domain.erasure import Archived, Erasure, Step

_KEPT: Final = "jm:erasures"
_OPEN: Final = "jm:erasures:open"
_ARCHIVED: Final = "jm:erasures:archived"
_TURN: Final = "jm:erasures:turn"
# KEYS: the turn. ARGV: who asks, and for how many seconds.
_TAKE: Final = redis.Script("""
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
""")


class RedisErasures:
    """Erasures as bytes in a hash, which never expires."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def save(self, erasure: Erasure) -> None:
        """See `services.ingest.erasure.ports.Erasures`."""
        # An erasure is open before it is kept, and kept as done before it is closed: none is forgotten in between.
        with redis.translating_errors():
            await self._client.sadd(_OPEN, erasure.id)
            await self._client.hset(_KEPT, erasure.id, erasures.encode(erasure))
            if erasure.step is Step.DONE:
                await self._client.srem(_OPEN, erasure.id)

    async def find(self, erasure_id: str) -> Erasure | None:
        """See `services.ingest.erasure.ports.Erasures`."""
        with redis.translating_errors():
            stored: Any = await self._client.hget(_KEPT, erasure_id)
        with reading("The erasure"):
            return None if stored is None else erasures.decode(stored)

    async def unfinished(self) -> list[Erasure]:
        """See `services.ingest.erasure.ports.Erasures`."""
        with redis.translating_errors():
            ids: Any = await self._client.smembers(_OPEN)
            stored: Any = await self._client.hmget(_KEPT, [*ids]) if ids else []
        kept = readable("An erasure that is not done", filter(None, stored), erasures.decode).values()
        return sorted((each for each in kept if each.step is not Step.DONE), key=lambda each: each.requested_us)

    async def archived(self, erasure_id: str) -> Archived:
        """See `services.ingest.erasure.ports.Erasures`."""
        with redis.translating_errors():
            stored: Any = await self._client.hget(_ARCHIVED, erasure_id)
        with reading("What an erasure has changed in the archive"):
            return Archived() if stored is None else erasures.decode_archived(stored)

    async def save_archived(self, erasure_id: str, archived: Archived) -> None:
        """See `services.ingest.erasure.ports.Erasures`."""
        with redis.translating_errors():
            await self._client.hset(_ARCHIVED, erasure_id, erasures.encode_archived(archived))

    async def take_turn(self, work: str, owner: str, seconds: int) -> bool:
        """See `services.ingest.erasure.ports.Erasures`."""
        (is_taken,) = await _TAKE.run(self._client, redis.Call([f"{_TURN}:{work}"], [owner, seconds]))
        return bool(is_taken)
