"""A job whose parts a cluster works on, from its queue on: in its own process, within the usual memory."""

import os
import secrets
from pathlib import Path

import trustme

from mesh.clock import system_clock
from mesh.observability import telemetry
from mesh.store import redis
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
