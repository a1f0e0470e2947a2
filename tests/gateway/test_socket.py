"""Interventions over a WebSocket, over a real connection."""

import asyncio
import json
import socket
from typing import Any

import httpx
import pytest
from journeymesh.common.v1 import event_pb2
from journeymesh.intervention.v1 import intervention_pb2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from gateway import serving
from mesh.errors import Unavailable
from tests.gateway.fakes import Interventions, Services, intervention
from tests.gateway.running import NOW_US, Gateway, listening

PATH = "/api/interventions/ada/socket"
HANDSHAKE = (
    f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()
MASK = bytes(4)


def change(cursor: int, intervention_id: str = "", text: str = "") -> intervention_pb2.WatchPendingInterventionResponse:
    """A change to what waits: help, or none."""
    offered = intervention(intervention_id) if intervention_id else None
    if offered and text:
        offered.message = text
    return intervention_pb2.WatchPendingInterventionResponse(cursor=str(cursor), intervention=offered)


def made(gateway: Gateway, **members: Any) -> None:
    """Makes the service know the intervention `i-1`."""
    gateway.services.intervention.made["i-1"] = intervention_pb2.GetInterventionResponse(
        user_id="ada", intervention=intervention(), **members
    )


def opened(url: str, query: str = "", **options: Any) -> connect:
    return connect(url.replace("http:", "ws:") + PATH + query, **options)


async def receive(client: ClientConnection) -> Any:
    """The next frame."""
    return json.loads(await asyncio.wait_for(client.recv(), 5))


async def say(client: ClientConnection, frame: Any) -> Any:
    """What a frame is answered."""
    await client.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))
    return await receive(client)


async def refused(url: str, query: str = "", **options: Any) -> dict[str, Any]:
    """The problem a handshake is answered."""
    with pytest.raises(InvalidStatus) as error:
        await opened(url, query, **options)
    response = error.value.response
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(response.body)
    assert (problem["status"], problem["traceId"]) == (response.status_code, response.headers["x-trace-id"])
    return problem


async def raw(url: str, path: str = PATH) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has shaken hands and then does as it likes."""
    host, port = url.removeprefix("http://").split(":")
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.setblocking(False)
    await asyncio.get_running_loop().sock_connect(own, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=own, limit=4096)
    writer.write(HANDSHAKE.replace(PATH.encode(), path.encode()))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    return reader, writer


async def test_the_waiting_intervention_and_every_change_are_sent() -> None:
    async with listening() as (gateway, url):
        gone = change(2)
        gone.withdrawn.intervention_id, gone.withdrawn.reason = "i-1", intervention_pb2.WITHDRAWAL_REASON_SESSION_ENDED
        gateway.services.intervention.changes.extend([change(1, "i-1"), gone, change(3, "i-2")])
        async with opened(url) as client:
            first, second, third = [await receive(client) for _ in range(3)]
        assert client.response is not None
        assert len(bytes.fromhex(client.response.headers["x-trace-id"])) == 16
    assert (first["type"], first["cursor"], first["hasPendingIntervention"]) == ("intervention", "1", True)
    assert first["intervention"]["id"] == "i-1"
    assert second == {
        "type": "intervention",
        "cursor": "2",
        "hasPendingIntervention": False,
        "intervention": None,
        "withdrawn": {"interventionId": "i-1", "reason": "session_ended"},
    }
    assert third["intervention"]["id"] == "i-2"


async def test_a_client_that_comes_back_goes_on_after_its_cursor() -> None:
    async with listening() as (gateway, url):
        gateway.services.intervention.changes.extend(change(n, f"i-{n}") for n in range(1, 5))
        async with opened(url) as client:
            assert [(await receive(client))["cursor"] for _ in range(2)] == ["1", "2"]
        async with opened(url, "?cursor=2") as client:
            assert (await receive(client))["cursor"] == "3"
        assert [one.cursor for one in gateway.services.intervention.watched] == ["", "2"]


@pytest.mark.parametrize("is_binary", [False, True])
async def test_an_outcome_is_taken_as_over_rest(is_binary: bool) -> None:  # noqa: FBT001 - a parameter
    async with listening() as (gateway, url):
        made(gateway)
        frame = '{"type":"outcome","id":"i-1","outcome":"accepted"}'
        async with opened(url) as client:
            taken = await say(client, frame.encode() if is_binary else frame)
            again = await say(client, frame)
        (event,) = gateway.services.ingest.events[:1]
        assert {key: taken[key] for key in ("type", "id", "outcome")} == json.loads(frame) | {"type": "outcome_taken"}
        assert taken["eventId"] == again["eventId"] == event.event_id == "jm:outcome:i-1:accepted"
        assert taken["traceId"] == event.trace_id.hex() != again["traceId"]
        assert taken["traceId"] != (client.response and client.response.headers["x-trace-id"])
        assert (event.user_id, event.received_time_us) == ("ada", NOW_US)
        assert event.outcome.outcome == event_pb2.OUTCOME_ACCEPTED
        assert gateway.core.admission.requests == 0


@pytest.mark.parametrize(
    ("frame", "reason", "intervention_id"),
    [
        ({"type": "outcome", "id": "none", "outcome": "shown"}, "INTERVENTION_NOT_FOUND", "none"),
        ({"type": "outcome", "id": "i-1", "outcome": "shown"}, "INTERVENTION_ENDED", "i-1"),
        ({"type": "outcome", "id": "i-1", "outcome": "liked"}, "VALUE_OUT_OF_RANGE", "i-1"),
        ({"type": "outcome", "id": "i-1", "outcome": "withdrawn"}, "VALUE_OUT_OF_RANGE", "i-1"),
        ({"type": "outcome", "id": "i-1", "outcome": 1}, "INVALID_TYPE", None),
        ({"type": "outcome", "id": "i-1"}, "INVALID_TYPE", None),
        ({"type": "outcome", "id": "i-1", "outcome": "shown", "at": 1}, "UNKNOWN_FIELD", None),
        ({"type": "subscribe"}, "INVALID_TYPE", None),
        ({"id": "i-1", "outcome": "shown"}, "INVALID_TYPE", None),
        ([], "INVALID_TYPE", None),
        ("", "MALFORMED_JSON", None),
        ("nonsense", "MALFORMED_JSON", None),
        (b"\xff", "MALFORMED_JSON", None),
        ('{"type":' + "[" * 4000, "INVALID_TYPE", None),
    ],
)
async def test_a_frame_that_cannot_be_taken_is_a_problem_and_ends_nothing(
    frame: object, reason: str, intervention_id: str | None
) -> None:
    async with listening() as (gateway, url):
        made(gateway, is_ended=True, outcome=event_pb2.OUTCOME_DECLINED)
        async with opened(url) as client:
            reply = await say(client, frame)
            assert (reply["type"], reply["id"], reply["problem"]["reason"]) == ("problem", intervention_id, reason)
            assert reply["problem"]["type"] == f"/docs#{reason}"
            taken = await say(client, {"type": "outcome", "id": "i-1", "outcome": "declined"})
            assert taken["type"] == "outcome_taken"


async def test_an_error_of_a_service_never_shows_its_text() -> None:
    async with listening() as (gateway, url):
        made(gateway)
        async with opened(url) as client:
            gateway.services.ingest.error = Unavailable("BUFFER_FULL", "It is full.")
            reply = await say(client, {"type": "outcome", "id": "i-1", "outcome": "shown"})
            assert (reply["problem"]["status"], reply["problem"]["reason"]) == (503, "BUFFER_FULL")
            object.__setattr__(gateway.core.peers, "intervention", None)
            reply = await say(client, {"type": "outcome", "id": "i-1", "outcome": "shown"})
            assert (reply["problem"]["status"], reply["problem"]["reason"]) == (500, "INTERNAL")
            assert "NoneType" not in json.dumps(reply)


async def test_outcomes_count_as_requests_under_way() -> None:
    async with listening(request_count=1) as (gateway, url):
        made(gateway)
        gateway.services.ingest.gate = asyncio.Event()
        async with opened(url) as one, opened(url) as two:
            await one.send('{"type":"outcome","id":"i-1","outcome":"shown"}')
            await asyncio.wait_for(gateway.services.ingest.arrived.wait(), 5)
            reply = await say(two, {"type": "outcome", "id": "i-1", "outcome": "shown"})
            assert reply["problem"]["reason"] == "BUFFER_FULL"
            gateway.services.ingest.gate.set()
            assert (await receive(one))["type"] == "outcome_taken"


async def test_sockets_and_streams_share_one_bound_and_end_with_the_process() -> None:
    async with listening(stream_count=2, address_percent=100) as (gateway, url):
        async with (
            opened(url) as client,
            httpx.AsyncClient() as http,
            http.stream("GET", url + PATH.replace("socket", "stream")) as stream,
        ):
            reply = await refused(url)
            assert (reply["status"], reply["reason"]) == (503, "TOO_MANY_STREAMS")
            gateway.core.closing.set()
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1012
            await stream.aread()
        assert not gateway.core.streams


async def test_an_outcome_on_its_way_is_taken_although_the_process_ends() -> None:
    async with listening() as (gateway, url):
        made(gateway)
        gateway.services.ingest.gate = asyncio.Event()
        async with opened(url) as client:
            await client.send('{"type":"outcome","id":"i-1","outcome":"shown"}')
            await asyncio.wait_for(gateway.services.ingest.arrived.wait(), 5)
            gateway.core.closing.set()
            with pytest.raises(ConnectionClosed):
                await client.recv()
            gateway.services.ingest.gate.set()
    assert [event.event_id for event in gateway.services.ingest.events] == ["jm:outcome:i-1:shown"]


async def test_the_watch_ends_when_the_client_leaves() -> None:
    async with listening() as (gateway, url):
        gateway.services.intervention.changes.append(change(1, "i-1"))
        client = await opened(url)
        await receive(client)
        client.transport.abort()
        await asyncio.wait_for(gateway.services.intervention.watch_left.wait(), 5)
        assert not gateway.core.streams


async def test_a_client_is_asked_to_reconnect_when_the_service_ends_the_watch() -> None:
    async with listening() as (gateway, url):
        gateway.services.intervention.changes.append(change(1, "i-1"))
        gateway.services.intervention.ends = True
        async with opened(url) as client:
            await receive(client)
            with pytest.raises(ConnectionClosedError):
                await client.recv()
        assert client.close_code == 1012


async def test_a_service_that_cannot_be_reached_is_a_problem() -> None:
    async with listening() as (gateway, url):
        gateway.services.intervention.watch_error = Unavailable("DEPENDENCY_UNAVAILABLE", "The store is away.")
        assert (await refused(url))["reason"] == "DEPENDENCY_UNAVAILABLE"
        assert not gateway.core.streams


@pytest.mark.parametrize(
    ("setting", "origin", "is_welcome"),
    [
        ("", None, True),
        ("", "{own}", True),
        ("", "https://shop.example", False),
        ("", "null", False),
        ("https://shop.example", "https://shop.example", True),
        ("https://shop.example", "https://shop.example.evil", False),
        ("https://shop.example", "{own}", True),
        ("*", "https://any.example", True),
    ],
)
async def test_a_page_of_another_origin_connects_where_it_may_call(
    setting: str, origin: str | None, *, is_welcome: bool
) -> None:
    async with listening(cors_origins=setting) as (_, url):
        given: Any = origin and origin.format(own=url)
        if is_welcome:
            async with opened(url, origin=given):
                pass
        else:
            assert (await refused(url, origin=given))["reason"] == "INVALID_PARAMETER"


async def test_only_sockets_are_served_as_sockets() -> None:
    async with listening() as (gateway, url), httpx.AsyncClient(base_url=url) as http:
        for path, reason in (("/api/users/ada/risk", "INVALID_PARAMETER"), ("/nowhere", "PATH_NOT_FOUND")):
            with pytest.raises(InvalidStatus) as error:
                await connect(url.replace("http:", "ws:") + path)
            assert json.loads(error.value.response.body)["reason"] == reason
        plain = await http.get(PATH)
        assert (plain.status_code, plain.json()["reason"]) == (400, "INVALID_PARAMETER")
        assert (await refused(url, "?cursr=1"))["reason"] == "INVALID_PARAMETER"
        assert gateway.services.intervention.watched == []


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HANDSHAKE.replace(b"GET", b"POST"), b"400"),
        (HANDSHAKE[:-2] + b"".join(b"x-%d: 1\r\n" % n for n in range(200)) + b"\r\n", b"431"),
        (HANDSHAKE.replace(b"Sec-WebSocket-Key", b"x"), b"400"),
    ],
    ids=["another method", "too many headers", "no key"],
)
async def test_an_invalid_handshake_is_refused_and_closed(head: bytes, status: bytes) -> None:
    async with listening() as (_, url):
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 " + status)


async def test_a_message_that_is_too_long_ends_the_socket() -> None:
    async with listening() as (gateway, url), opened(url) as client:
        await client.send("x" * 5000)
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        assert client.close_code == 1009
        await asyncio.wait_for(gateway.services.intervention.watch_left.wait(), 5)


async def test_a_message_in_pieces_without_end_ends_the_socket() -> None:
    async with listening() as (gateway, url):
        reader, writer = await raw(url)
        writer.write(b"\x01\x80" + MASK + (b"\x00\x80" + MASK) * 100)
        closing = await asyncio.wait_for(reader.read(), 5)
        assert int.from_bytes(closing[2:4], "big") == 1009
        await asyncio.wait_for(gateway.services.intervention.watch_left.wait(), 5)
        writer.close()


async def test_a_text_that_is_no_utf_8_ends_the_socket_and_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as (gateway, url):
        for message in (b"\x81\x82" + MASK + b"\xc3\x28", b"\x01\x81" + MASK + b"\xc3" + b"\x80\x81" + MASK + b"\x28"):
            reader, writer = await raw(url)
            writer.write(message)
            closing = await asyncio.wait_for(reader.read(), 5)
            assert int.from_bytes(closing[2:4], "big") == 1007
            await asyncio.wait_for(gateway.services.intervention.watch_left.wait(), 5)
            writer.close()
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


async def test_an_unresponsive_client_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_PING_SECONDS", 0.05)
    async with listening() as (gateway, url), opened(url) as client:  # answers pings
        _, writer = await raw(url)  # does not
        await asyncio.wait_for(gateway.services.intervention.watch_left.wait(), 5)
        writer.close()
        made(gateway)
        assert (await say(client, {"type": "outcome", "id": "i-1", "outcome": "shown"}))["type"] == "outcome_taken"
        assert len(gateway.core.streams) == 1


class Counting(Interventions):
    """Tells Ada thousands of long changes, and counts how many were taken from it."""

    sent_count = 0

    async def WatchPendingIntervention(
        self, request: intervention_pb2.WatchPendingInterventionRequest, context: object
    ) -> Any:
        if request.user_id != "ada":
            yield change(1, "i-1")
            await asyncio.Event().wait()
        for n in range(2000):
            yield change(n, f"i-{n}", "x" * 50_000)
            self.sent_count = n
        await asyncio.Event().wait()


async def test_a_slow_client_holds_back_only_itself() -> None:
    service = Counting()
    async with listening(services=Services(intervention=service)) as (_, url):
        reader, writer = await raw(url)
        for _ in range(20):
            async with connect(url.replace("http:", "ws:") + PATH.replace("ada", "bob")) as client:
                assert (await receive(client))["cursor"] == "1"
        held_back = service.sent_count
        assert held_back < 500  # of 2000: what fits between, and no more
        while service.sent_count < 1999:  # it was slow, and missed nothing
            await asyncio.wait_for(reader.read(1 << 20), 5)
        writer.transport.abort()


async def test_a_client_that_pings_and_never_reads_is_not_read_either() -> None:
    async with listening() as (_, url):
        _, writer = await raw(url)
        ping = b"\x89\xfd" + MASK + bytes(125)

        async def send_many() -> None:
            for _ in range(24 << 20 >> 17):
                writer.write(ping * 1000)
                await writer.drain()

        with pytest.raises(TimeoutError):  # about 10 MB fit between
            await asyncio.wait_for(send_many(), 3)
        writer.transport.abort()


async def test_a_socket_is_counted() -> None:
    async with listening() as (gateway, url), httpx.AsyncClient(base_url=url) as http:
        async with opened(url):
            pass
        await asyncio.wait_for(gateway.services.intervention.watch_left.wait(), 5)
        counted = (await http.get("/metrics")).text
    line = 'http_request_method="GET",http_response_status_code="101",http_route="/api/interventions/{userId}/socket"'
    assert f"journeymesh_http_requests_total{{{line}}} 1.0" in counted
