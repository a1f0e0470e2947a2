"""How much a tenant at ten times its rate slows another one down: `python -m bench.tenants`, about a minute.

One mesh with two tenants. The one that is measured stays far below its rate; its neighbour offers, in turn, as much as
its own rate allows and ten times that, and never waits as it is told to. Latencies are from a request to its answer,
202. The gateway's CPU is that of its process, whatever else the machine does.
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
from tests.processes import RunningMesh, running_mesh

_RATE: Final = 2_000
_BATCH: Final = 100
_CALM_REQUESTS: Final = 50.0
"""Per second, of one event each, by the tenant that is measured."""
_CONNECTIONS: Final = 16
_READ_BYTES: Final = 65_536
_UNIQUE: Final = b"a-unique-mark"


class Answers(NamedTuple):
    """How often each status was answered, and the seconds until each 202."""

    statuses: dict[str, int]
    accepted_seconds: list[float]


class Turn(NamedTuple):
    """What both tenants were answered, and the CPU seconds that the gateway took."""

    calm: Answers
    greedy: Answers
    cpu_seconds: float


def main() -> None:
    """Runs the bench and prints its report."""
    parser = argparse.ArgumentParser(prog="python -m bench.tenants", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="length of a turn (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="turns of each kind (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_mesh(Path(folder), JOURNEYMESH_KEYS="required") as mesh:
        keys = [_key(mesh, name) for name in ("calm", "greedy")]
        _turn(mesh, keys, 1, 2)  # warm
        kinds = [1, 10] * arguments.turns
        turns = [(times, _turn(mesh, keys, times, arguments.seconds)) for times in kinds]
    _report([turn for times, turn in turns if times == 1], [turn for times, turn in turns if times > 1])


def _report(within: list[Turn], beyond: list[Turn]) -> None:
    for name, percent in (("p50", 50), ("p99", 99)):
        usual, slowed = (_percentile(turns, percent) for turns in (within, beyond))
        print(
            f"{name}: {usual * 1e3:.1f} ms beside a neighbour within its rate, {slowed / usual:.2f} times that beyond"
        )
    refused = sum(turn.greedy.statuses.get("429", 0) for turn in beyond)
    more = sum(turn.cpu_seconds for turn in beyond) - sum(turn.cpu_seconds for turn in within)
    print(f"The neighbour was refused {refused:,} times, for {more / refused * 1e6:.0f} µs of the gateway's CPU each.")
    others = {status for turn in (*within, *beyond) for status in turn.calm.statuses} - {"202"}
    print(f"The tenant that was measured was answered nothing but 202: {not others}.")


def _key(mesh: RunningMesh, tenant: str) -> str:
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


def _turn(mesh: RunningMesh, keys: list[str], times: int, seconds: float) -> Turn:
    """One turn, in which the neighbour offers a multiple of its rate."""
    gateway = mesh.process("gateway")
    before = gateway.cpu_times()
    with multiprocessing.Pool(1) as pool:
        neighbour = pool.apply_async(offer, (mesh.url, keys[1], times * _RATE / _BATCH, _BATCH, seconds))
        calm = offer(mesh.url, keys[0], _CALM_REQUESTS, 1, seconds)
        greedy = neighbour.get(seconds + 60)
    after = gateway.cpu_times()
    return Turn(calm, greedy, after.user + after.system - before.user - before.system)


def offer(url: str, key: str, requests_per_second: float, batch: int, seconds: float) -> Answers:
    """Sends batches at a fixed rate, as far as connections are free."""
    return asyncio.run(_offer(url, key, requests_per_second, batch, seconds))


async def _offer(url: str, key: str, requests_per_second: float, batch: int, seconds: float) -> Answers:
    answers = Answers({}, [])
    began = time.perf_counter()
    moments = iter([began + number / requests_per_second for number in range(int(seconds * requests_per_second))])
    pattern = _request(key, batch)
    await asyncio.gather(*(_send(url, pattern, moments, answers) for _ in range(_CONNECTIONS)))
    return answers


async def _send(url: str, pattern: bytes, moments: Iterator[float], answers: Answers) -> None:
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
            answers.accepted_seconds.append(time.perf_counter() - began)
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


def _percentile(turns: list[Turn], percent: int) -> float:
    """The median over turns of a percentile of each: a turn that something else disturbed does not count."""
    return statistics.median(
        statistics.quantiles(turn.calm.accepted_seconds, n=100, method="inclusive")[percent - 1] for turn in turns
    )


if __name__ == "__main__":
    main()
