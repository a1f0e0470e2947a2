"""When an alert fires, whether it pages or opens a ticket, and what to do then. Symptoms come first."""

from monitoring.alert import Alert, TimeScale
from monitoring.alerts import messages, pipeline, processes, users


def alerts(scale: TimeScale) -> tuple[Alert, ...]:
    """All alerts, the most urgent first."""
    return (*users.alerts(scale), *pipeline.alerts(scale), *processes.alerts(scale), *messages.alerts(scale))
