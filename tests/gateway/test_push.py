"""Interventions as server-sent events, over a real connection."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from journeymesh.intervention.v1 import intervention_pb2

from gateway.push import sse
from mesh.errors import Unavailable
from tests.gateway.fakes import intervention
from tests.gateway.running import Gateway, listening

PATH = "/api/interventions/ada/stream"


def change(cursor: int, intervention_id: str = "") -> intervention_pb2.WatchPendingInterventionResponse:
    """A change to what waits: help, or none."""
    offered = intervention(intervention_id) if intervention_id else None
    return intervention_pb2.WatchPendingInterventionResponse(cursor=str(cursor), intervention=offered)


async def frames(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The events of a stream, each as its fields; a comment has the empty name."""
    lines: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ") if not line.startswith(":") else ("", "", line)
            lines[name] = value
        elif lines:
            yield lines
            lines = {}


async def read(url: str, count: int, **headers: str) -> list[dict[str, str]]:
    """The first so many events of a stream."""
    read: list[dict[str, str]] = []
    async with httpx.AsyncClient() as client, client.stream("GET", url + PATH, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["cache-control"] == "no-store"
        async for one in frames(answer):
            read.append(one)
            if len(read) == count:
                break
    return read


async def test_the_waiting_intervention_and_every_change_are_sent() -> None:
    async with listening() as (gateway, url):
        gone = change(2)
        gone.withdrawn.intervention_id, gone.withdrawn.reason = "i-1", intervention_pb2.WITHDRAWAL_REASON_SOLVED
        gateway.services.intervention.changes.extend([change(1, "i-1"), gone, change(3, "i-2")])
        retry, first, second, third = await read(url, 4)
    assert int(retry["retry"]) > 0
    assert [(one["id"], one["event"]) for one in (first, second, third)] == [
        ("1", "intervention"),
        ("2", "none"),
        ("3", "intervention"),
    ]
    assert json.loads(first["data"])["intervention"]["id"] == "i-1"
    assert json.loads(first["data"])["hasPendingIntervention"] is True
    assert json.loads(second["data"]) == {
        "hasPendingIntervention": False,
        "intervention": None,
        "cursor": "2",
        "withdrawn": {"interventionId": "i-1", "reason": "solved"},
    }
    assert json.loads(third["data"])["withdrawn"] is None


async def test_a_reconnecting_client_misses_nothing_and_receives_nothing_twice() -> None:
    async with listening() as (gateway, url):
        gateway.services.intervention.changes.extend(change(n, f"i-{n}") for n in range(1, 8))
        received: list[str] = []
        while len(received) < 6:
            given = {"last-event-id": received[-1]} if received else {}
            _, *events = await read(url, 3, **given)
            received += [one["id"] for one in events]
        assert received == ["1", "2", "3", "4", "5", "6"]
        assert [one.cursor for one in gateway.services.intervention.watched] == ["", "2", "4"]
        assert (await httpx_lines(url, "?lastEventId=6"))["id"] == "7"


async def httpx_lines(url: str, query: str) -> dict[str, str]:
    """The first change of a stream."""
    async with httpx.AsyncClient() as client, client.stream("GET", url + PATH + query) as answer:
        return [one async for one in first_two(answer)][1]


async def first_two(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The first two events."""
    count = 0
    async for one in frames(answer):
        yield one
        count += 1
        if count == 2:
            return


async def test_a_quiet_stream_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.01)
    async with listening() as (_, url):
        _, *keepalives = await read(url, 4)
    assert all(set(one) == {""} for one in keepalives)


async def test_the_watch_ends_when_the_client_leaves() -> None:
    async with listening() as (gateway, url):
        gateway.services.intervention.changes.append(change(1, "i-1"))
        await read(url, 2)
        await asyncio.wait_for(gateway.services.intervention.watch_left.wait(), 5)
        assert not gateway.core.streams


async def test_a_stream_ends_when_the_service_ends_it() -> None:
    async with listening() as (gateway, url):
        gateway.services.intervention.changes.append(change(1, "i-1"))
        gateway.services.intervention.ends = True
        async with httpx.AsyncClient() as client:
            answer = await client.get(url + PATH)
        assert answer.text.endswith("\n\n")
        assert answer.text.count("event: ") == 1


async def test_a_service_that_cannot_be_reached_is_a_problem(gateway: Gateway) -> None:
    gateway.services.intervention.watch_error = Unavailable("DEPENDENCY_UNAVAILABLE", "The store cannot be reached.")
    answer = await gateway.client.get(PATH)
    assert (answer.status_code, answer.json()["reason"]) == (503, "DEPENDENCY_UNAVAILABLE")
    assert answer.headers["retry-after"]


async def test_streams_are_bounded_and_end_with_the_process() -> None:
    async with listening(stream_count=2, address_percent=100) as (gateway, url):
        gateway.services.intervention.changes.append(change(1, "i-1"))
        async with (
            httpx.AsyncClient() as client,
            client.stream("GET", url + PATH) as one,
            client.stream("GET", url + PATH) as two,
        ):
            readers = [frames(one), frames(two)]
            for reader in readers:
                assert "retry" in await anext(reader)
            refused = await client.get(url + PATH)
            assert (refused.status_code, refused.json()["reason"]) == (503, "TOO_MANY_STREAMS")
            gateway.core.closing.set()
            rest = [[event async for event in reader] for reader in readers]
        assert [len(events) for events in rest] == [1, 1]  # what was sent before


async def test_head_describes_a_stream_without_opening_it() -> None:
    async with listening() as (gateway, url), httpx.AsyncClient() as client:
        gateway.services.intervention.changes.append(change(1, "i-1"))
        answer = await client.head(url + PATH)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        await asyncio.wait_for(gateway.services.intervention.watch_left.wait(), 5)
        assert not gateway.core.streams
