"""Language models: which one to ask, within the budget and behind a circuit breaker; and what it cost."""

import collections
import contextlib
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from mesh.breaker import Breaker
from mesh.errors import Unavailable
from records.tenants import DEFAULT
from services.intervention.language.domain import budget
from services.intervention.language.domain.budget import MODELS, NANO_A_MICRO, NOTHING, PRICES, Amount, Price, Prices
from services.intervention.language.domain.conversation import (
    Answer,
    Complexity,
    NotAnswered,
    Question,
    Refusal,
    Turn,
    Usage,
)
from services.intervention.language.domain.prompt import COPYWRITING
from services.intervention.language.ports import Call, Model, ModelObserver, Spending

OK: Final = "ok"
_FAILURE_LIMIT: Final = 5
_PAUSE_SECONDS: Final = 30.0
# The most frequent question: copy for an offer, with about 500 bytes of input. Once that no longer fits, the budget
# counts as used up.
_USUAL: Final = budget.reservation(
    PRICES[MODELS[Complexity.QUICK]],
    Question(COPYWRITING.version, COPYWRITING.text, (Turn(is_model=False, text=" " * 500),), COPYWRITING.most_tokens),
)


class Origin(NamedTuple):
    """The decision a model is asked for, and its trace, 16 bytes; empty for the current RPC. And who pays."""

    trace_id: bytes = b""
    decision_id: str = ""
    tenant: str = DEFAULT


class ModelUsage(NamedTuple):
    """The use of one model since this process began. Calls are counted by their end: `ok`, or a refusal's word.

    Without a price the cost is not known, and 0 here.
    """

    model_id: str
    call_counts: Mapping[str, int]
    input_tokens: int
    output_tokens: int
    cost_micro_usd: float
    has_price: bool = True


class PromptUsage(NamedTuple):
    """The use of one prompt, by its version, since this process began. Calls are counted by their end."""

    version: str
    call_counts: Mapping[str, int]
    input_tokens: int
    output_tokens: int
    cost_micro_usd: float


class Day(NamedTuple):
    """What a tenant's models cost on a UTC day, which began at this time."""

    start_us: int
    spent: Amount


class ModelsUsage(NamedTuple):
    """The use of models.

    `degraded` says why answers come from templates now: `off`, `budget` or `breaker_open`; else it is empty.
    `spent` sums all replicas over the day that began at `period_start_us`; a limit of 0 means no limit.
    """

    is_on: bool
    degraded: str
    period_start_us: int
    spent: Amount
    limits: Amount
    models: tuple[ModelUsage, ...]
    days: tuple[Day, ...]
    """The last days that were asked about, the latest first."""
    prompts: tuple[PromptUsage, ...] = ()


class _Count:
    """What one model was asked, or by one prompt, in this process."""

    def __init__(self) -> None:
        self.calls: collections.Counter[str] = collections.Counter()
        self.input_tokens = 0
        self.output_tokens = 0
        self.nano_usd = 0

    def add(self, answer: Answer | None, refusal: Refusal | None, cost: Amount) -> None:
        """Counts a call that ended."""
        self.calls[refusal or OK] += 1
        self.nano_usd += cost.nano_usd
        if answer is not None:
            self.input_tokens += answer.input_tokens
            self.output_tokens += answer.output_tokens


class Models:
    """The models of this installation; None if there are none. Each tenant has a budget, all of one size.

    A model is named by its id, with the geography if it is asked by one.
    """

    def __init__(
        self,
        model: Model | None,
        spending_of: Callable[[str], Spending],
        observer: ModelObserver,
        clock: Callable[[], int],
        monotonic: Callable[[], float],
        *,
        limits: Amount,
        geography: str = "",
        prices: Prices = PRICES,
    ) -> None:
        self._model = model
        self._spending_of = spending_of
        self._observer = observer
        self._clock = clock
        self._monotonic = monotonic
        self._limits = limits
        self._ids = {each: f"{geography}.{name}" if geography else name for each, name in MODELS.items()}
        self._geography = geography
        self._prices = prices
        # One per model: Nova Pro may be throttled while Micro is not.
        self._breakers = collections.defaultdict[str, Breaker](lambda: Breaker(_FAILURE_LIMIT, _PAUSE_SECONDS))
        self._counts: collections.defaultdict[str, _Count] = collections.defaultdict(_Count)
        self._of_prompts: collections.defaultdict[str, _Count] = collections.defaultdict(_Count)

    @property
    def is_on(self) -> bool:
        """Whether there are models at all."""
        return self._model is not None

    def model_id(self, complexity: Complexity) -> str:
        """The id of the model for such questions."""
        return self._ids[complexity]

    def known(self, named: str) -> str | None:
        """The model that somebody names with or without a geography; None for one that is not asked here."""
        plain = budget.plain_id(named)
        if plain not in self._prices:
            return None
        return f"{self._geography}.{plain}" if named == plain and self._geography else named

    def has_price(self, model_id: str) -> bool:
        """Whether it is known what a model costs."""
        return self._price(model_id) is not None

    async def affordable(self, wanted: Complexity, tenant: str = DEFAULT) -> Complexity:
        """The most complex question up to the wanted one that a tenant's budget allows now: see `budget.affordable`."""
        try:
            (spent,) = await self._spending_of(tenant).spent(budget.day_of(self._clock()))
        except Unavailable:
            return Complexity.QUICK
        return budget.affordable(wanted, budget.share_left(spent, self._limits))

    async def ask(
        self, model_id: str, question: Question, timeout_seconds: float, origin: Origin
    ) -> tuple[Answer, Usage]:
        """The answer of a model, and what it cost.

        Raises:
            NotAnswered: none was asked, or none answered.
        """
        if self._model is None:
            raise NotAnswered(Refusal.OFF)
        breaker, price = self._breakers[model_id], self._price(model_id)
        if not breaker.admits(self._monotonic()):
            raise self._counted(model_id, Refusal.BREAKER_OPEN)
        started_us = self._clock()
        day, reserved = budget.day_of(started_us), budget.reservation(price, question)
        spending = self._spending_of(origin.tenant)
        await self._reserve(spending, model_id, day, reserved)
        answer, refusal = None, None
        try:
            answer = await self._model.converse(model_id, question, timeout_seconds)
        except NotAnswered as error:
            refusal = error.refusal
        cost = budget.cost(price, answer.input_tokens, answer.output_tokens) if answer else NOTHING
        micro_usd = cost.nano_usd / NANO_A_MICRO
        self._judge(breaker, refusal)
        for count in self._counts[model_id], self._of_prompts[question.prompt_version]:
            count.add(answer, refusal, cost)
        self._observer.called(
            Call(
                model_id=model_id,
                prompt_version=question.prompt_version,
                most_tokens=question.most_tokens,
                started_us=started_us,
                ended_us=max(started_us, self._clock()),
                answer=answer,
                refusal=refusal,
                cost_micro_usd=micro_usd,
                trace_id=origin.trace_id,
                decision_id=origin.decision_id,
            )
        )
        if answer is not None or refusal in budget.FREE:
            # An amount that cannot be given back now stays counted until the day ends.
            with contextlib.suppress(Unavailable):
                await spending.settle(day, cost.less(reserved))
        if answer is None:
            raise NotAnswered(refusal or Refusal.UNAVAILABLE)
        return answer, Usage(model_id, answer.input_tokens, answer.output_tokens, micro_usd)

    def unusable(self, model_id: str, question: Question, refusal: Refusal) -> None:
        """Counts an answer that was given to a question as one that could not be used."""
        for count in self._counts[model_id], self._of_prompts[question.prompt_version]:
            count.calls[OK] -= 1
            count.calls[refusal] += 1

    def turned_away(self, model_id: str, refusal: Refusal) -> None:
        """Counts a question that was not asked."""
        self._counts[model_id].calls[refusal] += 1

    async def usage(self, tenant: str = DEFAULT, day_count: int = 0) -> ModelsUsage:
        """What models were asked for all tenants, what of a tenant's budget is spent, and what was on the last days.

        Raises:
            Unavailable: the store cannot be reached.
        """
        day = budget.day_of(self._clock())
        days = range(day, day - max(1, day_count), -1)
        amounts = await self._spending_of(tenant).spent(*days)
        models = [
            ModelUsage(
                each,
                dict(+of.calls),
                of.input_tokens,
                of.output_tokens,
                of.nano_usd / NANO_A_MICRO,
                self.has_price(each),
            )
            for each, of in self._counts.items()
            if of.calls
        ]
        return ModelsUsage(
            is_on=self.is_on,
            degraded=self._degraded(amounts[0]),
            period_start_us=budget.start_us(day),
            spent=amounts[0],
            limits=self._limits,
            models=tuple(models),
            days=tuple(Day(budget.start_us(each), amount) for each, amount in zip(days, amounts, strict=True))[
                :day_count
            ],
            prompts=tuple(
                PromptUsage(each, dict(+of.calls), of.input_tokens, of.output_tokens, of.nano_usd / NANO_A_MICRO)
                for each, of in sorted(self._of_prompts.items())
            ),
        )

    def _price(self, model_id: str) -> Price | None:
        return self._prices.get(budget.plain_id(model_id))

    async def _reserve(self, spending: Spending, model_id: str, day: int, wanted: Amount) -> None:
        if self._limits.nano_usd and not self._limits.tokens and not self.has_price(model_id):
            raise self._counted(model_id, Refusal.UNACCOUNTED)  # nothing would bound what it costs
        try:
            is_reserved = await spending.reserve(day, wanted, self._limits)
        except Unavailable:
            raise self._counted(model_id, Refusal.UNACCOUNTED) from None
        if not is_reserved:
            raise self._counted(model_id, Refusal.BUDGET)

    def _counted(self, model_id: str, refusal: Refusal) -> NotAnswered:
        self.turned_away(model_id, refusal)
        return NotAnswered(refusal)

    def _judge(self, breaker: Breaker, refusal: Refusal | None) -> None:
        if refusal is None:
            breaker.succeeded()
        elif refusal is Refusal.CREDENTIALS:
            breaker.trip(self._monotonic())
        elif refusal is not Refusal.BUSY:  # which says nothing about the model
            breaker.failed(self._monotonic())

    def _degraded(self, spent: Amount) -> str:
        if not self.is_on:
            return Refusal.OFF
        if not budget.fits(spent, _USUAL, self._limits):
            return Refusal.BUDGET
        return Refusal.BREAKER_OPEN if self._breakers[self._ids[Complexity.QUICK]].is_open(self._monotonic()) else ""
