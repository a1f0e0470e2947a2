"""A replay of the archive gives the features that were served, bit for bit."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from offline import archive, replay
from offline.datasets import simulator
from offline.replay import Replay
from services.features.domain.state import State
from services.features.domain.vector import FEATURE_NAMES, vector
from services.features.usecases import Features
from services.ingest.archive.adapters.event_rows import Archived
from services.ingest.archive.adapters.files import ParquetArchive
from tests.builders import MINUTE_US, NOW_US, SECOND_US, event
from tests.features.stored import encode
from tests.offline.archives import write
from tests.offline.mesh import Mesh, running
from tests.processes import running_mesh

USERS = ["ada", "bob", "zoë/ü"]
KINDS = ["page_view", "feature_interaction", "error", "retry", "help_request", "task_success", "struggle_signal"]
OFTEN = settings(max_examples=15)

# Up to forty minutes late, and over the end of an hour.
TIMES = {
    "event_time_us": st.integers(-2400, 5400).map(lambda second: NOW_US + second * SECOND_US),
    "received_time_us": st.integers(0, 90).map(lambda minute: NOW_US + minute * MINUTE_US),
    "user_id": st.sampled_from(USERS),
}
PLAIN = st.builds(event, kind=st.sampled_from(KINDS), page=st.sampled_from(["/a", "/b"]), target=st.just("x"), **TIMES)
CLICKS = st.builds(
    event,
    kind=st.just("click"),
    click=st.fixed_dictionaries({"x": st.floats(0, 9), "effect_observed": st.booleans()}),
    **TIMES,
)
PLAYBACKS = st.builds(
    event,
    kind=st.just("video_playback"),
    playback=st.fixed_dictionaries(
        {
            "video_id": st.sampled_from(["v", "w"]),
            "action": st.integers(1, 7),
            "position_seconds": st.floats(0, 100),
            "watched_seconds": st.floats(0, 30),
            "duration_seconds": st.just(100.0),
        }
    ),
    **TIMES,
)
PURCHASES = st.builds(
    event, kind=st.just("purchase"), purchase=st.fixed_dictionaries({"amount": st.floats(-9, 99)}), **TIMES
)


def numbered(events: list[event_pb2.Event], copies: list[int]) -> list[list[event_pb2.Event]]:
    """Sendings of four events each; some events are sent a second time."""
    for number, each in enumerate(events):
        each.event_id = f"e-{number}"
    sent = events + [events[copy % len(events)] for copy in copies]
    return [sent[start : start + 4] for start in range(0, len(sent), 4)]


async def replayed(folder: Path) -> Replay:
    files = ParquetArchive(f"file://{folder}")
    replaying = Replay()
    await replaying.run(archive.events(files, archive.contents(files).files))
    return replaying


async def assert_as_served(mesh: Mesh, replaying: Replay) -> None:
    states = await replaying.states()
    for user_id, mine in states.items():
        served = await Features(mesh.features).read(user_id)
        assert encode(mine) == encode(served)
        assert vector(mine) == vector(served)


@OFTEN
@given(
    events=st.lists(PLAIN | CLICKS | PLAYBACKS | PURCHASES, min_size=1, max_size=30),
    copies=st.lists(st.integers(0, 29), max_size=6),
    split_at=st.integers(0, 6),
)
async def test_features_are_those_that_were_served_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, events: list[event_pb2.Event], copies: list[int], split_at: int
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    async with running(folder) as mesh:
        for number, sending in enumerate(numbered(events, copies)):
            if number == split_at:
                await mesh.stream.split("0")
            await mesh.send(*sending)
            if number % 2:
                await mesh.dispatch()
        await mesh.archive()
        replaying = await replayed(folder)
        assert replaying.event_count == len(events)
        assert replaying.duplicate_count == replaying.set_aside_count == 0
        assert set(await replaying.states()) == {each.user_id for each in events}
        await assert_as_served(mesh, replaying)


def at(sequence: int, index: int, user_id: str = "ada", *, is_set_aside: bool = False) -> Archived:
    return Archived("0", sequence, index, event(f"e-{sequence}-{index}", user_id), is_set_aside)


async def test_failed_events_were_not_applied_and_are_left_out() -> None:
    replaying = Replay()
    await replaying.run([at(1, 0), at(2, 0, is_set_aside=True), at(2, 1, "bob", is_set_aside=True), at(3, 0)])
    assert (replaying.event_count, replaying.set_aside_count) == (2, 2)
    ((user_id, known),) = (await replaying.states()).items()
    assert (user_id, known.event_count) == ("ada", 2)


async def test_duplicates_are_applied_once_and_reported() -> None:
    replaying = Replay()
    await replaying.run([at(1, 0), at(1, 0), at(1, 1)])
    assert (replaying.event_count, replaying.duplicate_count) == (2, 1)


async def test_a_record_is_never_cut() -> None:
    replaying = Replay()
    await replaying.run([at(sequence, index) for sequence in range(3) for index in range(700)])
    ((_, known),) = (await replaying.states()).items()
    assert known.event_count == replaying.event_count == 2100


class Served(dict[str, dict[str, Any]]):
    """What a gateway answers, by user."""


@pytest.fixture
def gateway() -> Iterator[tuple[str, Served]]:
    """A server that answers as the gateway does."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            user_id = unquote(self.path.removeprefix("/api/users/").removesuffix("/features"))
            self.send_response(200 if user_id in served else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"features": served.get(user_id)}).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}", served
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of three users."""
    made = tmp_path_factory.mktemp("archive")

    async def fill() -> None:
        async with running(made) as mesh:
            for number in range(30):
                kind, user_id = KINDS[number % len(KINDS)], USERS[number % 3]
                await mesh.send(event(f"e-{number}", user_id, kind, event_time_us=NOW_US + number * SECOND_US))
            await mesh.archive()

    asyncio.run(fill())
    return made


def test_the_command_compares_with_what_is_served(
    folder: Path, gateway: tuple[str, Served], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, served = gateway
    states = asyncio.run(_states(folder))
    served.update({user: dict(zip(FEATURE_NAMES, vector(known), strict=True)) for user, known in states.items()})
    output = tmp_path / "features.parquet"
    command = ["--archive", f"file://{folder}", "--compare", url]
    assert replay.main([*command, "--output", str(output)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for line in ("events │ 30", "users │ 3", "duplicates │ 0", "ranges missing │ 0", "features equal │ 3 of 3"):
        assert line in said

    table = pq.read_table(output)
    assert {row["user_id"]: [row[name] for name in FEATURE_NAMES] for row in table.to_pylist()} == {
        user: vector(known) for user, known in states.items()
    }

    served["ada"]["error_count"] += 1e-9
    del served["bob"]
    assert replay.main(command) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "ada differs: error_count" in said
    assert "bob differs: none are served" in said
    assert "features equal │ 1 of 3" in said


def test_an_archive_without_a_file_yet_is_said_to_be_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in the first minute of a mesh."""
    given = ["--archive", f"file://{tmp_path / 'archive'}", "--compare", "http://127.0.0.1:9"]
    assert replay.main(given) == 0
    assert capsys.readouterr().out == "Nothing is archived yet: files are written once a minute.\n"


def test_the_command_takes_a_window(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"file://{folder}"
    assert replay.main(["--archive", url, "--from", "2026-01-02T11:00:00Z"]) == 0
    assert "events │ 0" in " ".join(capsys.readouterr().out.split())
    assert replay.main(["--archive", url, "--from", "2026-01-02T10:00", "--to", "2026-01-02T11:00:00+00:00"]) == 0
    assert "events │ 30" in " ".join(capsys.readouterr().out.split())


def test_the_command_reports_missing_ranges_and_duplicates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ParquetArchive(f"file://{tmp_path}")
    asyncio.run(write(files, "0", -1, 2))
    asyncio.run(write(files, "0", 5, 7))
    assert replay.main(["--archive", f"file://{tmp_path}"]) == 1
    assert "ranges missing │ 1" in " ".join(capsys.readouterr().out.split())
    asyncio.run(write(files, "0", 1, 6))
    assert replay.main(["--archive", f"file://{tmp_path}"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "ranges missing │ 0" in said
    assert "duplicates │ 2" in said


@pytest.mark.processes
def test_the_archive_of_a_running_mesh_gives_what_it_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"file://{tmp_path}/archive"
    sent = list(simulator.events(6, seed=5))
    with running_mesh(tmp_path, JOURNEYMESH_ARCHIVE_URL=url, JOURNEYMESH_ARCHIVE_PERIOD_SECONDS="0.2") as mesh:
        for start in range(0, len(sent), 50):
            # The half of each sending comes a second time.
            mesh.track(*sent[start : start + 50])
            mesh.track(*sent[start : start + 25])
        files = ParquetArchive(url)
        deadline = time.monotonic() + 60
        while archive.contents(files).row_count < len(sent):
            assert time.monotonic() < deadline, mesh.log.read_text()
            time.sleep(0.1)
        assert replay.main(["--archive", url, "--compare", mesh.url]) == 0
        said = " ".join(capsys.readouterr().out.split())
        ids = [each.event.event_id for each in archive.events(files, archive.contents(files).files)]
        columns = ["event_id", "decision_id", "event_count"]
        decided = pq.read_table(tmp_path / "archive" / "decisions", columns=columns).to_pylist()
        for each in decided[:20]:
            assert mesh.get(f"/api/events/{each['event_id']}").body["decisionId"] == each["decision_id"]
        led = {mesh.get(f"/api/events/{each}").body["decisionId"] for each in ids}
    assert sorted(ids) == sorted(str(each["eventId"]) for each in sent)
    assert {each["event_id"] for each in decided} < set(ids)
    assert led == {each["decision_id"] for each in decided}
    assert sum(each["event_count"] for each in decided) == len(ids)
    users = len({each["userId"] for each in sent})
    assert f"features equal │ {users} of {users}" in said


@pytest.mark.parametrize("url", ["somewhere", "ftp://host/path"])
def test_an_invalid_archive_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(SystemExit, match="journeymesh: The archive's URL must be like"):
        replay.main(["--archive", url])


async def _states(folder: Path) -> dict[str, State]:
    return await (await replayed(folder)).states()
