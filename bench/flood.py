"""Measures what one user's flood does to the others: `python -m bench.flood`.

The others send at a fixed rate throughout; in every second stretch of a few seconds one user sends as many events
again, half of all traffic. Probes of the others measure the time from event to decision. The figure is the ratio of
their p99 with and without the flood, from one run, with an interval from resampling the stretches.
"""

import argparse
import itertools
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.harness import load
from tests.processes import RunningMesh, running_mesh

_STRETCH_SECONDS: Final = 5.0
_PROBE_PERIOD_SECONDS: Final = 0.04
_POLL_SECONDS: Final = 0.01
_RESAMPLES: Final = 2_000


def main() -> None:
    """Runs the bench and prints its report."""
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description=__doc__)
    parser.add_argument("--rate", type=int, default=1_500, help="others' events per second (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=100, help="events per request (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=12, help="pairs of stretches (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_mesh(Path(folder)) as mesh:
        calm, flooded, refused = measure(mesh, arguments.rate, arguments.batch, arguments.pairs)
    Console(highlight=False).print(_table(calm, flooded, refused))


def measure(mesh: RunningMesh, rate: int, batch: int, pairs: int) -> tuple[list[list[float]], list[list[float]], int]:
    """The probes' seconds by stretch, without and with the flood, and the number of its events that were refused."""
    stop, flood_is_on = threading.Event(), threading.Event()
    latencies: list[load.Latency] = []
    verdicts: list[load.Verdicts] = []
    started = time.monotonic()
    others = load.senders(mesh.url, rate, batch, 2_000, 5, stop, [])
    flood = threading.Thread(
        target=load.offer, args=(mesh.url, _flood(batch, flood_is_on, stop), batch / rate, stop, verdicts)
    )
    prober = threading.Thread(
        target=load.probe, args=(mesh.url, started, stop, latencies, _PROBE_PERIOD_SECONDS, _POLL_SECONDS)
    )
    for thread in (*others, flood, prober):
        thread.start()
    for stretch in track(range(2 * pairs), description="calm and flood in turn", transient=True):
        time.sleep(max(0.0, started + (stretch + 1) * _STRETCH_SECONDS - time.monotonic()))
        (flood_is_on.clear if stretch % 2 else flood_is_on.set)()
    stop.set()
    flood_is_on.set()
    for thread in (*others, flood, prober):
        thread.join()
    stretches: list[list[float]] = [[] for _ in range(2 * pairs)]
    for one in latencies:
        at = int(one.at_seconds / _STRETCH_SECONDS)
        # A stretch's first second still sees the backlog of the one before.
        if at < len(stretches) and one.at_seconds % _STRETCH_SECONDS > 1:
            stretches[at].append(one.seconds)
    return stretches[::2], stretches[1::2], sum(one.rejected for one in verdicts)


def _flood(batch: int, is_on: threading.Event, stop: threading.Event) -> Iterator[bytes]:
    event = '{"eventId":"flood-%d","userId":"flood","eventType":"click","properties":{"page":"/","element":"b"}}'
    numbers = itertools.count()
    while not stop.is_set():
        is_on.wait()
        yield ('{"events":[' + ",".join(event % next(numbers) for _ in range(batch)) + "]}").encode()


def _table(calm: list[list[float]], flooded: list[list[float]], refused: int) -> Table:
    table = Table(title="One user at half of all traffic", show_header=False, title_justify="left")
    for name, stretches in (("without", calm), ("with", flooded)):
        seconds = [one for stretch in stretches for one in stretch]
        p50, p99 = (load.percentile(seconds, share) * 1000 for share in (0.5, 0.99))
        table.add_row(f"others, {name} the flood", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms of {len(seconds)} probes")
    low, ratio, high = ratios(calm, flooded)
    table.add_row("p99 with / without", f"{ratio:.3f}   (95% of resampled runs: {low:.3f} to {high:.3f})")
    table.add_row("events of the flood refused", f"{refused:,}")
    return table


def ratios(calm: Sequence[list[float]], flooded: Sequence[list[float]]) -> tuple[float, float, float]:
    """The ratio of the p99s, between the 2.5% and 97.5% quantiles of runs of resampled stretches."""
    draw = random.Random(1)

    def p99(stretches: Sequence[list[float]]) -> float:
        return load.percentile([one for stretch in stretches for one in stretch], 0.99)

    drawn = [
        p99(draw.choices(flooded, k=len(flooded))) / p99(draw.choices(calm, k=len(calm))) for _ in range(_RESAMPLES)
    ]
    return load.percentile(drawn, 0.025), p99(flooded) / p99(calm), load.percentile(drawn, 0.975)


if __name__ == "__main__":
    main()
