"""The counts a stream keeps for good: another one would move keys to where their order is lost."""

from mesh import redis
from mesh.settings import SettingError


async def keep(client: redis.Client, stream: str, thing: str, count: int) -> None:
    """Returns if the stream has, or is given now, as many shards or lanes (`thing`) as this process thinks.

    Raises:
        SettingError: it has another number: events would wait in shards that nobody reads, or out of order.
        Unavailable: the store that keeps the count cannot be reached.
    """
    key = f"jm:stream:{{{stream}}}:{thing}-count"
    with redis.translating_errors():
        await client.set(key, count, nx=True)
        kept = int(await client.get(key) or 0)
    if kept != count:
        message = f"The stream {stream} has {kept} {thing}s; JOURNEYMESH_{thing.upper()}_COUNT says {count}."
        raise SettingError(message)
