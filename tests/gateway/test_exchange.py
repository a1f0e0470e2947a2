"""Heads and bodies of answers on a connection: in one write if both are ready, else each at once."""

import asyncio
import dataclasses
from typing import Any

from gateway.http.exchange import Exchange
from tests.gateway.running import listening


class Transport:
    """Records what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


@dataclasses.dataclass
class Cycle:
    """A request on its connection."""

    transport: Any
    more_body: bool = True


def test_a_head_that_is_held_goes_with_what_follows() -> None:
    transport = Transport()
    cycle = Cycle(transport)
    exchange = Exchange(cycle)
    cycle.transport.write(b"100 Continue")
    exchange.hold_head()
    for piece in (b"head ", b"body", b"more"):
        cycle.transport.write(piece)
    assert transport.written == [b"100 Continue", b"head body", b"more"]


def test_a_head_without_a_body_goes_too() -> None:
    transport = Transport()
    exchange = Exchange(Cycle(transport))
    exchange.hold_head()
    exchange.write(b"head")
    exchange.write(b"")
    assert transport.written == [b"head"]


def test_a_request_has_come_once_its_body_is_whole() -> None:
    cycle = Cycle(Transport())
    exchange = Exchange(cycle)
    assert not exchange.has_come
    cycle.more_body = False
    assert exchange.has_come


async def test_answers_with_and_without_a_body_follow_one_another_on_a_connection() -> None:
    async with listening() as (_, url):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        for line in (b"HEAD /healthz", b"GET /healthz", b"DELETE /api/failed-events/x", b"GET /healthz"):
            writer.write(line + b" HTTP/1.1\r\nhost: a\r\n\r\n")
        alive = b'{"status":"alive"}'
        for status, body in ((b"200", b""), (b"200", alive), (b"204", b""), (b"200", alive)):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 " + status)
            assert await reader.readexactly(len(body)) == body
        writer.close()


async def test_a_body_that_comes_later_and_in_pieces_is_waited_for() -> None:
    body = b'{"userId":"ada","eventType":"session_start"}'
    async with listening() as (gateway, url):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = b"POST /api/events/track HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body)
        for piece in (head, body[:10], body[10:]):
            writer.write(piece)
            await writer.drain()
            for _ in range(20):
                await asyncio.sleep(0)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 202")
        assert [event.user_id for event in gateway.services.ingest.events] == ["ada"]
        writer.close()
