"""The job that learns from all customers, in its own process: as the command does, and once, whatever is killed."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mesh.clock import system_clock
from mesh.errors import FailedPrecondition, Unavailable
from mesh.observability import telemetry
from mesh.store import redis
from offline.archive import contents
from offline.customers import archived, keeping
from offline.customers import job as learning
from offline.customers.refit import Whole
from offline.process import Asked
from records import tenants
from services.analytics.adapters.children import LEAN, Child, Children, Memory
from services.analytics.adapters.jobs import RedisJobs
from services.analytics.domain.job import HELD_US, OUT_OF_MEMORY, Job, Outcome, State
from services.analytics.running import Queueing, Running
from services.customers.adapters.fits import RedisFits, encode
from services.customers.adapters.memory import MemoryFits
from services.customers.domain.fit import Fit
from services.customers.domain.history import history
from services.customers.ports import Standing
from services.ingest.archive.adapters.files import ParquetArchive
from tests.customers.fits import shop
from tests.ingest.harness import running
from tests.offline.test_customers_archived import archive_of
from tests.offline.test_customers_fit import purchase
from tests.offline.test_customers_publishing import Ingest, listening

MEMORY: Final = Memory(384, 512)
RUNNER: Final = """
import asyncio, os, secrets, sys, tempfile
from pathlib import Path
from mesh.clock import system_clock
from mesh.observability import telemetry
from mesh.store import redis
from services.analytics.adapters.children import Children, Memory
from services.analytics.adapters.jobs import RedisJobs
from services.analytics.running import Running

async def main():
    store = RedisJobs(redis.connect(sys.argv[1]))
    children = Children(sys.argv[2], Memory(384, 512), os.environ, Path(tempfile.mkdtemp()))
    await Running(store, system_clock, secrets.token_bytes, children.start, telemetry.off()).run()

asyncio.run(main())
"""
FULL: Final = """
import resource, sys
import numpy as np
import pyarrow.parquet as pq
from scipy.linalg import blas
from offline import process

if sys.argv[1] == "reserved":
    process.reserve()
(used,) = (int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, ((used + 4096) * 1024,) * 2)
some = np.ones((200, 200))
np.matmul(some, some)
blas.dgemm(1.0, some, some)
for _ in pq.ParquetFile(sys.argv[2]).iter_batches(use_threads=False):
    pass
try:
    np.ones(1 << 24)
except MemoryError:
    print("too large")
"""


@pytest.fixture(scope="module")
def archive_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An archive of a shop's orders."""
    folder = Path(tmp_path_factory.mktemp("archive"))
    archive_of(folder, [[purchase(user, order) for user, orders in shop(40).items() for order in orders]])
    return folder.as_uri()


@pytest.fixture
async def client(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[redis.Client]:
    """The store, beside an ingest that takes what is published."""
    monkeypatch.setenv("JOURNEYMESH_REDIS_URL", valkey_url)
    async with (
        running() as ingest,
        listening(Ingest(ingest)) as target,
        contextlib.aclosing(redis.connect(valkey_url)) as client,
    ):
        ingest.time.now_us = system_clock()
        monkeypatch.setenv("JOURNEYMESH_INGEST_TARGET", target)
        await client.flushall()
        yield client


async def queued(client: redis.Client) -> Job:
    return await queueing(client).create("acme", "customers_fit")


def queueing(client: redis.Client) -> Queueing:
    return Queueing(RedisJobs(client), system_clock, secrets.token_bytes, True, telemetry.off().metrics)


async def found(client: redis.Client, job: Job) -> Job:
    return await queueing(client).get("acme", job.job_id)


async def as_the_command(archive_url: str, now_ms: int) -> bytes:
    archive = ParquetArchive(archive_url)
    bought = {name: history(each) for name, each in archived.histories(archive, contents(archive).files, tenant="acme")}
    return encode(await keeping.learn(MemoryFits(), Whole(bought), "acme", None, None, now_ms))


async def reading(child: Child) -> None:
    """Returns once it has begun to read."""
    async with asyncio.timeout(60):
        while child.progress.step not in {"counting", "reading"}:  # noqa: ASYNC110 - what another process does
            await asyncio.sleep(0.01)


async def test_killed_in_the_middle_it_is_begun_again_and_learns_what_the_command_learns(
    client: redis.Client, archive_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job, children = await queued(client), Children(archive_url, MEMORY, os.environ, tmp_path)
    begun: asyncio.Queue[Child] = asyncio.Queue()

    def start(tenant: str, of: Job) -> Child:
        child = children.start(tenant, of)
        begun.put_nowait(child)
        return child

    runner = Running(RedisJobs(client), system_clock, secrets.token_bytes, start, telemetry.off())
    run = asyncio.create_task(runner.run_waiting())
    first = await begun.get()
    await reading(first)
    os.kill(first.process_id, signal.SIGKILL)
    await run
    assert await RedisFits(client).fit("acme") is None
    assert (await found(client, job)).state is State.QUEUED

    await runner.run_waiting()
    done = await found(client, job)
    assert (done.state, done.attempt_count, done.progress) == (State.DONE, 2, 1.0), done
    fit = await RedisFits(client).fit("acme")
    assert fit is not None
    assert done.counts == {"customers": 40, "products": len(fit.products), "published": 40, "refused": 0}
    assert encode(fit) == await as_the_command(archive_url, job.created_us // 1000)
    assert await RedisFits(client).fit("") is None

    # As if it had been killed between the two writes: it learns nothing a second time, so nobody seems to have moved.
    before = await client.hgetall("jm:{customers}:fit:acme")
    capsys.readouterr()
    asked = Asked(archive_url, "acme", job.created_us // 1000, job.job_id, {})
    assert await asyncio.to_thread(learning.main, asked) == 0
    said = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert said[-1] == {"counts": dict(done.counts) | {"published": 0}}
    assert {each["step"] for each in said[:-1]} == {"publishing"}
    assert await client.hgetall("jm:{customers}:fit:acme") == before


def killed_in_the_middle(valkey_url: str, archive_url: str) -> list[psutil.Process]:
    """Kills a process that runs jobs once it runs one; returns the processes that it had started and that live on."""
    with subprocess.Popen([sys.executable, "-c", RUNNER, valkey_url, archive_url]) as runner:
        until = time.monotonic() + 60
        while not (children := psutil.Process(runner.pid).children()):
            assert time.monotonic() < until
            time.sleep(0.01)
        runner.kill()
    return psutil.wait_procs(children, timeout=30)[1]


async def test_it_ends_with_who_started_it_and_another_takes_the_job(
    client: redis.Client, archive_url: str, valkey_url: str, tmp_path: Path
) -> None:
    job = await queued(client)
    assert await asyncio.to_thread(killed_in_the_middle, valkey_url, archive_url) == []
    assert (await found(client, job)).state is State.RUNNING

    def start(_tenant: str, _job: Job) -> Child:
        return Child(["printf", '{"counts": {"customers": 40}}'], os.environ, tmp_path)

    later = Running(RedisJobs(client), lambda: system_clock() + HELD_US, secrets.token_bytes, start, telemetry.off())
    await later.run_waiting()
    done = await found(client, job)
    assert (done.state, done.attempt_count) == (State.DONE, 2), done


async def test_cancelled_its_process_is_gone_within_two_seconds(
    client: redis.Client, archive_url: str, tmp_path: Path
) -> None:
    job, children = await queued(client), Children(archive_url, MEMORY, os.environ, tmp_path)
    begun: asyncio.Queue[Child] = asyncio.Queue()

    def start(tenant: str, of: Job) -> Child:
        child = children.start(tenant, of)
        begun.put_nowait(child)
        return child

    runner = Running(RedisJobs(client), system_clock, secrets.token_bytes, start, telemetry.off())
    run = asyncio.create_task(runner.run_waiting())
    child = await begun.get()
    await queueing(client).cancel("acme", job.job_id)
    async with asyncio.timeout(2):
        await run
    assert not psutil.pid_exists(child.process_id)
    assert (await found(client, job)).state is State.CANCELLED
    assert await RedisFits(client).fit("acme") is None


async def test_why_it_learns_nothing_is_told(client: redis.Client, tmp_path: Path) -> None:
    arguments = (tmp_path.as_uri(), "acme", "1", str(MEMORY.usual_mib), "j-1", "{}")
    command = [sys.executable, "-m", "offline.customers.job", *arguments]

    def run() -> tuple[int, bytes, bytes]:
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, **LEAN}) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            said, errors = process.stdout.read(), process.stderr.read()
            return process.wait(), said, errors

    code, said, errors = await asyncio.to_thread(run)
    assert (code, errors) == (1, b"")
    assert json.loads(said.splitlines()[-1]) == {
        "reason": "NOTHING_TO_LEARN",
        "detail": "The archive holds no purchase of this tenant.",
    }


@pytest.mark.parametrize(("first", "said"), [("reserved", "too large\n"), ("nothing", "")])
def test_without_memory_it_lives_to_say_so_if_it_reserved_what_libraries_need(
    first: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "some.parquet"
    pq.write_table(pa.table({"some": [1]}), file)
    command = [sys.executable, "-c", FULL, first, str(file)]
    ended = subprocess.run(command, env={**os.environ, **LEAN}, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.returncode == 0) == (said, bool(said)), ended.stderr


WRITES: Final = """
import sys
from offline import process

def write(_asked):
    with open("/dev/full", "w") as file:
        file.write("what somebody did")
    return 0

sys.exit(process.run(write))
"""


def test_without_room_on_the_disk_it_says_so_and_is_not_begun_again() -> None:
    command = [sys.executable, "-c", WRITES, "file:///nowhere", "", "1", "384", "j-1", "{}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env={**os.environ, **LEAN}) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.read())
    assert (said["reason"], "No space left" in said["detail"]) == ("JOB_TOO_LARGE", True)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ('{"step": "reading"}\n{"counts": {"customers": 3}}\n', Outcome({"customers": 3})),
        ('{"reason": "JOB_TOO_LARGE", "detail": "It is."}\n', Outcome(reason="JOB_TOO_LARGE", detail="It is.")),
        ('{"step": "reading"}\n', Outcome(is_lost=True)),
        ('{"counts": {"cust', Outcome(is_lost=True)),
        ("", Outcome(is_lost=True)),
    ],
)
async def test_what_a_process_says_last_is_what_came_of_it(said: str, outcome: Outcome, tmp_path: Path) -> None:
    with contextlib.closing(Child(["printf", "%s", said], os.environ, tmp_path)) as child:
        assert await child.outcome() == outcome


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ("cannot allocate memory for thread-local data: ABORT", OUT_OF_MEMORY),
        ("terminate called after throwing an instance of 'std::bad_alloc'", OUT_OF_MEMORY),
        ("OpenBLAS error: Memory allocation still failed after 10 retries, giving up.", OUT_OF_MEMORY),
        ("Segmentation fault", Outcome(is_lost=True)),
    ],
)
async def test_what_a_library_wrote_when_it_ended_the_process_is_passed_on_and_tells_why(
    words: str, outcome: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sh", "-c", 'echo "{}"; echo "$0" >&2; exit 127', words]
    with contextlib.closing(Child(command, os.environ, tmp_path)) as child:
        assert await child.outcome() == outcome
    assert capsys.readouterr().err == f"{words}\n"


SPILLS: Final = """
import json, tempfile, time
with tempfile.TemporaryDirectory() as folder:
    open(f"{folder}/0", "w").write("what somebody did")
    print(json.dumps({"step": folder}), flush=True)
    time.sleep(600)
"""


async def test_of_what_a_killed_process_spilled_nothing_is_left(tmp_path: Path) -> None:
    scratch = tmp_path / "jobs"
    child = Child([sys.executable, "-c", SPILLS], os.environ, scratch / "j-1")
    ending = asyncio.ensure_future(child.outcome())
    async with asyncio.timeout(60):
        while not child.progress.step:  # noqa: ASYNC110 - what another process does
            await asyncio.sleep(0.01)
    spilled = Path(child.progress.step)
    assert (spilled / "0").exists()
    assert spilled.is_relative_to(scratch)
    child.close()
    assert (await ending).is_lost
    assert [*scratch.iterdir()] == []
    # Who is killed itself finds it when it starts again.
    (scratch / "j-2").mkdir()
    Children("file:///nowhere", MEMORY, os.environ, scratch)
    assert not scratch.exists()


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_it_reads_again_if_somebody_is_erased_meanwhile(archive_url: str, times: int) -> None:
    class Erased(MemoryFits):
        """Erases somebody after each of the first times at which a job looked who was erased."""

        left = times

        async def fit(self, tenant: str) -> Fit | None:
            if self.left:
                self.left -= 1
                await self.erase([tenants.qualified("acme", "nobody")])
            return await super().fit(tenant)

    now_ms = system_clock() // 1000
    learning_again = learning.learnt(Erased(), archive_url, "acme", now_ms)
    if times < 3:
        assert (await learning_again).fitted_ms == now_ms
    else:
        with pytest.raises(FailedPrecondition) as refused:
            await learning_again
        assert refused.value.reason == "ERASURE_UNFINISHED"


async def test_it_reads_again_what_could_not_be_read(archive_url: str) -> None:
    class Away(MemoryFits):
        """Cannot be reached once."""

        is_away = True

        async def standing(self, tenant: str) -> Standing:
            if self.is_away:
                self.is_away = False
                raise Unavailable("DEPENDENCY_UNAVAILABLE", "It is away.")
            return await super().standing(tenant)

    assert (await learning.learnt(Away(), archive_url, "acme", system_clock() // 1000)).customers == 40
