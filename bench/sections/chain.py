"""The mesh and an afternoon's work in turn: the whole chain, several body sizes, rising load, single events."""

import itertools
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.harness import connections, load, sides
from bench.harness.connections import Answered
from bench.harness.cpu import CpuTime
from bench.harness.report import Bounded, Claim, Found, Ratio, Table
from bench.harness.sides import Side
from bench.mesh import LOAD_GENERATOR
from bench.sections import Scale, turns
from bench.sections.turns import Offered, Turns

_MESH: Final = "mesh"
_AFTERNOON: Final = "afternoon"
_SIDES: Final[dict[str, turns.Starting]] = {_MESH: sides.journeymesh, _AFTERNOON: sides.afternoon}
_CONNECTIONS: Final = 64
_BATCH: Final = 100
# Promised ratios to the afternoon's work, by events of one user in a row: events/s and CPU per event.
_WANTED: Final = {5: (2.5, 0.4), 1: (1.5, None)}


def chain(scale: Scale) -> Found:
    """Requests of 100 events, in runs of 5 and of 1 per user, more than either side can take."""
    runs = (5,) if scale.is_quick else (5, 1)
    # A B A B even if quick: this is the section that counts.
    found = _take([Offered(turns.SATURATING, _BATCH, run) for run in runs], scale._replace(rounds=2))
    ours = found[0].measured[_MESH]
    figures = {f"cpu {name}": micros for name, micros in turns.cpu_by_process(ours).items() if name != LOAD_GENERATOR}
    figures |= {"taken": turns.taken(ours), "memory MiB": turns.memory(ours)}
    ratios = [ratio for each in found for ratio in turns.ratios(each, _MESH, _AFTERNOON, *_WANTED[each.offered.run])]
    return _found(
        "The whole chain", "Every guarantee of the mesh is on; the afternoon's work has none.", found, ratios
    )._replace(figures=figures)


def bodies(scale: Scale) -> Found:
    """Requests of 10, 100 and 500 events."""
    sizes = (10, 500) if scale.is_quick else (10, 100, 500)
    found = _take([Offered(turns.SATURATING, size, 5) for size in sizes], scale._replace(rounds=1))
    return _found("Bodies of 10, 100 and 500 events", "As the whole chain, in runs of 5.", found)


def offered(scale: Scale) -> Found:
    """Load from far below to above what either side can take."""
    rates = (2_000, 5_000) if scale.is_quick else (2_000, 5_000, 10_000, 20_000)
    found = _take([Offered(rate, _BATCH, 5) for rate in rates], scale._replace(rounds=1))
    claims: list[Claim] = [_p99(each) for each in found]
    # Below a side's capacity, its events/s are just those offered.
    claims += [ratio for each in found for ratio in turns.ratios(each, _MESH, _AFTERNOON)[1:]]
    bounds = {10_000: 250.0, 20_000: 500.0}
    for each in found:
        if each.offered.rate in bounds:
            p99 = load.percentile(turns.latencies(each.measured[_MESH]), 0.99)
            bound = bounds[each.offered.rate]
            claims.append(Bounded(f"{each.offered}: p99 of event to decision", p99, "ms", bound))
    return _found(
        "Rising load",
        "100 events per request in runs of 5; events beyond a side's capacity wait or are refused.",
        found,
        claims,
    )


def single(scale: Scale) -> Found:
    """One event per request over 64 connections that each wait for their answer."""
    answered: dict[str, list[Answered]] = {_MESH: [], _AFTERNOON: []}
    spent: dict[str, list[float]] = {_MESH: [], _AFTERNOON: []}
    for _ in range(scale.rounds):
        for name, start in _SIDES.items():
            with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as side:
                turns.warm([side])
                one, micros = _saturated(side, scale.seconds)
            answered[name].append(one)
            spent[name].append(micros)
    speeds = {
        name: statistics.median(len(one.latencies) / one.seconds for one in each) for name, each in answered.items()
    }
    micros_of = {name: statistics.median(each) for name, each in spent.items()}
    rows = []
    for name, each in answered.items():
        waited = [seconds * 1000 for one in each for seconds in one.latencies]
        figures = [speeds[name], micros_of[name], *(load.percentile(waited, share) for share in (0.5, 0.99))]
        rows.append([name, *(f"{figure:,.1f}" for figure in figures), str(sum(one.refused for one in each))])
    return Found(
        "One event per request",
        f"{_CONNECTIONS} connections, each sends its next event once the last is answered. CPU counts until all is "
        "decided on.",
        [Table("One event per request", ("side", "events/s", "CPU µs", "answer p50 ms", "p99 ms", "refused"), rows)],
        claims=[
            Ratio("one event per request: events/s", speeds[_MESH] / speeds[_AFTERNOON], 2.0),
            Ratio(
                "one event per request: CPU per event", micros_of[_MESH] / micros_of[_AFTERNOON], more_is_better=False
            ),
        ],
        figures={"cpu of a single event": micros_of[_MESH]},
    )


def _saturated(side: Side, seconds: int) -> tuple[Answered, float]:
    """The answers, and CPU per event in microseconds until all is decided on."""
    groups = [load.requests(sender, 1, turns.USERS, 5, "single") for sender in range(load.SENDERS)]
    requests = (connections.post("/api/events/track", next(group)) for group in itertools.cycle(groups))
    with CpuTime(side.processes.values()) as cpu:
        answered = connections.saturate(side.url, requests, _CONNECTIONS, seconds)
        side.drain()
    return answered, cpu.seconds / len(answered.latencies) * 1e6


def _take(loads: Sequence[Offered], scale: Scale) -> list[Turns]:
    return turns.take_alone(_SIDES, loads, scale.seconds, scale.rounds)


def _p99(each: Turns) -> Ratio:
    ours, theirs = (load.percentile(turns.latencies(each.measured[name]), 0.99) for name in (_MESH, _AFTERNOON))
    return Ratio(f"{each.offered}: p99 of event to decision", ours / theirs, more_is_better=False)


def _found(title: str, about: str, found: Sequence[Turns], claims: Sequence[Claim] = ()) -> Found:
    tables = [turns.table(title, found), turns.processes(found)]
    claims = claims or [ratio for each in found for ratio in turns.ratios(each, _MESH, _AFTERNOON)]
    return Found(title, f"{about} {turns.LEGEND}", tables, turns.drawn(found), claims)
