"""Reports to metrics which models serve, and how long their runs take."""

from mesh.observability import registry
from mesh.observability.metrics import Metrics
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.domain.stages import EVERYBODY
from services.scoring.ports import Card, Matrix, Model, Prediction, Served, Serving


class MeasuredModels:
    """See `services.scoring.ports.Models`."""

    def __init__(self, models: ModelDirectory, metrics: Metrics) -> None:
        self._models = models
        self._metrics = metrics
        self._told: Served | None = None
        self._served = Served({})

    def served(self) -> Served:
        """See `services.scoring.ports.Models`."""
        served = self._models.served()
        if served is not self._told:
            self._told = served
            self._metrics.set_gauges(registry.MODEL_LIVE, {(served.of(EVERYBODY).live.card.version,): 1})
            self._served = Served({tenant: self._measured(each) for tenant, each in served.tenants.items()})
        return self._served

    async def check(self) -> None:
        """Returns if there is a model to serve.

        Raises:
            Unavailable: there is none.
        """
        self.served()
        self._metrics.set_gauge(registry.MODEL_PROBLEMS, len(self._models.problems))

    def _measured(self, serving: Serving) -> Serving:
        live, canary, percent, shadow = serving
        return Serving(
            _MeasuredModel(live, self._metrics),
            _MeasuredModel(canary, self._metrics) if canary else None,
            percent,
            _MeasuredModel(shadow, self._metrics) if shadow else None,
        )


class _MeasuredModel:
    def __init__(self, model: Model, metrics: Metrics) -> None:
        self._model = model
        self._metrics = metrics

    @property
    def card(self) -> Card:
        """See `services.scoring.ports.Model`."""
        return self._model.card

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        with self._metrics.timing(registry.MODEL_RUN_SECONDS):
            return self._model.predict(rows)
