"""What answering needs: the copies of the archive, and what counts in them."""

from typing import NamedTuple, Protocol

from services.analytics.domain.answer import Answer, Receipt
from services.analytics.domain.manifest import Manifest
from services.analytics.domain.question import Question


class Reading(NamedTuple):
    """A question and the files to read for it: `events` and `decisions` are below the folders of one tenant."""

    question: Question
    tenant: str
    events: tuple[str, ...]
    decisions: tuple[str, ...]
    watermark_us: int
    is_summed: bool
    """Whether there are summaries of these files."""


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
