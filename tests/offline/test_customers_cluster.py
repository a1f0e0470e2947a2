"""A job whose parts a cluster works on, from its queue on; and clusters that cannot do that."""

import os
import secrets
import time
from pathlib import Path

import pytest
import trustme

from images import gather
from mesh.clock import system_clock
from mesh.errors import Unavailable
from mesh.observability import telemetry
from mesh.store import redis
from offline.customers.cluster import Cluster
from services.analytics.adapters.children import Children
from services.analytics.adapters.jobs import RedisJobs
from services.analytics.domain.job import State
from services.analytics.running import Running
from services.customers.adapters.fits import RedisFits, encode
from tests import certificates
from tests.analytics.test_cluster import named
from tests.offline.test_customers_job import MEMORY, archive_url, as_the_command, client, found, queued
from tests.offline.test_customers_parts import workers

__all__ = ["archive_url", "client"]


async def test_it_learns_what_the_command_learns_and_without_the_cluster_nothing(
    client: redis.Client, archive_url: str, tmp_path: Path
) -> None:
    files = certificates.issue(tmp_path / "tls", trustme.CA())
    with workers(tmp_path, files) as (address, _):
        environment = {**os.environ, **named(files, address)}
        children = Children(archive_url, MEMORY, environment, tmp_path / "jobs")
        runner = Running(RedisJobs(client), system_clock, secrets.token_bytes, children.start, telemetry.off())
        job = await queued(client)
        await runner.run_waiting()
    done = await found(client, job)
    assert (done.state, done.attempt_count, done.counts["customers"]) == (State.DONE, 1, 40), done
    fit = await RedisFits(client).fit("acme")
    assert fit is not None
    assert encode(fit) == await as_the_command(archive_url, job.created_us // 1000)

    other = await queued(client)
    await runner.run_waiting()
    failed = await found(client, other)
    assert (failed.state, failed.reason, failed.attempt_count) == (State.FAILED, "DEPENDENCY_UNAVAILABLE", 1), failed


def test_workers_have_the_code_of_the_image(tmp_path: Path) -> None:
    gather.main("analytics", tmp_path / "app")
    with workers(tmp_path, code=tmp_path / "app") as (address, _):
        assert Cluster(address).map(abs, [-1, -2, -3], lambda _done: None) == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("# Another one.", "has another version of offline.customers.summaries"),
        ("import nothing", "lacks what it would run: No module named 'nothing'"),
    ],
)
def test_workers_with_other_code_are_refused(text: str, told: str, tmp_path: Path) -> None:
    gather.main("analytics", tmp_path / "app")
    with (tmp_path / "app/offline/customers/summaries.py").open("a") as file:
        file.write(f"{text}\n")
    with workers(tmp_path, code=tmp_path / "app") as (address, _), pytest.raises(Unavailable, match=told):
        Cluster(address).map(abs, [-1], lambda _done: None)


def test_a_cluster_that_has_lost_its_workers_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with workers(tmp_path) as (address, started):
        for each in started[1:]:
            each.kill()
            each.wait()
        with pytest.raises(Unavailable, match="no workers"):
            Cluster(address, patience_seconds=0.1).map(abs, [-1], lambda _done: None)


def test_a_scheduler_that_is_lost_ends_the_work(tmp_path: Path) -> None:
    with workers(tmp_path) as (address, (scheduler, *_)), pytest.raises(Unavailable, match="The cluster failed"):
        Cluster(address).map(time.sleep, [0, 600], lambda _done: scheduler.kill())


def test_workers_that_take_longer_than_that_are_waited_for(tmp_path: Path) -> None:
    some, done = [range(2), range(10_000_000)], list[int]()
    with workers(tmp_path) as (address, _):
        assert Cluster(address, patience_seconds=0.1).map(sum, some, done.append) == [*map(sum, some)]
    assert done[-1] == 2
