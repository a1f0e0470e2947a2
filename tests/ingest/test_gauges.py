"""What the api tells of the stream's readers and of the store."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from mesh.errors import Unavailable
from mesh.leases.port import ShardState
from mesh.observability.metrics import Metrics
from mesh.store import redis
from mesh.stream.port import END
from services.ingest.accept.adapters.gauges import report_consumers, report_store
from services.ingest.accept.ports import ShardStanding
from tests.cluster import StoreCluster
from tests.conftest import free_port


class _Pipeline:
    def __init__(self, *standings: ShardStanding) -> None:
        self.samples = list(standings)

    async def standings(self) -> list[ShardStanding]:
        if not self.samples:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "It is away.")
        return self.samples


async def once(telling: Coroutine[Any, Any, None]) -> None:
    """Lets it tell, and ends it."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(telling, 0.5)


def samples(metrics: Metrics, name: str) -> list[str]:
    prefix = f"journeymesh_{name}"
    lines = metrics.render().decode().splitlines()
    return sorted(line.removeprefix(prefix) for line in lines if line.startswith(prefix))


async def test_lag_and_trouble_are_told_by_reader_and_shard_and_forgotten_when_not_known() -> None:
    metrics = Metrics()
    pipeline = _Pipeline(
        ShardStanding("archiver", "0", ShardState("pod-2", 1, 17, 60.0)),
        ShardStanding("dispatcher", "0", ShardState("pod-1", 3, 17, 1.5)),
        ShardStanding("dispatcher", "1", ShardState("pod-1", 3, 17, 0.0, "Paused: 60% of the records fail.")),
        ShardStanding("dispatcher", "2", ShardState("", 3, 17)),
        ShardStanding("dispatcher", "3", ShardState("", 3, END)),
    )
    await once(report_consumers(pipeline, metrics))
    assert samples(metrics, "lag_seconds") == [
        '{reader="archiver",shard="0"} 60.0',
        '{reader="dispatcher",shard="0"} 1.5',
        '{reader="dispatcher",shard="1"} 0.0',
        '{reader="dispatcher",shard="2"} 0.0',
    ]
    assert samples(metrics, "trouble") == [
        '{reader="archiver",shard="0"} 0.0',
        '{reader="dispatcher",shard="0"} 0.0',
        '{reader="dispatcher",shard="1"} 1.0',
        '{reader="dispatcher",shard="2"} 1.0',
    ]
    pipeline.samples.clear()
    await once(report_consumers(pipeline, metrics))
    assert samples(metrics, "lag_seconds") == samples(metrics, "trouble") == []


async def test_the_store_s_memory_is_told_and_its_limit_where_there_is_one(server: redis.Client) -> None:
    metrics = Metrics()
    await once(report_store(server, metrics))
    (used,) = samples(metrics, "store_memory_bytes")
    assert 100_000 < float(used) < 1e9
    assert samples(metrics, "store_memory_limit_bytes") == []
    await server.config_set("maxmemory", 123_456_789)
    try:
        await once(report_store(server, metrics))
    finally:
        await server.config_set("maxmemory", 0)
    assert [float(each) for each in samples(metrics, "store_memory_limit_bytes")] == [123_456_789]


async def test_of_a_cluster_the_fullest_node_is_told(cluster: StoreCluster) -> None:
    metrics = Metrics()
    cluster.nodes[1].config_set("maxmemory", 123_456_789)
    try:
        async with contextlib.aclosing(redis.connect(cluster.url)) as client:
            await once(report_store(client, metrics))
    finally:
        cluster.nodes[1].config_set("maxmemory", 0)
    assert [float(each) for each in samples(metrics, "store_memory_limit_bytes")] == [123_456_789]


async def test_of_a_store_that_does_not_say_nothing_is_told(server: redis.Client, valkey_url: str) -> None:
    metrics = Metrics()
    await once(report_store(server, metrics))
    await server.acl_setuser("reader", enabled=True, passwords=["+secret"], commands=["+ping"])
    try:
        async with contextlib.aclosing(redis.connect(valkey_url.replace("//", "//reader:secret@"))) as restricted:
            await once(report_store(restricted, metrics))
    finally:
        await server.acl_deluser("reader")
    assert samples(metrics, "store_memory_bytes") == []
    await once(report_store(server, metrics))
    assert len(samples(metrics, "store_memory_bytes")) == 1
    async with contextlib.aclosing(redis.connect(f"redis://127.0.0.1:{free_port()}/0")) as away:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(report_store(away, metrics), 4)
    assert samples(metrics, "store_memory_bytes") == []
