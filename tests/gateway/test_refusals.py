"""Refusals by the head alone: the same answers as the whole gateway gives, on connections that go on as usual."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import pytest

from mesh.keys import Kind
from tests.builders import SECOND_US
from tests.gateway.running import Gateway, listening
from tests.gateway.test_access import Issued
from tests.gateway.test_rates import Time, know, limited

NONE: Final[Mapping[str, str]] = {}
BODY: Final = json.dumps({"events": [{"userId": "ada", "eventType": "click"}] * 40}).encode()
HEALTH: Final = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


class Said(NamedTuple):
    """An answer: its status, its fields but those that name a trace, its body without the trace, and the trace."""

    status: int
    fields: Mapping[bytes, bytes]
    body: Mapping[str, object]
    trace_id: str


@contextlib.asynccontextmanager
async def limiting(time: Time, *keys: Issued) -> AsyncIterator[tuple[Gateway, str]]:
    """A gateway on a port that knows these keys."""
    async with listening(keys="required", monotonic=time, cors_origins="https://shop.example") as (gateway, url):
        know(gateway, *keys)
        yield gateway, url


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
    async with asyncio.timeout(30):
        yield reader, writer
    writer.close()


def tracking(key: Issued, body: bytes = BODY, fields: Mapping[str, str] = NONE, version: str = "1.1") -> bytes:
    """A request that sends events."""
    named = {"host": "x", "content-type": "application/json", "content-length": str(len(body)), **key.headers, **fields}
    lines = [f"POST /api/events/track HTTP/{version}", *(f"{name}: {value}" for name, value in named.items() if value)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def read(reader: asyncio.StreamReader) -> Said:
    """The next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
    fields = {name: value for name, _, value in (line.partition(b": ") for line in head[1:])}
    content = await reader.readexactly(int(fields[b"content-length"]))
    body = json.loads(content) if fields[b"content-type"].endswith(b"json") else {}
    length, trace_id = fields.pop(b"content-length"), fields.pop(b"x-trace-id", b"").decode()
    assert int(length) == len(content)
    assert body.pop("traceId", trace_id) == trace_id
    return Said(int(head[0].split()[1]), fields, body, trace_id)


async def say(url: str, *requests: bytes) -> list[Said]:
    """Sends requests on one connection, each after the answer to the one before it; returns the answers."""
    async with connected(url) as (reader, writer):
        answers = []
        for request in requests:
            writer.write(request)
            answers.append(await read(reader))
        return answers


def by_head(answers: Sequence[Said]) -> list[bool]:
    """Which of the answers were given by the head alone."""
    return [not each.trace_id for each in answers]


@pytest.mark.parametrize("origin", ["", "https://shop.example"])
async def test_the_second_refusal_is_the_first_without_a_trace(origin: str) -> None:
    key = limited(10, 10, Kind.PUBLIC)
    async with limiting(Time(), key) as (gateway, url):
        taken, first, second = await say(url, *[tracking(key, fields={"origin": origin})] * 3)
        assert (taken.status, first.status, second.status) == (202, 429, 429)
        assert by_head([taken, first, second]) == [False, False, True]
        assert (second.body, {*second.fields}) == (first.body, {*first.fields})
        assert second.fields[b"retry-after"] == b"4"
        assert len(gateway.services.ingest.requests) == 1


async def test_it_is_known_on_every_connection() -> None:
    key = limited(10, 10)
    async with limiting(Time(), key) as (_, url):
        await say(url, *[tracking(key)] * 2)
        assert by_head(await say(url, tracking(key))) == [True]


async def test_what_is_refused_by_the_head_is_counted_like_the_rest() -> None:
    key = limited(10, 10)
    async with limiting(Time(), key) as (gateway, url):
        await say(url, *[tracking(key)] * 6)
        counted = gateway.core.telemetry.metrics.render()
    assert b'journeymesh_rate_limited_requests_total{limit="key"} 5.0' in counted
    lines = [line for line in counted.splitlines() if b"http_requests_total{" in line and b'"429"' in line]
    assert [line.split()[-1] for line in lines] == [b"5.0"]
    assert b'"/api/events/track"' in lines[0]


async def test_it_ends_as_soon_as_something_is_left() -> None:
    key, time = limited(10, 10), Time()
    async with limiting(time, key) as (gateway, url):
        answers = await say(url, *[tracking(key)] * 3)
        time.now_us += int(answers[-1].fields[b"retry-after"]) * SECOND_US
        assert [each.status for each in await say(url, tracking(key))] == [202]
        assert len(gateway.services.ingest.requests) == 2


async def test_it_is_decided_anew_after_a_second() -> None:
    key, time = limited(1, 1), Time()
    async with limiting(time, key) as (gateway, url):
        await say(url, *[tracking(key)] * 3)
        time.now_us += SECOND_US
        know(gateway)  # the key is no longer there
        assert [each.status for each in await say(url, tracking(key))] == [401]


async def test_other_keys_paths_origins_and_users_are_served_as_ever() -> None:
    poor, rich = limited(10, 10), limited(1000, 1000)
    async with limiting(Time(), poor, rich) as (_, url):
        await say(url, *[tracking(poor)] * 3)
        unknown = tracking(poor, fields={"authorization": f"Bearer {rich.text[:-1]}"})
        others = [
            HEALTH,
            tracking(rich),
            unknown,
            tracking(poor, fields={"origin": "https://other.example"}),
            tracking(poor, fields={"x-journeymesh-user-token": "x"}),
        ]
        answers = await say(url, *others)
        assert [each.status for each in answers[:3]] == [200, 202, 401]
        assert not any(by_head(answers))


async def test_answers_keep_their_order_and_bodies_are_no_requests() -> None:
    key = limited(10, 10)
    within = tracking(key, body=HEALTH * 40)
    async with limiting(Time(), key) as (gateway, url):
        await say(url, *[tracking(key)] * 2)
        async with connected(url) as (reader, writer):
            writer.write((HEALTH + within + within + HEALTH) * 40)
            answers = [await read(reader) for _ in range(160)]
        assert [each.status for each in answers] == [200, 429, 429, 200] * 40
        assert len(gateway.services.ingest.requests) == 1


async def test_of_much_that_comes_at_once_only_the_beginning_is_refused_by_the_head() -> None:
    key = limited(10, 10)
    async with limiting(Time(), key) as (_, url):
        await say(url, *[tracking(key)] * 2)
        async with connected(url) as (reader, writer):
            writer.write(tracking(key, body=b"x") * 60)
            answers = [await read(reader) for _ in range(60)]
        assert {each.status for each in answers} == {429}
        assert by_head(answers)[:16] == [True] * 16
        assert not all(by_head(answers))


@pytest.mark.parametrize("size", [1, 7, 100, 3000])
async def test_a_body_may_come_after_its_answer_in_pieces(size: int) -> None:
    key = limited(10, 10)
    chunked = tracking(key, fields={"content-length": "", "transfer-encoding": "chunked"})
    chunked = chunked.removesuffix(BODY) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    async with limiting(Time(), key) as (_, url):
        await say(url, *[tracking(key)] * 2)
        async with connected(url) as (reader, writer):
            for request in (tracking(key), chunked):
                head, _, body = request.partition(b"\r\n\r\n")
                writer.write(head + b"\r\n\r\n")
                assert (await read(reader)).status == 429
                for start in range(0, len(body), size):
                    writer.write(body[start : start + size])
                    await writer.drain()
            writer.write(HEALTH)
            assert (await read(reader)).status == 200


async def test_who_closes_or_asks_before_sending_is_answered_by_the_whole_gateway() -> None:
    key = limited(10, 10)
    async with limiting(Time(), key) as (_, url):
        await say(url, *[tracking(key)] * 3)
        for request in (
            tracking(key, fields={"connection": "close"}),
            tracking(key, version="1.0"),
            tracking(key, fields={"expect": "100-continue"}),
        ):
            (answer,) = await say(url, request)
            assert (answer.status, by_head([answer])) == (429, [False])


async def test_a_body_that_is_no_body_ends_the_connection() -> None:
    key = limited(10, 10)
    broken = tracking(key, body=b"", fields={"content-length": "", "transfer-encoding": "chunked"}) + b"no size\r\n"
    async with limiting(Time(), key) as (_, url):
        await say(url, *[tracking(key)] * 2)
        async with connected(url) as (reader, writer):
            writer.write(broken + HEALTH)
            assert (await read(reader)).status == 429
            assert await reader.read() == b""


async def test_a_gateway_that_leaves_says_so_with_every_answer() -> None:
    key = limited(10, 10)
    async with limiting(Time(), key) as (gateway, url), connected(url) as (reader, writer):
        for _ in range(3):
            writer.write(tracking(key))
            await read(reader)
        gateway.core.closing.set()
        writer.write(tracking(key))
        assert (await read(reader)).fields[b"connection"] == b"close"
