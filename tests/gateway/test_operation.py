"""What operators see: how far the stream's consumers are, and what their trouble is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from grpc_health.v1 import health_pb2
from journeymesh.ingest.v1 import ingest_pb2

from gateway.routes import operation
from mesh.errors import Unavailable
from tests.gateway.running import Gateway, running


def standing(shard: str, **members: Any) -> ingest_pb2.ShardStanding:
    known: dict[str, Any] = {"reader": "dispatcher", "owner": "pod-1", "lease_epoch": 3, "checkpoint": "17"}
    return ingest_pb2.ShardStanding(shard=shard, **(known | members))


TROUBLE = "Paused: 60% of the records fail."


async def test_the_pipeline_is_reported_by_consumer_and_shard(gateway: Gateway) -> None:
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


async def metrics_at(address: str) -> tuple[httpx.Response, httpx.Response, httpx.Response]:
    """Answers of `/metrics` before and after the process has a separate address for it, and of that address."""
    async with running(address=address) as gateway:
        before = await gateway.client.get("/metrics")
        with contextlib.closing(gateway.core.telemetry.metrics) as metrics:
            port = metrics.serve("127.0.0.1:0")
            after = await gateway.client.get("/metrics")
            async with httpx.AsyncClient() as client:
                return before, after, await client.get(f"http://127.0.0.1:{port}/metrics")


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "10.1.2.3:80", "gateway:8080", ":8080", "[::]:8080"])
async def test_metrics_with_an_address_of_their_own_are_not_public(address: str) -> None:
    before, after, own = await metrics_at(address)
    assert before.status_code == 200
    assert "journeymesh_open_streams 0.0" in before.text
    assert (after.status_code, after.json()["reason"]) == (404, "PATH_NOT_FOUND")
    assert 'http_route="/metrics"' in own.text


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"])
async def test_on_this_machine_metrics_are_at_both_addresses(address: str) -> None:
    before, after, own = await metrics_at(address)
    assert before.status_code == after.status_code == own.status_code == 200


async def test_services_that_do_not_serve_are_reported(gateway: Gateway) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(operation.watch_services(gateway.core), 1.0)
    exposed = gateway.core.telemetry.metrics.render().decode()
    assert exposed.count("journeymesh_dependency_up{") == 6
    assert 'journeymesh_dependency_up{dependency="video"} 1.0' in exposed


class Silent:
    """A service that says it does not serve."""

    async def Check(self, request: object, timeout: float) -> Any:  # noqa: ASYNC109 - the stub's
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)


async def test_a_gateway_has_started_once_each_service_was_reached_and_stays_so(gateway: Gateway) -> None:
    stubs: Any = gateway.core.peers.health
    ingest, video = stubs["ingest"], stubs["video"]
    stubs |= {"ingest": Silent(), "video": Silent()}
    async with looking(gateway):
        await lost(gateway, "ingest", "video")
        stubs["ingest"] = ingest
        await lost(gateway, "video")
        stubs |= {"ingest": Silent(), "video": video}
        await lost(gateway)
        stubs["video"] = Silent()
        assert (await gateway.client.get("/startupz")).json() == {"status": "started"}
        assert (await gateway.client.get("/healthz")).status_code == 200


async def test_a_gateway_starts_without_an_unreachable_service(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubs: Any = gateway.core.peers.health
    stubs["video"] = Silent()
    async with looking(gateway):
        await lost(gateway, "video")
        monkeypatch.setattr("gateway.core._PATIENCE_SECONDS", 0.0)
        await lost(gateway)


@contextlib.asynccontextmanager
async def looking(gateway: Gateway) -> AsyncIterator[None]:
    task = asyncio.create_task(operation.watch_services(gateway.core))
    yield
    task.cancel()


async def lost(gateway: Gateway, *names: str) -> None:
    """Returns once these services are reported as never reached."""
    async with asyncio.timeout(10):
        while True:
            answer = await gateway.client.get("/startupz")
            if answer.json().get("services", []) == [*names]:
                assert answer.status_code == (503 if names else 200)
                return
            await asyncio.sleep(0.05)


async def test_a_consumer_in_trouble_is_a_warning_and_leaves_the_gateway_ready(gateway: Gateway) -> None:
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
