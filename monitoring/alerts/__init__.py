"""When an alert fires, whether it pages or opens a ticket, and what to do then. Symptoms come first."""

from monitoring.alert import Alert, TimeScale
from monitoring.alerts import messages, models, pipeline, processes, users


def alerts(scale: TimeScale) -> tuple[Alert, ...]:
    """All alerts, the most urgent first."""
    scaled = (users, pipeline, processes, messages)
    return (*(alert for room in scaled for alert in room.alerts(scale)), *models.alerts())
