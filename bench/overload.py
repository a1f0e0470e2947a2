"""Offers twice what the mesh can take, and sees what it does: `python -m bench.overload`.

First the capacity is measured: a few clients that wait for their answers and send again, until all is decided. Then
twice that rate is offered for a while, by as many connections as it takes, none of which waits for another. Told are:
how requests were answered and how fast, how long accepted events took to their decision, what the processes kept in
memory, and whether everything that was accepted was applied.
"""

import argparse
import asyncio
import collections
import dataclasses
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.harness import load
from tests.processes import RunningMesh, running_mesh

_CONNECTIONS: Final = 256
_CLIENTS_AT_CAPACITY: Final = 8
_USERS: Final = 2_000
_PATIENCE_SECONDS: Final = 60.0


@dataclasses.dataclass
class Seen:
    """What the clients saw."""

    statuses: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    accepted: int = 0
    without_retry_after: int = 0
    accepted_seconds: list[float] = dataclasses.field(default_factory=list)
    refused_seconds: list[float] = dataclasses.field(default_factory=list)


def main() -> None:
    """Runs the bench and prints its report."""
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=100, help="events a request (default: %(default)s)")
    parser.add_argument("--times", type=float, default=2.0, help="how much is offered (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_mesh(Path(folder)) as mesh:
        bodies = _bodies(arguments.batch)
        started = time.monotonic()
        calm = asyncio.run(_saturate(mesh, bodies, seconds=10))
        _await_drained(mesh)
        capacity = calm.accepted / (time.monotonic() - started)
        seen, latencies, peak = overload(mesh, bodies, arguments.times * capacity, arguments.batch, arguments.seconds)
        _await_drained(mesh)
        applied = _applied(mesh)
    accepted = calm.accepted + seen.accepted
    Console(highlight=False).print(_table(arguments, capacity, seen, latencies, peak, accepted - applied))


def overload(
    mesh: RunningMesh, bodies: Iterator[bytes], rate: float, batch: int, seconds: int
) -> tuple[Seen, list[load.Latency], int]:
    """Offers a rate; gives what the clients saw, the probes, and the most memory all processes had, in bytes."""
    stop, latencies, peak = threading.Event(), list[load.Latency](), 0
    started = time.monotonic()
    prober = threading.Thread(target=load.probe, args=(mesh.url, started, stop, latencies))
    seen = Seen()
    offering = threading.Thread(target=lambda: asyncio.run(_offer(mesh, bodies, rate / batch, seconds, seen)))
    prober.start()
    offering.start()
    for _ in track(range(seconds * 2), description="offering too much", transient=True):
        time.sleep(0.5)
        peak = max(peak, sum(process.memory_info().rss for process in mesh.processes()))
    offering.join()
    stop.set()
    prober.join()
    return seen, latencies, peak


async def _saturate(mesh: RunningMesh, bodies: Iterator[bytes], seconds: float) -> Seen:
    seen, end = Seen(), time.monotonic() + seconds

    async def send() -> None:
        async with _connection(mesh) as connection:
            while time.monotonic() < end:
                await _post(connection, next(bodies), seen)

    await asyncio.gather(*(send() for _ in range(_CLIENTS_AT_CAPACITY)))
    return seen


async def _offer(
    mesh: RunningMesh, bodies: Iterator[bytes], requests_a_second: float, seconds: int, seen: Seen
) -> None:
    """Sends at a fixed rate over as many connections as are free; what finds none is counted as not connected."""
    free = asyncio.Semaphore(_CONNECTIONS)
    started, under_way = time.monotonic(), set[asyncio.Task[None]]()

    async def send(body: bytes) -> None:
        async with free:
            try:
                async with _connection(mesh) as connection:
                    await _post(connection, body, seen)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                seen.statuses[type(error).__name__] += 1

    for number in itertools.count():
        due = number / requests_a_second
        if due > seconds:
            break
        await asyncio.sleep(max(0.0, started + due - time.monotonic()))
        if free.locked():
            seen.statuses["no connection free"] += 1
            continue
        sending = asyncio.create_task(send(next(bodies)))
        under_way.add(sending)
        sending.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _connection:  # noqa: N801 - used as a function
    """A connection for as long as the block lasts."""

    def __init__(self, mesh: RunningMesh) -> None:
        self._address = urlsplit(mesh.url)

    async def __aenter__(self) -> Connection:
        self._connection = await asyncio.open_connection(self._address.hostname, self._address.port)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        self._connection[1].close()


async def _post(connection: Connection, body: bytes, seen: Seen) -> None:
    reader, writer = connection
    began = time.monotonic()
    head = (
        b"POST /api/events/track HTTP/1.1\r\nhost: mesh\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    writer.write(head % len(body) + body)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        told = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(told.split(b"content-length: ")[1].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
    status = told[9:12].decode()
    seen.statuses[status] += 1
    if status == "202":
        seen.accepted += int(answer[answer.index(b":") + 1 : answer.index(b",")])  # "accepted" comes first
        seen.accepted_seconds.append(time.monotonic() - began)
    else:
        seen.refused_seconds.append(time.monotonic() - began)
        seen.without_retry_after += b"retry-after" not in told


def _bodies(batch: int) -> Iterator[bytes]:
    event = '{"eventId":"o-%d","userId":"user-%d","eventType":"page_view","properties":{"page":"/p%d"}}'
    numbers = itertools.count()
    while True:
        parts = [event % (number, number // 5 % _USERS, number % 20) for number in itertools.islice(numbers, batch)]
        yield ('{"events":[' + ",".join(parts) + "]}").encode()


def _await_drained(mesh: RunningMesh) -> None:
    deadline = time.monotonic() + 300
    while any(one["lagSeconds"] > 0 or one["trouble"] for one in _dispatched(mesh)):
        if time.monotonic() > deadline:
            raise TimeoutError("the mesh did not come to rest")
        time.sleep(0.2)


def _dispatched(mesh: RunningMesh) -> list[dict[str, float]]:
    standings = mesh.get("/api/pipeline").body["standings"]
    return [one for one in standings if one["reader"] == "dispatcher"]


def _applied(mesh: RunningMesh) -> int:
    users = (mesh.get(f"/api/users/user-{number}/profile").body for number in range(_USERS))
    return sum(int(user.get("eventCount", 0)) for user in users)


def _table(
    arguments: argparse.Namespace, capacity: float, seen: Seen, latencies: list[load.Latency], peak: int, lost: int
) -> Table:
    def spread(seconds: list[float]) -> str:
        p50, p99 = (load.percentile(seconds, share) * 1000 for share in (0.5, 0.99))
        return (
            f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms, most {max(seconds, default=0.0) * 1000:,.0f} ms of {len(seconds)}"
        )

    offered = arguments.times * capacity
    title = f"{offered:,.0f} events/s offered for {arguments.seconds} s: {arguments.times:g} times the capacity"
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_row("capacity, measured before", f"{capacity:,.0f} events/s")
    table.add_row("accepted", f"{seen.accepted / arguments.seconds:,.0f} events/s")
    table.add_row("answers", ", ".join(f"{status}: {count:,}" for status, count in sorted(seen.statuses.items())))
    table.add_row("refusals without Retry-After", f"{seen.without_retry_after:,}")
    table.add_row("answer to an accepted request", spread(seen.accepted_seconds))
    table.add_row("answer to a refused request", spread(seen.refused_seconds))
    table.add_row("accepted event to decision", spread([one.seconds for one in latencies]))
    table.add_row("most memory of all processes", f"{peak / 2**20:,.0f} MiB")
    table.add_row("accepted and not applied", f"{lost:,} events")
    return table


if __name__ == "__main__":
    main()
