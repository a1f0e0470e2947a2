"""What language models, their budget and the analysis of a user need from the outside."""

from typing import NamedTuple, Protocol

from services.intervention.language.domain.analysis import Helping, Struggle, Watching
from services.intervention.language.domain.budget import Amount
from services.intervention.language.domain.conversation import Answer, Question, Refusal


class Model(Protocol):
    """Language models, by their ids."""

    async def converse(self, model_id: str, question: Question, timeout_seconds: float) -> Answer:
        """The answer to a question; within the time it may be asked more than once.

        An answer that was cut off or filtered is returned unchanged; its `stop` says so.

        Raises:
            NotAnswered: there is none within the time. Nothing goes on that holds more than one of a fixed number of
                places; while all are taken, the refusal is `BUSY` at once.
        """


class Spending(Protocol):
    """Counts what one tenant's models cost, by UTC day, for all replicas together. Days do not touch each other.

    All calls raise `Unavailable` where the store cannot be reached; then the count may have changed or not.
    """

    async def reserve(self, day: int, wanted: Amount, limits: Amount) -> bool:
        """Counts an amount if it fits within the limits (`budget.fits`), else nothing; returns whether. Atomic."""

    async def settle(self, day: int, difference: Amount) -> None:
        """Adds what a reserved amount turned out to differ by; mostly negative."""

    async def spent(self, *days: int) -> list[Amount]:
        """What was counted on each of these days, reservations included; nothing for one of which nothing is known."""


class Call(NamedTuple):
    """One call of a model and its result. Times are Unix microseconds; the refusal is None with an answer."""

    model_id: str
    prompt_version: str
    most_tokens: int
    started_us: int
    ended_us: int
    answer: Answer | None
    refusal: Refusal | None
    cost_micro_usd: float
    # The decision on whose behalf it was asked, and its trace, 16 bytes; empty for the present RPC.
    trace_id: bytes
    decision_id: str


class ModelObserver(Protocol):
    """Is called for every call of a model."""

    def called(self, call: Call) -> None:
        """A model was called. Never raises."""


class Trial(NamedTuple):
    """The model that a user's arm of an experiment stands for, by its id, and whether what comes of it counts.

    The id is empty where there is no experiment, or no answer about it.
    """

    model_id: str = ""
    counts: bool = False


class Came(NamedTuple):
    """What came of asking a model for an intervention: whether its words could be used, and what they took.

    Time and cost are None where there was no answer.
    """

    intervention_id: str
    is_used: bool
    latency_ms: float | None
    cost_usd: float | None


class Trials(Protocol):
    """An experiment that compares models. No call raises: where it is away, nothing is compared."""

    async def begin(self, user_id: str) -> Trial:
        """The user's model, which is asked now."""

    async def report(self, user_id: str, came: Came) -> None:
        """Says what came of it, of a trial that counts. A repeated call changes nothing."""


class Insights(Protocol):
    """What the mesh knows of a user, service by service. All calls raise `Unavailable` where a service is away."""

    async def struggle(self, user_id: str) -> Struggle:
        """The exit risk. Raises `NotFound` for a user who was never seen."""

    async def video(self, user_id: str) -> Watching | None:
        """How the user watches; None where nothing was watched."""

    async def intervention(self, user_id: str) -> Helping:
        """What waits for the user, and the last decisions; nothing for one who was never seen."""
