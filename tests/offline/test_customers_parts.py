"""Customers are learnt of part by part: the same bits from any number of parts and processes, some of them killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from distributed import Client

from mesh.errors import Unavailable
from offline.archive import contents
from offline.customers import archived, parts
from offline.customers.cluster import Cluster
from offline.customers.engines import Here, Processes
from offline.customers.parts import Engine, Parts, Task
from offline.customers.refit import Before, Whole, refitted
from offline.customers.summaries import Summed
from services.customers.adapters.fits import encode
from services.customers.domain.history import history
from services.ingest.archive.adapters.files import ParquetArchive
from tests.customers.fits import NOW_MS, TODAY, shop
from tests.offline.test_customers_archived import archive_of
from tests.offline.test_customers_fit import purchase

COUNT: Final = 5


@pytest.fixture(scope="module")
def archive_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An archive of a shop's orders, in two files, of which the second is another tenant's."""
    folder = Path(tmp_path_factory.mktemp("archive"))
    orders = [purchase(user, order) for user, history in shop(60, seed=3).items() for order in history]
    others = [purchase("other", order._replace(at=NOW_MS)) for order in shop(1)["user-000"]]
    for each in others:
        each.user_id = "other"
    archive_of(folder, [orders, others])
    return folder.as_uri()


def tasks(archive_url: str, count: int = COUNT) -> Sequence[Task]:
    archive = ParquetArchive(archive_url)
    files, purchases = archived.with_purchases(archive, contents(archive), iter, tenant="acme")
    assert purchases == sum(map(len, shop(60, seed=3).values()))
    assert len(files) < len(contents(archive).files)
    return parts.tasks(archive_url, files, "acme", count * parts.PURCHASES)


def before() -> Before:
    """Where customers were, learnt of earlier."""
    archived_then = shop(60, seed=3)
    found = refitted(
        Whole({f"\x1facme\x1f{name}": of for name, of in archived_then.items()}),
        TODAY - 60,
        Before({}, {}),
        None,
        NOW_MS,
    )
    return Before({**found.members, "gone": "New"}, {"Loyal": 2}, found.fit.groups)


def learnt(archive_url: str, count: int, engine: Engine) -> tuple[bytes, dict[str, str]]:
    found = refitted(Parts(tasks(archive_url, count), engine, lambda *_: None), TODAY, before(), None, NOW_MS)
    return encode(found.fit), dict(found.members)


def whole(archive_url: str) -> tuple[bytes, dict[str, str]]:
    archive = ParquetArchive(archive_url)
    bought = archived.histories(archive, contents(archive).files, tenant="acme")
    found = refitted(Whole({name: history(each) for name, each in bought}), TODAY, before(), None, NOW_MS)
    return encode(found.fit), dict(found.members)


def test_any_number_of_parts_gives_the_same_bits_as_all_at_once(archive_url: str) -> None:
    assert learnt(archive_url, 1, Here()) == learnt(archive_url, 7, Here()) == whole(archive_url)


def test_two_processes_give_the_same_bits_as_one(archive_url: str) -> None:
    assert learnt(archive_url, COUNT, Processes(2)) == learnt(archive_url, COUNT, Here())


def summed_or_killed(of: tuple[Task, str]) -> Summed:
    """Sums a part up; the process that is the first to begin the third part is killed by it."""
    task, marks = of
    if task.part.number == 2:
        try:
            os.close(os.open(f"{marks}/killed", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return parts.summed((task, TODAY))


def test_what_a_killed_process_had_begun_is_begun_again(archive_url: str, tmp_path: Path) -> None:
    of, done = tasks(archive_url), list[int]()
    found = Processes(2).map(summed_or_killed, [(each, str(tmp_path)) for each in of], done.append)
    assert (tmp_path / "killed").exists()
    assert [*map(repr, found)] == [repr(parts.summed((each, TODAY))) for each in of]
    assert done == sorted({*done})
    assert done[-1] == COUNT


def killed(_task: int) -> None:
    """Kills its process."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_job_whose_processes_always_die_is_given_up() -> None:
    with pytest.raises(Unavailable, match="lost 3 times"):
        Processes(1).map(killed, [1], lambda _done: None)


class Dask(NamedTuple):
    """A scheduler at an address, and two workers."""

    address: str
    workers: Sequence[subprocess.Popen[bytes]]


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    """A Dask cluster of two workers, each a process that nobody starts again."""
    told = tmp_path / "scheduler.json"
    local = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(told))
    commands = [
        ("dask_scheduler", *local, "--port", "0"),
        *(("dask_worker", *local, "--no-nanny", "--nthreads", "1", "--local-directory", str(tmp_path)),) * 2,
    ]
    with contextlib.ExitStack() as stack:
        started = []
        for module, *arguments in commands:
            command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
            started.append(stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL)))
            stack.callback(started[-1].kill)
        until = time.monotonic() + 60
        while not told.exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        address = json.loads(told.read_text())["address"]
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield Dask(address, started[1:])


def summed_or_waiting(of: tuple[Task, str]) -> Summed:
    """Sums a part up; the first to begin the third part says which process it is, and waits for its end."""
    task, marks = of
    if task.part.number == 2:
        try:
            mark = os.open(f"{marks}/begun", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            pass
        else:
            os.write(mark, f"{os.getpid()}\n".encode())
            time.sleep(600)
    return parts.summed((task, TODAY))


def test_two_workers_of_a_cluster_give_the_same_bits_also_if_one_is_killed(
    archive_url: str, dask: Dask, tmp_path: Path
) -> None:
    assert learnt(archive_url, COUNT, Cluster(dask.address)) == whole(archive_url)
    mark = tmp_path / "begun"

    def kill() -> int:
        until = time.monotonic() + 60
        while not mark.exists() or not mark.read_text().endswith("\n"):
            assert time.monotonic() < until
            time.sleep(0.05)
        (worker,) = (each for each in dask.workers if each.pid == int(mark.read_text()))
        worker.kill()
        return worker.pid

    of = tasks(archive_url)
    with ThreadPoolExecutor() as beside:
        killing = beside.submit(kill)
        found = Cluster(dask.address).map(summed_or_waiting, [(each, str(tmp_path)) for each in of], lambda _done: None)
        assert killing.result() in {each.pid for each in dask.workers}
    assert [*map(repr, found)] == [repr(parts.summed((each, TODAY))) for each in of]


def test_a_cluster_that_is_not_there_is_told() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        Cluster("there-is-no-such-scheme").map(killed, [1], lambda _done: None)
