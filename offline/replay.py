"""Replays the archive: `python -m offline.replay --archive file:///folder [--compare http://127.0.0.1:8080]`.

Runs the code of the video and features services over the archived events, which gives the features that were served,
bit for bit. Failed events are left out, as they were not applied. Exits with 1 if anything differs, is missing or is
duplicated.
"""

import argparse
import asyncio
import datetime as dt
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
from journeymesh.common.v1 import event_pb2
from journeymesh.video.v1 import video_pb2
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mesh.errors import Unavailable
from mesh.settings import SettingError
from mesh.state.applied import Batch
from mesh.state.memory import MemoryShards, MemoryState
from offline import archive
from offline.archive import Window
from records import table
from services.features import usecases
from services.features.domain.state import State
from services.features.domain.vector import FEATURE_NAMES, SCHEMA_VERSION, vector
from services.features.translation.rows import events_of
from services.ingest.archive.adapters.event_rows import Archived
from services.ingest.archive.adapters.files import ParquetArchive
from services.video import translation as video_translation
from services.video.usecases import Playback

_BATCH_EVENTS: Final = 1_000
_AT_ONCE: Final = 8
_SHOWN_DIFFERENCES: Final = 10
_PLAYBACK: Final = event_pb2.EVENT_TYPE_VIDEO_PLAYBACK

Features = Mapping[str, Sequence[float]]
"""Each user's feature vector."""


class Difference(NamedTuple):
    """A user whose replayed features are not those served; `served` is None if there are none."""

    user_id: str
    replayed: Sequence[float]
    served: Sequence[float] | None


class Replay:
    """The features of users, event by event, in memory: a few kilobytes per user."""

    def __init__(self) -> None:
        self.event_count = 0
        self.set_aside_count = 0
        self.duplicate_count = 0
        self._features = usecases.Features(MemoryState())
        self._video = Playback(MemoryState(), MemoryShards())
        self._user_ids: dict[str, None] = {}

    async def run(self, events: Iterable[Archived]) -> None:
        """Applies events in the order of `archive.events`."""
        for batch in self._batches(events):
            await self._apply(batch)

    async def states(self) -> dict[str, State]:
        """The state of each user, in order of first appearance."""
        return {user_id: await self._features.read(user_id) for user_id in self._user_ids}

    def _batches(self, events: Iterable[Archived]) -> Iterator[list[Archived]]:
        """Whole records of one shard; a batch that began within a record would be taken for a redelivery."""
        batch: list[Archived] = []
        for each in events:
            if batch and each[:3] == batch[-1][:3]:
                self.duplicate_count += 1
                continue
            is_full = len(batch) >= _BATCH_EVENTS and batch[-1].sequence != each.sequence
            if batch and (is_full or batch[-1].shard != each.shard):
                yield batch
                batch = []
            batch.append(each)
        if batch:
            yield batch

    async def _apply(self, batch: Sequence[Archived]) -> None:
        applied = [each for each in batch if not each.is_set_aside]
        self.set_aside_count += len(batch) - len(applied)
        self.event_count += len(applied)
        if not applied:
            return
        at = Batch("archive", applied[0].shard, tuple(dict.fromkeys(each.sequence for each in applied)))
        events = [each.event for each in applied]
        self._user_ids.update(dict.fromkeys(event.user_id for event in events))
        played = [row for row, event in enumerate(events) if event.event_type == _PLAYBACK]
        scores: dict[int, float] = {}
        if played:
            request = video_pb2.ApplyPlaybackRequest(events=[events[row] for row in played])
            events_played = video_translation.playback_events_of(request)
            scores = dict(zip(played, await self._video.apply(at, events_played), strict=True))
        of = table.of_events(events)
        # The last events themselves are not read back here, so they stay empty.
        rows = usecases.Rows(of.user_id, events_of(of), [b""] * len(of), scores)
        await self._features.apply(at, rows, ())


async def differences(replayed: Features, url: str, console: Console) -> list[Difference]:
    """The users whose served features differ from the replayed ones, in the order of the replay.

    Raises:
        httpx.HTTPError: the gateway cannot be reached, or refuses.
    """
    found: list[Difference] = []
    user_ids = list(replayed)
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        for start in track(range(0, len(user_ids), _AT_ONCE), "comparing", console=console):
            some = user_ids[start : start + _AT_ONCE]
            answers = await asyncio.gather(*(_served(client, user_id) for user_id in some))
            found += [
                Difference(user_id, replayed[user_id], served)
                for user_id, served in zip(some, answers, strict=True)
                if served is None or [*served] != [*replayed[user_id]]
            ]
    return found


def write(path: Path, states: Mapping[str, State]) -> None:
    """Writes each user's features as Parquet, with the time of their last event."""
    vectors = [vector(state) for state in states.values()]
    columns = {
        "user_id": pa.array(states),
        "as_of_time": pa.array([state.last_us for state in states.values()], pa.timestamp("us", tz="UTC")),
        "event_count": pa.array([state.event_count for state in states.values()], pa.uint64()),
    }
    columns |= {name: pa.array([row[i] for row in vectors], pa.float64()) for i, name in enumerate(FEATURE_NAMES)}
    table = pa.table(columns).replace_schema_metadata({"journeymesh.schema": SCHEMA_VERSION})
    pq.write_table(table, path, compression="zstd")


async def replay(arguments: argparse.Namespace, console: Console) -> int:
    """Replays and reports; returns the exit code."""
    files = ParquetArchive(arguments.archive)
    found = archive.contents(files, Window(arguments.start, arguments.stop))
    if not found.files and archive.is_empty(files):
        console.print(archive.NOTHING_YET)
        return 0
    replaying = Replay()
    events = archive.events(files, found.files, archive.COLUMNS)
    await replaying.run(track(events, "replaying", total=found.row_count, console=console))
    states = await replaying.states()
    if arguments.output:
        write(arguments.output, states)
    replayed = {user_id: vector(state) for user_id, state in states.items()}
    different = await differences(replayed, arguments.compare, console) if arguments.compare else []
    for each in different[:_SHOWN_DIFFERENCES]:
        console.print(f"{each.user_id} differs: {_values(each)}", markup=False, highlight=False)
    grid = Table(title="Replay", title_justify="left", show_header=False)
    grid.add_row("events", f"{replaying.event_count:,}")
    grid.add_row("users", f"{len(states):,}")
    grid.add_row("failed", f"{replaying.set_aside_count:,}")
    grid.add_row("duplicates", f"{replaying.duplicate_count:,}")
    grid.add_row("ranges missing", f"{len(found.gaps):,}")
    if arguments.compare:
        grid.add_row("features equal", f"{len(states) - len(different):,} of {len(states):,}")
    console.print(grid)
    return int(bool(different or found.gaps or replaying.duplicate_count))


def main(given: Sequence[str] | None = None) -> int:
    """Reads what is asked and does it."""
    parser = argparse.ArgumentParser("python -m offline.replay", description="Replays the archive.")
    parser.add_argument("--archive", required=True, help="file:///folder or s3://bucket/prefix")
    parser.add_argument("--from", dest="start", type=_hour, default=0, help="first hour of received time, ISO 8601")
    parser.add_argument("--to", dest="stop", type=_hour, default=Window().stop, help="the hour after the last")
    parser.add_argument("--compare", default="", metavar="URL", help="a gateway that serves the same users")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the features, as Parquet")
    try:
        return asyncio.run(replay(parser.parse_args(given), Console()))
    except (SettingError, Unavailable, httpx.HTTPError) as error:
        sys.exit(f"journeymesh: {error}")


async def _served(client: httpx.AsyncClient, user_id: str) -> list[float] | None:
    answer = await client.get(f"/api/users/{quote(user_id, safe='')}/features")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    answer.raise_for_status()
    served = answer.json()["features"]
    return [served.get(name) for name in FEATURE_NAMES]


def _values(difference: Difference) -> str:
    if difference.served is None:
        return "none are served"
    pairs = zip(FEATURE_NAMES, difference.replayed, difference.served, strict=True)
    return ", ".join(f"{name} {mine!r}, served {served!r}" for name, mine, served in pairs if mine != served)


def _hour(text: str) -> int:
    at = dt.datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    return int(at.timestamp()) // 3600


if __name__ == "__main__":
    sys.exit(main())
