"""What each dashboard shows."""

from typing import Final

from monitoring.dashboards import interventions, model, overview, pipeline

DASHBOARDS: Final = {
    "overview": overview.DASHBOARD,
    "pipeline": pipeline.DASHBOARD,
    "model": model.DASHBOARD,
    "interventions": interventions.DASHBOARD,
}
