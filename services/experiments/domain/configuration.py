"""How units get their arms, as it is handed out: whoever has it assigns as the service does."""

import json
from collections.abc import Iterable
from typing import Final

from services.experiments.domain.experiment import Experiment

VERSION: Final = 1
_SECOND_US: Final = 1_000_000


def payload(tenant: str, experiments: Iterable[Experiment], now_us: int) -> bytes:
    """JSON without spaces: the tenant, when it was issued in Unix seconds, and the experiments by id.

    Those that do not run have a percent of 0; `promoted` is the arm that all units get, or empty; `changedAt` is when
    it was changed last, in Unix seconds. `outcomes` are the names of those that it takes, in order.
    """
    listed = [
        {
            "id": each.definition.id,
            "state": each.state,
            "changedAt": each.history[-1].at_us // _SECOND_US,
            "salt": each.definition.salt,
            "percent": each.percent,
            "holdoutPercent": each.definition.holdout_percent,
            "promoted": each.promoted,
            "arms": [{"name": arm.name, "weight": arm.weight, "value": arm.value} for arm in each.definition.arms],
            "outcomes": sorted(each.definition.outcomes),
        }
        for each in sorted(experiments, key=lambda each: each.definition.id)
    ]
    said = {"version": VERSION, "tenant": tenant, "issuedAt": now_us // _SECOND_US, "experiments": listed}
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
