"""Counts that are fixed for a stream: changing one would move keys to other shards and lose their order."""

from mesh.settings import SettingError
from mesh.store import redis


async def keep(client: redis.Client, stream: str, thing: str, count: int) -> None:
    """Returns if the stream has as many shards or lanes (`thing`) as this process expects; keeps the first count.

    Raises:
        SettingError: it has another number; events would be stuck in shards that nobody reads, or lose their order.
        Unavailable: the store that keeps the count cannot be reached.
    """
    key = f"jm:stream:{{{stream}}}:{thing}-count"
    with redis.translating_errors():
        await client.set(key, count, nx=True)
        kept = int(await client.get(key) or 0)
    if kept != count:
        message = f"The stream {stream} has {kept} {thing}s; JOURNEYMESH_{thing.upper()}_COUNT says {count}."
        raise SettingError(message)
