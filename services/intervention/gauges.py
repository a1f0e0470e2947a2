"""Gauges sampled in the background: policy, outbox, language models."""

import asyncio
from collections.abc import Callable
from typing import Final

from mesh.errors import Unavailable
from mesh.observability import registry
from mesh.observability.metrics import Labels, Metrics
from services.intervention.delivery.domain import delivery
from services.intervention.delivery.ports import Outbox
from services.intervention.language.domain import budget
from services.intervention.language.domain.conversation import Refusal
from services.intervention.language.usecases.models import Models, ModelsUsage
from services.intervention.policy.usecases import Policies

_PERIOD_SECONDS: Final = 1.0
_DEGRADATIONS: Final = (Refusal.BUDGET, Refusal.BREAKER_OPEN)
_MICRO_A_USD: Final = 1e6


class Gauges:
    """Samples the gauges of this process; what is unknown for now is left out."""

    def __init__(
        self, policies: Policies, outbox: Outbox, models: Models, metrics: Metrics, clock: Callable[[], int]
    ) -> None:
        self._policies = policies
        self._outbox = outbox
        self._models = models
        self._metrics = metrics
        self._clock = clock

    async def run(self) -> None:
        """Samples until it is cancelled."""
        while True:
            await self.sample()
            await asyncio.sleep(_PERIOD_SECONDS)

    async def sample(self) -> None:
        """Samples everything once."""
        version = self._policies.timeline.version_at(self._clock())
        self._metrics.set_gauges(registry.POLICY_LIVE, {(version,): 1})
        await self._sample_outbox()
        if self._models.is_on:
            await self._sample_models()

    async def _sample_outbox(self) -> None:
        try:
            backlogs = {(each,): await self._outbox.backlog(each) for each in delivery.CHANNELS}
        except Unavailable:
            backlogs = {}
        now_us = self._clock()
        ages: dict[Labels, float] = {
            key: max(0, now_us - (each.first_due_us or now_us)) / 1e6 for key, each in backlogs.items()
        }
        self._metrics.set_gauges(registry.OUTBOX, {key: each.message_count for key, each in backlogs.items()})
        self._metrics.set_gauges(registry.OUTBOX_AGE, ages)

    async def _sample_models(self) -> None:
        try:
            usage = await self._models.usage()
        except Unavailable:
            self._metrics.set_gauges(registry.MODEL_DEGRADED, {})
            self._metrics.set_gauges(registry.BUDGET_USED, {})
            return
        self._metrics.set_gauges(
            registry.MODEL_DEGRADED, {(each.value,): usage.degraded == each for each in _DEGRADATIONS}
        )
        self._metrics.set_gauge(registry.BUDGET_USED, 1.0 - budget.share_left(usage.spent, usage.limits))
        self._count(usage)

    def _count(self, usage: ModelsUsage) -> None:
        up_to = self._metrics.count_up_to
        for each in usage.models:
            up_to(registry.MODEL_TOKENS, each.input_tokens, each.model_id, "input")
            up_to(registry.MODEL_TOKENS, each.output_tokens, each.model_id, "output")
            up_to(registry.MODEL_COST, each.cost_micro_usd / _MICRO_A_USD, each.model_id)
            for ending, count in each.call_counts.items():
                up_to(registry.MODEL_CALLS, count, each.model_id, ending)
