"""What a batch adds to the metrics."""

from mesh.observability import registry
from mesh.observability.metrics import Metrics
from services.intervention.batch.deciding import BatchResult


def count(metrics: Metrics, result: BatchResult) -> None:
    """Counts decisions, help, withheld help and outcomes."""
    for reason, count_ in result.reasons.items():
        metrics.count(registry.DECISIONS, count_, reason.name.lower())
    for made in result.made:
        metrics.count(registry.HELP, 1, made.intervention.action, made.intervention.channel)
    metrics.count_each(registry.WITHHELD, result.withheld)
    metrics.count_each(registry.OUTCOMES, [each.name.lower() for each in result.outcomes])
