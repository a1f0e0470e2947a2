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
from services.intervention.language.domain.generated_copy import GeneratedCopy
from services.intervention.language.domain.prompt import COPYWRITING
from services.intervention.language.ports import Came, Trials
from services.intervention.language.state import GENERATED_COPY
from services.intervention.language.usecases.models import Models, Origin

_WORKERS: Final = 8
_MOST_WAITING: Final = 256
_MOST_REMEMBERED: Final = 1024

_log = logging.getLogger(__name__)


class _Asked(NamedTuple):
    help_: Intervention
    facts: Facts
    # When its time is over, by the monotonic clock.
    until: float


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
        *,
        deadline_seconds: float,
    ) -> None:
        self._models = models
        self._trials = trials
        self._state = state
        self._listeners = listeners
        self._clock = clock
        self._monotonic = monotonic
        self._deadline_seconds = deadline_seconds
        self._waiting: asyncio.Queue[_Asked] = asyncio.Queue(_MOST_WAITING)
        # The latest copy by its model and the key of its brief, the most recently used last.
        self._said: collections.OrderedDict[tuple[Complexity, str], str] = collections.OrderedDict()

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
                self._models.turned_away(Complexity.QUICK, Refusal.BUSY)
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
        found = await self._tried(asked)
        if found.is_used:
            owner = await ownership.owner(self._state, asked.facts.user_id, asked.help_.id)
            current = user_state.outcome_at(owner.user, asked.help_.id, self._clock())
            if current is None or outcome.is_waiting(current):
                await self._keep(asked.help_.id, found)
                self._listeners.wake([owner.user_id])
                return
            # The user has answered the template; the ledger must not show another text.
            found = msgspec.structs.replace(found, text="", is_used=False, refusal=Refusal.LATE.value)
        await self._keep(asked.help_.id, found)

    async def _keep(self, intervention_id: str, found: GeneratedCopy) -> None:
        await self._state.save({GENERATED_COPY.key(intervention_id): GENERATED_COPY.encode(found)}, None)

    async def _tried(self, asked: _Asked) -> GeneratedCopy:
        """Copy by the model of the user's arm, where models are compared; what came of it is reported."""
        user_id, began = asked.facts.user_id, self._monotonic()
        trial = await self._trials.begin(user_id)
        complexity = self._models.complexity_of(trial.model_id) or Complexity.QUICK
        found = await self._generated(asked, complexity)
        if trial.counts:
            has_answer = found.is_used or found.output_tokens > 0
            latency_ms = (self._monotonic() - began) * 1e3 if has_answer else None
            cost_usd = found.cost_micro_usd / 1e6 if has_answer else None
            await self._trials.report(user_id, Came(asked.help_.id, found.is_used, latency_ms, cost_usd))
        return found

    async def _generated(self, asked: _Asked, complexity: Complexity) -> GeneratedCopy:
        brief = generated_copy.brief(asked.help_, asked.facts)
        key = (complexity, brief.key)
        remembered = self._said.get(key)
        if remembered is not None:
            self._said.move_to_end(key)
            return self._result(asked, complexity, remembered, None, is_cached=True)
        if self._is_late(asked):
            self._models.turned_away(complexity, Refusal.LATE)
            return self._result(asked, complexity, "", None)
        remaining = asked.until - self._monotonic()
        tenant = tenant_of(asked.facts.user_id)
        origin = Origin(asked.facts.trace_id, decision_id_of(asked.help_.id), tenant)
        try:
            answer, usage = await self._models.ask(complexity, brief.question, remaining, origin)
        except NotAnswered as error:
            return self._result(asked, complexity, "", None, refusal=error.refusal)
        try:
            text = generated_copy.text_of(answer, brief)
        except NotAnswered as error:
            self._models.unusable(complexity, error.refusal)
            return self._result(asked, complexity, "", usage, refusal=error.refusal)
        self._remember(key, text)
        return self._result(asked, complexity, text, usage)

    def _result(
        self,
        asked: _Asked,
        complexity: Complexity,
        text: str,
        usage: Usage | None,
        *,
        refusal: Refusal | None = None,
        is_cached: bool = False,
    ) -> GeneratedCopy:
        if refusal is None and self._is_late(asked):
            text, refusal = "", Refusal.LATE
        return GeneratedCopy(
            text=text,
            model_id=self._models.model_id(complexity),
            prompt_version=COPYWRITING.version,
            prompt_hash=COPYWRITING.hash,
            is_used=refusal is None,
            refusal=refusal.value if refusal else "",
            input_tokens=usage.input_tokens if usage else 0,
            output_tokens=usage.output_tokens if usage else 0,
            cost_micro_usd=usage.cost_micro_usd if usage else 0.0,
            written_us=self._clock(),
            is_cached=is_cached,
        )

    def _is_late(self, asked: _Asked) -> bool:
        return self._monotonic() >= asked.until or self._clock() >= asked.help_.expires_us

    def _remember(self, key: tuple[Complexity, str], text: str) -> None:
        self._said[key] = text
        if len(self._said) > _MOST_REMEMBERED:
            self._said.popitem(last=False)
