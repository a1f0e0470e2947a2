"""What a batch tells of experiments that judge scoring models: whom which model assessed, and what came of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from mesh.state.applied import Batch
from records.tenants import plain, tenant_of
from services.intervention.batch.remembered import Remembered
from services.intervention.batch.rows import Rows, facts_of
from services.intervention.batch.staying import present
from services.intervention.decision.domain.decision import reaches_goal
from services.intervention.decision.domain.facts import Outcome
from services.intervention.decision.domain.offer import Offer
from services.intervention.lift.domain.judged import Judged
from services.intervention.lift.domain.report import CONVERTED, Report, at_times
from services.intervention.policy.domain.policy import Policy


class Judging:
    """Finds it.

    All that are assessed count, whoever is helped: the score decides who that is, so it must not decide who counts.
    Events of bots and systems, and copies of other events, do not count.

    Args:
        judged: the experiments that run now, by tenant.
        remembered: who is known to have met an arm.
    """

    def __init__(self, judged: Callable[[], Mapping[str, Judged]], remembered: Remembered) -> None:
        self._judged = judged
        self._remembered = remembered

    def reports(
        self,
        policies: Mapping[int, Policy],
        batch: Batch,
        rows: Rows,
        in_question: Iterable[int],
        outcomes: Sequence[tuple[int, Offer]],
    ) -> list[Report]:
        """What experiments are to be told: who first met which model, and what came of them.

        Told are each first assessment by a model, what came of help, and who reached the goal, each once.

        Args:
            policies: that of each record.
            batch: the batch.
            rows: its rows.
            in_question: the rows that may have done anything to a user.
            outcomes: the offers that got an outcome, each with the row that brought it.
        """
        judged = self._judged()
        if not judged:
            return []
        came: dict[Report, int] = {}
        for row, offer in outcomes:
            if (by := judged.get(tenant_of(rows.user(row)))) and offer.outcome not in {Outcome.NONE, Outcome.CONVERTED}:
                came.setdefault(_came(by, rows.user(row), offer.outcome.name.lower()), rows.received_us[row])
        for row in in_question:
            by = judged.get(tenant_of(rows.user(row)))
            if by and reaches_goal(policies[rows.record_indexes[row]], facts_of(batch, rows, row)):
                came.setdefault(_came(by, rows.user(row), CONVERTED), rows.received_us[row])
        return [*self._met(judged, rows), *at_times(came)]

    def _met(self, judged: Mapping[str, Judged], rows: Rows) -> Iterable[Report]:
        met: set[tuple[str, str]] = set()
        for number, user_id in present(rows):
            by = judged.get(tenant := tenant_of(user_id))
            arm = by and by.arms.get(rows.other_models.get(number, rows.model_version))
            if by is None or not arm or (user_id, arm) in met:
                continue
            report = Report(tenant, by.experiment_id, plain(user_id), arm, at_us=rows.received_us[rows.decided[number]])
            if report not in self._remembered:
                met.add((user_id, arm))
                yield report


def _came(by: Judged, user_id: str, outcome: str) -> Report:
    return Report(tenant_of(user_id), by.experiment_id, plain(user_id), outcome=outcome)
