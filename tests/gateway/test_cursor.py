"""One cursor for poll, stream and socket: a client sees each intervention once, whatever breaks and wherever it is."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from journeymesh.intervention.v1 import intervention_pb2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from mesh.errors import Unavailable
from tests.gateway.fakes import Interventions, Services, intervention
from tests.gateway.running import listening

STEPS = 60


class Living(Interventions):
    """What waits changes while clients watch, as it does in the service: only what waits now is sent.

    `cut` ends every open watch, as a service does that is restarted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.arrived = asyncio.Event()
        self._changed = asyncio.Condition()
        self._epoch = 0
        self._made_count = 0

    async def change(self, *, is_offer: bool) -> None:
        """Offers something new, or ends what waits."""
        async with self._changed:
            self._made_count += is_offer
            self.pending = intervention(f"i-{self._made_count}") if is_offer else None
            self.cursor += 1
            self._changed.notify_all()

    async def reword(self) -> None:
        """Finds better words for what waits, where anything does."""
        async with self._changed:
            if self.pending is not None:
                self.cursor += 1
                self.pending.message = f"Words {self.cursor}"
                self._changed.notify_all()

    async def cut(self) -> None:
        """Breaks every watch."""
        async with self._changed:
            self._epoch += 1
            self._changed.notify_all()

    async def WatchPendingIntervention(
        self, request: intervention_pb2.WatchPendingInterventionRequest, context: object
    ) -> AsyncIterator[intervention_pb2.WatchPendingInterventionResponse]:
        self.arrived.set()
        epoch, sent = self._epoch, request.cursor
        if sent == str(self.cursor):
            yield intervention_pb2.WatchPendingInterventionResponse(is_unchanged=True)
        while epoch == self._epoch:
            if sent != str(self.cursor):
                sent = str(self.cursor)
                yield intervention_pb2.WatchPendingInterventionResponse(cursor=sent, intervention=self.pending)
            async with self._changed:
                if epoch == self._epoch and sent == str(self.cursor):
                    await self._changed.wait()
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "It restarts.")


class Client:
    """A client written as `docs/help.md` says: it keeps a cursor and shows what comes with another one.

    What comes with the id of what is shown has new words only.
    """

    def __init__(self, url: str) -> None:
        self.url = f"{url}/api/interventions/ada"
        self.cursor = ""
        self.shown: list[str] = []
        self.words: str | None = None  # that stand on the screen
        self.faces: dict[str, Callable[[], AsyncGenerator[Any, None]]] = {
            "poll": self.polled,
            "stream": self.streamed,
            "socket": self.received,
        }

    def take(self, state: dict[str, Any]) -> None:
        """Shows what waits, unless it was shown before."""
        if state["cursor"] == self.cursor:
            return
        self.cursor = state["cursor"]
        self.words = state["intervention"]["message"] if state["hasPendingIntervention"] else None
        if state["hasPendingIntervention"] and state["intervention"]["id"] not in self.shown[-1:]:
            self.shown.append(state["intervention"]["id"])

    async def polled(self) -> AsyncGenerator[Any, None]:
        """States from repeated polls."""
        async with httpx.AsyncClient() as client:
            while True:
                yield (await client.get(f"{self.url}/pending")).json()

    async def streamed(self) -> AsyncGenerator[Any, None]:
        """States from server-sent events; only whole ones count."""
        given = {"last-event-id": self.cursor} if self.cursor else {}
        async with (
            httpx.AsyncClient(timeout=5) as client,
            client.stream("GET", f"{self.url}/stream", headers=given) as one,
        ):
            async for line in one.aiter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    async def received(self) -> AsyncGenerator[Any, None]:
        """States from a socket."""
        where = f"{self.url.replace('http:', 'ws:')}/socket?cursor={self.cursor}"
        with contextlib.suppress(ConnectionClosed):
            async with connect(where) as client:
                while True:
                    yield json.loads(await asyncio.wait_for(client.recv(), 5))

    async def listen(self, face: str, service: Living) -> None:
        """Takes the states of one interface until it is up to date, or ends."""
        async with contextlib.aclosing(self.faces[face]()) as telling:
            async for state in telling:
                assert face == "poll" or int(state["cursor"]) > int(self.cursor or -1), "something was sent twice"
                self.take(state)
                if self.cursor == str(service.cursor):
                    return

    async def break_off(self, draw: random.Random) -> None:
        """Connects and is cut off after this many bytes; incomplete updates are lost with the connection."""
        host, port = self.url.removeprefix("http://").partition("/")[0].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"GET /api/interventions/ada/{draw.choice(('pending', 'stream', 'socket'))} HTTP/1.1\r\nHost: x\r\n"
        upgrade = (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
        writer.write((head + (upgrade if "socket" in head else "") + "\r\n").encode())
        await reader.read(draw.randrange(1, 400))
        writer.transport.abort()


@pytest.mark.parametrize("seed", range(8))
async def test_every_help_that_waits_is_seen_once_whatever_breaks(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a drawn course of events
    service = Living()
    async with listening(services=Services(intervention=service)) as (gateway, url):
        client = Client(url)
        waited: list[str] = []  # what waited whenever the client had caught up
        used = set()
        for _ in range(STEPS):
            for _ in range(draw.randrange(3)):
                await service.change(is_offer=draw.random() < 0.7)
            if draw.random() < 0.4:
                await service.reword()
            if draw.random() < 0.3:
                await client.break_off(draw)
            face = draw.choice(sorted(client.faces))
            used.add(face)
            if draw.random() < 0.3:
                # The service goes on and then restarts, while the client listens.
                service.arrived.clear()
                listening_on = asyncio.ensure_future(client.listen(face, service))
                if face != "poll":
                    await asyncio.wait_for(service.arrived.wait(), 5)
                is_reworded = service.pending is not None and draw.random() < 0.4
                await (service.reword() if is_reworded else service.change(is_offer=True))
                await service.cut()
                await listening_on
            while client.cursor != str(service.cursor):
                await client.listen(face, service)
            assert client.words == (service.pending.message if service.pending else None)
            if service.pending is not None and service.pending.id not in waited:
                waited.append(service.pending.id)
        assert used == set(client.faces)
        assert len(waited) > STEPS / 3
        assert len(client.shown) == len(set(client.shown)), "something was shown twice"
        assert [each for each in client.shown if each in waited] == waited, "something was missed, or out of order"
        # Ids are counted up; nothing comes back that was over.
        assert client.shown == sorted(client.shown, key=lambda each: int(each.removeprefix("i-")))
    assert not gateway.core.streams
