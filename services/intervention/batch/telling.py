"""What a batch has to tell those who watch: struggle, decisions on users at risk, and outcomes."""

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from mesh.state.applied import Batch
from services.intervention.batch.rows import Rows
from services.intervention.decision.domain.decision import Decided
from services.intervention.decision.domain.facts import EventPosition, Level
from services.intervention.decision.domain.offer import Offer
from services.intervention.decision.ids import decision_id, decision_id_of
from services.intervention.live.domain.happening import Happening, Kind

Tell = Callable[[Sequence[Happening]], None]


def nobody(_: Sequence[Happening]) -> None:
    """Nobody is told."""


def happenings(
    batch: Batch, rows: Rows, decided: Mapping[int, Decided], outcomes: Sequence[tuple[int, Offer]]
) -> list[Happening]:
    """What happened: first struggle, then decisions, then the new outcomes, each by row.

    Copies of an anonymous journey's events are left out: they were told when they happened.
    """
    copied = frozenset(rows.copied_rows)
    struggles = [
        replace(
            _at(batch, rows, each.row, Kind.STRUGGLE),
            why=each.why,
            signal=each.signal,
            strength=each.strength,
            target=each.target,
        )
        for each in rows.struggles
        if each.row not in copied
    ]
    told = {rows.decided[number] for number, each in enumerate(rows.assessments) if each.level >= Level.MEDIUM}
    told.update(row for row, each in decided.items() if each.exceptional and each.exceptional.verdict.intervention)
    decisions = [_decision(batch, rows, row, decided.get(row)) for row in sorted(told - copied)]
    return [*struggles, *decisions, *(_outcome(batch, rows, row, offer) for row, offer in outcomes)]


def _decision(batch: Batch, rows: Rows, row: int, decided: Decided | None) -> Happening:
    made = _at(batch, rows, row, Kind.DECISION)
    if decided is None or decided.exceptional is None:
        return made
    verdict = decided.exceptional.verdict
    made = replace(made, why=verdict.explanation, reason=verdict.reasons[0])
    help_ = verdict.intervention
    if help_ is None:
        return made
    return replace(made, intervention_id=help_.id, action=help_.action, channel=help_.channel)


def _outcome(batch: Batch, rows: Rows, row: int, offer: Offer) -> Happening:
    return replace(
        _at(batch, rows, row, Kind.OUTCOME),
        decision_id=decision_id_of(offer.id),
        intervention_id=offer.id,
        action=offer.action,
        channel=offer.channel,
        outcome=offer.outcome,
    )


def _at(batch: Batch, rows: Rows, row: int, kind: Kind) -> Happening:
    """What is true of all that happens at a row: when, to whom, where, and at what risk."""
    number = rows.number(row)
    decided = rows.decided[number]
    position = EventPosition(batch.shard, batch.sequences[rows.record_indexes[decided]], rows.event_indexes[decided])
    assessment = rows.assessments[number]
    return Happening(
        kind,
        rows.received_us[row],
        rows.user_ids[number],
        decision_id(position),
        rows.pages[number],
        assessment.score,
        assessment.level,
    )
