"""Every queue has a bound. Beyond it clients are asked to retry: nothing hangs, and a 202 never loses an event."""

import asyncio
import json
import resource
import time
from typing import Any

import httpx
import pytest
from journeymesh.ingest.v1 import ingest_pb2

from gateway.accepting.coalescer import Coalescer, Submission
from gateway.http.admission import AdmissionControl
from gateway.http.shares import Shares
from gateway.serving import connections_within_files
from mesh.errors import Unavailable
from mesh.observability import telemetry
from tests.gateway.fakes import events_of, rows_of
from tests.gateway.running import Gateway, listening, running

ADDRESS = "198.51.100.1"
EVENT = {"userId": "ada", "eventType": "page_view", "properties": {"page": "/"}}
HEAD = b"POST /api/events/track HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


def assert_comes_again(answer: httpx.Response, status: int = 503, reason: str = "BUFFER_FULL") -> None:
    assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/problem+json"


async def connection(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def said(reader: asyncio.StreamReader, seconds: float = 10) -> bytes:
    return await asyncio.wait_for(reader.read(), seconds)


async def held(gateway: Gateway, count: int) -> list["asyncio.Task[httpx.Response]"]:
    """So many requests that wait for ingest."""
    gateway.services.ingest.gate = asyncio.Event()
    tasks = [asyncio.create_task(gateway.track(EVENT | {"eventId": f"e-{n}"})) for n in range(count)]
    await gateway.services.ingest.arrived.wait()
    for _ in range(100):  # turns of the loop
        await asyncio.sleep(0)
    assert gateway.core.admission.requests == count
    return tasks


async def test_requests_beyond_the_bound_are_refused_with_retry_after() -> None:
    async with running(request_count=3, address_percent=100) as gateway:
        tasks = await held(gateway, 3)
        assert_comes_again(await gateway.track(EVENT))
        assert_comes_again(await gateway.client.get("/api/users/ada/risk"))
        # A gateway that is busy is not dead.
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await gateway.client.get(path)).status_code == 200
        assert gateway.services.ingest.gate is not None
        gateway.services.ingest.gate.set()
        assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {202}
        assert (await gateway.track(EVENT)).status_code == 202
        assert (gateway.core.admission.requests, gateway.core.admission.held_bytes) == (0, 0)


async def test_bodies_beyond_the_bound_are_refused_with_retry_after() -> None:
    async with running(request_bytes=1_000) as gateway:
        (task,) = await held(gateway, 1)
        large = EVENT | {"properties": {"page": "/", "x": "x" * 850}}
        assert_comes_again(await gateway.track(large))
        assert gateway.services.ingest.gate is not None
        gateway.services.ingest.gate.set()
        assert (await task).status_code == 202
        assert (await gateway.track(large)).status_code == 202
        assert (gateway.core.admission.requests, gateway.core.admission.held_bytes) == (0, 0)


async def test_streams_do_not_count_as_requests_under_way() -> None:
    async with (
        listening(request_count=1) as (gateway, url),
        httpx.AsyncClient(base_url=url) as client,
        client.stream("GET", "/api/interventions/ada/stream") as stream,
    ):
        assert stream.status_code == 200
        assert gateway.core.admission.requests == 0
        assert (await client.get("/api/users/ada/risk")).status_code == 200


async def test_a_body_that_trickles_is_given_up() -> None:
    async with listening(body_seconds=1) as (gateway, url):
        reader, writer = await connection(url)
        writer.write(HEAD + b"content-length: 99\r\n\r\n{")
        answer = await said(reader)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"DEADLINE_TOO_SHORT" in answer
        assert b"connection: close" in answer
        assert gateway.services.ingest.requests == []
        assert (gateway.core.admission.requests, gateway.core.admission.held_bytes) == (0, 0)
        writer.close()


@pytest.mark.parametrize("head", [b"POST /api/events/track HTTP/1.1\r\nhost:", b"P"])
async def test_a_head_that_trickles_is_given_up(head: bytes) -> None:
    async with listening(body_seconds=1) as (_, url):
        reader, writer = await connection(url)
        writer.write(head)
        assert (await said(reader)).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_a_second_head_that_trickles_is_given_up_too() -> None:
    async with listening(body_seconds=1) as (_, url):
        reader, writer = await connection(url)
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        assert b"HTTP/1.1 408" in await said(reader)
        writer.close()


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with listening(body_seconds=1) as (_, url):
        reader, writer = await connection(url)
        assert await said(reader) == b""
        writer.close()


async def test_a_head_without_end_is_refused() -> None:
    async with listening() as (_, url):
        reader, writer = await connection(url)
        writer.write((b"GET /healthz HTTP/1.1\r\nx-y: " + b"z" * 65_536)[:65_537])
        assert (await said(reader)).startswith(b"HTTP/1.1 431")
        writer.close()


async def test_connections_beyond_the_bound_get_an_answer_and_are_closed() -> None:
    async with listening(connection_count=2, address_percent=100) as (_, url):
        first = [await connection(url) for _ in range(2)]
        for reader, writer in first:
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        async with httpx.AsyncClient() as client:
            refused = await client.post(f"{url}/api/events/track", json=EVENT)
        assert time.monotonic() - began < 5
        assert_comes_again(refused)
        silent, quiet = await connection(url)
        assert await said(silent) == b""  # who says nothing hears nothing, and is closed
        quiet.close()
        for _, writer in first:
            writer.close()
            await writer.wait_closed()
        async with httpx.AsyncClient() as client:
            assert (await client.post(f"{url}/api/events/track", json=EVENT)).status_code == 202


def test_no_more_connections_are_taken_than_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: asked.append(limits))

    def within(soft: int, hard: int) -> int:
        monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
        return connections_within_files(4096)

    assert (within(65_536, 65_536), asked) == (4096, [])
    assert (within(1024, 65_536), asked) == (4096, [(4352, 65_536)])
    assert (within(1024, 2048), asked[-1]) == (1792, (2048, 2048))
    assert within(resource.RLIM_INFINITY, resource.RLIM_INFINITY) == 4096
    assert (within(1024, resource.RLIM_INFINITY), asked[-1]) == (4096, (4352, resource.RLIM_INFINITY))


async def test_while_the_oldest_waits_too_long_nothing_more_is_let_in() -> None:
    gate = asyncio.Event()

    async def slow(message: bytes) -> ingest_pb2.AcceptEventsResponse:
        await gate.wait()
        count = len(events_of(ingest_pb2.AcceptEventsRequest.FromString(message)))
        return ingest_pb2.AcceptEventsResponse(verdicts=[ingest_pb2.VERDICT_ACCEPTED] * count)

    request = Submission(rows_of(["e"]), 50, ingest_pb2.AcceptEventsRequest())
    coalescer = Coalescer(slow, telemetry.off(), 2_000, Shares(1_000_000, 1_000_000), max_wait_seconds=0.05)
    span = (bytes(16), bytes(8))
    under_way = asyncio.create_task(coalescer.accept(request, span, ADDRESS))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(coalescer.accept(request, span, ADDRESS))
    loop, turns = asyncio.get_running_loop(), asyncio.Event()
    loop.call_later(0.06, turns.set)
    await turns.wait()
    with pytest.raises(Unavailable, match="BUFFER_FULL") as refused:
        await coalescer.accept(request, span, ADDRESS)
    assert refused.value.retry_after_seconds == 1
    gate.set()
    for task in (under_way, waiting):
        assert (await task).verdicts == [ingest_pb2.VERDICT_ACCEPTED]
    assert (await coalescer.accept(request, span, ADDRESS)).verdicts == [ingest_pb2.VERDICT_ACCEPTED]


def test_admission_control_counts_what_is_in_progress() -> None:
    admission = AdmissionControl(Shares(1, 1), Shares(10, 10))
    admission.enter(ADDRESS)
    with pytest.raises(Unavailable):
        admission.enter(ADDRESS)
    admission.hold(ADDRESS, 10)
    with pytest.raises(Unavailable):
        admission.hold(ADDRESS, 1)
    admission.leave(ADDRESS)
    admission.release(ADDRESS, 10)
    admission.enter(ADDRESS)
    assert (admission.requests, admission.held_bytes) == (1, 0)


async def test_a_tenant_of_whom_too_much_is_set_aside_must_wait(gateway: Gateway) -> None:
    answer = await gateway.track(EVENT | {"userId": "full"}, {"eventType": "?"})
    assert (answer.status_code, answer.json()["reason"], answer.headers["retry-after"]) == (429, "BUFFER_FULL", "60")


async def test_a_user_above_the_rate_limit_must_wait(gateway: Gateway) -> None:
    limited: dict[str, Any] = EVENT | {"userId": "limited"}
    assert_comes_again(await gateway.track(limited, limited), 429, "RATE_LIMITED")
    some = await gateway.track(limited, EVENT)
    assert (some.status_code, [one["reason"] for one in some.json()["rejected"]]) == (202, ["RATE_LIMITED"])
    binary = {"ce-specversion": "1.0", "ce-type": "click", "ce-id": "1", "ce-source": "s", "ce-subject": "limited"}
    assert_comes_again(
        await gateway.client.post("/api/events/track", headers=binary, content=json.dumps({})), 429, "RATE_LIMITED"
    )
