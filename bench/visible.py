"""Measures the time from an event until its intervention is visible, whatever the language model does.

`python -m bench.visible` starts a mesh for each state of the model: none, one that takes 3 seconds to answer, one that
is down. It offers events at a fixed rate and, five times a second, sends the struggle of another user. Pending help is
polled every 10 ms, so figures may be too high by that. Meanwhile it watches the intervention process: threads, memory,
waiting questions. The load generator runs on the same cores.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.harness import load, plots
from tests import bedrock
from tests.conftest import free_port
from tests.processes import RunningMesh, running_mesh

_PERIOD_SECONDS: Final = 0.2
_POLL_SECONDS: Final = 0.01
_PATIENCE_SECONDS: Final = 20.0
_SLOW_SECONDS: Final = 3.0
_STATES: Final = ("no model", "a model that takes 3 s", "a model that is down")


class Measured(NamedTuple):
    """The figures of one state: seconds to visible, probes without help, and maxima of what was watched."""

    seconds: list[float]
    missed: int
    accepted: int
    refused: int
    threads: int
    memory_bytes: int
    waiting: int
    calls: dict[str, int]


def main() -> None:
    """Runs the bench and prints its report."""
    parser = argparse.ArgumentParser(prog="python -m bench.visible", description=__doc__)
    parser.add_argument("--rate", type=int, default=5_000, help="events per second to offer (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=100, help="events per request (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="duration per state (default: %(default)s)")
    parser.add_argument("--users", type=int, default=10_000, help="number of users (default: %(default)s)")
    parser.add_argument("--plot", type=Path, default=Path("var/visible.svg"), help="file of the plot")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    found = {}
    for state in _STATES:
        with contextlib.ExitStack() as stack:
            settings = stack.enter_context(_settings(state))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            mesh = stack.enter_context(running_mesh(folder, **settings))
            found[state] = _measure(mesh, arguments, state)
    console.print(_table(found, arguments))
    arguments.plot.parent.mkdir(parents=True, exist_ok=True)
    millis = {state: [seconds * 1000 for seconds in each.seconds] for state, each in found.items()}
    arguments.plot.write_text(plots.shares("share of probes visible within so many ms", millis))
    console.print(f"distribution: {arguments.plot}")


@contextlib.contextmanager
def _settings(state: str) -> Iterator[dict[str, str]]:
    """The mesh's settings for a state of the model."""
    if state == _STATES[0]:
        yield {}
        return
    settings = {
        "JOURNEYMESH_LANGUAGE_MODEL": "bedrock",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if state == _STATES[2]:
        yield {**settings, "JOURNEYMESH_BEDROCK_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
        return

    def slowly(_: dict[str, Any]) -> bedrock.Reply:
        time.sleep(_SLOW_SECONDS)
        return bedrock.words("It looks like this is not working. Would you like to chat with one of us now?")

    with bedrock.serving(slowly) as model:
        yield {**settings, "JOURNEYMESH_BEDROCK_ENDPOINT": model.url}


def _measure(mesh: RunningMesh, arguments: argparse.Namespace, state: str) -> Measured:
    stop, verdicts, seconds = threading.Event(), list[load.Verdicts](), list[float | None]()
    senders = load.senders(mesh.url, arguments.rate, arguments.batch, arguments.users, 5, stop, verdicts)
    prober = threading.Thread(target=_probe, args=(mesh.url, stop, seconds))
    for thread in (*senders, prober):
        thread.start()
    process = mesh.process("intervention")
    threads = memory = waiting = 0
    for _ in track(range(arguments.seconds), description=state, transient=True):
        time.sleep(1)
        threads, memory = max(threads, process.num_threads()), max(memory, process.memory_info().rss)
        waiting = max(waiting, mesh.get("/api/models/usage").body["waitingCount"])
    stop.set()
    for thread in (*senders, prober):
        thread.join()
    models = mesh.get("/api/models/usage").body["models"]
    calls: dict[str, int] = {}
    for ending, count in itertools.chain.from_iterable(each["callCounts"].items() for each in models):
        calls[ending] = calls.get(ending, 0) + int(count)
    seen = [each for each in seconds if each is not None]
    accepted, refused = sum(each.accepted for each in verdicts), sum(each.refused for each in verdicts)
    return Measured(seen, len(seconds) - len(seen), accepted, refused, threads, memory, waiting, calls)


def _probe(url: str, stop: threading.Event, seconds: list[float | None]) -> None:
    """Sends a struggling user's event every period, whether or not earlier ones have been helped."""
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(64) as probers:
        for number in itertools.count():
            due = started + number * _PERIOD_SECONDS
            if stop.wait(max(0.0, due - time.monotonic())):
                return
            probers.submit(lambda number=number, due=due: seconds.append(_visible(url, number, due)))  # type: ignore[misc]


def _visible(url: str, number: int, due: float) -> float | None:
    """Seconds from when the event was due until its intervention was seen; None if it never was."""
    parts, user = urlsplit(url), f"stuck-{number}"
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    event = {"userId": user, "eventType": "struggle_signal", "properties": {"page": f"/p{number}", "attempts": 3}}
    connection.request("POST", "/api/events/track", json.dumps(event), {"content-type": "application/json"})
    connection.getresponse().read()
    try:
        while time.monotonic() - due < _PATIENCE_SECONDS:
            connection.request("GET", f"/api/interventions/{user}/pending")
            if json.loads(connection.getresponse().read())["hasPendingIntervention"]:
                return time.monotonic() - due
            time.sleep(_POLL_SECONDS)
        return None
    finally:
        connection.close()


def _table(found: dict[str, Measured], arguments: argparse.Namespace) -> Table:
    title = f"Event to visible intervention, {arguments.rate:,} events/s offered for {arguments.seconds} s each"
    table = Table(title=title, title_justify="left")
    for heading in ("", *found):
        table.add_column(heading)
    rows: dict[str, Callable[[Measured], str]] = {
        "p50": lambda each: f"{load.percentile(each.seconds, 0.5) * 1000:.0f} ms",
        "p99": lambda each: f"{load.percentile(each.seconds, 0.99) * 1000:.0f} ms",
        "worst": lambda each: f"{max(each.seconds) * 1000:.0f} ms",
        "probes": lambda each: f"{len(each.seconds)}, {each.missed} unseen",
        "accepted": lambda each: f"{each.accepted / arguments.seconds:,.0f} events/s",
        "requests refused": lambda each: str(each.refused),
        "threads, at most": lambda each: str(each.threads),
        "memory, at most": lambda each: f"{each.memory_bytes / 2**20:.0f} MiB",
        "questions waiting, at most": lambda each: str(each.waiting),
        "questions": lambda each: ", ".join(f"{count} {ending}" for ending, count in each.calls.items()),
    }
    for name, of in rows.items():
        table.add_row(name, *map(of, found.values()))
    return table


if __name__ == "__main__":
    main()
