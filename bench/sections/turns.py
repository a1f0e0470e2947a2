"""Sides that take turns under the same load, and their figures."""

import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

from bench.harness import load, plots
from bench.harness.report import Ratio, Table
from bench.harness.sides import Side
from bench.mesh import LOAD_GENERATOR, Measured, measure

USERS: Final = 10_000
SATURATING: Final = 30_000
"""Events per second, beyond any side's capacity on two cores."""
COLUMNS: Final = ("offered", "side", "taken/s", "CPU µs", "in json.loads", "p50 ms", "p99 ms", "refused", "MiB")
LEGEND: Final = (
    "Taken: events per second until all are decided on. CPU: of all processes but the load generator, per event, "
    "also as a multiple of json.loads. p50 and p99: from when an event was due to its decision."
)
_WARM_SECONDS: Final = 2
_WARM_RATE: Final = 2_000
_turns: Final = itertools.count()


class Offered(NamedTuple):
    """A load."""

    rate: int
    batch: int
    run: int

    def __str__(self) -> str:
        """The name of a row of the report."""
        return f"{self.rate:,}/s, {self.batch} x run of {self.run}"


Starting = Callable[[Path], AbstractContextManager[Side]]
"""Starts a side with its files in a folder, for the duration of a block."""


class Turns(NamedTuple):
    """The turns under one load, by side."""

    offered: Offered
    measured: dict[str, list[Measured]]
    json_micros: float
    """Best time of `json.loads` per event of the same bodies."""


def warm(sides: Sequence[Side], batch: int = 100, users: int = USERS) -> None:
    """Warms up every side: code, pools, caches."""
    for side in sides:
        measure(side, _WARM_RATE, batch, _WARM_SECONDS, users, 5, f"warm{next(_turns)}")


def take(
    sides: Mapping[str, Side],
    offered: Offered,
    seconds: int,
    rounds: int,
    users: int = USERS,
    probe_period_seconds: float = load.PROBE_PERIOD_SECONDS,
) -> Turns:
    """Offers the same load in turn, A B A B, to sides that all run. For CPU per event; the idle side takes some too."""
    turns = Turns(offered, {name: [] for name in sides}, json_micros(offered))
    for _ in range(rounds):
        for name, side in sides.items():
            turns.measured[name].append(_turn(side, offered, seconds, users, probe_period_seconds))
    return turns


def take_alone(starting: Mapping[str, Starting], loads: Sequence[Offered], seconds: int, rounds: int) -> list[Turns]:
    """Offers the same loads to each side in turn, A B A B, each started for its turn and alone on the machine."""
    every = [Turns(offered, {name: [] for name in starting}, json_micros(offered)) for offered in loads]
    for _ in range(rounds):
        for name, start in starting.items():
            with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as side:
                warm([side])
                for turns in every:
                    turns.measured[name].append(_turn(side, turns.offered, seconds))
    return every


def _turn(
    side: Side,
    offered: Offered,
    seconds: int,
    users: int = USERS,
    probe_period_seconds: float = load.PROBE_PERIOD_SECONDS,
) -> Measured:
    name = f"t{next(_turns)}"
    return measure(side, offered.rate, offered.batch, seconds, users, offered.run, name, probe_period_seconds)


def json_micros(offered: Offered) -> float:
    """Best time of `json.loads` per event of a body, in microseconds: the unit of the day."""
    body = next(load.requests(0, offered.batch, USERS, offered.run))
    count = max(20, 2_000 // offered.batch)
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        json.loads(body)
        seconds.append(time.perf_counter() - began)
    return min(seconds) / offered.batch * 1e6


def taken(turns: Sequence[Measured]) -> float:
    """Events per second, the median of the turns."""
    return statistics.median(each.events_per_second() for each in turns)


def cpu(turns: Sequence[Measured]) -> float:
    """CPU per event in microseconds, the median of the turns."""
    return statistics.median(each.cpu_micros() for each in turns)


def memory(turns: Sequence[Measured]) -> float:
    """MiB of all processes at the end, the median of the turns."""
    return statistics.median(each.memory() for each in turns) / 2**20


def latencies(turns: Sequence[Measured]) -> list[float]:
    """Milliseconds from event to decision, of all probes of all turns."""
    return [latency.seconds * 1000 for measured in turns for latency in measured.latencies]


def table(title: str, every: Sequence[Turns]) -> Table:
    """One row per load and side."""
    rows = []
    for turns in every:
        for name, measured in turns.measured.items():
            spent, waited = cpu(measured), latencies(measured)
            figures = [taken(measured), spent, spent / turns.json_micros]
            figures += [load.percentile(waited, share) for share in (0.5, 0.99)]
            figures += [sum(each.refused for each in measured)]
            figures += [memory(measured)]
            rows.append([str(turns.offered), name, *(f"{figure:,.0f}" for figure in figures)])
    return Table(title, COLUMNS, rows)


def ratios(
    turns: Turns, ours: str, theirs: str, taken_wanted: float | None = None, cpu_wanted: float | None = None
) -> list[Ratio]:
    """Events per second, CPU per event and memory of ours over theirs."""
    one, other = turns.measured[ours], turns.measured[theirs]
    return [
        Ratio(f"{turns.offered}: events/s", taken(one) / taken(other), taken_wanted),
        Ratio(f"{turns.offered}: CPU per event", cpu(one) / cpu(other), cpu_wanted, more_is_better=False),
        Ratio(f"{turns.offered}: memory", memory(one) / memory(other), more_is_better=False),
    ]


def cpu_by_process(turns: Sequence[Measured]) -> dict[str, float]:
    """CPU per event in microseconds by process, the median of the turns."""
    return {
        name: statistics.median(each.cpu_seconds[name] / each.sent * 1e6 for each in turns)
        for name in turns[0].cpu_seconds
    }


def processes(every: Sequence[Turns]) -> Table:
    """CPU per event by process."""
    rows = [
        [str(turns.offered), name, _listed(cpu_by_process(measured))]
        for turns in every
        for name, measured in turns.measured.items()
    ]
    return Table("CPU per event by process, µs", ("offered", "side", "by process"), rows)


def _listed(spent: dict[str, float]) -> str:
    return ", ".join(f"{name} {micros:.1f}" for name, micros in sorted(spent.items(), key=lambda each: -each[1]))


def drawn(every: Sequence[Turns]) -> list[str]:
    """Plots: events per second, CPU by process, and latencies."""
    labels = [str(turns.offered) for turns in every]
    names = list(every[0].measured)
    stacked = {
        f"{turns.offered}, {name}": {
            part: micros for part, micros in cpu_by_process(measured).items() if part != LOAD_GENERATOR
        }
        for turns in every
        for name, measured in turns.measured.items()
    }
    waited = {
        f"{name}, {turns.offered}": latencies(measured) for turns in every for name, measured in turns.measured.items()
    }
    speeds = {name: [taken(turns.measured[name]) for turns in every] for name in names}
    return [
        plots.bars("events per second until all are decided on", labels, speeds),
        plots.stacks("CPU per event, µs", stacked),
        plots.shares("share of probes that were decided on within so many milliseconds", waited),
    ]
