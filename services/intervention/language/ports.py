"""What language models, their budget and the analysis of a user need from the outside."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from services.intervention.language.domain.analysis import Helping, Struggle, Watching
from services.intervention.language.domain.budget import Amount
from services.intervention.language.domain.buying import Buying
from services.intervention.language.domain.conversation import Answer, Question, Refusal
from services.intervention.language.domain.prompt import Prompt


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


class TrialArm(NamedTuple):
    """A user's arm of an experiment, what it stands for (empty: the usual), and whether the user takes part."""

    experiment_id: str
    name: str
    value: str
    takes_part: bool


class Trial(NamedTuple):
    """A user's arms of the experiments that compare models and prompts; None where there is none, or no answer."""

    model: TrialArm | None = None
    prompt: TrialArm | None = None


class Came(NamedTuple):
    """What came of asking a model for an intervention: whether its words could be used, and what they took.

    Time and cost are None where there was no answer, the cost also where the model has no price, the confidence (0 to
    1) where none was asked for. `outcome` is what the user did before the words were there, such as `accepted`; empty
    for nothing.
    """

    intervention_id: str
    is_used: bool
    latency_ms: float | None
    cost_usd: float | None
    confidence: float | None = None
    outcome: str = ""


class Trials(Protocol):
    """The experiments that compare models and prompts. No call raises: where they are away, nothing is compared."""

    async def begin(self, user_id: str) -> Trial:
        """The user's arms; nothing counts yet."""

    async def meet(self, user_id: str, arms: Sequence[TrialArm], before: float, at_us: int) -> Sequence[TrialArm]:
        """Says that arms take effect; returns those that count. A repeated call changes nothing.

        Args:
            user_id: the user.
            arms: those that can take effect.
            before: the user's risk, 0 to 100.
            at_us: from when what comes of the help counts, in Unix microseconds.
        """

    async def report(self, user_id: str, arms: Sequence[TrialArm], came: Came) -> None:
        """Says what came of arms that count. A repeated call changes nothing."""


class PromptTexts(Protocol):
    """Documents of prompts by name."""

    async def names(self) -> Sequence[str]:
        """All names, in order; none if there are no documents, or they cannot be read."""

    async def read(self, name: str) -> object:
        """The document as lists, dictionaries and scalars.

        Raises:
            PromptError: there is none, or it cannot be read.
        """


class KeptPrompt(NamedTuple):
    """A prompt that was used, and when it first was, in Unix microseconds."""

    first_us: int
    prompt: Prompt


class PromptStore(Protocol):
    """Keeps every prompt that was ever used, by its version; nothing is removed or replaced.

    All calls raise `Unavailable` where the store cannot be reached; they may be repeated.
    """

    async def keep(self, used: KeptPrompt) -> Prompt:
        """Keeps a prompt unless there is one of its version; returns the one that is kept.

        Raises:
            VersionMismatch: only a newer build of the service can read that one.
        """

    async def all(self) -> Sequence[KeptPrompt]:
        """All of them, the first used first. What only a newer version can read is left out."""


class Insights(Protocol):
    """What the mesh knows of a user, service by service. All calls raise `Unavailable` where a service is away."""

    async def struggle(self, user_id: str) -> Struggle:
        """The exit risk. Raises `NotFound` for a user who was never seen."""

    async def video(self, user_id: str) -> Watching | None:
        """How the user watches; None where nothing was watched."""

    async def intervention(self, user_id: str) -> Helping:
        """What waits for the user, and the last decisions; nothing for one who was never seen."""

    async def purchases(self, user_id: str, now_us: int) -> Buying | None:
        """What the user bought and is likely to buy; None where nothing was bought.

        Args:
            user_id: the user.
            now_us: the time at which ages are counted, in Unix microseconds.
        """
