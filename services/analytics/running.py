"""The use cases of jobs: queue, show and cancel them, and run those that wait."""

import asyncio
import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from mesh.clock import Clock
from mesh.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    MeshError,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from mesh.observability import registry, semconv
from mesh.observability.metrics import Metrics
from mesh.observability.telemetry import Telemetry
from services.analytics.domain import job as domain
from services.analytics.domain import retraining
from services.analytics.domain.gauged import Figures
from services.analytics.domain.job import TRAINING, By, Job, Jobs, Outcome, State
from services.analytics.ports import JobStore, Start, Work

KINDS: Final = ("customers_fit", "customers_export", TRAINING)

_log = logging.getLogger(__name__)
_ATTEMPTS_TO_CHANGE: Final = 10
_ID_BYTES: Final = 8
_LONGEST_LABEL: Final = 200
_NO_OPTIONS: Final[Mapping[str, str]] = MappingProxyType({})
_BEAT_SECONDS: Final = 1.0
"""How often a job that runs is written, and those that wait are looked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Queueing:
    """Keeps the jobs of tenants. All methods raise `Unavailable` if the store cannot be reached."""

    store: JobStore
    clock: Clock
    random_bytes: Callable[[int], bytes]
    has_archive: bool
    metrics: Metrics
    installed: Collection[str] = KINDS
    """The kinds that can be done here."""
    label: str = retraining.LABEL
    """What a model is trained to foretell if nobody says."""

    async def create(self, tenant: str, kind: str, options: Mapping[str, str] = _NO_OPTIONS) -> Job:
        """Queues a job that somebody asked for; returns it.

        Args:
            tenant: whose; a model is of all tenants, so that only the default one may ask for it.
            kind: what it does.
            options: of a model `label`, the installation's if empty, and `promote` and `directions`, `yes` or `no`.

        Raises:
            InvalidArgument: `VALUE_OUT_OF_RANGE`, there is no such kind, or it takes no such options.
            PermissionDenied: `NOT_PERMITTED`, it is about the mesh as a whole, and not for this tenant.
            FailedPrecondition: `JOB_KIND_NOT_AVAILABLE`, what it needs is not installed.
            AlreadyExists: `JOB_UNFINISHED`.
            Unavailable: also if there is no archive.
        """
        self._require_possible(tenant, kind, options)
        new = self._new(kind, self._full(options) if kind == TRAINING else options, By.PERSON)
        await changed(self.store, tenant, lambda jobs: _queued(jobs, new))
        self.metrics.count(registry.JOBS_STARTED, 1, kind, new.started_by)
        return new

    async def start_training(self, options: Mapping[str, str], by: By, interval_us: int) -> Job | None:
        """Queues the training of a model that nobody asked for; None if one is open, or came within the interval.

        Of any number of processes that do so at once, one does.

        Raises:
            Unavailable: the store cannot be reached.
        """
        new = self._new(TRAINING, self._full(options), by)

        def of(jobs: Jobs) -> Jobs:
            may = domain.may_start(jobs, TRAINING, new.created_us, interval_us)
            return domain.queued(jobs, new) if may else jobs

        if new not in await changed(self.store, "", of):
            return None
        self.metrics.count(registry.JOBS_STARTED, 1, TRAINING, by)
        return new

    def _new(self, kind: str, options: Mapping[str, str], by: By) -> Job:
        job_id = self.random_bytes(_ID_BYTES).hex()
        return Job(job_id, kind, State.QUEUED, self.clock(), options=options, started_by=by)

    def _full(self, options: Mapping[str, str]) -> Mapping[str, str]:
        """The options of a training, with what nobody said."""
        return {"directions": "no", "promote": "no", **options, "label": options.get("label") or self.label}

    def _require_possible(self, tenant: str, kind: str, options: Mapping[str, str]) -> None:
        if kind not in KINDS:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`kind` must be one of {', '.join(KINDS)}.")
        if options and kind != TRAINING:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`training` is for `{TRAINING}`.")
        if len(options.get("label", "")) > _LONGEST_LABEL:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`label` must have up to {_LONGEST_LABEL} characters.")
        if kind == TRAINING and tenant:
            raise PermissionDenied("NOT_PERMITTED", "Models are of the mesh as a whole, not for keys of one tenant.")
        if not self.has_archive:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "There is no archive: JOURNEYMESH_ARCHIVE_URL is empty.")
        if kind not in self.installed:
            raise FailedPrecondition("JOB_KIND_NOT_AVAILABLE", f"What `{kind}` needs is not installed here.")

    async def listed(self, tenant: str) -> Sequence[Job]:
        """The latest jobs of a tenant, newest first."""
        return (await self.store.read(tenant)).jobs[::-1]

    def refused(self, tenant: str) -> dict[str, MeshError]:
        """The kinds of jobs that a tenant cannot have here, and why."""
        found: dict[str, MeshError] = {}
        for kind in KINDS:
            try:
                self._require_possible(tenant, kind, _NO_OPTIONS)
            except MeshError as error:
                found[kind] = error
        return found

    async def get(self, tenant: str, job_id: str) -> Job:
        """A job.

        Raises:
            NotFound: `JOB_NOT_FOUND`.
        """
        return _found((await self.store.read(tenant)).jobs, job_id)

    async def cancel(self, tenant: str, job_id: str) -> Job:
        """Cancels a job; returns it. Its process finds that out within a second, and ends.

        Raises:
            NotFound: `JOB_NOT_FOUND`.
            FailedPrecondition: `JOB_ENDED`, it is done or has failed.
        """
        now_us = self.clock()
        return _found(await changed(self.store, tenant, lambda jobs: _cancelled(jobs, job_id, now_us)), job_id)


@dataclasses.dataclass(frozen=True, slots=True)
class Retraining:
    """Has a model trained when gauges tell that it is due: once per interval, however many processes notice it."""

    queueing: Queueing
    causes: Collection[By]
    interval_us: int
    options: Mapping[str, str]

    async def noticed(self, figures: Figures) -> None:
        """Queues a training, if what gauges tell is a cause for one.

        Raises:
            Unavailable: the store cannot be reached.
        """
        by = retraining.cause(figures, self.causes)
        if by is not None and await self.queueing.start_training(self.options, by, self.interval_us):
            _log.info("a model is trained anew, because of %s", by)


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """Runs jobs one after the other. Any number of replicas may: each job is held by one of them at a time.

    A replica leaves jobs of kinds that are not installed in it to the others.
    """

    store: JobStore
    clock: Clock
    random_bytes: Callable[[int], bytes]
    start: Start
    traced: Telemetry
    installed: Collection[str] = KINDS
    """The kinds that can be done here."""

    async def run(self) -> None:
        """Runs what waits, until cancelled."""
        while True:
            try:
                await self.run_waiting()
            except MeshError:
                _log.exception("jobs cannot be run")
            await asyncio.sleep(_BEAT_SECONDS)

    async def run_waiting(self) -> None:
        """Runs a job of each tenant that has one waiting.

        Raises:
            Unavailable: the store cannot be reached; what was held is begun again later. Or the jobs of a tenant cannot
                be read; those of the others were run.
        """
        failed: Unavailable | None = None
        for tenant in await self.store.waiting():
            try:
                await self._run_one(tenant)
            except Unavailable as error:
                failed = error
        if failed is not None:
            raise failed

    async def _run_one(self, tenant: str) -> None:
        holder = self.random_bytes(_ID_BYTES).hex()
        now_us = self.clock()
        take = functools.partial(_taken, kinds=self.installed, holder=holder, now_us=now_us)
        for job in await changed(self.store, tenant, take):
            if domain.is_held(job, holder):
                await self._attempt(tenant, job)
            elif job.state is State.FAILED and job.ended_us == now_us:
                self._count(job)  # it was begun as often as may be

    async def _attempt(self, tenant: str, job: Job) -> None:
        about: dict[str, str | int] = {
            semconv.JOB_ID: job.job_id,
            semconv.JOB_KIND: job.kind,
            semconv.JOB_ATTEMPT: job.attempt_count,
        }
        with self.traced.tracer.start_as_current_span(semconv.SPAN_JOB, attributes=about) as span:
            with contextlib.closing(self.start(tenant, job)) as work:
                outcome = await self._outcome(tenant, job, work)
            if outcome is None:  # it was cancelled, or another attempt holds it
                return
            ended = domain.ended(job, outcome, self.clock())
            span.set_attribute(semconv.JOB_STATE, ended.state)
            if await self._change(tenant, job, lambda its: domain.ended(its, outcome, ended.ended_us)):
                self._count(ended)

    def _count(self, job: Job) -> None:
        """Counts a job, if it has ended."""
        if domain.is_open(job):
            return
        self.traced.metrics.count(registry.JOBS, 1, job.kind, job.state)
        if job.state is State.DONE:
            self.traced.metrics.measure(registry.JOB_SECONDS, (job.ended_us - job.started_us) / 1e6, job.kind)

    async def _outcome(self, tenant: str, job: Job, work: Work) -> Outcome | None:
        """What came of an attempt; None if it does not hold the job any more."""
        ending = asyncio.ensure_future(work.outcome())
        try:
            while not (await asyncio.wait([ending], timeout=_BEAT_SECONDS))[0]:
                try:
                    is_held = await self._change(tenant, job, lambda its: domain.held(its, work.progress, self.clock()))
                except Unavailable:  # it is held for a while, and may end meanwhile
                    continue
                if not is_held:
                    return None
            return ending.result()
        finally:
            ending.cancel()

    async def _change(self, tenant: str, job: Job, change: Callable[[Job], Job]) -> bool:
        """Changes a job if this attempt still holds it; returns whether it does."""
        held = False

        def of(jobs: Jobs) -> Jobs:
            nonlocal held
            its = next((each for each in jobs if domain.is_held(each, job.holder)), None)
            held = its is not None
            return domain.with_one(jobs, change(its)) if its else jobs

        await changed(self.store, tenant, of)
        return held


async def changed(store: JobStore, tenant: str, change: Callable[[Jobs], Jobs]) -> Jobs:
    """Changes the jobs of a tenant in one atomic step; returns them. What changes nothing is not written.

    Raises:
        Unavailable: the store cannot be reached, or too many change them at once.
    """
    for _ in range(_ATTEMPTS_TO_CHANGE):
        kept = await store.read(tenant)
        after = change(kept.jobs)
        if after == kept.jobs or await store.replace(tenant, after, kept.changes):
            return after
    raise Unavailable("DEPENDENCY_UNAVAILABLE", "Many change the jobs at once. Try again.")


def _queued(jobs: Jobs, new: Job) -> Jobs:
    if any(each.kind == new.kind and domain.is_open(each) for each in jobs):
        raise AlreadyExists("JOB_UNFINISHED", "A job of this kind is queued or running. Wait, or cancel it.")
    return domain.queued(jobs, new)


def _taken(jobs: Jobs, kinds: Collection[str], holder: str, now_us: int) -> Jobs:
    job = domain.due(jobs, kinds, now_us)
    return domain.with_one(jobs, domain.taken(job, holder, now_us)) if job else jobs


def _cancelled(jobs: Jobs, job_id: str, now_us: int) -> Jobs:
    job = _found(jobs, job_id)
    if job.state is State.CANCELLED:
        return jobs
    if not domain.is_open(job):
        raise FailedPrecondition("JOB_ENDED", f"The job is {job.state} already.")
    return domain.with_one(jobs, domain.cancelled(job, now_us))


def _found(jobs: Sequence[Job], job_id: str) -> Job:
    for each in jobs:
        if each.job_id == job_id:
            return each
    raise NotFound("JOB_NOT_FOUND", "There is no job with this id, or not any more.")
