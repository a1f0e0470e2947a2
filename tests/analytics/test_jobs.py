"""Jobs: the port over every adapter, how they are queued, held, cancelled and ended, and what tenants see of them."""

import asyncio
import dataclasses
import secrets
from collections.abc import Callable, Collection
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.analytics.v1 import jobs_pb2 as wire
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh.errors import (
    AlreadyExists,
    Damaged,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
    VersionMismatch,
)
from mesh.observability import semconv, telemetry
from mesh.observability.telemetry import Telemetry
from mesh.store import redis
from services.analytics.adapters.jobs import MemoryJobs, RedisJobs
from services.analytics.domain import job as domain
from services.analytics.domain.job import HELD_US, Job, Outcome, Progress, State
from services.analytics.jobs import JobsServicer
from services.analytics.ports import JobStore, KeptJobs, Work
from services.analytics.running import KINDS, Queueing, Running, changed
from tests.builders import NOW_US

ONE = Job("j-1", "customers_fit", State.QUEUED, NOW_US)
DONE = Job(
    *("j-2", "customers_fit", State.DONE, NOW_US, "learning", 1.0, 2, NOW_US + 1, NOW_US + 2, "", "", {"customers": 40})
)


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> JobStore:
    return MemoryJobs() if request.param == "memory" else RedisJobs(valkey)


async def test_what_replaces_is_read_and_only_by_who_has_seen_the_last_change(store: JobStore) -> None:
    assert await store.read("") == KeptJobs(0, ())
    assert not await store.replace("", (ONE,), 1)
    assert await store.replace("", (ONE, DONE), 0)
    assert not await store.replace("", (), 0)
    assert await store.read("") == KeptJobs(1, (ONE, DONE))


async def test_tenants_wait_until_all_their_jobs_have_ended(store: JobStore) -> None:
    assert await store.replace("acme", (ONE,), 0)
    assert await store.replace("", (DONE, ONE), 0)
    assert await store.waiting() == ["", "acme"]
    assert await store.replace("acme", (DONE,), 1)
    assert await store.waiting() == [""]
    assert (await store.read("globex")).jobs == ()


async def test_what_a_newer_version_stored_is_refused(valkey: redis.Client) -> None:
    await valkey.hset("jm:{analytics}:jobs:acme", "jobs", msgspec.msgpack.encode([2, []]))
    with pytest.raises(VersionMismatch):
        await RedisJobs(valkey).read("acme")


class Done:
    """Work of which something comes at once."""

    progress = Progress("learning", 0.5)

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self.is_closed = False

    async def outcome(self) -> Outcome:
        return self._outcome

    def close(self) -> None:
        self.is_closed = True


class Endless(Done):
    """Work that does not end by itself."""

    def __init__(self) -> None:
        super().__init__(Outcome())

    async def outcome(self) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError


def queueing(store: JobStore, *, has_archive: bool = True) -> Queueing:
    return Queueing(store, lambda: NOW_US, secrets.token_bytes, has_archive, telemetry.off().metrics)


def running(
    store: JobStore, start: Callable[[str, Job], Work], now_us: int = NOW_US, traced: Telemetry | None = None
) -> Running:
    return Running(store, lambda: now_us, secrets.token_bytes, start, traced or telemetry.off())


async def test_of_many_who_ask_at_once_one_gets_a_job(store: JobStore) -> None:
    jobs = queueing(store)
    made = await asyncio.gather(*(jobs.create("acme", "customers_fit") for _ in range(4)), return_exceptions=True)
    (job,) = (each for each in made if isinstance(each, Job))
    assert {each.reason for each in made if isinstance(each, AlreadyExists)} == {"JOB_UNFINISHED"}
    assert [*await jobs.listed("acme")] == [job]
    await jobs.create("globex", "customers_fit")


async def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="customers_fit"):
        await queueing(MemoryJobs()).create("", "tea")
    with pytest.raises(Unavailable, match="no archive"):
        await queueing(MemoryJobs(), has_archive=False).create("", "customers_fit")


async def test_what_would_be_refused_is_listed_beside_the_jobs() -> None:
    async def refused(tenant: str, jobs: Queueing) -> dict[int, tuple[str, str]]:
        answer = await JobsServicer(jobs).ListJobs(wire.ListJobsRequest(tenant=tenant), cast("Any", None))
        return {each.kind: (each.reason, each.detail) for each in answer.refused_kinds}

    whole = queueing(MemoryJobs())
    assert await refused("", whole) == {}
    assert {kind: reason for kind, (reason, _) in (await refused("acme", whole)).items()} == {
        wire.JOB_KIND_MODEL_TRAINING: "NOT_PERMITTED"
    }
    lean = dataclasses.replace(whole, installed=("customers_fit", "customers_export"))
    assert await refused("", lean) == {
        wire.JOB_KIND_MODEL_TRAINING: (
            "JOB_KIND_NOT_AVAILABLE",
            "What `model_training` needs is not installed here.",
        )
    }
    assert len(await refused("", queueing(MemoryJobs(), has_archive=False))) == len(KINDS)


async def test_a_tenant_sees_and_cancels_its_own_only() -> None:
    jobs = queueing(MemoryJobs())
    own = await jobs.create("acme", "customers_fit")
    for ask in (jobs.get, jobs.cancel):
        with pytest.raises(NotFound):
            await ask("globex", own.job_id)
    assert [*await jobs.listed("globex")] == []
    assert (await jobs.get("acme", own.job_id)).state is State.QUEUED


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome({"customers": 3}), State.DONE),
        (Outcome(reason="NOTHING_TO_LEARN", detail="There is no order."), State.FAILED),
    ],
)
async def test_a_job_ends_with_what_came_of_it(outcome: Outcome, state: State) -> None:
    store = MemoryJobs()
    job = await queueing(store).create("acme", "customers_fit")
    works: list[Done] = []

    def start(tenant: str, of: Job) -> Work:
        assert (tenant, of.job_id, of.state) == ("acme", job.job_id, State.RUNNING)
        works.append(Done(outcome))
        return works[-1]

    for _ in range(2):  # and it ends once
        await running(store, start).run_waiting()
    ended = await queueing(store).get("acme", job.job_id)
    assert (ended.state, ended.counts, ended.reason) == (state, outcome.counts, outcome.reason)
    assert [each.is_closed for each in works] == [True]
    with pytest.raises(FailedPrecondition):
        await queueing(store).cancel("acme", job.job_id)


@pytest.mark.parametrize(
    ("outcome", "state"), [(Outcome({"customers": 3}), "done"), (Outcome(reason="JOB_TOO_LARGE"), "failed")]
)
async def test_an_attempt_is_a_span_and_what_came_of_it_is_counted_once(outcome: Outcome, state: str) -> None:
    store, exporter = MemoryJobs(), InMemorySpanExporter()
    traced = telemetry.exporting("analytics", exporter)
    job = await queueing(store).create("acme", "customers_fit")
    later = NOW_US + 90_000_000
    for _ in range(2):
        await running(store, lambda _tenant, _job: Done(outcome), later, traced).run_waiting()
    told = traced.metrics.render().decode()
    traced.close()
    assert f'journeymesh_jobs_total{{kind="customers_fit",state="{state}"}} 1.0' in told
    assert ("journeymesh_job_duration_seconds_count" in told) == (state == "done")
    (span,) = exporter.get_finished_spans()
    assert span.name == semconv.SPAN_JOB
    assert dict(span.attributes or {}) == {
        semconv.JOB_ID: job.job_id,
        semconv.JOB_KIND: "customers_fit",
        semconv.JOB_ATTEMPT: 1,
        semconv.JOB_STATE: state,
    }


async def test_a_job_whose_process_always_dies_fails_at_last() -> None:
    store = MemoryJobs()
    traced = telemetry.off()
    job = await queueing(store).create("", "customers_fit")
    runner = running(store, lambda _tenant, _job: Done(Outcome(is_lost=True)), traced=traced)
    for attempt in range(1, domain.MOST_ATTEMPTS + 1):
        await runner.run_waiting()
        assert (await queueing(store).get("", job.job_id)).attempt_count == attempt
    await runner.run_waiting()
    failed = await queueing(store).get("", job.job_id)
    assert (failed.state, failed.reason) == (State.FAILED, "JOB_PROCESS_DIED")
    assert 'journeymesh_jobs_total{kind="customers_fit",state="failed"} 1.0' in traced.metrics.render().decode()


async def test_what_one_tenant_has_lost_keeps_no_job_of_another_from_being_run(valkey: redis.Client) -> None:
    store = RedisJobs(valkey)
    for tenant in ("acme", "globex"):
        await queueing(store).create(tenant, "customers_fit")
    await valkey.hset("jm:{analytics}:jobs:acme", "jobs", b"\x92\x01")
    with pytest.raises(Damaged):
        await running(store, lambda _tenant, _job: Done(Outcome())).run_waiting()
    assert [each.state for each in await queueing(store).listed("globex")] == [State.DONE]


@pytest.mark.parametrize(("kind", "installed"), [("model_training", ("customers_fit",)), ("of_a_newer_build", KINDS)])
async def test_a_job_that_cannot_be_done_here_waits_for_a_process_that_can(
    store: JobStore, kind: str, installed: Collection[str]
) -> None:
    other = Job("j-0", kind, State.QUEUED, NOW_US - 1)
    await store.replace("", (other, ONE), 0)
    works: list[str] = []

    def start(_tenant: str, job: Job) -> Work:
        works.append(job.kind)
        return Done(Outcome())

    here = dataclasses.replace(running(store, start), installed=installed)
    for _ in range(3):
        await here.run_waiting()
    waiting, done = (await store.read("")).jobs
    assert (works, waiting, done.state) == (["customers_fit"], other, State.DONE)
    await dataclasses.replace(here, installed=(kind,)).run_waiting()
    assert works == ["customers_fit", kind]


async def test_only_a_job_that_nobody_holds_any_more_is_begun_again() -> None:
    store = MemoryJobs()
    job = await queueing(store).create("", "customers_fit")
    of_another = domain.taken(job, "another", NOW_US)
    await changed(store, "", lambda jobs: domain.with_one(jobs, of_another))

    await running(store, _never, NOW_US + HELD_US - 1).run_waiting()
    assert (await store.read("")).jobs == (of_another,)
    await running(store, lambda _tenant, _job: Done(Outcome({"customers": 3})), NOW_US + HELD_US).run_waiting()
    (ended,) = (await store.read("")).jobs
    assert (ended.state, ended.attempt_count, ended.started_us) == (State.DONE, 2, NOW_US)


async def test_a_replica_without_its_kind_does_not_begin_again_what_another_has_lost() -> None:
    store = MemoryJobs()
    job = await queueing(store).create("", "model_training")
    lost = domain.taken(job, "another", NOW_US)
    await changed(store, "", lambda jobs: domain.with_one(jobs, lost))
    plain = dataclasses.replace(running(store, _never, NOW_US + HELD_US), installed=("customers_fit",))
    await plain.run_waiting()
    assert (await store.read("")).jobs == (lost,)


async def test_who_lost_a_job_meanwhile_ends_it_no_more() -> None:
    store = MemoryJobs()
    await queueing(store).create("", "customers_fit")

    class Overtaken(Done):
        async def outcome(self) -> Outcome:
            await changed(store, "", lambda jobs: tuple(domain.taken(each, "another", NOW_US) for each in jobs))
            return Outcome({"customers": 3})

    await running(store, lambda _tenant, _job: Overtaken(Outcome())).run_waiting()
    (held,) = (await store.read("")).jobs
    assert (held.state, held.holder, held.counts) == (State.RUNNING, "another", {})


async def test_cancelled_it_ends_its_work() -> None:
    store, work = MemoryJobs(), Endless()
    jobs = queueing(store)
    job = await jobs.create("", "customers_fit")
    begun = asyncio.Event()

    def start(_tenant: str, _job: Job) -> Work:
        begun.set()
        return work

    run = asyncio.create_task(running(store, start).run_waiting())
    await begun.wait()
    for _ in range(2):
        assert (await jobs.cancel("", job.job_id)).state is State.CANCELLED
    async with asyncio.timeout(2):
        await run
    assert work.is_closed
    await jobs.create("", "customers_fit")


async def test_while_it_runs_it_says_how_far_it_is() -> None:
    store = MemoryJobs()
    await queueing(store).create("", "customers_fit")
    run = asyncio.create_task(running(store, lambda _tenant, _job: Endless()).run_waiting())
    async with asyncio.timeout(5):
        while not (jobs := (await store.read("")).jobs) or jobs[0].step != "learning":  # noqa: ASYNC110 - as a client would ask
            await asyncio.sleep(0.05)
    assert (jobs[0].state, jobs[0].progress) == (State.RUNNING, 0.5)
    run.cancel()


@given(st.lists(st.booleans(), max_size=220))
def test_the_latest_hundred_are_kept_and_none_that_has_not_ended_is_lost(ends: list[bool]) -> None:
    jobs: tuple[Job, ...] = ()
    waiting: list[str] = []
    for number, does_end in enumerate(ends):
        new = Job(f"{number}", "customers_fit", State.QUEUED, NOW_US + number)
        jobs = domain.queued(jobs, new)
        if does_end:
            jobs = domain.with_one(jobs, domain.ended(new, Outcome(), NOW_US))
        else:
            waiting.append(new.job_id)
        assert len(jobs) <= max(domain.MOST_KEPT, len(waiting) + 1)
    ids = [each.job_id for each in jobs]
    assert ids == sorted(ids, key=int)
    assert set(waiting) <= set(ids)
    assert len(ids) >= min(len(ends), domain.MOST_KEPT)


def _never(_tenant: str, _job: Job) -> Any:
    raise AssertionError
