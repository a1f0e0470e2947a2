"""What a batch tells of experiments that are judged by who stays: who is there, once an hour."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from records.tenants import plain, tenant_of
from services.intervention.batch.remembered import Remembered
from services.intervention.batch.rows import Rows
from services.intervention.lift.domain.judged import Judged
from services.intervention.lift.domain.report import STAYED, Report
from services.intervention.policy.domain.arms import Configured, takes_part

_HOUR_US: Final = 3_600_000_000


def present(rows: Rows) -> Iterator[tuple[int, str]]:
    """The number and the user of each decision on somebody who is there: no bot, no system, no copy of an event."""
    left_out = {*rows.bot_rows, *rows.system_rows, *rows.copied_rows}
    return ((number, rows.user_ids[number]) for number, row in enumerate(rows.decided) if row not in left_out)


class Staying:
    """Finds who is there. Whether they met an arm before is the experiment's to know.

    Args:
        judged: the experiments that judge scoring models now, by tenant: they are told of whom their models assess.
        compared: the others that are judged by who stays, by tenant: they are told of who takes part.
        remembered: whom they were told of.
    """

    def __init__(
        self,
        judged: Callable[[], Mapping[str, Judged]],
        compared: Callable[[], Mapping[str, Sequence[Configured]]],
        remembered: Remembered,
    ) -> None:
        self._judged = judged
        self._compared = compared
        self._remembered = remembered

    def reports(self, rows: Rows) -> list[Report]:
        """Who is there, each user once per experiment and hour; the time of a report is when the hour began."""
        judged, compared = self._judged(), self._compared()
        if not (compared or any(each.is_by_stays for each in judged.values())):
            return []
        found: dict[Report, None] = {}
        for number, user_id in present(rows):
            tenant, unit = tenant_of(user_id), plain(user_id)
            hour_us = rows.received_us[rows.decided[number]] // _HOUR_US * _HOUR_US
            by, model = judged.get(tenant), rows.other_models.get(number, rows.model_version)
            if by and by.is_by_stays and model in by.arms:
                report = Report(tenant, by.experiment_id, unit, outcome=STAYED, at_us=hour_us)
                if report not in self._remembered:
                    found[report] = None
            for each in compared.get(tenant, ()):
                report = Report(tenant, each.id, unit, outcome=STAYED, at_us=hour_us)
                if report in self._remembered:
                    continue
                if takes_part(each, unit):
                    found[report] = None
                else:
                    self._remembered.add([report])
        return list(found)
