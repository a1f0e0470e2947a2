"""What customers bought, read from the archive part by part, each where an engine has room for it."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias, TypeVar

from offline.customers import archived, summaries
from offline.customers.archived import Part
from offline.customers.summaries import Detailed, Known, Summed
from services.customers.domain.history import history
from services.customers.domain.purchases import History
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import ArchiveFile

PURCHASES: Final = 50_000
"""Of a part, about: what is read together, and done again if its process is lost."""

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many parts are done, and how many there are."""

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class Engine(Protocol):
    """Where parts are worked on."""

    def map(
        self, do: Callable[[_Task], _Result], tasks: Sequence[_Task], done: Callable[[int], None]
    ) -> Iterable[_Result]:
        """The results of tasks, in their order; to be read once, and then let go of, as there may be no room for all.

        Args:
            do: a function of a module, of its argument alone. It may be called more than once for a task.
            tasks: what to do. They and their results can be pickled.
            done: is told how many are done, each time that grows.

        Raises:
            Unavailable: processes were lost again and again, or the engine cannot be reached.
        """


class Task(NamedTuple):
    """A part of a tenant's customers to read, of these files."""

    archive_url: str
    files: tuple[ArchiveFile, ...]
    tenant: str
    part: Part


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """What a tenant's customers bought, by parts; see `refit.Source`.

    `progress` is told of both readings.
    """

    tasks: Sequence[Task]
    engine: Engine
    progress: Progress

    def summed(self, limit: int) -> Iterable[Summed]:
        """See `refit.Source`."""
        tasks = [(each, limit) for each in self.tasks]
        return self.engine.map(summed, tasks, lambda done: self.progress(done, 2 * len(tasks)))

    def detailed(self, known: Known) -> Iterable[Detailed]:
        """See `refit.Source`."""
        tasks = [(each, known) for each in self.tasks]
        return self.engine.map(detailed, tasks, lambda done: self.progress(len(tasks) + done, 2 * len(tasks)))


def tasks(archive_url: str, files: Sequence[ArchiveFile], tenant: str, purchases: int) -> Sequence[Task]:
    """The parts of a tenant's customers, at least one.

    Args:
        archive_url: where the files are.
        files: those that hold purchases.
        tenant: whose customers.
        purchases: how many there are in all.
    """
    count = max(-(-purchases // PURCHASES), 1)
    return [Task(archive_url, tuple(files), tenant, Part(number, count)) for number in range(count)]


def summed(of: tuple[Task, int]) -> Summed:
    """The first reading of a part, with the limit of `summaries.summed`."""
    task, limit = of
    return summaries.summed(histories(task), limit)


def detailed(of: tuple[Task, Known]) -> Detailed:
    """The second reading of a part."""
    task, known = of
    return summaries.detailed(histories(task), known)


def histories(task: Task) -> Iterator[tuple[str, History]]:
    """What the customers of a part bought, by qualified id, in their order."""
    bought = archived.histories(ParquetArchive(task.archive_url), task.files, tenant=task.tenant, part=task.part)
    return ((customer, history(each)) for customer, each in bought)
