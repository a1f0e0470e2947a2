"""How much a tenant at ten times its rate slows another one down: `python -m bench.tenants`, about two minutes.

One mesh with two tenants. The one that is measured stays far below its rate. Its neighbour, in turn,

- sends as much as its own rate allows;
- sends that, and nine times as much to a server that refuses everything at next to no cost;
- sends ten times its rate, and never waits as it is told to.

All run on the same cores. So the second turn shows what the load generator and the kernel cost whoever shares a machine
with them, and the third compared with the second what the mesh's own refusals cost. Latencies are from a request to its
answer, 202. The first second of each turn does not count: the neighbour spends its burst in it, which it may. The
gateway's CPU is that of its process, whatever else the machine does.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from bench.harness.connections import length_of_answer
from bench.harness.sink import sink
from tests.processes import RunningMesh, running_mesh

_RATE: Final = 2_000
_BATCH: Final = 100
_TIMES: Final = 10
_CALM_REQUESTS: Final = 100.0
"""Per second, of one event each, by the tenant that is measured."""
_CONNECTIONS: Final = 16
_UNCOUNTED_SECONDS: Final = 1.0
_READ_BYTES: Final = 65_536
_UNIQUE: Final = b"a-unique-mark"


class Answers(NamedTuple):
    """How often each status was answered; of each 202, when its request was sent and how long it took, in seconds."""

    statuses: dict[str, int]
    accepted: list[tuple[float, float]]


class Turn(NamedTuple):
    """What both tenants were answered, and the CPU seconds that the gateway took."""

    calm: Answers
    greedy: Answers
    cpu_seconds: float


def main() -> None:
    """Runs the bench and prints its report."""
    parser = argparse.ArgumentParser(prog="python -m bench.tenants", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="length of a turn (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=6, help="turns of each kind (default: %(default)s)")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_mesh(Path(folder), JOURNEYMESH_KEYS="required") as mesh,
    ):
        keys = [key_of(mesh, name) for name in ("calm", "greedy")]
        with sink(len(_request(keys[1], _BATCH))) as elsewhere:
            kinds = [[(mesh.url, 1)], [(mesh.url, 1), (elsewhere, _TIMES - 1)], [(mesh.url, _TIMES)]]
            _turn(mesh, keys, kinds[0], 2)  # warm
            rounds = [[_turn(mesh, keys, kind, arguments.seconds) for kind in kinds] for _ in range(arguments.turns)]
    _report(*(list(turns) for turns in zip(*rounds, strict=True)))


def _report(within: list[Turn], beside: list[Turn], beyond: list[Turn]) -> None:
    for name, percent in (("p50", 50), ("p99", 99)):
        usual, loaded, slowed = (_percentile(turns, percent) for turns in (within, beside, beyond))
        print(f"{name}: {usual * 1e3:.1f} ms beside a neighbour within its rate.")
        print(f"  {loaded / usual:.2f} times that while it sends the rest elsewhere")
        print(f"  {slowed / usual:.2f} times that while it sends all of it here: {slowed / loaded:.2f} times elsewhere")
        with_bursts = _percentile(beyond, percent, 0) / _percentile(within, percent, 0)
        print(f"  {with_bursts:.2f} times that if the seconds count in which it spends its burst")
    refused = sum(turn.greedy.statuses.get("429", 0) for turn in beyond)
    more = sum(turn.cpu_seconds for turn in beyond) - sum(turn.cpu_seconds for turn in beside)
    print(f"The neighbour was refused {refused:,} times, for {more / refused * 1e6:.0f} µs of the gateway's CPU each.")
    others = {status for turn in (*within, *beside, *beyond) for status in turn.calm.statuses} - {"202"}
    print(f"The tenant that was measured was answered nothing but 202: {not others}.")


def key_of(mesh: RunningMesh, tenant: str) -> str:
    """The text of a new key of a new tenant."""
    _command(mesh, "tenants", "create", tenant, "--rate", str(_RATE))
    return str(_command(mesh, "keys", "create", "--kind", "secret", "--name", tenant, "--tenant", tenant)["text"])


def _command(mesh: RunningMesh, *arguments: str) -> dict[str, Any]:
    address = mesh.process("access").environ()["JOURNEYMESH_ACCESS_LISTEN"]
    environment = os.environ | {"JOURNEYMESH_ACCESS_TARGET": address}
    told = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "cli", *arguments, "--json"], env=environment, capture_output=True, check=True
    )
    return dict(json.loads(told.stdout))


def _turn(mesh: RunningMesh, keys: list[str], offers: list[tuple[str, int]], seconds: float) -> Turn:
    """One turn, in which the neighbour offers each URL a multiple of its rate."""
    gateway = mesh.process("gateway")
    before = gateway.cpu_times()
    with multiprocessing.Pool(1) as pool:
        rates = [(url, times * _RATE / _BATCH) for url, times in offers]
        neighbour = pool.apply_async(offer, (rates, keys[1], _BATCH, seconds))
        calm = offer([(mesh.url, _CALM_REQUESTS)], keys[0], 1, seconds)
        greedy = neighbour.get(seconds + 60)
    after = gateway.cpu_times()
    return Turn(calm[0], greedy[-1], after.user + after.system - before.user - before.system)


def offer(rates: list[tuple[str, float]], key: str, batch: int, seconds: float) -> list[Answers]:
    """Sends each URL so many batches per second, as far as connections are free; what each of them answered."""
    return asyncio.run(_offer_all(rates, key, batch, seconds))


async def _offer_all(rates: list[tuple[str, float]], key: str, batch: int, seconds: float) -> list[Answers]:
    return await asyncio.gather(*(_offer(url, key, per_second, batch, seconds) for url, per_second in rates))


async def _offer(url: str, key: str, requests_per_second: float, batch: int, seconds: float) -> Answers:
    answers = Answers({}, [])
    began = time.perf_counter()
    moments = [began + number / requests_per_second for number in range(int(seconds * requests_per_second))]
    pattern, left = _request(key, batch), iter(moments)
    await asyncio.gather(*(_send(url, pattern, began, left, answers) for _ in range(_CONNECTIONS)))
    return answers


async def _send(url: str, pattern: bytes, start: float, moments: Iterator[float], answers: Answers) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for moment in moments:
        await asyncio.sleep(max(moment - time.perf_counter(), 0))
        began = time.perf_counter()
        writer.write(pattern.replace(_UNIQUE, f"{began:.6f}".rjust(len(_UNIQUE), "0")[-len(_UNIQUE) :].encode()))
        answer = b""
        while (length := length_of_answer(answer)) is None or len(answer) < length:
            answer += await reader.read(_READ_BYTES)
        status = answer[9:12].decode()
        answers.statuses[status] = answers.statuses.get(status, 0) + 1
        if status == "202":
            answers.accepted.append((began - start, time.perf_counter() - began))
    writer.close()


def _request(key: str, batch: int) -> bytes:
    """A request whose ids hold the mark of a unique text."""
    mark = _UNIQUE.decode()
    events = [
        {"eventId": f"{mark}-{n}", "userId": f"u-{n}", "eventType": "click", "properties": {"page": "/p"}}
        for n in range(batch)
    ]
    body = json.dumps({"events": events}).encode()
    head = (
        "POST /api/events/track HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _percentile(turns: list[Turn], percent: int, since_seconds: float = _UNCOUNTED_SECONDS) -> float:
    """The median over turns of a percentile of each: a turn that something else disturbed does not count."""
    return statistics.median(
        statistics.quantiles(_latencies(turn.calm, since_seconds), n=100, method="inclusive")[percent - 1]
        for turn in turns
    )


def _latencies(answers: Answers, since_seconds: float) -> list[float]:
    return [seconds for sent, seconds in answers.accepted if sent >= since_seconds]


if __name__ == "__main__":
    main()
