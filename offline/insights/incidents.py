"""What a watch would have told of a metric's table."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from offline.insights.metric import Metric
from services.analytics.domain import incidents as told
from services.analytics.domain.incidents import Incident
from services.analytics.domain.unusual import Judgement


def judged(metric: Metric, zone: ZoneInfo) -> Iterator[tuple[int, float, Judgement]]:
    """Each bucket's number and value, and what is said of it; buckets without a value are left out."""
    slots = (metric.slot(number, zone) for number in range(len(metric.values)))
    return told.judged(metric.kind, metric.values, slots)


def incidents(metric: Metric, zone: ZoneInfo) -> list[Incident]:
    """The incidents, in order."""
    return told.incidents(judged(metric, zone))
