"""Measures the whole mesh as processes: throughput, latency, CPU per event, memory.

`python -m bench.mesh` starts its own mesh on free ports, offers it events at a fixed rate for a while, and measures for
one event every 0.1 seconds the time from its POST to its decision (its receipt says `applied`; polled every 30 ms, so
figures may be too high by that). The load generator runs on the same cores.
"""

import argparse
import statistics
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from bench.harness import load, plots, sides
from bench.harness.cpu import cpu_seconds
from bench.harness.sides import Side

LOAD_GENERATOR: Final = "load generator"


class Measured(NamedTuple):
    """The figures of one run."""

    sent: int
    seconds: float
    drained_seconds: float
    latencies: list[load.Latency]
    cpu_seconds: dict[str, float]
    memory_bytes: dict[str, int]
    refused: int

    def cpu_micros(self) -> float:
        """CPU per event of all processes but the load generator's, in microseconds."""
        return sum(each for name, each in self.cpu_seconds.items() if name != LOAD_GENERATOR) / self.sent * 1e6

    def memory(self) -> int:
        """Memory of all processes but the load generator's at the end, in bytes; what they share counts in each."""
        return sum(each for name, each in self.memory_bytes.items() if name != LOAD_GENERATOR)

    def events_per_second(self) -> float:
        """Events accepted and decided on, per second until the last was."""
        return self.sent / (self.seconds + self.drained_seconds)


def main() -> None:
    """Runs the bench and prints its report."""
    parser = argparse.ArgumentParser(prog="python -m bench.mesh", description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000, help="events per second to offer (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=100, help="events per request (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="duration (default: %(default)s)")
    parser.add_argument("--users", type=int, default=10_000, help="number of users (default: %(default)s)")
    parser.add_argument("--run", type=int, default=5, help="events of one user in a row (default: %(default)s)")
    parser.add_argument("--plot", type=Path, default=Path("var/bench.svg"), help="file of the plot")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as folder, sides.journeymesh(Path(folder)) as side:
        measured = measure(side, arguments.rate, arguments.batch, arguments.seconds, arguments.users, arguments.run)
    console.print(_table(measured, arguments))
    arguments.plot.parent.mkdir(parents=True, exist_ok=True)
    at, millis = [one.at_seconds for one in measured.latencies], [one.seconds * 1000 for one in measured.latencies]
    arguments.plot.write_text(plots.points("event to decision in ms, over seconds of the run", at, millis))
    console.print(f"latency over time: {arguments.plot}")


def measure(
    side: Side,
    rate: int,
    batch: int,
    seconds: int,
    user_count: int,
    run: int,
    name: str = "b",
    probe_period_seconds: float = load.PROBE_PERIOD_SECONDS,
) -> Measured:
    """Offers load, with ids that begin with `name`, and measures until everything accepted is decided on.

    Latencies count from when each probe was due; probes keep their rate however slow the answers are.
    """
    processes = side.processes | {LOAD_GENERATOR: psutil.Process()}
    before = {name: cpu_seconds(process) for name, process in processes.items()}
    stop = threading.Event()
    latencies: list[load.Latency] = []
    verdicts: list[load.Verdicts] = []
    started = time.monotonic()
    senders = load.senders(side.url, rate, batch, user_count, run, stop, verdicts, name)
    probing = partial(load.probe, side.url, started, stop, latencies, probe_period_seconds)
    prober = threading.Thread(target=probing, kwargs={"is_decided": side.is_decided, "name": f"{name}-probe"})
    for thread in (*senders, prober):
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in senders:
        thread.join()
    ended = time.monotonic()
    side.drain()
    drained = time.monotonic()
    prober.join()
    return Measured(
        sum(one.accepted for one in verdicts),
        ended - started,
        drained - ended,
        latencies,
        {name: cpu_seconds(process) - before[name] for name, process in processes.items()},
        {name: process.memory_info().rss for name, process in processes.items()},
        sum(one.refused for one in verdicts),
    )


def _table(measured: Measured, arguments: argparse.Namespace) -> Table:
    seconds = [latency.seconds for latency in measured.latencies]
    title = f"{arguments.rate:,} events/s offered for {arguments.seconds} s, {arguments.batch} events per request"
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_row("accepted", f"{measured.sent:,} events, {measured.sent / measured.seconds:,.0f} per second")
    table.add_row("requests refused", f"{measured.refused:,}")
    table.add_row("drained", f"{measured.drained_seconds:.2f} s after the last request")
    table.add_row("event to decision, p50", f"{load.percentile(seconds, 0.5) * 1000:.0f} ms")
    table.add_row("event to decision, p99", f"{load.percentile(seconds, 0.99) * 1000:.0f} ms of {len(seconds)} probes")
    table.add_row("event to decision, mean", f"{statistics.fmean(seconds) * 1000:.0f} ms")
    table.add_section()
    for name, cpu in measured.cpu_seconds.items():
        micros = cpu / measured.sent * 1e6
        table.add_row(name, f"{micros:5.1f} µs CPU per event   {measured.memory_bytes[name] / 2**20:4.0f} MiB")
    whole = f"{measured.cpu_micros():5.1f} µs CPU per event   {measured.memory() / 2**20:4.0f} MiB"
    table.add_row("the whole mesh", whole)
    return table


if __name__ == "__main__":
    main()
