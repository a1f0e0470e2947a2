"""What each dashboard shows."""

from typing import Final

from monitoring.dashboards import interventions, model, overview, pipeline

DASHBOARDS: Final = (overview.DASHBOARD, pipeline.DASHBOARD, model.DASHBOARD, interventions.DASHBOARD)
