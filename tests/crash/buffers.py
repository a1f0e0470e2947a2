"""What the stream is kept on in a crash test, and how to put garbage on it."""

import itertools
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import botocore.session
import redis
from redis.crc import key_slot

from tests.cluster import PRIMARIES, StoreCluster
from tests.processes import RunningMesh

GARBAGE = b"\xff\xff\xff no events"


class Buffer(NamedTuple):
    """Settings of a mesh on this buffer, what puts a record of garbage on it, and what splits or merges its shards."""

    settings: dict[str, str]
    spoil: Callable[[RunningMesh], None]
    reshard: Callable[[], None]
    kill_store: Callable[[random.Random], None] | None = None
    """Kills a node of the store, and starts it again; None where the mesh has a store of its own."""
    keeps_order: bool = True
    """Whether the events of each user stay in their order, whatever is killed."""


def on_redis() -> Buffer:
    """Redis Streams, whose shards neither split nor merge."""

    def spoil(mesh: RunningMesh) -> None:
        with redis.Redis(port=mesh.store_port, password=mesh.store_password) as client:
            while True:
                try:
                    client.xadd("jm:stream:{events-0}", {"p": GARBAGE})
                except redis.RedisError:  # it has just been killed
                    time.sleep(0.05)
                else:
                    return

    return Buffer({}, spoil, lambda: None)


def on_cluster(cluster: StoreCluster) -> Buffer:
    """Redis Streams on a cluster of stores; resharding moves a slot of users, of the stream or of the leases."""
    slots = itertools.cycle(key_slot(tag) for tag in (b"3", b"events-0", b"redis/events", b"12"))

    def spoil(_: RunningMesh) -> None:
        client = cluster.nodes[cluster.keeper(key_slot(b"events-0"))]
        client.xadd("jm:stream:{events-0}", {"p": GARBAGE})

    def reshard() -> None:
        with cluster.moving(next(slots)):
            time.sleep(0.2)

    def kill_store(draw: random.Random) -> None:
        number = draw.randrange(PRIMARIES)
        cluster.kill(number)
        time.sleep(draw.uniform(0.0, 1.0))
        cluster.start(number)
        cluster.await_ok()

    return Buffer({"JOURNEYMESH_REDIS_URL": cluster.url}, spoil, reshard, kill_store, keeps_order=False)


def on_kinesis(url: str, name: str) -> Buffer:
    """A stream of two shards on an emulator of Kinesis; resharding splits a shard and merges two, in turn."""
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    client: Any = botocore.session.get_session().create_client(
        "kinesis",
        region_name=environment["AWS_DEFAULT_REGION"],
        endpoint_url=url,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_stream(StreamName=name, ShardCount=2)
    _await_active(client, name)
    turns = itertools.cycle((_split, _merge))

    def reshard() -> None:
        next(turns)(client, name)
        _await_active(client, name)

    def spoil(_: RunningMesh) -> None:
        client.put_record(StreamName=name, PartitionKey="garbage", Data=GARBAGE)

    settings = {"JOURNEYMESH_STREAM": "kinesis", "JOURNEYMESH_STREAM_NAME": name}
    return Buffer(environment | settings, spoil, reshard)


def _split(client: Any, name: str) -> None:
    shard = _open_shards(client, name)[0]
    first, last = (int(shard["HashKeyRange"][edge]) for edge in ("StartingHashKey", "EndingHashKey"))
    client.split_shard(StreamName=name, ShardToSplit=shard["ShardId"], NewStartingHashKey=str((first + last + 1) // 2))


def _merge(client: Any, name: str) -> None:
    first, second, *_ = _open_shards(client, name)
    client.merge_shards(StreamName=name, ShardToMerge=first["ShardId"], AdjacentShardToMerge=second["ShardId"])


def _open_shards(client: Any, name: str) -> list[dict[str, Any]]:
    shards = client.list_shards(StreamName=name)["Shards"]
    return sorted(
        (shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]),
        key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]),
    )


def _await_active(client: Any, name: str) -> None:
    deadline = time.monotonic() + 20
    while client.describe_stream(StreamName=name)["StreamDescription"]["StreamStatus"] != "ACTIVE":
        assert time.monotonic() < deadline
        time.sleep(0.02)
