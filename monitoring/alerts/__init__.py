"""When somebody is alerted, by page or by ticket, and what to do then. Symptoms first."""

from monitoring.alert import Alert, Pace
from monitoring.alerts import messages, pipeline, processes, users


def alerts(pace: Pace) -> tuple[Alert, ...]:
    """All of them, at some pace; what is most urgent first."""
    return (*users.alerts(pace), *pipeline.alerts(pace), *processes.alerts(pace), *messages.alerts(pace))
