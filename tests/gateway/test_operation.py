"""What those who run the gateway see: how far the readers of the stream are, and what keeps them."""

import asyncio
import contextlib
from typing import Any

import httpx
from journeymesh.ingest.v1 import ingest_pb2

from gateway import operation
from mesh.errors import Unavailable
from tests.gateway.running import Gateway


def standing(shard: str, **members: Any) -> ingest_pb2.ShardStanding:
    known: dict[str, Any] = {"reader": "dispatcher", "owner": "pod-1", "lease_epoch": 3, "checkpoint": "17"}
    return ingest_pb2.ShardStanding(shard=shard, **(known | members))


TROUBLE = "Paused: 60% of the records fail."


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


async def test_metrics_are_public_only_where_they_have_no_address_of_their_own(gateway: Gateway) -> None:
    answer = await gateway.client.get("/metrics")
    assert answer.status_code == 200
    assert "journeymesh_open_streams 0.0" in answer.text
    with contextlib.closing(gateway.core.telemetry.metrics) as metrics:
        port = metrics.serve("127.0.0.1:0")
        refused = await gateway.client.get("/metrics")
        assert (refused.status_code, refused.json()["reason"]) == (404, "PATH_NOT_FOUND")
        async with httpx.AsyncClient() as client:
            told = await client.get(f"http://127.0.0.1:{port}/metrics")
    assert 'http_route="/metrics"' in told.text


async def test_services_that_do_not_serve_are_told(gateway: Gateway) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(operation.watch_services(gateway.core), 1.0)
    told = gateway.core.telemetry.metrics.render().decode()
    assert told.count("journeymesh_dependency_up{") == 5
    assert 'journeymesh_dependency_up{dependency="video"} 1.0' in told


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
