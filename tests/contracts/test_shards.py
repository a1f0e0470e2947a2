"""The port of known shards over every adapter."""

import pytest

from mesh.errors import Unavailable
from mesh.state.memory import MemoryShards
from mesh.state.port import Shards
from mesh.state.redis import RedisShards
from mesh.store import redis


@pytest.fixture(params=["memory", "redis"])
async def shards(request: pytest.FixtureRequest, valkey: redis.Client) -> Shards:
    return MemoryShards() if request.param == "memory" else RedisShards(valkey, "x")


async def test_shards_are_noted_once(shards: Shards) -> None:
    assert await shards.all() == []
    for shard in ("3", "10", "3"):
        await shards.add(shard)
    assert await shards.all() == ["10", "3"]


async def test_an_unreachable_server_is_unavailable() -> None:
    client = redis.connect("redis://127.0.0.1:1/0")
    with pytest.raises(Unavailable):
        await RedisShards(client, "x").add("3")
    await client.aclose()
