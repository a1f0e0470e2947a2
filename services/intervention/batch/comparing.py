"""What a batch tells of experiments that compare policies, and of those that compare words of help."""

from collections.abc import Iterable, Mapping, Sequence

from mesh.state.applied import Batch
from records.tenants import plain, tenant_of
from services.intervention.batch.rows import Rows, facts_of
from services.intervention.decision.domain.decision import Decided, reaches_goal
from services.intervention.decision.domain.facts import Outcome
from services.intervention.decision.domain.ledger import KeptIntervention
from services.intervention.decision.domain.offer import Offer
from services.intervention.language.domain.generated_copy import GeneratedCopy
from services.intervention.lift.domain.report import CONVERTED, Report, at_times
from services.intervention.policy.domain.policy import Policy, governing


def reports(
    policies: Mapping[int, Policy],
    batch: Batch,
    rows: Rows,
    in_question: Iterable[int],
    decided: Mapping[int, Decided],
    outcomes: Sequence[tuple[int, Offer]],
) -> list[Report]:
    """Who met which arm, what came of earlier help, and who reached the goal; each once.

    Args:
        policies: that of each record.
        batch: the batch.
        rows: its rows.
        in_question: the rows that may have done anything to a user.
        decided: the decisions, by row.
        outcomes: the offers that got an outcome, each with the row that brought it.
    """
    if not any(each.experiment for each in policies.values()):
        return []
    found: dict[Report, int] = {}

    def add(row: int, outcome: str, arm: str = "", before: float = 0.0) -> None:
        policy, user_id = policies[rows.record_indexes[row]], rows.user(row)
        compared = policy.experiment
        if compared is not None and governing(policy, user_id)[1]:
            told = Report(compared.tenant, compared.id, plain(user_id), arm, before, outcome)
            found.setdefault(told, rows.received_us[row])

    for row, each in decided.items():
        verdict = each.exceptional.verdict if each.exceptional else None
        if verdict is not None and verdict.arm:
            add(row, "", verdict.arm, rows.assessments[rows.number(row)].score)
    for row, offer in outcomes:
        if offer.outcome not in (Outcome.NONE, Outcome.CONVERTED):
            add(row, offer.outcome.name.lower())
    for row in in_question:
        policy = policies[rows.record_indexes[row]]
        if policy.experiment is not None and reaches_goal(policy, facts_of(batch, rows, row)):
            add(row, CONVERTED)
    return at_times(found)


def of_words(
    rows: Rows,
    outcomes: Sequence[tuple[int, Offer]],
    made: Mapping[str, KeptIntervention | None],
    copies: Mapping[str, GeneratedCopy | None],
) -> list[Report]:
    """What came of help whose words an experiment counts, for whom they were written; each once.

    Args:
        rows: the rows of the batch.
        outcomes: as in `reports`.
        made: the interventions of these offers, by id; None for one that is no longer kept.
        copies: likewise their generated copy.
    """
    found: dict[Report, int] = {}
    for row, offer in outcomes:
        help_, copy = made[offer.id], copies[offer.id]
        if help_ is None or copy is None or offer.outcome is Outcome.NONE:
            continue
        tenant, unit = tenant_of(help_.user_id), plain(help_.user_id)
        for experiment_id, _ in copy.arms:
            came = Report(tenant, experiment_id, unit, outcome=offer.outcome.name.lower())
            found.setdefault(came, rows.received_us[row])
    return at_times(found)
