"""Invalid HTTP/1.1 requests are refused with one answer, over a real connection, and the next client is served."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.transport import canned_answers
from gateway.transport.heads import is_host
from tests.gateway.running import listening

HOST = b"host: x\r\n"
GET = b"GET /healthz HTTP/1.1\r\n"
POST = b"POST /api/events/track HTTP/1.1\r\ncontent-type: application/json\r\n"
EVENT = b'{"userId":"ada","eventType":"session_start"}'
LENGTH = b"content-length: %d\r\n" % len(EVENT)
CHUNKED = b"transfer-encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT)
HANDSHAKE = (
    b"GET /api/interventions/ada/socket HTTP/1.1\r\n" + HOST + b"connection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
END = b"\r\n"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Where a gateway listens."""
    async with listening(body_seconds=2) as (_, where):
        yield where


async def say(url: str, message: bytes, *, ends: bool = False) -> bytes:
    """All that a connection is answered until the gateway closes it, or the client says that it has said all."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(message)
    if ends:
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


def statuses(answers: bytes) -> list[int]:
    """The statuses of answers that follow each other."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


REFUSED: dict[str, tuple[bytes, int]] = {
    "no Host": (GET + END, 400),
    "two Hosts": (GET + HOST + HOST + END, 400),
    "two Hosts, written differently": (GET + b"Host: x\r\nHOST: y\r\n" + END, 400),
    "an empty Host": (GET + b"host:\r\n" + END, 400),
    "a Host with a path": (GET + b"host: x/y\r\n" + END, 400),
    "a Host with a user": (GET + b"host: a@x\r\n" + END, 400),
    "two hosts in one": (GET + b"host: x, y\r\n" + END, 400),
    "a Host with markup": (GET + b"host: <x>\r\n" + END, 400),
    "a port that is none": (GET + b"host: x:99999\r\n" + END, 400),
    "a port that is no number": (GET + b"host: x:y\r\n" + END, 400),
    "a Host that is very long": (GET + b"host: " + b"x" * 300 + END + END, 400),
    "gzip, chunked": (POST + HOST + b"transfer-encoding: gzip, chunked\r\n" + END + CHUNKS, 400),
    "chunked, gzip": (POST + HOST + b"transfer-encoding: chunked, gzip\r\n" + END + CHUNKS, 400),
    "chunked twice": (POST + HOST + b"transfer-encoding: chunked, chunked\r\n" + END + CHUNKS, 400),
    "two codings": (POST + HOST + CHUNKED + CHUNKED + END + CHUNKS, 400),
    "another coding": (POST + HOST + b"transfer-encoding: identity\r\n" + END + CHUNKS, 400),
    "a coding nobody knows": (POST + HOST + b"transfer-encoding: xchunked\r\n" + END + CHUNKS, 400),
    "a coding in quotes": (POST + HOST + b'transfer-encoding: "chunked"\r\n' + END + CHUNKS, 400),
    "an empty coding": (POST + HOST + b"transfer-encoding:\r\n" + END + CHUNKS, 400),
    "a coding and a length": (POST + HOST + CHUNKED + LENGTH + END + CHUNKS, 400),
    "a length and a coding": (POST + HOST + LENGTH + CHUNKED + END + CHUNKS, 400),
    "chunks in HTTP/1.0": (POST.replace(b"1.1", b"1.0") + HOST + CHUNKED + END + CHUNKS, 400),
    "two lengths": (POST + HOST + LENGTH + b"content-length: 3\r\n" + END + EVENT, 400),
    "two lengths in one": (POST + HOST + b"content-length: 44, 3\r\n" + END + EVENT, 400),
    "a length with a sign": (POST + HOST + b"content-length: +44\r\n" + END + EVENT, 400),
    "a length below nothing": (POST + HOST + b"content-length: -1\r\n" + END + EVENT, 400),
    "a length with a space": (POST + HOST + b"content-length: 4 4\r\n" + END + EVENT, 400),
    "a length in another base": (POST + HOST + b"content-length: 0x2c\r\n" + END + EVENT, 400),
    "a length beyond 64 bits": (POST + HOST + b"content-length: 99999999999999999999\r\n" + END + EVENT, 400),
    "an empty length": (POST + HOST + b"content-length:\r\n" + END + EVENT, 400),
    "a chunk without a size": (POST + HOST + CHUNKED + END + b"zz\r\n" + EVENT, 400),
    "a chunk of a size with a sign": (POST + HOST + CHUNKED + END + b"-1\r\n" + EVENT, 400),
    "a chunk longer than said": (POST + HOST + CHUNKED + END + b"1\r\n" + EVENT + END, 400),
    "a folded field": (GET + HOST + b"x-y: a\r\n b\r\n" + END, 400),
    "a space before the colon": (GET + HOST + b"x-y : a\r\n" + END, 400),
    "a field without a colon": (GET + HOST + b"xy\r\n" + END, 400),
    "a field without a name": (GET + HOST + b": a\r\n" + END, 400),
    "a NUL in a value": (GET + HOST + b"x-y: a\0b\r\n" + END, 400),
    "a NUL in a name": (GET + HOST + b"x\0y: a\r\n" + END, 400),
    "a NUL in the target": (b"GET /he\0 HTTP/1.1\r\n" + HOST + END, 400),
    "a CR alone": (GET + HOST + b"x-y: a\rb\r\n" + END, 400),
    "an LF alone": (GET + HOST + b"x-y: a\n" + END, 400),
    "LFs alone throughout": (b"GET /healthz HTTP/1.1\nhost: x\n\n", 400),
    "no version": (b"GET /healthz\r\n" + HOST + END, 505),
    "an older version": (b"GET /healthz HTTP/0.9\r\n" + HOST + END, 505),
    "HTTP/2 at once": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a method nobody knows": (b"STEAL /healthz HTTP/1.1\r\n" + HOST + END, 400),
    "a hello of TLS": (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(32), 400),
    "a target that is no path": (b"GET healthz HTTP/1.1\r\n" + HOST + END, 400),
    "a star for GET": (b"GET * HTTP/1.1\r\n" + HOST + END, 400),
    "a URL of another kind": (b"GET ftp://x/healthz HTTP/1.1\r\n" + HOST + END, 400),
    "a URL of another host's user": (b"GET http://a@x/healthz HTTP/1.1\r\n" + HOST + END, 400),
    "a long target": (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n" + HOST + END, 414),
    "a long field": (GET + HOST + b"x-y: " + b"z" * 70_000 + END + END, 431),
    "many fields": (GET + HOST + b"".join(b"x-%d: 1\r\n" % n for n in range(200)) + END, 431),
    "a long field after a body": (POST + HOST + CHUNKED + END + CHUNKS[:-2] + b"x: " + b"z" * 70_000, 413),
    "long extensions of chunks": (POST + HOST + CHUNKED + END + b"1;x=" + b"z" * 70_000, 413),
    "a tunnel": (b"CONNECT x:443 HTTP/1.1\r\n" + HOST + END, 405),
    "a handshake with a body": (HANDSHAKE + b"content-length: 1\r\n" + END + b"x", 400),
    "a handshake with chunks": (HANDSHAKE + CHUNKED + END + b"0\r\n\r\n", 400),
    "a handshake of another version": (HANDSHAKE.replace(b": 13", b": 8") + END, 426),
    "a handshake with a key that is none": (HANDSHAKE.replace(b"==", b"") + END, 400),
    "a handshake with something after it": (HANDSHAKE + END + b"\x81\x80\0\0\0\0", 400),
}


@pytest.mark.parametrize(("message", "status"), REFUSED.values(), ids=REFUSED)
async def test_an_invalid_request_is_refused_once_and_the_next_client_is_served(
    url: str, message: bytes, status: int
) -> None:
    answer = await say(url, message)
    assert statuses(answer) == [status], answer
    head, _, body = answer.partition(b"\r\n\r\n")
    for field in (b"connection: close", b"x-content-type-options: nosniff", b"content-type: application/problem+json"):
        assert field in head.split(b"\r\n")
    assert len([line for line in head.split(b"\r\n") if line.startswith(b"date: ")]) == 1
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["reason"] in {"MALFORMED_REQUEST", "REQUEST_TOO_LARGE", "METHOD_NOT_ALLOWED"}
    assert statuses(await say(url, b"", ends=True)) == [200]


TAKEN: dict[str, tuple[bytes, int]] = {
    "a host with a port": (GET + b"host: x:8080\r\n" + END, 200),
    "an address of IPv6": (GET + b"host: [::1]:8080\r\n" + END, 200),
    "a name with an underscore": (GET + b"host: journeymesh_gateway\r\n" + END, 200),
    "a URL of http": (b"GET http://x/healthz HTTP/1.1\r\n" + HOST + END, 200),
    "a URL of another host": (b"GET http://y:80/healthz HTTP/1.1\r\n" + HOST + END, 200),
    "a URL without a path": (b"GET http://x HTTP/1.1\r\n" + HOST + END, 404),
    "chunks": (POST + HOST + CHUNKED + END + CHUNKS, 202),
    "Chunks": (POST + HOST + CHUNKED.title() + END + CHUNKS, 202),
    "a field after a body": (POST + HOST + CHUNKED + END + CHUNKS[:-2] + b"x-y: z\r\n\r\n", 202),
    "the same length": (POST + HOST + LENGTH + END + EVENT, 202),
    "no field but the host": (GET + HOST + END, 200),
    "HEAD": (GET.replace(b"GET", b"HEAD") + HOST + END, 200),
    "OPTIONS": (GET.replace(b"GET", b"OPTIONS") + HOST + END, 405),
    "OPTIONS of everything": (b"OPTIONS * HTTP/1.1\r\n" + HOST + END, 404),
    "TRACE": (GET.replace(b"GET", b"TRACE") + HOST + END, 405),
    "an upgrade to HTTP/2": (GET + HOST + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n" + END, 200),
    "an upgrade to HTTP/2, with a body": (
        POST + HOST + b"connection: upgrade\r\nupgrade: h2c\r\n" + LENGTH + END + EVENT,
        202,
    ),
}


@pytest.mark.parametrize(("message", "status"), TAKEN.values(), ids=TAKEN)
async def test_a_valid_request_is_served_and_so_is_the_next_on_its_connection(
    url: str, message: bytes, status: int
) -> None:
    assert statuses(await say(url, message, ends=True)) == [status, 200]


async def test_http_1_0_needs_no_host(url: str) -> None:
    assert statuses(await say(url, b"GET /healthz HTTP/1.0\r\n\r\n")) == [200]


async def test_each_of_many_requests_at_once_counts_by_itself(url: str) -> None:
    """More bytes of heads together than one head may have, and more requests than may wait."""
    count = 2_000
    answers = await say(url, (GET + HOST + b"x-y: " + b"z" * 50 + END + END) * count, ends=True)
    assert statuses(answers) == [200] * (count + 1)


async def test_bodies_of_many_requests_at_once_are_each_their_own(url: str) -> None:
    message = POST + HOST + LENGTH + END + EVENT + POST + HOST + CHUNKED + END + CHUNKS
    assert statuses(await say(url, message * 100, ends=True)) == [202] * 200 + [200]


@pytest.mark.parametrize("size", [1, 2_047, 2_048, 2_049, 65_536, 200_000])
@pytest.mark.parametrize("count", [1, 2])
async def test_chunks_of_any_size_are_read_once(url: str, size: int, count: int) -> None:
    spaces = b"%x\r\n%b\r\n" % (size, b" " * size)
    batch = b'{"events":[%b]}' % EVENT
    message = POST + HOST + CHUNKED + END + spaces * count + b"%x\r\n%b\r\n0\r\n\r\n" % (len(batch), batch)
    assert statuses(await say(url, message * 2, ends=True)) == [202, 202, 200]


@pytest.mark.parametrize(("count", "status"), [(5_000, 202), (17_500, 413)])
async def test_chunks_of_one_byte_are_taken_while_they_are_few(url: str, count: int, status: int) -> None:
    """Each costs as much as a large one."""
    message = POST + HOST + CHUNKED + END + b"1\r\n \r\n" * count + CHUNKS
    assert statuses(await say(url, message, ends=True))[0] == status


async def test_an_invalid_request_is_refused_after_earlier_ones_are_answered(url: str) -> None:
    assert statuses(await say(url, (GET + HOST + END) * 3 + GET + END + (GET + HOST + END) * 3)) == [200] * 3 + [400]


async def test_a_body_that_breaks_hands_nothing_on(url: str) -> None:
    """A request within what should have been the body is never served."""
    hidden = GET + HOST + END
    assert statuses(await say(url, POST + HOST + CHUNKED + END + b"1\r\nxx" + hidden)) == [400]


@pytest.mark.parametrize("host", ["x", "x.example", "x.example.", "a_b-c:1", "127.0.0.1:65535", "[2001:db8::1]:8080"])
def test_hosts(host: str) -> None:
    assert is_host(host.encode())


@pytest.mark.parametrize("host", ["", ".", "x..y", "x:", "x:65536", "[::1", "::1", "x y", "ä", "x\n", "a@b", "x#y"])
def test_invalid_hosts(host: str) -> None:
    assert not is_host(host.encode())


def test_canned_answers_name_no_trace_and_are_not_cached() -> None:
    answers = [answer for answer in vars(canned_answers).values() if isinstance(answer, bytes)]
    assert len(answers) >= 10
    for answer in answers:
        assert b"cache-control: no-store\r\n" in answer
        assert b"x-trace-id" not in answer
        assert Path(canned_answers.__file__).name.encode() not in answer
