"""How much questions slow intake down: `python -m bench.questions [events]`, about two minutes.

A mesh takes 100 requests of one event and 20 of 100 events per second, in turn

- alone;
- beside two processes of the lowest priority that do nothing but count up: what it costs that cores are busy at all;
- beside a process of analytics that counts all the time, over an invented archive and without any cache: the longest
  questions there are, one after the other.

All run on the same cores. Latencies are of the requests of one event, from the request to its answer, 202.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench.analytics import questions, write
from bench.tenants import key_of, offer
from services.analytics.adapters.tasks import Place
from services.analytics.adapters.workers import DuckDb, FolderCopies, working
from services.analytics.usecases import Asking
from tests.processes import running_mesh

_TURN_SECONDS: Final = 6.0
_TURNS: Final = 8
_LONGEST: Final = ("funnel of 5 steps", "paths, 7 days", "struggles, 7 days")


class Turn(NamedTuple):
    """Latencies in seconds, and how many questions were answered meanwhile."""

    latencies: list[float]
    question_count: int


async def main(folder: Path, event_count: int) -> None:
    """Measures and prints."""
    write(folder / "archive", event_count, event_count // 20)
    place = Place((folder / "archive").as_uri(), str(folder / "copies"))
    with running_mesh(folder, JOURNEYMESH_KEYS="required") as mesh:
        key = key_of(mesh, "calm")
        async with working(1) as counting, working(1) as copying:
            copies = FolderCopies(copying, place)
            while await copies.bring_up():
                pass
            engine = DuckDb(counting, place.root, kill_seconds=60)
            await _beside(copies, engine, time.monotonic())  # starts the process
            await _turn(mesh.url, key)
            alone, busy, beside = [], [], []
            for number in range(_TURNS):
                alone.append(await _turn(mesh.url, key))
                with _busy():
                    busy.append(await _turn(mesh.url, key))
                beside.append(await _asked(mesh.url, key, copies, engine))
                print(f"turn {number + 1} of {_TURNS}", file=sys.stderr)
    for name, percent in (("p50", 50), ("p99", 99)):
        usual, occupied, slowed = (_percentile(turns, percent) for turns in (alone, busy, beside))
        print(f"{name}: {usual * 1e3:.2f} ms alone, {occupied / usual:.2f} times that on busy cores,")
        print(f"  {slowed / usual:.2f} times that beside questions: {slowed / occupied:.2f} times busy cores")
    count = sum(turn.question_count for turn in beside)
    print(f"{count} questions over {event_count:,} events were answered meanwhile")


@contextlib.contextmanager
def _busy() -> Iterator[None]:
    processes = [multiprocessing.get_context("spawn").Process(target=_count_up) for _ in range(2)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _count_up() -> None:
    os.nice(19)
    for _ in itertools.count():
        pass


async def _turn(url: str, key: str) -> Turn:
    return await asyncio.to_thread(_intake, url, key)


async def _asked(url: str, key: str, copies: FolderCopies, engine: DuckDb) -> Turn:
    ends = time.monotonic() + _TURN_SECONDS
    turn, count = await asyncio.gather(_turn(url, key), _beside(copies, engine, ends))
    return turn._replace(question_count=count)


def _intake(url: str, key: str) -> Turn:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        more = pool.apply_async(offer, ([(url, 20.0)], key, 100, _TURN_SECONDS))
        (answers,) = offer([(url, 100.0)], key, 1, _TURN_SECONDS)
        more.get(60)
    assert set(answers.statuses) == {"202"}, answers.statuses  # noqa: S101 - nothing was measured otherwise
    return Turn([seconds for _, seconds in answers.accepted], 0)


async def _beside(copies: FolderCopies, engine: DuckDb, ends: float) -> int:
    count = 0
    while not count or time.monotonic() < ends:
        for name in _LONGEST:
            await Asking(copies, engine).ask("", questions()[name])
            count += 1
    return count


def _percentile(turns: list[Turn], percent: int) -> float:
    """The median over turns of a percentile of each: a turn that something else disturbed does not count."""
    return statistics.median(
        statistics.quantiles(turn.latencies, n=100, method="inclusive")[percent - 1] for turn in turns
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(made), int((*sys.argv[1:], "1000000")[0])))
