"""The files that are made from all this."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from monitoring import grafana, rules
from monitoring.dashboards import DASHBOARDS

ROOT: Final = Path(__file__).parent.parent
CHART: Final = ROOT / "helm" / "journeymesh"


def files() -> Mapping[Path, str]:
    """Each file's text, by its path."""
    return {
        **{CHART / "dashboards" / f"{each.name}.json": grafana.document(each) for each in DASHBOARDS},
        CHART / "rules" / "journeymesh.yaml": rules.document(),
        ROOT / "docs" / "alerts.md": rules.page(),
    }
