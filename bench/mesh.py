"""Measures the whole mesh as processes: throughput, latency, CPU an event, memory.

`python -m bench.mesh` starts a mesh of its own on free ports, offers it events at a fixed rate for a while, and sees of
one event every 0.4 seconds how long it takes from its POST to its decision (its receipt says `applied`; it is asked for
every 30 ms, so a figure may be so much too high). The load generator runs on the same cores.
"""

import argparse
import concurrent.futures
import http.client
import itertools
import json
import math
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.processes import RunningMesh, running_mesh

_PROGRAMS: Final = ("gateway", "ingest", "dispatcher", "video", "features", "scoring", "intervention", "store")
_SENDERS: Final = 4
_PROBE_PERIOD_SECONDS: Final = 0.4
_PROBERS: Final = 32
_POLL_SECONDS: Final = 0.03
_HEADERS: Final = {"content-type": "application/json"}


class Latency(NamedTuple):
    """How long one event took from its POST to its decision, and when in the run that was."""

    at_seconds: float
    seconds: float


class Measured(NamedTuple):
    """What one run gave."""

    sent: int
    seconds: float
    drained_seconds: float
    latencies: list[Latency]
    cpu_seconds: dict[str, float]
    memory_bytes: dict[str, int]
    refused: int


def main() -> None:
    """Runs the bench and prints its report."""
    parser = argparse.ArgumentParser(prog="python -m bench.mesh", description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000, help="events a second to offer (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=100, help="events a request (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: %(default)s)")
    parser.add_argument("--users", type=int, default=10_000, help="users the events are of (default: %(default)s)")
    parser.add_argument("--run", type=int, default=5, help="events of one user in a row (default: %(default)s)")
    parser.add_argument("--plot", type=Path, default=Path("var/bench.png"), help="where the plot goes")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as folder, running_mesh(Path(folder)) as mesh:
        measured = measure(mesh, arguments.rate, arguments.batch, arguments.seconds, arguments.users, arguments.run)
    console.print(_table(measured, arguments))
    _plot(measured, arguments.plot)
    console.print(f"latency over time: {arguments.plot}")


def measure(mesh: RunningMesh, rate: int, batch: int, seconds: int, user_count: int, run: int) -> Measured:
    """Offers load and measures."""
    processes = {name: mesh.process(name) for name in _PROGRAMS}
    processes["load generator"] = psutil.Process()
    before = {name: _cpu_seconds(process) for name, process in processes.items()}
    stop = threading.Event()
    latencies: list[Latency] = []
    counts: list[tuple[int, int]] = []
    started = time.monotonic()
    senders = [
        threading.Thread(
            target=_offer,
            args=(mesh.url, _requests(sender, batch, user_count, run), _SENDERS * batch / rate, stop, counts),
        )
        for sender in range(_SENDERS)
    ]
    prober = threading.Thread(target=_probe, args=(mesh.url, started, stop, latencies))
    for thread in (*senders, prober):
        thread.start()
    for _ in track(range(seconds * 10), description="offering load", transient=True):
        time.sleep(0.1)
    stop.set()
    for thread in senders:
        thread.join()
    ended = time.monotonic()
    sent = sum(count for count, _ in counts)
    last = {"eventId": "last", "userId": "last", "eventType": "page_view", "properties": {"page": "/"}}
    for user in range(64):  # one for every shard, whichever it is
        mesh.track({**last, "eventId": f"last-{user}", "userId": f"last-{user}"})
    for user in range(64):
        mesh.await_applied(f"last-{user}", patience_seconds=120)
    drained = time.monotonic()
    prober.join()
    return Measured(
        sent,
        ended - started,
        drained - ended,
        latencies,
        {name: _cpu_seconds(process) - before[name] for name, process in processes.items()},
        {name: process.memory_info().rss for name, process in processes.items()},
        sum(refused for _, refused in counts),
    )


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _requests(sender: int, batch: int, user_count: int, run: int) -> Iterator[bytes]:
    """Bodies without end: each user goes round the product; one event in nineteen is an error, one a beat of a video.

    A user's events come in runs, as client libraries send them: they gather some seconds' events into one call.
    """
    view = '"eventType":"page_view","properties":{"page":"/p%d"}'
    touch = '"eventType":"feature_interaction","properties":{"page":"/p%d","feature":"filter"}'
    click = '"eventType":"click","properties":{"page":"/p%d","element":"next","x":10,"y":20,"effectObserved":true}'
    success = '"eventType":"task_success","properties":{"page":"/p%d","task":"search"}'
    begin = '"eventType":"form_start","properties":{"page":"/p%d","form":"profile"}'
    submit = '"eventType":"form_submit","properties":{"page":"/p%d","form":"profile"}'
    error = '"eventType":"error","properties":{"page":"/p%d","target":"search","errorCode":"http_500"}'
    beat = (
        '"eventType":"video_playback","properties":{"page":"/p%d","videoId":"v","action":"heartbeat",'
        '"positionSeconds":30,"watchedSeconds":10,"durationSeconds":300}'
    )
    way = [view, click, touch, view, touch, success, view, click, beat, begin, submit, success]
    way += [view, touch, click, view, success, touch, error]
    kinds = [kind % (number % 20) for number, kind in enumerate(way * 20)]
    numbers = itertools.count()
    while True:
        parts = []
        for _ in range(batch):
            number = next(numbers)
            user = (number // run * _SENDERS + sender) % user_count
            kind = kinds[number % len(kinds)]
            parts.append(f'{{"eventId":"b-{sender}-{number}","userId":"user-{user}",{kind}}}')
        yield ('{"events":[' + ",".join(parts) + "]}").encode()


def _offer(
    url: str, requests: Iterator[bytes], period_seconds: float, stop: threading.Event, counts: list[tuple[int, int]]
) -> None:
    """Sends a request a period; one that comes late is sent at once, so that the offered rate holds on average."""
    connection = _connect(url)
    sent = refused = 0
    due = time.monotonic()
    while not stop.is_set():
        body = next(requests)
        time.sleep(max(0.0, due - time.monotonic()))
        due += period_seconds
        connection.request("POST", "/api/events/track", body, _HEADERS)
        response = connection.getresponse()
        body = response.read()
        if response.status == http.client.ACCEPTED:
            sent += int(body[body.index(b":") + 1 : body.index(b",")])  # "accepted" comes first
        else:
            refused += 1
    counts.append((sent, refused))


def _probe(url: str, started: float, stop: threading.Event, latencies: list[Latency]) -> None:
    """Sends an event every 0.4 seconds, whether or not the ones before have come through.

    So a slow mesh cannot thin out the probes that would show how slow it is.
    """
    with concurrent.futures.ThreadPoolExecutor(_PROBERS) as probers:
        for number in itertools.count():
            due = started + number * _PROBE_PERIOD_SECONDS
            if stop.wait(max(0.0, due - time.monotonic())):
                return
            probers.submit(_follow, url, number, due, started, latencies)


def _follow(url: str, number: int, due: float, started: float, latencies: list[Latency]) -> None:
    connection = _connect(url)
    event = {"eventId": f"probe-{number}", "userId": f"probe-{number % 50}", "eventType": "page_view"}
    body = json.dumps({**event, "properties": {"page": "/"}}).encode()
    if _ask(connection, "POST", "/api/events/track", body).get("accepted") != 1:
        return
    while _ask(connection, "GET", f"/api/events/probe-{number}").get("state") != "applied":
        time.sleep(_POLL_SECONDS)
    latencies.append(Latency(due - started, time.monotonic() - due))
    connection.close()


def _connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - any JSON
    connection.request(method, path, body, _HEADERS if body else {})
    return json.loads(connection.getresponse().read())


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` (0-1) of the values do not exceed; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else math.nan


def _table(measured: Measured, arguments: argparse.Namespace) -> Table:
    seconds = [latency.seconds for latency in measured.latencies]
    title = f"{arguments.rate:,} events/s offered for {arguments.seconds} s, {arguments.batch} events a request"
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_row("accepted", f"{measured.sent:,} events, {measured.sent / measured.seconds:,.0f} a second")
    table.add_row("requests refused", f"{measured.refused:,}")
    table.add_row("drained", f"{measured.drained_seconds:.2f} s after the last request")
    table.add_row("event to decision, p50", f"{percentile(seconds, 0.5) * 1000:.0f} ms")
    table.add_row("event to decision, p99", f"{percentile(seconds, 0.99) * 1000:.0f} ms of {len(seconds)} probes")
    table.add_row("event to decision, mean", f"{statistics.fmean(seconds) * 1000:.0f} ms")
    table.add_section()
    for name, cpu in measured.cpu_seconds.items():
        micros = cpu / measured.sent * 1e6
        table.add_row(name, f"{micros:5.1f} µs CPU an event   {measured.memory_bytes[name] / 2**20:4.0f} MiB")
    cpu = sum(measured.cpu_seconds[name] for name in _PROGRAMS) / measured.sent * 1e6
    memory = sum(measured.memory_bytes[name] for name in _PROGRAMS) / 2**20
    table.add_row("the whole mesh", f"{cpu:5.1f} µs CPU an event   {memory:4.0f} MiB")
    return table


def _plot(measured: Measured, path: Path) -> None:
    import matplotlib as mpl  # heavy, and only wanted at the end

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 3.5), layout="constrained")
    axes.plot([one.at_seconds for one in measured.latencies], [one.seconds * 1000 for one in measured.latencies], ".")
    axes.set(xlabel="seconds into the run", ylabel="event to decision, ms", ylim=(0, None))
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
