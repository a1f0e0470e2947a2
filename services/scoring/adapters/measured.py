"""Watches the models that serve: reports them to metrics, and says which canaries leave their bounds."""

from collections import defaultdict
from collections.abc import Sequence

from mesh.clock import SECOND_US, Clock, monotonic_clock
from mesh.observability import registry
from mesh.observability.metrics import Metrics
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.domain import guardrail
from services.scoring.domain.guardrail import Bounds, Tally
from services.scoring.domain.stages import EVERYBODY, Stage, Wanted
from services.scoring.ports import Card, Matrix, Model, Prediction, Served, Serving


class MeasuredModels:
    """See `services.scoring.ports.Models` and `Canaries`."""

    def __init__(
        self,
        models: ModelDirectory,
        metrics: Metrics,
        bounds: Bounds = Bounds(),  # noqa: B008 - it never changes
        monotonic: Clock = monotonic_clock,
    ) -> None:
        self._models = models
        self._metrics = metrics
        self._bounds = bounds
        self._monotonic = monotonic
        # By tenant, its live model and the model that ran.
        self._tallies = defaultdict[tuple[str, str, str], Tally](Tally)
        self._told: Served | None = None
        self._served = Served({})

    def served(self) -> Served:
        """See `services.scoring.ports.Models`."""
        served = self._models.served()
        if served is not self._told:
            self._told = served
            self._metrics.set_gauges(registry.MODEL_LIVE, {(served.of(EVERYBODY).live.card.version,): 1})
            self._served = Served({tenant: self._measured(tenant, each) for tenant, each in served.tenants.items()})
        return self._served

    async def check(self) -> None:
        """Returns if there is a model to serve.

        Raises:
            Unavailable: there is none.
        """
        self.served()
        self._metrics.set_gauge(registry.MODEL_PROBLEMS, len(self._models.problems))

    def faulty(self) -> Sequence[Wanted]:
        """See `services.scoring.ports.Canaries`."""
        changes = []
        for tenant, (live, canary, _, _) in self.served().tenants.items():
            if canary is not None:
                its, usual = (self._tallies[tenant, live.card.version, each.card.version] for each in (canary, live))
                if why := guardrail.fault(its, usual, self._bounds):
                    changes.append(Wanted(canary.card.version, Stage.CANDIDATE, "guardrail", tenant, why=why))
        return changes

    def taken_back(self) -> None:
        """See `services.scoring.ports.Canaries`."""
        self._metrics.count(registry.MODEL_ROLLBACKS)

    def _measured(self, tenant: str, serving: Serving) -> Serving:
        live, canary, percent, shadow = serving

        def measured(model: Model) -> _MeasuredModel:
            tally = self._tallies[tenant, live.card.version, model.card.version]
            return _MeasuredModel(model, self._metrics, tally, self._monotonic)

        return Serving(
            measured(live), measured(canary) if canary else None, percent, measured(shadow) if shadow else None
        )


class _MeasuredModel:
    def __init__(self, model: Model, metrics: Metrics, tally: Tally, monotonic: Clock) -> None:
        self._model = model
        self._metrics = metrics
        self._tally = tally
        self._monotonic = monotonic

    @property
    def card(self) -> Card:
        """See `services.scoring.ports.Model`."""
        return self._model.card

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        began_us = self._monotonic()
        try:
            prediction = self._model.predict(rows)
            self._tally.note(prediction.probabilities, (self._monotonic() - began_us) / SECOND_US)
        except Exception:
            self._tally.note_failure()
            self._metrics.count(registry.MODEL_FAILURES, 1, self.card.version)
            raise
        self._metrics.measure(registry.MODEL_RUN_SECONDS, (self._monotonic() - began_us) / SECOND_US)
        return prediction
