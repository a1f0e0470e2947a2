"""What answering needs: the copies of the archive, what counts in them, and where segments are kept."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from services.analytics.domain.alarms import DueAlarm
from services.analytics.domain.answer import Answer, Receipt
from services.analytics.domain.changes import Change
from services.analytics.domain.costs import OwnBudget
from services.analytics.domain.digest import Digest
from services.analytics.domain.job import Job, Jobs, Outcome, Progress
from services.analytics.domain.manifest import Manifest
from services.analytics.domain.question import Question
from services.analytics.domain.releases import Releases
from services.analytics.domain.segment import Segments
from services.analytics.domain.telling import Due, Sent
from services.analytics.domain.watched import Watched

MOST_SPENDING_DAYS: Final = 92
"""For how many days back it is known what language models cost."""


class Reading(NamedTuple):
    """A question and the files to read for it: `events` and `decisions` are below the folders of one tenant."""

    question: Question
    tenant: str
    events: tuple[str, ...]
    decisions: tuple[str, ...]
    watermark_us: int
    is_summed: bool
    """Whether there are summaries of these files."""
    tail_events: tuple[str, ...] = ()
    """What comes after them, of the same days and others."""
    tail_decisions: tuple[str, ...] = ()


class Copies(Protocol):
    """The copies of the archive."""

    def manifest(self) -> Manifest:
        """What they hold now; empty before the first pass. MAY change between two calls.

        Raises:
            Unavailable: it cannot be read.
        """

    async def check(self) -> None:
        """Returns if they follow the archive, or there is none.

        Raises:
            Unavailable: the last attempt to follow it failed.
        """


class Saved(NamedTuple):
    """The saved segments of a tenant, and how often they have been replaced."""

    changes: int
    segments: Segments


class SegmentStore(Protocol):
    """Keeps saved segments.

    All methods raise `Unavailable` if the store cannot be reached; the call may then be repeated.
    """

    async def read(self, tenant: str) -> Saved:
        """The segments of a tenant, none and 0 at first.

        Raises:
            VersionMismatch: only a newer build can read one.
        """

    async def replace(self, tenant: str, segments: Segments, seen: int) -> bool:
        """Replaces all segments of a tenant in one atomic step, if they have been replaced `seen` times before.

        Returns:
            Whether it did.
        """


class Spending(Protocol):
    """What language models cost a tenant."""

    async def usd_by_day(self, tenant: str, day_count: int) -> Mapping[int, float]:
        """US dollars by the start of the UTC day, of the last days, today included; at most `MOST_SPENDING_DAYS`.

        Raises:
            Unavailable: it cannot be asked; `DEPENDENCY_UNAVAILABLE`.
        """


class KeptWatch(NamedTuple):
    """What a tenant's watch knows, and how often it has been replaced."""

    changes: int
    watched: Watched


class WatchStore(Protocol):
    """Keeps what is watched, and which tenants somebody has asked about.

    All methods raise `Unavailable` if the store cannot be reached; the call may then be repeated.
    """

    async def read(self, tenant: str) -> KeptWatch:
        """What a tenant's watch knows, nothing and 0 at first.

        Raises:
            VersionMismatch: only a newer build can read it.
        """

    async def replace(self, tenant: str, watched: Watched, seen: int) -> bool:
        """Replaces it in one atomic step, if it has been replaced `seen` times before.

        Returns:
            Whether it did.
        """

    async def change_count(self, tenant: str) -> int:
        """How often it has been replaced. Cheap: it is asked several times a second while somebody watches."""

    async def note_asked(self, tenant: str, now_us: int) -> None:
        """Remembers that somebody asked about a tenant. An earlier time than what is known changes nothing."""

    async def asked_since(self, since_us: int) -> Sequence[str]:
        """The tenants that somebody asked about at that time or later. Others MAY be forgotten."""


class KeptReleases(NamedTuple):
    """What is known of releases, and how often it has been replaced."""

    changes: int
    releases: Releases


class ReleaseStore(Protocol):
    """Keeps what is known of releases. All methods raise `Unavailable` if the store cannot be reached."""

    async def read(self) -> KeptReleases:
        """What is known, nothing and 0 at first.

        Raises:
            VersionMismatch: only a newer build can read it.
        """

    async def replace(self, releases: Releases, seen: int) -> bool:
        """Replaces it in one atomic step, if it has been replaced `seen` times before.

        Returns:
            Whether it did.
        """


class Changes(Protocol):
    """What the mesh itself knows that changed."""

    async def between(self, tenant: str, start_us: int, end_us: int) -> Sequence[Change]:
        """The changes for a tenant, also those for all tenants, from a time on and before another, in any order.

        Raises:
            MeshError: a service that knows some of them cannot be asked.
        """


class BudgetStore(Protocol):
    """Keeps what tenants set for their days. All methods raise `Unavailable` if the store cannot be reached."""

    async def read(self, tenant: str) -> OwnBudget | None:
        """The budget of a tenant; None: it set none.

        Raises:
            VersionMismatch: only a newer build can read it.
        """

    async def replace(self, tenant: str, budget: OwnBudget | None) -> None:
        """Replaces it, whatever it was. Repeated, it changes nothing."""


class KeptJobs(NamedTuple):
    """The jobs of a tenant, and how often they have been replaced."""

    changes: int
    jobs: Jobs


class JobStore(Protocol):
    """Keeps jobs. All methods raise `Unavailable` if the store cannot be reached; the call may then be repeated."""

    async def read(self, tenant: str) -> KeptJobs:
        """The jobs of a tenant, none and 0 at first.

        Raises:
            VersionMismatch: only a newer build can read them.
        """

    async def replace(self, tenant: str, jobs: Jobs, seen: int) -> bool:
        """Replaces all jobs of a tenant in one atomic step, if they have been replaced `seen` times before.

        Returns:
            Whether it did.
        """

    async def waiting(self) -> Sequence[str]:
        """The tenants with jobs that have not ended, sorted."""


class Work(Protocol):
    """An attempt at a job, in a process of its own."""

    progress: Progress
    """How far it is."""

    async def outcome(self) -> Outcome:
        """What comes of it, once it ends; lost if its process died. Asked for once."""

    def close(self) -> None:
        """Ends it at once, if it has not ended."""


Start: TypeAlias = Callable[[str, Job], Work]
"""Starts an attempt at a job of a tenant. It MUST do nothing more if it was done before, for the same job."""


class Messenger(Protocol):
    """Tells others of incidents: people outside the mesh, or experiments, which may pause."""

    async def send(self, tenant: str, due: Due) -> Sent:
        """Sends a message once. The receiver MUST be able to know a repeated one, by a key that is always the same."""


class DigestMessenger(Protocol):
    """Tells people outside the mesh what a day brought."""

    async def send_digest(self, tenant: str, digest: Digest) -> Sent:
        """As `Messenger.send`."""


class AlarmMessenger(Protocol):
    """Tells people outside the mesh that a budget is nearly used, or used."""

    async def send_alarm(self, tenant: str, due: DueAlarm) -> Sent:
        """As `Messenger.send`."""


class Files(Protocol):
    """Makes files of answers: flat rows, one for each innermost item, with the members of what it is part of."""

    def csv(self, answer: Answer) -> bytes:
        """By RFC 4180, with names in the first line. Text that a spreadsheet takes for a formula begins with `'`."""

    def parquet(self, answer: Answer, receipt: Receipt) -> bytes:
        """As Parquet; the metadata `journeymesh.receipt` has the receipt as JSON."""


class Outdated(Exception):
    """A file of the copies was replaced before it was read: the manifest has to be read again."""


class Engine(Protocol):
    """Counts. Files are named by the paths that `domain.layout` gives them below the root of the copies."""

    async def answer(self, reading: Reading) -> Answer:
        """The answer to a question from these files and no others. MUST NOT read anything of another tenant.

        Raises:
            Outdated: a file is no longer there.
            InvalidArgument: `QUESTION_TOO_LARGE`, it takes more memory than a question may.
            DeadlineExceeded: `QUESTION_TOO_SLOW`, it was stopped.
            Unavailable: it cannot be answered now.
        """
