"""Models over the real client and a local Bedrock, and what is asked of them."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Mapping

import msgspec

from mesh.errors import NotFound
from mesh.state import applied, keyed
from mesh.state.applied import Fence
from mesh.state.memory import MemoryState
from services.intervention.decision.adapters.listeners import LocalListeners
from services.intervention.decision.domain import user_state
from services.intervention.decision.domain.facts import Facts, Indicator, Level, Outcome, OutcomeReport
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.decision.state import USERS
from services.intervention.language.adapters.bedrock import BedrockModel
from services.intervention.language.adapters.budget_memory import MemorySpending
from services.intervention.language.adapters.silence import NoTrials
from services.intervention.language.domain.analysis import Helping, Past, Struggle, Watching
from services.intervention.language.domain.budget import PRICES, Amount, Prices
from services.intervention.language.domain.buying import Buying
from services.intervention.language.domain.generated_copy import GeneratedCopy
from services.intervention.language.ports import Call, Spending, Trials
from services.intervention.language.state import GENERATED_COPY
from services.intervention.language.usecases.copywriting import Copywriter
from services.intervention.language.usecases.models import Models
from services.intervention.language.usecases.prompts import Prompts
from tests import bedrock
from tests.intervention.builders import NOON_ISH, ManualClock, Row, facts, no_prompts, policy

NO_LIMITS = Amount(0, 0)
TEMPLATE = "It looks like the form is giving you trouble. Would you like to chat with one of us now?"
GOOD = "Having trouble with the form? One of us is happy to chat with you right now."


class RecordingModelWitness:
    """Keeps what was reported to it."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def called(self, call: Call) -> None:
        """See `services.intervention.language.ports.ModelObserver`."""
        self.calls.append(call)


def help_(number: int = 1, template: str = TEMPLATE, page: str = "/calculator") -> Intervention:
    """An intervention as the policy makes it."""
    return Intervention(
        id=f"i{number}",
        type="critical_intervention",
        action="show_live_chat_popup",
        message=template,
        channel="in_app",
        priority="high",
        expires_us=NOON_ISH + 30 * 60_000_000,
        deliver_by_us=NOON_ISH + 60_000_000,
        success_probability=0.4,
        also_channels=(),
        content=("live_chat",),
        risk_score=82.0,
        risk_level="high",
        indicators=("form_errors",),
        page=page,
        confidence=0.8,
        uses_generated_copy=True,
    )


def known_facts(user_id: str = "ada", page: str = "/calculator", reason: str = "3 errors in the form loan") -> Facts:
    """What such an intervention was decided on."""
    known = facts(Row(score=82.0, user_id=user_id, page=page))
    indicators = (Indicator("form_errors", 20.0, reason),)
    return msgspec.structs.replace(known, assessment=msgspec.structs.replace(known.assessment, indicators=indicators))


class TellingState(MemoryState):
    """Tells when something was saved."""

    def __init__(self) -> None:
        super().__init__()
        self.saved = asyncio.Event()

    async def save(self, items: Mapping[str, bytes], fence: Fence | None) -> None:
        await super().save(items, fence)
        self.saved.set()


@dataclasses.dataclass
class ModelWorld:
    """The use cases over a local Bedrock."""

    server: bedrock.Bedrock
    model: BedrockModel
    models: Models
    copywriter: Copywriter
    state: TellingState
    listeners: LocalListeners
    clock: ManualClock
    observer: RecordingModelWitness

    async def generated(self, of: Intervention | None = None, on: Facts | None = None) -> GeneratedCopy:
        """What comes of asking for words, once it is stored."""
        asked = of or help_()
        self.copywriter.ask([(on or known_facts(), asked)])
        async with asyncio.timeout(10):
            while (found := await self.stored(asked.id)) is None:
                await self.state.saved.wait()
                self.state.saved.clear()
        return found

    async def offered(self, made: Intervention, user_id: str, what: Outcome = Outcome.NONE) -> None:
        """An offer was made to a user, and had an outcome."""
        user = user_state.offered(policy(), user_state.NOBODY, made, NOON_ISH, is_urgent=True)
        if what is not Outcome.NONE:
            user = user_state.reported(policy(), user, OutcomeReport(made.id, what, made.channel), NOON_ISH)
        batch = applied.Batch("events", "1", (1,))
        sealed = applied.seal(applied.resume(None, batch), USERS.encode(user), batch)
        await self.state.save({USERS.key(user_id): sealed}, None)

    async def stored(self, intervention_id: str) -> GeneratedCopy | None:
        """What is stored of the words for an intervention."""
        return await keyed.read(self.state, GENERATED_COPY, intervention_id)

    async def call_counts(self) -> dict[str, int]:
        """How calls ended, over all models."""
        counts: dict[str, int] = {}
        for each in (await self.models.usage()).models:
            for name, count in each.call_counts.items():
                counts[name] = counts.get(name, 0) + count
        return counts


@contextlib.asynccontextmanager
async def model_world(
    otherwise: bedrock.Script,
    *,
    limits: Amount = NO_LIMITS,
    spending: Spending | None = None,
    deadline_seconds: float = 5.0,
    trials: Trials | None = None,
    prompts: Prompts | None = None,
    prices: Prices = PRICES,
) -> AsyncIterator[ModelWorld]:
    """The use cases with their workers running."""
    with bedrock.serving(otherwise) as server:
        clock, observer, state, listeners = ManualClock(), RecordingModelWitness(), TellingState(), LocalListeners(4)
        model = BedrockModel(bedrock.REGION, server.url, lambda: 0.01)
        counted = spending or MemorySpending()
        models = Models(model, lambda _: counted, observer, clock, time.monotonic, limits=limits, prices=prices)
        compared, worded = trials or NoTrials(), prompts or no_prompts()
        copywriter = Copywriter(
            models, state, listeners, clock, time.monotonic, compared, worded, deadline_seconds=deadline_seconds
        )
        running = asyncio.create_task(copywriter.run())
        try:
            yield ModelWorld(server, model, models, copywriter, state, listeners, clock, observer)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            server.released.set()
            model.close()


@dataclasses.dataclass
class KnownInsights:
    """What the mesh knows of one user, and nothing of others."""

    struggle_: Struggle = dataclasses.field(
        default_factory=lambda: Struggle(
            82.0,
            Level.HIGH,
            0.8,
            (Indicator("form_errors", 20.0, "3 errors in the form loan"),),
            ("3 errors in the form loan",),
            (82.0, 61.0),
        )
    )
    watching: Watching | None = dataclasses.field(
        default_factory=lambda: Watching(78.0, 2, 0.85, "interactive", "19-21", "advanced tutorials on loans")
    )
    helping: Helping = dataclasses.field(
        default_factory=lambda: Helping("", "", (Past("below_trigger"),), engagement_score=30.0)
    )
    buying: Buying | None = None
    asked: list[str] = dataclasses.field(default_factory=list)

    async def struggle(self, user_id: str) -> Struggle:
        """See `services.intervention.language.ports.Insights`."""
        self.asked.append(f"struggle {user_id}")
        if user_id != "ada":
            raise NotFound("USER_NOT_FOUND", "Nobody of this name was seen.")
        return self.struggle_

    async def video(self, user_id: str) -> Watching | None:
        """See `services.intervention.language.ports.Insights`."""
        self.asked.append(f"video {user_id}")
        return self.watching

    async def intervention(self, user_id: str) -> Helping:
        """See `services.intervention.language.ports.Insights`."""
        self.asked.append(f"intervention {user_id}")
        return self.helping

    async def purchases(self, user_id: str, now_us: int) -> Buying | None:
        """See `services.intervention.language.ports.Insights`."""
        self.asked.append(f"purchases {user_id}")
        return self.buying
