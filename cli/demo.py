"""`journeymesh demo`: sends real or simulated journeys through a mesh, and shows what it made of them."""

import argparse
import asyncio
import collections
import contextlib
import datetime as dt
import itertools
import os
import statistics
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cli import run
from cli.arguments import KeySettings, add_url
from cli.local import programs
from cli.local.store import CannotRunError
from mesh.settings import read_or_exit
from offline.datasets import edify, simulator
from offline.settings import Settings

Event = dict[str, Any]

_GAP: Final = dt.timedelta(minutes=30)
_BATCH: Final = 100
_EVENTS_PER_STORY: Final = 24
_APPLIED_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.002
_READERS: Final = 16
_TOO_OLD: Final = "too_old"
_LEVELS: Final = ("low", "medium", "high", "critical")


class Batch(NamedTuple):
    """Events to send together, and the users whose session ends with them."""

    events: list[Event]
    leaving: list[str]


class Findings(NamedTuple):
    """What the mesh made of the journeys."""

    users: set[str]
    signals: set[tuple[str, str, str]]
    levels: collections.Counter[str]
    interventions: set[str]
    reasons: dict[str, str]
    """The first reason of each decision, by its id."""
    latencies_seconds: list[float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--events", type=int, default=5000, help="how many events to send (default: %(default)s)")
    parser.add_argument(
        "--source",
        choices=("auto", "real", "simulated"),
        default="auto",
        help="whose journeys: real students' if the data is there (auto), or simulated ones",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the simulator (default: %(default)s)")
    add_url(parser, "; if none answers, a mesh is run for the demo")


async def main(arguments: argparse.Namespace) -> int:
    """Runs the demo; returns the exit code."""
    console = Console(highlight=False)
    try:
        source, events = _journeys(arguments.source, arguments.events, arguments.seed)
        async with (
            _mesh(console, arguments.url) as (url, is_own),
            httpx.AsyncClient(base_url=url, headers=read_or_exit(KeySettings).headers, timeout=30) as client,
        ):
            console.print(f"{len(events)} events of {source}, to {url}")
            findings = await _send(client, list(_batches(events)), console)
    except (CannotRunError, httpx.HTTPError, OSError) as error:
        console.print(f"journeymesh: {error or type(error).__name__}")
        return 1
    console.print(_table(len(events), findings))
    console.print(_reasons(findings.reasons.values()), markup=False, soft_wrap=True)
    if _TOO_OLD in findings.reasons.values() and not is_own:
        console.print(
            "The running mesh only helps with recent events (`freshness` of its policy), and the demo replays days "
            "within seconds: stop the mesh, and `make demo` runs one that helps anyway."
        )
    elif not findings.interventions:
        console.print(
            "Nobody was helped: nobody struggled enough within the last 31 days of the data; "
            "try `make demo SOURCE=simulated`."
        )
    return 0


def _reasons(reasons: Iterable[str]) -> str:
    """The decisions by their first reason in a line, commonest first."""
    counts = collections.Counter(reasons).most_common()
    listed = ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in counts)
    return f"Decisions by first reason: {listed or 'none'}."


def _journeys(wanted: str, count: int, seed: int) -> tuple[str, list[Event]]:
    """Where the journeys come from, and about `count` of their events in time order, with ids of this run.

    Real journeys are cut after `count` events; simulated ones are whole, because trouble comes late in a story. Times
    are shifted so that the last event happens now.
    """
    folder = Path(read_or_exit(Settings).data) / edify.NAME
    events: Iterator[dict[str, object]]
    if wanted == "real" or (wanted == "auto" and folder.is_dir()):
        source = "real students (edify_video_moodle)"
        events = itertools.islice(edify.events(folder), count)
    else:
        source = f"simulated users (seed {seed})"
        events = simulator.events(max(1, count // _EVENTS_PER_STORY), seed)
    run_id, found = f"{time.time_ns() // 1_000_000:x}", list(events)
    later = dt.datetime.now(dt.UTC) - max(map(_time, found), default=dt.datetime.now(dt.UTC))
    return source, [
        {
            **event,
            "eventId": f"{run_id}-{event['eventId']}",
            "userId": f"demo-{run_id}-{event['userId']}",
            "timestamp": (_time(event) + later).isoformat(),
        }
        for event in found
    ]


def _batches(events: Sequence[Event]) -> Iterator[Batch]:
    """Cuts batches so that none holds the end of one session and the start of the same user's next."""
    batch: list[Event] = []
    latest: dict[str, dt.datetime] = {}
    following = _following(events)
    leaving: list[str] = []
    for index, event in enumerate(events):
        user, at = event["userId"], _time(event)
        if len(batch) >= _BATCH or user in leaving:
            yield Batch(batch, leaving)
            batch, leaving = [], []
        batch.append(event)
        latest[user] = at
        after = following.get(index)
        if after is None or after - at > _GAP:
            leaving.append(user)
    if batch:
        yield Batch(batch, leaving)


def _following(events: Sequence[Event]) -> dict[int, dt.datetime]:
    """The time of the same user's next event, by the index of each event that has one."""
    following: dict[int, dt.datetime] = {}
    previous: dict[str, int] = {}
    for index, event in enumerate(events):
        before = previous.get(event["userId"])
        if before is not None:
            following[before] = _time(event)
        previous[event["userId"]] = index
    return following


def _time(event: Event) -> dt.datetime:
    return dt.datetime.fromisoformat(event["timestamp"])


@contextlib.asynccontextmanager
async def _mesh(console: Console, url: str) -> AsyncIterator[tuple[str, bool]]:
    """The address of the mesh at `url`, or of one of our own that logs to a file; and whether it is our own."""
    with contextlib.suppress(httpx.TransportError):
        async with httpx.AsyncClient(base_url=url, timeout=2) as client:
            if (await client.get("/readyz")).status_code == httpx.codes.OK:
                yield url, False
                return
    folder = Path("var")
    folder.mkdir(exist_ok=True)
    with (folder / "demo.log").open("w") as log:
        console.print(f"no mesh answers at {url}; running one for the demo (log: var/demo.log)")
        policy = folder / "demo-policy.yaml"
        policy.write_text(_with_long_freshness(programs.POLICY.read_text()))
        environment = {"JOURNEYMESH_POLICY": str(policy.resolve()), **os.environ}
        async with run.running(Console(file=log, highlight=False, width=200), environment) as mesh:
            if not await mesh.readiness:
                raise CannotRunError("The mesh did not become ready; see var/demo.log.")
            yield mesh.url, True


def _with_long_freshness(document: str) -> str:
    """The policy, helping even with events of a month ago, because days are replayed within seconds."""
    policy = yaml.safe_load(document)
    return yaml.safe_dump({**policy, "version": "demo", "freshness": "31d"}, sort_keys=False)


async def _send(client: httpx.AsyncClient, batches: Sequence[Batch], console: Console) -> Findings:
    findings = Findings(set(), set(), collections.Counter(), set(), {}, [])
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=sum(len(batch.events) for batch in batches))
        for batch in batches:
            started = time.monotonic()
            answer = await _track(client, batch.events)
            await _await_applied(client, answer.json()["eventIds"][::-25])
            findings.latencies_seconds.append(time.monotonic() - started)
            await _await_applied(client, _last_of(batch))
            findings.users.update(event["userId"] for event in batch.events)
            await _look(client, batch.leaving, findings)
            progress.advance(task, len(batch.events))
    return findings


async def _track(client: httpx.AsyncClient, events: Sequence[Event]) -> httpx.Response:
    """Sends, again whenever the mesh answers 429 or 503."""
    async with asyncio.timeout(_APPLIED_SECONDS):
        while True:
            answer = await client.post("/api/events/track", json={"events": events})
            if answer.status_code not in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}:
                return answer.raise_for_status()
            await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))


def _last_of(batch: Batch) -> list[str]:
    """The last event of each leaving user; shards are independent, so every user's must be awaited."""
    last = {event["userId"]: event["eventId"] for event in batch.events}
    return [last[user] for user in batch.leaving]


async def _await_applied(client: httpx.AsyncClient, event_ids: Iterable[str]) -> None:
    async with asyncio.timeout(_APPLIED_SECONDS):
        for event_id in event_ids:
            while (await client.get(f"/api/events/{event_id}")).json()["state"] == "buffered":
                await asyncio.sleep(_POLL_SECONDS)


async def _look(client: httpx.AsyncClient, users: Iterable[str], findings: Findings) -> None:
    reading = asyncio.Semaphore(_READERS)

    async def look(user: str) -> None:
        async with reading:
            risk = (await client.get(f"/api/users/{user}/risk")).raise_for_status().json()
            found = (
                (await client.get("/api/decisions", params={"userId": user, "limit": 100})).raise_for_status().json()
            )
        findings.levels[risk["assessment"]["level"]] += 1
        for active in risk["signals"]:
            findings.signals.add((user, active["signal"]["type"], active["signalTime"]))
        findings.reasons.update({each["id"]: (each["reasons"] or ["unknown"])[0] for each in found["decisions"]})
        # Decisions, not pending help: most help is over once the session has ended.
        findings.interventions.update(each["intervention"]["id"] for each in found["decisions"] if each["intervention"])

    await asyncio.gather(*map(look, users))


def _table(count: int, findings: Findings) -> Table:
    table = Table(title="What the mesh saw", show_header=False, title_justify="left")
    table.add_row("events", f"{count:,}")
    table.add_row("users", f"{len(findings.users):,}")
    table.add_row("sessions", f"{findings.levels.total():,}")
    table.add_section()
    kinds = collections.Counter(kind for _, kind, _ in findings.signals)
    for kind, number in kinds.most_common():
        table.add_row(f"signal: {kind.replace('_', ' ')}", f"{number:,}")
    table.add_section()
    for level in _LEVELS:
        table.add_row(f"risk at the end of a session: {level}", f"{findings.levels[level]:,}")
    table.add_row("interventions", f"{len(findings.interventions):,}")
    table.add_section()
    latencies = sorted(findings.latencies_seconds)
    p99 = latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))]
    table.add_row("event to decision, p50", f"{statistics.median(latencies) * 1000:.0f} ms")
    table.add_row("event to decision, p99", f"{p99 * 1000:.0f} ms")
    return table
