"""What those who run the gateway see: how far the readers of the stream are, and what keeps them."""

from typing import Any

from journeymesh.ingest.v1 import ingest_pb2
from prometheus_client.parser import text_string_to_metric_families

from mesh.errors import Unavailable
from tests.gateway.running import Gateway


def standing(shard: str, **members: Any) -> ingest_pb2.ShardStanding:
    known: dict[str, Any] = {"reader": "dispatcher", "owner": "pod-1", "lease_epoch": 3, "checkpoint": "17"}
    return ingest_pb2.ShardStanding(shard=shard, **(known | members))


TROUBLE = "Paused: 60% of the records fail."


async def gauges(gateway: Gateway, name: str) -> dict[tuple[str, str], float]:
    answer = await gateway.client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.labels["reader"], sample.labels["shard"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == name
    }


async def test_the_pipeline_is_told_by_reader_and_shard(gateway: Gateway) -> None:
    gateway.services.ingest.standings = [standing("0", lag_seconds=1.5, trouble=TROUBLE)]
    answer = await gateway.client.get("/api/pipeline")
    assert answer.json() == {
        "standings": [
            {
                "reader": "dispatcher",
                "shard": "0",
                "owner": "pod-1",
                "leaseEpoch": 3,
                "checkpoint": "17",
                "isEnded": False,
                "lagSeconds": 1.5,
                "trouble": TROUBLE,
            }
        ]
    }


async def test_lag_and_trouble_are_gauges_that_forget(gateway: Gateway) -> None:
    gateway.services.ingest.standings = [
        standing("0", lag_seconds=1.5),
        standing("1", trouble=TROUBLE),
        standing("2", owner=""),
        standing("3", is_ended=True, owner=""),
        standing("0", reader="archiver", lag_seconds=60),
    ]
    assert await gauges(gateway, "journeymesh_lag_seconds") == {
        ("dispatcher", "0"): 1.5,
        ("dispatcher", "1"): 0,
        ("dispatcher", "2"): 0,
        ("archiver", "0"): 60,
    }
    assert await gauges(gateway, "journeymesh_trouble") == {
        ("dispatcher", "0"): 0,
        ("dispatcher", "1"): 1,
        ("dispatcher", "2"): 1,
        ("archiver", "0"): 0,
    }
    gateway.services.ingest.error = Unavailable("DEPENDENCY_UNAVAILABLE", "Gone.")
    # What is not known is not told; the counts still are.
    assert await gauges(gateway, "journeymesh_lag_seconds") == {}


async def test_a_reader_in_trouble_is_a_warning_and_leaves_the_gateway_ready(gateway: Gateway) -> None:
    gateway.services.ingest.standings = [
        standing("0"),
        standing("1", trouble=TROUBLE),
        standing("2", owner=""),
        standing("3", is_ended=True, owner=""),
    ]
    ready = await gateway.client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {
            "status": "ready",
            "warnings": [f"dispatcher, shard 1: {TROUBLE}", "dispatcher, shard 2: Nobody reads it."],
        },
    )
    gateway.services.ingest.error = Unavailable("DEPENDENCY_UNAVAILABLE", "Gone.")
    assert (await gateway.client.get("/readyz")).json() == {"status": "ready"}
