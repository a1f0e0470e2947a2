"""Connections wait for a whole answer before their next request, and count what was refused."""

import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.harness import connections, load


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[object, str]] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.asked.append((self.client_address, self.path))
        body = b"x" * 100_000
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def url(server: _Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_every_request_is_sent_once_and_in_order_on_each_connection(server: _Server) -> None:
    answered = connections.saturate(url(server), (connections.get(f"/{number:02}") for number in range(40)), 4, 60)
    assert len(answered.latencies) == 40
    assert answered.refused == 0
    assert sorted(path for _, path in server.asked) == [f"/{number:02}" for number in range(40)]
    by_connection = itertools.groupby(sorted(server.asked, key=lambda each: str(each[0])), key=lambda each: each[0])
    for paths in ([path for _, path in asked] for _, asked in by_connection):
        assert paths == sorted(paths)


def test_refusals_are_counted(server: _Server) -> None:
    asked = [connections.get("/"), connections.get("/missing"), connections.get("/missing")]
    assert connections.saturate(url(server), iter(asked), 1, 60).refused == 2


def test_nothing_is_begun_after_the_time(server: _Server) -> None:
    assert connections.saturate(url(server), itertools.repeat(connections.get("/")), 2, 0).latencies == []


@given(st.binary(max_size=50), st.integers(0, 120))
def test_an_answer_is_as_long_as_its_head_says(body: bytes, cut: int) -> None:
    head = b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\nserver: x\r\n\r\n" % len(body)
    expected = len(head) + len(body) if cut >= len(head) else None
    assert connections.length_of_answer((head + body)[:cut]) == expected


def test_a_user_s_events_come_in_runs_and_ids_are_used_once() -> None:
    import json

    groups = [load.requests(sender, 10, 1_000, 5) for sender in range(load.SENDERS)]
    events = [event for group in groups for _ in range(3) for event in json.loads(next(group))["events"]]
    assert len({event["eventId"] for event in events}) == len(events) == load.SENDERS * 30
    runs = [len([*run]) for _, run in itertools.groupby(events, key=lambda event: event["userId"])]
    assert set(runs) == {5}
