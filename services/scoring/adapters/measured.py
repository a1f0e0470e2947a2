"""Reports to metrics which model is live and how long its runs take."""

from mesh.observability import registry
from mesh.observability.metrics import Metrics
from services.scoring.ports import Card, Matrix, Model, Models, Prediction


class MeasuredModels:
    """See `services.scoring.ports.Models`."""

    def __init__(self, models: Models, metrics: Metrics) -> None:
        self._models = models
        self._metrics = metrics

    def live(self) -> Model:
        """See `services.scoring.ports.Models`."""
        model = self._models.live()
        self._metrics.set_gauges(registry.MODEL_LIVE, {(model.card.version,): 1})
        return _MeasuredModel(model, self._metrics)

    async def check(self) -> None:
        """Returns if there is a model to serve.

        Raises:
            Unavailable: there is none.
        """
        self.live()


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
