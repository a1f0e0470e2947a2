"""Offers the mesh twice its capacity: `python -m bench.overload`.

First it measures the capacity: a few clients that wait for their answers and send again, until all is decided. Then it
offers twice that rate for a while, over as many connections as necessary, none waiting for another. It reports how
requests were answered and how fast, the time from accepted event to decision, the processes' memory, and whether
everything accepted was applied.
"""

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import itertools
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.harness import connections, load, sides
from tests.processes import RunningMesh, running_mesh

_CONNECTIONS: Final = 256
_CLIENTS_AT_CAPACITY: Final = 8
_USERS: Final = 2_000
_PATIENCE_SECONDS: Final = 60.0


@dataclasses.dataclass
class Answers:
    """Answers that the clients received."""

    statuses: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    accepted: int = 0
    without_retry_after: int = 0
    accepted_seconds: list[float] = dataclasses.field(default_factory=list)
    refused_seconds: list[float] = dataclasses.field(default_factory=list)


def main() -> None:
    """Runs the bench and prints its report."""
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="duration (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=100, help="events per request (default: %(default)s)")
    parser.add_argument("--times", type=float, default=2.0, help="multiple of the capacity (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_mesh(Path(folder)) as mesh:
        bodies = _bodies(arguments.batch)
        started = time.monotonic()
        posts = (connections.post("/api/events/track", body) for body in bodies)
        calm = connections.saturate(mesh.url, posts, _CLIENTS_AT_CAPACITY, 10)
        sides.await_rest(mesh.url)
        accepted = (len(calm.latencies) - calm.refused) * arguments.batch
        capacity = accepted / (time.monotonic() - started)
        answers, latencies, peak = overload(
            mesh, bodies, arguments.times * capacity, arguments.batch, arguments.seconds
        )
        sides.await_rest(mesh.url)
        applied = _applied(mesh)
    lost = accepted + answers.accepted - applied
    Console(highlight=False).print(_table(arguments, capacity, answers, latencies, peak, lost))


def overload(
    mesh: RunningMesh, bodies: Iterator[bytes], rate: float, batch: int, seconds: int
) -> tuple[Answers, list[load.Latency], int]:
    """Offers a rate; returns the answers, the probes' latencies, and the peak memory of all processes in bytes."""
    stop, latencies, peak = threading.Event(), list[load.Latency](), 0
    started = time.monotonic()
    prober = threading.Thread(target=load.probe, args=(mesh.url, started, stop, latencies))
    answers = Answers()
    offering = threading.Thread(target=lambda: asyncio.run(_offer(mesh, bodies, rate / batch, seconds, answers)))
    prober.start()
    offering.start()
    for _ in track(range(seconds * 2), description="offering too much", transient=True):
        time.sleep(0.5)
        peak = max(peak, sum(process.memory_full_info().pss for process in mesh.processes()))
    offering.join()
    stop.set()
    prober.join()
    return answers, latencies, peak


async def _offer(
    mesh: RunningMesh, bodies: Iterator[bytes], requests_per_second: float, seconds: int, answers: Answers
) -> None:
    """Sends at a fixed rate, each request over a free connection; those that find none are counted."""
    free = asyncio.Semaphore(_CONNECTIONS)
    started, under_way = time.monotonic(), set[asyncio.Task[None]]()

    async def send(body: bytes) -> None:
        async with free:
            try:
                async with _connection(mesh) as connection:
                    await _post(connection, body, answers)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                answers.statuses[type(error).__name__] += 1

    for number in itertools.count():
        due = number / requests_per_second
        if due > seconds:
            break
        await asyncio.sleep(max(0.0, started + due - time.monotonic()))
        if free.locked():
            answers.statuses["no connection free"] += 1
            continue
        sending = asyncio.create_task(send(next(bodies)))
        under_way.add(sending)
        sending.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def _connection(mesh: RunningMesh) -> AsyncIterator[Connection]:
    address = urlsplit(mesh.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _post(connection: Connection, body: bytes, answers: Answers) -> None:
    reader, writer = connection
    began = time.monotonic()
    writer.write(connections.post("/api/events/track", body))
    async with asyncio.timeout(_PATIENCE_SECONDS):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
    status = head[9:12].decode()
    answers.statuses[status] += 1
    if status == "202":
        answers.accepted += int(answer[answer.index(b":") + 1 : answer.index(b",")])  # "accepted" comes first
        answers.accepted_seconds.append(time.monotonic() - began)
    else:
        answers.refused_seconds.append(time.monotonic() - began)
        answers.without_retry_after += b"retry-after" not in head


def _bodies(batch: int) -> Iterator[bytes]:
    event = '{"eventId":"o-%d","userId":"user-%d","eventType":"page_view","properties":{"page":"/p%d"}}'
    numbers = itertools.count()
    while True:
        parts = [event % (number, number // 5 % _USERS, number % 20) for number in itertools.islice(numbers, batch)]
        yield ('{"events":[' + ",".join(parts) + "]}").encode()


def _applied(mesh: RunningMesh) -> int:
    users = (mesh.get(f"/api/users/user-{number}/profile").body for number in range(_USERS))
    return sum(int(user.get("eventCount", 0)) for user in users)


def _table(
    arguments: argparse.Namespace,
    capacity: float,
    answers: Answers,
    latencies: list[load.Latency],
    peak: int,
    lost: int,
) -> Table:
    def spread(seconds: list[float]) -> str:
        p50, p99 = (load.percentile(seconds, share) * 1000 for share in (0.5, 0.99))
        return f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms, max {max(seconds, default=0.0) * 1000:,.0f} ms of {len(seconds)}"

    offered = arguments.times * capacity
    title = f"{offered:,.0f} events/s offered for {arguments.seconds} s: {arguments.times:g} times the capacity"
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_row("capacity, measured before", f"{capacity:,.0f} events/s")
    table.add_row("accepted", f"{answers.accepted / arguments.seconds:,.0f} events/s")
    table.add_row("answers", ", ".join(f"{status}: {count:,}" for status, count in sorted(answers.statuses.items())))
    table.add_row("refusals without Retry-After", f"{answers.without_retry_after:,}")
    table.add_row("answer to an accepted request", spread(answers.accepted_seconds))
    table.add_row("answer to a refused request", spread(answers.refused_seconds))
    table.add_row("accepted event to decision", spread([one.seconds for one in latencies]))
    table.add_row("peak memory of all processes", f"{peak / 2**20:,.0f} MiB")
    table.add_row("accepted but not applied", f"{lost:,} events")
    return table


if __name__ == "__main__":
    main()
