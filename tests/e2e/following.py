"""Following what waits for a user as clients do, and what a test does with a mesh beyond its REST."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import httpx
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.e2e.journeys import Journey
from tests.intervention.receiver import Receiver
from tests.processes import RunningMesh

Value = TypeVar("Value")


class Update(NamedTuple):
    """One update from any interface: its cursor, and the body a poll would have had."""

    cursor: str
    body: dict[str, Any]

    @property
    def message(self) -> str | None:
        """What is said to the user; None where nothing waits."""
        intervention = self.body["intervention"]
        return str(intervention["message"]) if intervention else None


def polled(one: Journey) -> Update:
    """What a poll returns now."""
    body = one.mesh.get(f"/api/interventions/{one.user_id}/pending").body
    return Update(body["cursor"], body)


@contextlib.contextmanager
def streamed(one: Journey, cursor: str = "") -> Iterator[Iterator[Update]]:
    """The updates of the event stream after a cursor, within the block; without a cursor, from now on."""
    given = {"last-event-id": cursor} if cursor else {}
    with (
        httpx.Client(base_url=one.mesh.url, timeout=10) as client,
        client.stream("GET", f"/api/interventions/{one.user_id}/stream", headers=given) as answer,
    ):
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[Update]:
    cursor = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            cursor = value
        elif name == "data":
            yield Update(cursor, json.loads(value))


@contextlib.contextmanager
def connected(one: Journey) -> Iterator[Connection]:
    """A socket over what waits for a user, within the block; what waits now comes first."""
    url = f"{one.mesh.url.replace('http:', 'ws:')}/api/interventions/{one.user_id}/socket"
    with connect(url, proxy=None) as client:
        yield client


def frame_of(client: Connection) -> tuple[str, Update]:
    """The next frame: its type and its update."""
    frame = json.loads(client.recv(timeout=10))
    return frame.pop("type"), Update(frame.get("cursor", ""), frame)


def calculate(one: Journey, page: str = "/calculator") -> None:
    """Three failed attempts, after which a user is helped at once; received together."""
    one.send(*calculation(one, page))


def calculation(one: Journey, page: str = "/calculator") -> list[dict[str, Any]]:
    """The events of that."""
    return [
        one.event(0, "page_view", page=page),
        one.event(15, "feature_interaction", page=page, feature="loan_amount"),
        one.event(30, "struggle_signal", page=page, attempts=3),
    ]


def be_welcomed_by(one: Journey, channel: str) -> None:
    """Medium risk, of a user who has welcomed help by a channel five times of six."""
    for number, outcome in enumerate(["accepted"] * 5 + ["declined"]):
        one.send(one.event(-24 * 3600 * (number + 1), "intervention_outcome", channel=channel, outcome=outcome))
    one.send(one.event(0, "page_view", page="/import"), one.event(5, "task_success", page="/import", task="login"))
    for seconds in (20, 60):
        one.send(one.event(seconds, "error", page="/import", target="upload", errorCode="http_500"))


def until(found: Callable[[], Value | None], complaint: str, patience_seconds: float = 30) -> Value:
    """What is found, once something is."""
    deadline = time.monotonic() + patience_seconds
    while not (value := found()):
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)
    return value


def command(mesh: RunningMesh, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `journeymesh` for a mesh until it ends."""
    address = mesh.url.removeprefix("http://")
    given = os.environ | {"JOURNEYMESH_HTTP_ADDRESS": address, "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments], env=given, text=True, capture_output=True, timeout=60, check=False
    )


def kill(mesh: RunningMesh, name: str) -> None:
    """Ends a process of the mesh in the middle of whatever it does; the supervisor starts it again."""
    process = mesh.process(name)
    process.kill()
    process.wait(10)


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that serves beside the test, on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving = Receiver().serving()
    try:
        yield asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(10)
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
