"""Generated copy for interventions, written in the background, so that no decision waits for it."""

import asyncio
import collections
import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from mesh.errors import MeshError
from mesh.state import keyed
from mesh.state.port import StateStore
from records.tenants import tenant_of
from services.intervention.decision import ownership
from services.intervention.decision.domain import outcome, user_state
from services.intervention.decision.domain.facts import Facts
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.decision.ids import decision_id_of
from services.intervention.decision.ports import Listeners
from services.intervention.language.domain import generated_copy
from services.intervention.language.domain.conversation import Complexity, NotAnswered, Refusal, Usage
from services.intervention.language.domain.generated_copy import GeneratedCopy, Said
from services.intervention.language.domain.prompt import Prompt
from services.intervention.language.ports import Came, Trial, TrialArm, Trials
from services.intervention.language.state import GENERATED_COPY
from services.intervention.language.usecases.models import Models, Origin
from services.intervention.language.usecases.prompts import Prompts

_WORKERS: Final = 8
_MOST_WAITING: Final = 256
_MOST_REMEMBERED: Final = 1024

_log = logging.getLogger(__name__)


class _Asked(NamedTuple):
    help_: Intervention
    facts: Facts
    # When its time is over, by the monotonic clock.
    until: float


class _Chosen(NamedTuple):
    """By which model and prompt copy is written, and the arms that these take effect for."""

    model_id: str
    prompt: Prompt
    arms: Sequence[TrialArm]


class Copywriter:
    """Writes copy for a few interventions at a time. One that finds the queue full keeps its template."""

    def __init__(
        self,
        models: Models,
        state: StateStore,
        listeners: Listeners,
        clock: Callable[[], int],
        monotonic: Callable[[], float],
        trials: Trials,
        prompts: Prompts,
        *,
        deadline_seconds: float,
    ) -> None:
        self._models = models
        self._trials = trials
        self.prompts: Final = prompts
        self._state = state
        self._listeners = listeners
        self._clock = clock
        self._monotonic = monotonic
        self._deadline_seconds = deadline_seconds
        self._waiting: asyncio.Queue[_Asked] = asyncio.Queue(_MOST_WAITING)
        # The latest copy by its model and the key of its brief, the most recently used last.
        self._said: collections.OrderedDict[tuple[str, str], Said] = collections.OrderedDict()

    @property
    def waiting_count(self) -> int:
        """How many interventions wait for copy."""
        return self._waiting.qsize()

    def ask(self, made: Sequence[tuple[Facts, Intervention]]) -> None:
        """Queues the interventions that want generated copy, as far as there is room. Never raises or waits.

        Args:
            made: stored interventions, each with the facts it was decided on.
        """
        if not self._models.is_on:
            return
        until = self._monotonic() + self._deadline_seconds
        for facts, help_ in made:
            if not generated_copy.can_be_generated(help_):
                continue
            if self._waiting.full():
                self._models.turned_away(self._models.model_id(Complexity.QUICK), Refusal.BUSY)
            else:
                self._waiting.put_nowait(_Asked(help_, facts, until))

    async def run(self) -> None:
        """Writes what is asked for until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            asked = await self._waiting.get()
            try:
                await self._write(asked)
            except MeshError as error:
                _log.warning("An intervention keeps its template: %s", error)
            except Exception:  # noqa: BLE001 - whatever it is, the next ones get their copy
                _log.exception("An intervention keeps its template")

    async def _write(self, asked: _Asked) -> None:
        if await keyed.read(self._state, GENERATED_COPY, asked.help_.id) is not None:
            return  # the batch was delivered again
        facts, user_id = asked.facts, asked.facts.user_id
        chosen = await self._chosen(await self._trials.begin(user_id))
        # From when the help was decided on: users see the template until there are words.
        counted = await self._trials.meet(user_id, chosen.arms, facts.assessment.score, facts.received_us)
        began = self._monotonic()
        found = await self._generated(asked, chosen)
        has_answer = found.is_used or found.output_tokens > 0
        came = Came(
            asked.help_.id,
            found.is_used,
            (self._monotonic() - began) * 1e3 if has_answer else None,
            found.cost_micro_usd / 1e6 if has_answer and found.has_price else None,
            found.confidence,
        )
        found = msgspec.structs.replace(found, arms=tuple((arm.experiment_id, arm.name) for arm in counted))
        owner = await ownership.owner(self._state, user_id, asked.help_.id)
        current = user_state.outcome_at(owner.user, asked.help_.id, self._clock())
        if current:
            came = came._replace(outcome=current.name.lower())
        if found.is_used and current is not None and not outcome.is_waiting(current):
            # The user has answered the template; the ledger must not show another text.
            found = msgspec.structs.replace(found, text="", is_used=False, refusal=Refusal.LATE.value)
        if counted:
            await self._trials.report(user_id, counted, came)
        await self._state.save({GENERATED_COPY.key(asked.help_.id): GENERATED_COPY.encode(found)}, None)
        if found.is_used:
            self._listeners.wake([owner.user_id])

    async def _chosen(self, trial: Trial) -> _Chosen:
        """The model and the prompt of the user's arms; the usual ones for an arm whose value is not known here."""
        arms = []
        model_id, prompt = self._models.model_id(Complexity.QUICK), None
        if trial.model:
            known = self._models.known(trial.model.value) if trial.model.value else model_id
            if known is not None:
                model_id = known
                arms.append(trial.model)
        if trial.prompt:
            prompt = await self.prompts.of_arm(trial.prompt.value)
            if prompt is not None:
                arms.append(trial.prompt)
        return _Chosen(model_id, prompt or await self.prompts.current(), arms)

    async def _generated(self, asked: _Asked, chosen: _Chosen) -> GeneratedCopy:
        model_id, brief = chosen.model_id, generated_copy.brief(asked.help_, asked.facts, chosen.prompt)
        key = (model_id, brief.key)
        remembered = self._said.get(key)
        if remembered is not None:
            self._said.move_to_end(key)
            return self._result(asked, chosen, remembered, None, is_cached=True)
        if self._is_late(asked):
            self._models.turned_away(model_id, Refusal.LATE)
            return self._result(asked, chosen, None, None)
        remaining = asked.until - self._monotonic()
        tenant = tenant_of(asked.facts.user_id)
        origin = Origin(asked.facts.trace_id, decision_id_of(asked.help_.id), tenant)
        try:
            answer, usage = await self._models.ask(model_id, brief.question, remaining, origin)
        except NotAnswered as error:
            return self._result(asked, chosen, None, None, refusal=error.refusal)
        try:
            said = generated_copy.said_in(answer, brief)
        except NotAnswered as error:
            self._models.unusable(model_id, brief.question, error.refusal)
            return self._result(asked, chosen, None, usage, refusal=error.refusal)
        self._remember(key, said)
        return self._result(asked, chosen, said, usage)

    def _result(
        self,
        asked: _Asked,
        chosen: _Chosen,
        said: Said | None,
        usage: Usage | None,
        *,
        refusal: Refusal | None = None,
        is_cached: bool = False,
    ) -> GeneratedCopy:
        if refusal is None and self._is_late(asked):
            said, refusal = None, Refusal.LATE
        return GeneratedCopy(
            text=said.text if said else "",
            model_id=chosen.model_id,
            prompt_version=chosen.prompt.version,
            prompt_hash=chosen.prompt.hash,
            is_used=refusal is None,
            refusal=refusal.value if refusal else "",
            input_tokens=usage.input_tokens if usage else 0,
            output_tokens=usage.output_tokens if usage else 0,
            cost_micro_usd=usage.cost_micro_usd if usage else 0.0,
            written_us=self._clock(),
            is_cached=is_cached,
            confidence=said.confidence if said else None,
            has_price=self._models.has_price(chosen.model_id),
        )

    def _is_late(self, asked: _Asked) -> bool:
        return self._monotonic() >= asked.until or self._clock() >= asked.help_.expires_us

    def _remember(self, key: tuple[str, str], said: Said) -> None:
        self._said[key] = said
        if len(self._said) > _MOST_REMEMBERED:
            self._said.popitem(last=False)
