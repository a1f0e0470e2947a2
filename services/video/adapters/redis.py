"""The known shards in Redis: the set `jm:video:shards`. It is as small as the stream has shards, and does not pass."""

from typing import Final, cast

from mesh import redis

_KEY: Final = "jm:video:shards"


class RedisShards:
    """Keeps shards in a set."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def add(self, shard: str) -> None:
        """See `services.video.ports.Shards`."""
        with redis.translating_errors():
            await self._client.sadd(_KEY, shard)

    async def all(self) -> list[str]:
        """See `services.video.ports.Shards`."""
        with redis.translating_errors():
            members = cast("set[bytes]", await self._client.smembers(_KEY))
        return sorted(each.decode() for each in members)
