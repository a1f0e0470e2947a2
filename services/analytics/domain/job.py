"""Jobs of a tenant: how one is queued, held by a process for a while, and ends. Times are Unix microseconds.

All are pure functions from the jobs that are known to those that are known next. Whoever holds a job says so again
before the time runs out; a job that nobody holds any more is begun again, and its work MUST bear that.
"""

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

TRAINING: Final = "model_training"
"""The kind of a job that trains a model."""
MOST_KEPT: Final = 100
MOST_ATTEMPTS: Final = 3
HELD_US: Final = 10_000_000
"""How long a process holds a job without saying so again."""
_NOTHING: Final[Mapping[str, int]] = MappingProxyType({})
_NO_OPTIONS: Final[Mapping[str, str]] = MappingProxyType({})


class State(enum.StrEnum):
    """How a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class By(enum.StrEnum):
    """What started a job."""

    PERSON = "person"
    DRIFT = "drift"
    CALIBRATION = "calibration"


class Gate(enum.StrEnum):
    """Whether a model was shown to be no worse than the live one."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_COMPARED = "not_compared"


class Interval(NamedTuple):
    """A figure with its 95% interval over users."""

    value: float
    low: float
    high: float


class Model(NamedTuple):
    """A model that a job trained.

    `difference` is its Brier score less the live one's, below 0 if it is better; None if they were not compared. The
    figures are those of the exit risk, by name, over the snapshots that `measured_on` names.
    """

    version: str
    is_live: bool
    gate: Gate
    difference: Interval | None
    measured_on: str
    figures: Mapping[str, Interval]
    remark: str


class Job(NamedTuple):
    """A job. What it does is its `kind`; `holder` names the attempt that holds it until `held_until_us`."""

    job_id: str
    kind: str
    state: State
    created_us: int
    step: str = ""
    progress: float = 0.0
    attempt_count: int = 0
    started_us: int = 0
    ended_us: int = 0
    reason: str = ""
    detail: str = ""
    counts: Mapping[str, int] = _NOTHING
    holder: str = ""
    held_until_us: int = 0
    options: Mapping[str, str] = _NO_OPTIONS
    started_by: By = By.PERSON
    model: Model | None = None


Jobs = tuple[Job, ...]
"""Those of a tenant, oldest first."""


class Progress(NamedTuple):
    """What a job does now, and how far it is, 0 to 1."""

    step: str = ""
    progress: float = 0.0


class Outcome(NamedTuple):
    """What came of an attempt: counts, and a model if it trained one, or a reason and a sentence.

    `is_lost`: its process died, nobody knows why.
    """

    counts: Mapping[str, int] = _NOTHING
    reason: str = ""
    detail: str = ""
    is_lost: bool = False
    model: Model | None = None


OUT_OF_MEMORY: Final = Outcome(
    reason="JOB_TOO_LARGE",
    detail="It takes more memory than a job may: see JOURNEYMESH_JOB_MEMORY_MIB and JOURNEYMESH_TRAINING_MEMORY_MIB.",
)


def is_open(job: Job) -> bool:
    """Whether it has not ended."""
    return job.state in {State.QUEUED, State.RUNNING}


def queued(jobs: Jobs, job: Job) -> Jobs:
    """The jobs with a new one; of those that have ended the latest are kept, `MOST_KEPT` in all.

    Also kept is the latest that nobody asked for, by which it is known when the next one may start.
    """
    known = (*jobs, job)
    surplus = len(known) - MOST_KEPT
    by_itself = [each for each in known if each.started_by is not By.PERSON][-1:]
    ended = [each for each in known if not is_open(each) and each not in by_itself]
    old = {each.job_id for each in ended[: max(surplus, 0)]}
    return tuple(each for each in known if each.job_id not in old)


def may_start(jobs: Iterable[Job], kind: str, now_us: int, interval_us: int) -> bool:
    """Whether the mesh may start a job of a kind by itself: none is open, and it started none within the interval.

    One that was started further ahead of now than that was started by a clock that was wrong, and does not count.
    """
    of_kind = [each for each in jobs if each.kind == kind]
    recent = (each.started_by is not By.PERSON and abs(now_us - each.created_us) < interval_us for each in of_kind)
    return not any(map(is_open, of_kind)) and not any(recent)


def due(jobs: Iterable[Job], kinds: Collection[str], now_us: int) -> Job | None:
    """The oldest job of some kinds that waits for a process, or whose process was silent for too long; None if none."""
    possible = [each for each in jobs if each.kind in kinds]
    waiting = (each for each in possible if each.state is State.QUEUED)
    silent = (each for each in possible if each.state is State.RUNNING and each.held_until_us <= now_us)
    return min((*waiting, *silent), key=lambda each: each.created_us, default=None)


def taken(job: Job, holder: str, now_us: int) -> Job:
    """The job, held by an attempt from now on; or failed, if it was begun as often as may be."""
    if job.attempt_count >= MOST_ATTEMPTS:
        detail = f"Its process ended {MOST_ATTEMPTS} times in the middle, last in the step `{job.step}`."
        return ended(job, Outcome(reason="JOB_PROCESS_DIED", detail=detail), now_us)
    return job._replace(
        state=State.RUNNING,
        step="starting",
        progress=0.0,
        attempt_count=job.attempt_count + 1,
        started_us=job.started_us or now_us,
        holder=holder,
        held_until_us=now_us + HELD_US,
    )


def is_held(job: Job, holder: str) -> bool:
    """Whether this attempt still holds it: nobody has cancelled it or begun it again."""
    return job.state is State.RUNNING and job.holder == holder


def held(job: Job, at: Progress, now_us: int) -> Job:
    """The job, held for longer, and how far it is."""
    return job._replace(step=at.step or job.step, progress=at.progress, held_until_us=now_us + HELD_US)


def ended(job: Job, outcome: Outcome, now_us: int) -> Job:
    """The job after an attempt: it waits again if its process was lost."""
    if outcome.is_lost:
        return job._replace(state=State.QUEUED, holder="", held_until_us=0)
    if outcome.reason:
        state, progress = State.FAILED, job.progress
    else:
        state, progress = State.DONE, 1.0
    return job._replace(
        state=state,
        progress=progress,
        ended_us=now_us,
        reason=outcome.reason,
        detail=outcome.detail,
        counts=outcome.counts,
        model=outcome.model,
        holder="",
        held_until_us=0,
    )


def cancelled(job: Job, now_us: int) -> Job:
    """The job, ended because somebody did not want it any more."""
    return job._replace(state=State.CANCELLED, ended_us=now_us, holder="", held_until_us=0)


def with_one(jobs: Sequence[Job], changed: Job) -> Jobs:
    """The jobs with one of them changed."""
    return tuple(changed if each.job_id == changed.job_id else each for each in jobs)
