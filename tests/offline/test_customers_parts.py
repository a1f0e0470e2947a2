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
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
import trustme

from mesh.errors import InvalidArgument, Unavailable
from mesh.rpc.tls import Files
from mesh.settings import SettingError, read
from offline.archive import contents
from offline.customers import archived, job, parts
from offline.customers.engines import Here, Processes
from offline.customers.parts import Engine, Parts, Task
from offline.customers.refit import Before, Source, Whole, refitted
from offline.customers.summaries import Summed
from services.analytics.settings import Settings
from services.customers.adapters.fits import encode
from services.customers.domain.history import history
from services.ingest.archive.adapters.files import ParquetArchive
from tests import certificates
from tests.customers.fits import NOW_MS, TODAY, shop
from tests.offline.test_customers_archived import archive_of
from tests.offline.test_customers_fit import purchase

COUNT: Final = 5
_SECONDS: Final = 300
"""How long a process may take to begin, on a machine that does much else."""


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


def learnt(source: Source, before: Before) -> tuple[bytes, dict[str, str]]:
    found = refitted(source, TODAY, before, None, NOW_MS)
    return encode(found.fit), dict(found.members)


def by_parts(archive_url: str, count: int, engine: Engine) -> Parts:
    return Parts(tasks(archive_url, count), engine, lambda *_: None)


@pytest.fixture(scope="module")
def before(archive_url: str) -> Before:
    """Where customers were sixty days earlier, one of whom has gone since."""
    found = refitted(by_parts(archive_url, 1, Here()), TODAY - 60, Before({}, {}), None, NOW_MS)
    return Before({**found.members, "gone": "New"}, {"Loyal": 2}, found.fit.groups)


@pytest.fixture(scope="module")
def whole(archive_url: str, before: Before) -> tuple[bytes, dict[str, str]]:
    """What is learnt with all customers in memory."""
    archive = ParquetArchive(archive_url)
    bought = archived.histories(archive, contents(archive).files, tenant="acme")
    return learnt(Whole({name: history(each) for name, each in bought}), before)


def plain(value: Any) -> Any:
    """A summary as lists, which can be compared."""
    if isinstance(value, (np.ndarray, pa.Array)):
        return value.tolist()
    if isinstance(value, dict):
        return sorted((key, plain(each)) for key, each in value.items())
    return [*map(plain, value)] if isinstance(value, (list, tuple)) else value


def test_any_number_of_parts_gives_the_same_bits_as_all_at_once(
    archive_url: str, before: Before, whole: tuple[bytes, dict[str, str]]
) -> None:
    assert learnt(by_parts(archive_url, 7, Here()), before) == whole


def test_two_processes_read_what_one_reads(archive_url: str) -> None:
    of, done = [(each, TODAY) for each in tasks(archive_url)], list[int]()
    found = Processes(2).map(parts.summed, of, done.append)
    assert plain(found) == plain([*Here().map(parts.summed, of, lambda _done: None)])
    assert done == [1, 2, 3, 4, 5]


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
    assert plain(found) == plain([parts.summed((each, TODAY)) for each in of])
    assert done == sorted({*done})
    assert done[-1] == COUNT


def killed(_task: int) -> None:
    """Kills its process."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_job_whose_processes_always_die_is_given_up() -> None:
    with pytest.raises(Unavailable, match="lost 3 times"):
        Processes(1).map(killed, [1], lambda _done: None)


class Dask(NamedTuple):
    """A cluster, and its two workers."""

    cluster: Engine
    workers: Sequence[subprocess.Popen[bytes]]


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    """A Dask cluster of two workers, each a process that nobody starts again."""
    # Not by the processes of this machine that import this module.
    from offline.customers.cluster import Cluster

    with workers(tmp_path, None) as (address, started):
        yield Dask(Cluster(address), started[1:])


@contextlib.contextmanager
def workers(
    folder: Path, files: Files | None = None, code: Path | None = None
) -> Iterator[tuple[str, Sequence[subprocess.Popen[bytes]]]]:
    """The address of a cluster of two workers; its scheduler, and these.

    With files everything is said by TLS. The workers have our modules from the folder `code`, if it is said.
    """
    from distributed import Client, Security

    told = folder / "scheduler.json"
    tls = ("--tls-ca-file", files.ca, "--tls-cert", files.certificate, "--tls-key", files.key) if files else ()
    protocol = ("--protocol", "tls") if files else ()
    local = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(told), *tls, *protocol)
    commands = [
        ("dask_scheduler", *local, "--port", "0"),
        *(("dask_worker", *local, "--no-nanny", "--nthreads", "1", "--local-directory", str(folder)),) * 2,
    ]
    # They import this module as it is imported here.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*([str(code)] if code else []), *sys.path])}
    security = files and Security(  # type: ignore[no-untyped-call]
        tls_ca_file=files.ca, tls_client_cert=files.certificate, tls_client_key=files.key
    )
    with contextlib.ExitStack() as stack:
        started = []
        for module, *arguments in commands:
            command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
            started.append(
                stack.enter_context(subprocess.Popen(command, env=environment, cwd=code, stderr=subprocess.DEVNULL))
            )
            stack.callback(started[-1].kill)
        until = time.monotonic() + _SECONDS
        while not (told.exists() and told.read_text().endswith("}")):  # it exists before it is written
            assert time.monotonic() < until
            time.sleep(0.05)
        address = json.loads(told.read_text())["address"]
        with Client(address, set_as_default=False, security=security) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(2, timeout=_SECONDS)
        yield address, started


def test_jobs_use_the_cluster_that_the_settings_name_by_tls_with_the_same_bits(
    archive_url: str, before: Before, whole: tuple[bytes, dict[str, str]], tmp_path: Path
) -> None:
    files = certificates.issue(tmp_path / "tls", trustme.CA())
    with workers(tmp_path, files) as (address, _):
        assert address.startswith("tls://")
        named = {
            "JOURNEYMESH_JOBS_CLUSTER": address,
            "JOURNEYMESH_JOBS_CLUSTER_CA_FILE": files.ca,
            "JOURNEYMESH_JOBS_CLUSTER_CERT_FILE": files.certificate,
            "JOURNEYMESH_JOBS_CLUSTER_KEY_FILE": files.key,
        }
        where = job.engine(read(Settings, named))
        assert learnt(by_parts(archive_url, COUNT, where), before) == whole
        stranger = certificates.issue(tmp_path / "other", trustme.CA())
        other = {**named, "JOURNEYMESH_JOBS_CLUSTER_CERT_FILE": stranger.certificate}
        other["JOURNEYMESH_JOBS_CLUSTER_KEY_FILE"] = stranger.key
        with pytest.raises(Unavailable, match="cannot be reached"):
            job.engine(read(Settings, other)).map(killed, [1], lambda _done: None)


def test_a_cluster_without_tls_is_refused_at_the_start() -> None:
    assert isinstance(job.engine(read(Settings, {})), Here)
    for address in ("tcp://127.0.0.1:8786", "tls://127.0.0.1:8786"):
        with pytest.raises(SettingError, match="JOURNEYMESH_JOBS_CLUSTER_CA_FILE"):
            read(Settings, {"JOURNEYMESH_JOBS_CLUSTER": address})


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


def test_two_workers_of_a_cluster_give_the_same_bits_as_one_process(
    archive_url: str, dask: Dask, before: Before, whole: tuple[bytes, dict[str, str]]
) -> None:
    assert learnt(by_parts(archive_url, COUNT, dask.cluster), before) == whole


def test_what_a_killed_worker_had_begun_another_begins_again(archive_url: str, dask: Dask, tmp_path: Path) -> None:
    mark = tmp_path / "begun"

    def kill() -> int:
        until = time.monotonic() + _SECONDS
        while not mark.exists() or not mark.read_text().endswith("\n"):
            assert time.monotonic() < until
            time.sleep(0.05)
        (worker,) = (each for each in dask.workers if each.pid == int(mark.read_text()))
        worker.kill()
        return worker.pid

    of = tasks(archive_url)
    with ThreadPoolExecutor() as beside:
        killing = beside.submit(kill)
        found = dask.cluster.map(summed_or_waiting, [(each, str(tmp_path)) for each in of], lambda _done: None)
        assert killing.result() in {each.pid for each in dask.workers}
    assert plain(found) == plain([parts.summed((each, TODAY)) for each in of])


def test_a_cluster_that_is_not_there_is_told() -> None:
    from offline.customers.cluster import Cluster

    with pytest.raises(Unavailable, match="cannot be reached"):
        Cluster("tcp://127.0.0.1:1").map(killed, [1], lambda _done: None)


@pytest.mark.parametrize("address", ["", "nonsense", "tcp://", "http://host:1", "tcp://host:port"])
def test_an_address_of_no_cluster_is_refused_before_a_client_is_made(address: str) -> None:
    from offline.customers.cluster import Cluster

    with pytest.raises(InvalidArgument, match="like tls://host:8786"):
        Cluster(address)
