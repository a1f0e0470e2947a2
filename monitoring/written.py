"""The files that are generated from this package."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from monitoring import rules
from monitoring.dashboards import DASHBOARDS

ROOT: Final = Path(__file__).parent.parent
CHART: Final = ROOT / "helm" / "journeymesh"


def files() -> Mapping[Path, str]:
    """Each file's text, by its path."""
    return {
        **{
            CHART / "dashboards" / f"{name}.json": json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
            for name, dashboard in DASHBOARDS.items()
        },
        CHART / "rules" / "journeymesh.yaml": rules.document(),
        ROOT / "docs" / "alerts.md": rules.page(),
    }
