"""The job that writes a file of all customers: as the command does, once, whatever is killed, without who is erased."""

import asyncio
import contextlib
import csv
import io
import os
import secrets
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from mesh.clock import system_clock
from mesh.errors import FailedPrecondition
from mesh.observability import telemetry
from mesh.store import redis
from offline.customers import exporting, keeping, scoring
from offline.customers.refit import Whole
from offline.process import Asked
from records.tenants import qualified
from services.analytics.adapters.children import Child, Children, Memory
from services.analytics.adapters.jobs import RedisJobs
from services.analytics.domain.job import Job, State
from services.analytics.running import Queueing, Running
from services.customers.adapters.fits import RedisFits
from services.customers.adapters.memory import MemoryFits
from services.customers.ports import FitStore
from services.ingest.events.adapters.memory import MemorySuppressions
from services.ingest.events.adapters.redis_suppressed import RedisSuppressions
from services.ingest.events.domain.suppression import pseudonym
from services.ingest.export.domain import rendering
from tests.customers.fits import NOW_MS, TODAY, shop
from tests.offline.test_customers_archived import archive_of, command
from tests.offline.test_customers_fit import purchase

MEMORY: Final = Memory(384, 512)
GONE: Final = "user-007"


@pytest.fixture(scope="module")
def archive_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An archive of a shop's orders."""
    folder = Path(tmp_path_factory.mktemp("archive"))
    archive_of(folder, [[purchase(user, order) for user, orders in shop(40).items() for order in orders]])
    return folder.as_uri()


@pytest.fixture
async def client(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[redis.Client]:
    monkeypatch.setenv("JOURNEYMESH_REDIS_URL", valkey_url)
    async with contextlib.aclosing(redis.connect(valkey_url)) as client:
        await client.flushall()
        yield client


async def learn(fits: FitStore) -> None:
    bought = {qualified("acme", name): orders for name, orders in shop(40).items()}
    await keeping.learn(fits, Whole(bought), "acme", TODAY, None, NOW_MS)


async def read(fits: FitStore, job_id: str) -> bytes:
    return b"".join([piece async for piece in fits.export("acme", job_id)])


async def test_killed_in_the_middle_it_is_begun_again_and_writes_what_the_command_writes(
    client: redis.Client, archive_url: str, tmp_path: Path
) -> None:
    fits, suppressions = RedisFits(client), RedisSuppressions(client)
    await learn(fits)
    # Somebody is being erased, and the archive still knows them.
    await suppressions.add([pseudonym(qualified("acme", GONE), await suppressions.secret())], "erasure")
    queueing = Queueing(RedisJobs(client), system_clock, secrets.token_bytes, True, telemetry.off().metrics)
    children = Children(archive_url, MEMORY, os.environ, tmp_path / "jobs")
    begun: asyncio.Queue[Child] = asyncio.Queue()

    def start(tenant: str, of: Job) -> Child:
        child = children.start(tenant, of)
        begun.put_nowait(child)
        return child

    runner = Running(RedisJobs(client), system_clock, secrets.token_bytes, start, telemetry.off())
    job = await queueing.create("acme", "customers_export")
    run = asyncio.create_task(runner.run_waiting())
    first = await begun.get()
    async with asyncio.timeout(60):
        while not first.progress.step:  # noqa: ASYNC110 - what another process does
            await asyncio.sleep(0.01)
    os.kill(first.process_id, signal.SIGKILL)
    await run
    assert (await queueing.get("acme", job.job_id)).state is State.QUEUED
    assert await fits.exported("acme", job.job_id) is None

    await runner.run_waiting()
    done = await queueing.get("acme", job.job_id)
    assert (done.state, done.attempt_count, done.counts) == (State.DONE, 2, {"customers": 39}), done
    file = await read(fits, job.job_id)
    assert (GONE.encode() in file, b'"user-008"' in file) == (False, True)
    scores = tmp_path / "scores.csv"
    scores.touch(0o644)
    arguments = ("--archive", archive_url, "--tenant", "acme", "--score", "--output", str(scores))
    assert await asyncio.to_thread(command, *arguments) == 0
    assert scores.read_bytes() == file
    assert stat.S_IMODE(scores.stat().st_mode) == 0o600

    # As if it had been killed between the two writes: it tells what it did, and does nothing.
    asked = Asked("file:///nowhere", "acme", job.created_us // 1000, job.job_id, {})
    assert await exporting.exported(fits, suppressions, asked) == 39
    another = asked._replace(archive_url=archive_url, job_id="another")
    assert await exporting.exported(fits, suppressions, another) == 39
    assert await read(fits, "another") == file


async def test_before_anything_was_learnt_it_says_so(archive_url: str) -> None:
    asked = Asked(archive_url, "acme", NOW_MS, "j-1", {})
    with pytest.raises(FailedPrecondition) as refused:
        await exporting.exported(MemoryFits(), MemorySuppressions(), asked)
    assert refused.value.reason == "CUSTOMERS_NOT_LEARNT"


@pytest.mark.parametrize("times", [1, 3])
async def test_it_is_written_again_if_somebody_is_erased_meanwhile(
    archive_url: str, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    fits, suppressions = MemoryFits(), MemorySuppressions()
    await learn(fits)
    scored, left = scoring.scored, [times]

    def erasing(*arguments: Any) -> Any:
        found = scored(*arguments)
        if left[0]:
            left[0] -= 1
            fits.forget(qualified("acme", GONE))
        return found

    monkeypatch.setattr(scoring, "scored", erasing)
    writing = exporting.exported(fits, suppressions, Asked(archive_url, "acme", NOW_MS, "j-1", {}))
    if times < 3:
        assert await writing == 40
    else:
        with pytest.raises(FailedPrecondition) as refused:
            await writing
        assert refused.value.reason == "ERASURE_UNFINISHED"
        assert await fits.exported("acme", "j-1") is None


def test_a_file_without_customers_has_the_names_of_its_columns() -> None:
    (header,) = scoring.csv(scoring.SCHEMA.empty_table())
    assert header.decode().startswith('"customer","segment","group","active"')


def test_pieces_are_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scoring.SCHEMA.empty_table()
    rows = [{field.name: f"n{number}" for field in scoring.SCHEMA if not field.nullable} for number in range(7)]
    whole = whole.from_pylist(rows, scoring.SCHEMA)
    (all_at_once,) = scoring.csv(whole)
    monkeypatch.setattr(scoring, "_ROWS", 3)
    pieces = [*scoring.csv(whole)]
    assert (len(pieces), b"".join(pieces)) == (3, all_at_once)


@pytest.mark.parametrize("start", rendering.FORMULA)
def test_no_id_is_a_formula_of_a_spreadsheet(start: str) -> None:
    names = [f"{start}HYPERLINK(1)", f"ada{start}1"]
    rows = [{**{field.name: "" for field in scoring.SCHEMA if not field.nullable}, "customer": name} for name in names]
    file = b"".join(scoring.csv(scoring.SCHEMA.empty_table().from_pylist(rows, scoring.SCHEMA))).decode()
    assert [row[0] for row in [*csv.reader(io.StringIO(file, newline=""))][1:]] == [f"'{names[0]}", names[1]]
