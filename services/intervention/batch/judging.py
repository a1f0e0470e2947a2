"""What a batch tells of experiments that judge scoring models: whom which model assessed, and what came of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from mesh.state.applied import Batch
from records.tenants import plain, tenant_of
from services.intervention.batch.rows import Rows, facts_of
from services.intervention.decision.domain.decision import reaches_goal
from services.intervention.decision.domain.facts import Outcome
from services.intervention.decision.domain.offer import Offer
from services.intervention.lift.domain.judged import Judged
from services.intervention.lift.domain.report import CONVERTED, STAYED, Report, at_times
from services.intervention.policy.domain.policy import Policy

_MOST_REMEMBERED: Final = 200_000
_HOUR_US: Final = 3_600_000_000


class Judging:
    """Finds it, and remembers whom was told of (`told`), so that most batches tell nothing.

    All that are assessed count, whoever is helped: the score decides who that is, so it must not decide who counts.
    Events of bots and systems, and copies of other events, do not count.

    Args:
        judged: the experiments that run now, by tenant.
    """

    def __init__(self, judged: Callable[[], Mapping[str, Judged]]) -> None:
        self._judged = judged
        # Hashes, so that nobody's id outlives an erasure. Two of 200,000 are the same less than once in 10^8 times.
        self._told: set[int] = set()

    def reports(
        self,
        policies: Mapping[int, Policy],
        batch: Batch,
        rows: Rows,
        in_question: Iterable[int],
        outcomes: Sequence[tuple[int, Offer]],
    ) -> list[Report]:
        """What experiments are to be told: who first met which model, who is there, and what came of them.

        Told are each first assessment by a model, what came of help, and who reached the goal, each once; and once an
        hour that a user is there.

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
        return [*dict.fromkeys(self._met(judged, rows)), *at_times(came)]

    def told(self, reports: Iterable[Report]) -> None:
        """Remembers reports that are kept. Those that are not are told again, which changes nothing."""
        for each in reports:
            if each.arm or each.outcome == STAYED:
                if len(self._told) >= _MOST_REMEMBERED:
                    self._told.clear()
                at_us = 0 if each.arm else each.at_us
                self._told.add(hash((each.tenant, each.experiment_id, each.unit, each.arm, at_us)))

    def _met(self, judged: Mapping[str, Judged], rows: Rows) -> Iterable[Report]:
        met: set[tuple[str, str]] = set()
        left_out = {*rows.bot_rows, *rows.system_rows, *rows.copied_rows}
        for number, row in enumerate(rows.decided):
            user_id = rows.user_ids[number]
            by = judged.get(tenant := tenant_of(user_id))
            if by is None or row in left_out:
                continue
            arm = by.arms.get(rows.other_models.get(number, rows.model_version))
            if arm is None:
                continue
            unit, at_us = plain(user_id), rows.received_us[row]
            hour_us = at_us // _HOUR_US * _HOUR_US
            if (user_id, arm) not in met and hash((tenant, by.experiment_id, unit, arm, 0)) not in self._told:
                met.add((user_id, arm))
                yield Report(tenant, by.experiment_id, unit, arm, at_us=at_us)
            if hash((tenant, by.experiment_id, unit, "", hour_us)) not in self._told:
                yield Report(tenant, by.experiment_id, unit, outcome=STAYED, at_us=hour_us)


def _came(by: Judged, user_id: str, outcome: str) -> Report:
    return Report(tenant_of(user_id), by.experiment_id, plain(user_id), outcome=outcome)
