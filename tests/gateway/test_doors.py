"""One address or user gets no more than its share: clients from other addresses are always served.

On loopback every address of 127.0.0.0/8 is one's own: each stands for another client.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from journeymesh.ingest.v1 import ingest_pb2
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.accepting.coalescer import Coalescer, Submission
from gateway.http.shares import Shares
from gateway.http.slow_clients import drop_slow_readers
from mesh.errors import ResourceExhausted, Unavailable
from mesh.observability import telemetry
from tests.gateway.fakes import events_of, rows_of
from tests.gateway.running import Gateway, listening

GREEDY, OTHER = "127.0.0.2", "127.0.0.3"
EVENT = {"userId": "ada", "eventType": "page_view", "properties": {"page": "/"}}
POST = b"POST /api/events/track HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
STREAM = "/api/interventions/%s/stream"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connections(
    url: str, count: int, message: bytes = b"", address: str = GREEDY
) -> AsyncIterator[list[Connection]]:
    """So many connections of an address that each have said this much."""
    host, _, port = url.removeprefix("http://").partition(":")
    opened = [await asyncio.open_connection(host, int(port), local_addr=(address, 0)) for _ in range(count)]
    for _, writer in opened:
        writer.write(message)
    try:
        yield opened
    finally:
        for _, writer in opened:
            writer.close()


def client(url: str, address: str, **headers: str) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(local_address=address)
    return httpx.AsyncClient(transport=transport, base_url=url, headers=headers)


async def is_served(url: str, address: str = OTHER, **headers: str) -> bool:
    async with client(url, address, **headers) as http:
        return (await http.post("/api/events/track", json=EVENT)).status_code == 202


async def refusal(url: str, address: str = GREEDY, **headers: str) -> tuple[int, str]:
    async with client(url, address, **headers) as http:
        answer = await http.post("/api/events/track", json=EVENT)
    assert int(answer.headers["retry-after"]) >= 1
    return answer.status_code, answer.json()["reason"]


async def is_closed(connection: Connection) -> bool:
    """Whether the gateway closed it without a word."""
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(connection[0].read(), 5) == b""
    return True


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


async def under_way(gateway: Gateway, requests: int) -> None:
    """Waits until so many requests are under way."""
    await until(lambda: gateway.core.admission.requests == requests)


@pytest.mark.parametrize(
    "said", [b"", b"G", b"GET /healthz HTTP/1.1\r\nhost:"], ids=["idle", "a letter", "half a head"]
)
async def test_connections_that_say_little_take_the_places_of_their_own_address_only(said: bytes) -> None:
    async with listening(connection_count=8) as (_, url):
        async with connections(url, 4, said) as held, connections(url, 20, said) as beyond:
            for one in beyond:
                assert await is_closed(one)
            assert not any(reader.at_eof() for reader, _ in held)
            assert await is_served(url)
        assert await is_served(url, GREEDY)


async def test_the_bound_of_all_holds_beside_that_of_each() -> None:
    async with (
        listening(connection_count=4) as (_, url),
        connections(url, 2),
        connections(url, 2, address="127.0.0.4"),
    ):
        assert await refusal(url, OTHER) == (503, "BUFFER_FULL")


async def test_slow_bodies_take_the_requests_of_their_own_address_only() -> None:
    async with listening(request_count=6) as (gateway, url):
        async with connections(url, 3, POST + b"content-length: 99\r\n\r\n{"):
            await under_way(gateway, 3)
            assert await refusal(url) == (429, "ADDRESS_BUSY")
            assert await is_served(url)
        await under_way(gateway, 0)
        assert await is_served(url, GREEDY)


async def test_large_bodies_take_the_bytes_of_their_own_address_only() -> None:
    size = 512 * 1024
    part = POST + b"content-length: %d\r\n\r\n" % size + b" " * (size - 1)
    async with listening(request_bytes=4 * 1024 * 1024) as (gateway, url):
        async with connections(url, 3, part):
            await until(lambda: gateway.core.admission.held_bytes >= 3 * (size - 1))
            async with connections(url, 2, part) as beyond:
                answers = [asyncio.ensure_future(reader.readline()) for reader, _ in beyond]
                (first, *_), _ = await asyncio.wait(answers, timeout=5, return_when=asyncio.FIRST_COMPLETED)
                assert first.result() == b"HTTP/1.1 429 Too Many Requests\r\n"
            assert await is_served(url)
        await under_way(gateway, 0)
        assert gateway.core.admission.held_bytes == 0


async def test_streams_and_sockets_take_the_places_of_their_own_address_only() -> None:
    async with listening(stream_count=4) as (gateway, url):
        where = url.replace("http", "ws") + "/api/interventions/%s/socket"
        async with (
            client(url, GREEDY) as greedy,
            client(url, OTHER) as other,
            greedy.stream("GET", STREAM % "u1"),
            connect(where % "u2", local_addr=(GREEDY, 0)),
        ):
            refused = await greedy.get(STREAM % "u3")
            assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_STREAMS")
            assert int(refused.headers["retry-after"]) >= 1
            with pytest.raises(InvalidStatus) as handshake:
                await connect(where % "u4", local_addr=(GREEDY, 0))
            assert handshake.value.response.status_code == 429
            async with other.stream("GET", STREAM % "u5") as one, connect(where % "u6", local_addr=(OTHER, 0)):
                assert one.status_code == 200
                full = await other.get(STREAM % "u7")
                assert (full.status_code, full.json()["reason"]) == (503, "TOO_MANY_STREAMS")
        await until(lambda: not gateway.core.streams)


async def test_streams_of_one_user_are_bounded_wherever_they_come_from() -> None:
    async with (
        listening(user_stream_count=2) as (_, url),
        client(url, GREEDY) as one,
        client(url, OTHER) as two,
        one.stream("GET", STREAM % "ada"),
        two.stream("GET", STREAM % "ada"),
    ):
        refused = await one.get(STREAM % "ada")
        assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_STREAMS")
        async with two.stream("GET", STREAM % "bob") as served:
            assert served.status_code == 200


async def test_clients_behind_a_trusted_proxy_each_have_their_share() -> None:
    forwarded = b"x-forwarded-for: 1.2.3.4, 198.51.100.1\r\n"
    async with (
        listening(request_count=6, connection_count=8, trusted_proxies=GREEDY) as (gateway, url),
        connections(url, 3, POST + forwarded + b"content-length: 99\r\n\r\n{"),
    ):
        await under_way(gateway, 3)
        invented = {"x-forwarded-for": "5.6.7.8, 198.51.100.1"}
        assert await refusal(url, GREEDY, **invented) == (429, "ADDRESS_BUSY")
        assert await is_served(url, GREEDY, **{"x-forwarded-for": "198.51.100.2"})
        # The proxy's connections are those of many: they may take all places.
        async with connections(url, 5) as more:
            await asyncio.sleep(0)
            assert not any(reader.at_eof() for reader, _ in more)


async def test_an_untrusted_proxy_cannot_choose_the_address_that_counts() -> None:
    async with (
        listening(request_count=6, trusted_proxies=OTHER) as (gateway, url),
        connections(url, 3, POST + b"x-forwarded-for: 198.51.100.1\r\ncontent-length: 99\r\n\r\n{"),
    ):
        await under_way(gateway, 3)
        assert await refusal(url, GREEDY, **{"x-forwarded-for": "198.51.100.2"}) == (429, "ADDRESS_BUSY")


async def test_events_that_wait_for_ingest_are_bounded_by_address() -> None:
    gate = asyncio.Event()

    async def slow(message: bytes) -> ingest_pb2.AcceptEventsResponse:
        await gate.wait()
        count = len(events_of(ingest_pb2.AcceptEventsRequest.FromString(message)))
        return ingest_pb2.AcceptEventsResponse(verdicts=[ingest_pb2.VERDICT_ACCEPTED] * count)

    request = Submission(rows_of(["e"]), 100, ingest_pb2.AcceptEventsRequest())
    size = 100 + 64
    coalescer = Coalescer(slow, telemetry.off(), 2_000, Shares(3 * size, 2 * size), 10)
    span = (bytes(16), bytes(8))
    waiting = [asyncio.create_task(coalescer.accept(request, span, GREEDY)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted, match="ADDRESS_BUSY") as refused:
        await coalescer.accept(request, span, GREEDY)
    assert refused.value.retry_after_seconds == 1
    waiting.append(asyncio.create_task(coalescer.accept(request, span, OTHER)))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="BUFFER_FULL"):
        await coalescer.accept(request, span, OTHER)
    gate.set()
    await asyncio.gather(*waiting)
    assert (await coalescer.accept(request, span, GREEDY)).verdicts == [ingest_pb2.VERDICT_ACCEPTED]


async def test_the_smallest_share_still_takes_the_largest_request() -> None:
    large = {"events": [EVENT | {"properties": {"page": "/", "x": "x" * 32_000}}] * 16}
    async with listening(address_percent=1, waiting_bytes=1024 * 1024) as (_, url), client(url, GREEDY) as http:
        assert (await http.post("/api/events/track", json=large)).status_code == 202


async def test_a_body_below_the_minimum_rate_is_refused_before_its_deadline() -> None:
    loop = asyncio.get_running_loop()
    async with listening(body_seconds=4) as (_, url):
        began = loop.time()
        async with connections(url, 1, POST + b"content-length: 99\r\n\r\n{") as ((reader, _),):
            assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 408")
        assert 1.9 < loop.time() - began < 3.5


async def test_a_head_below_the_minimum_rate_is_refused_before_its_deadline() -> None:
    loop = asyncio.get_running_loop()
    async with listening(body_seconds=4) as (_, url):
        began = loop.time()
        async with connections(url, 1, b"GET /healthz HTTP/1.1\r\nhost:") as ((reader, _),):
            assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 408")
        assert 1.9 < loop.time() - began < 3.5


async def test_a_client_that_does_not_read_is_dropped_and_one_that_reads_is_not() -> None:
    class Kept(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            kept.append(self)
            transport.write(bytes(16 * 1024 * 1024))

    kept: list[Kept] = []
    server = await asyncio.get_running_loop().create_server(Kept, "127.0.0.1", 0)
    where = server.sockets[0].getsockname()
    _, silent = await asyncio.open_connection(*where)
    reader, reading = await asyncio.open_connection(*where)
    looking = asyncio.create_task(drop_slow_readers(kept, interval_seconds=0.05, max_stalls=3))
    assert len(await asyncio.wait_for(reader.readexactly(16 * 1024 * 1024), 10)) == 16 * 1024 * 1024
    await until(kept[0].transport.is_closing)
    assert not kept[1].transport.is_closing()
    looking.cancel()
    for writer in (silent, reading):
        writer.close()
    server.close()


async def test_a_client_that_does_not_read_holds_only_bytes_of_its_own_address() -> None:
    document = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
    async with listening(request_bytes=2 * 1024 * 1024) as (gateway, url), client(url, OTHER) as other:
        answer = await other.get("/openapi.json")
        assert answer.status_code == 200
        size = len(answer.content)
        count = 1024 * 1024 // size
        async with connections(url, count, document * 100):  # more than the system keeps for who reads nothing
            await until(lambda: gateway.core.admission.held_bytes == count * size)
            async with client(url, GREEDY) as greedy:
                refused = await greedy.get("/openapi.json")
            assert (refused.status_code, refused.json()["reason"]) == (429, "ADDRESS_BUSY")
            assert (await other.get("/openapi.json")).status_code == 200
        await until(lambda: gateway.core.admission.held_bytes == 0)
