"""What a batch writes besides the states of users: ledger entries, interventions and outbox messages."""

import bisect
import dataclasses
from collections.abc import Mapping, Sequence

import msgspec

from mesh.state.applied import Batch
from services.intervention.batch.rows import Part, Rows, age_us
from services.intervention.decision.domain import ledger as pages
from services.intervention.decision.domain import limits
from services.intervention.decision.domain.decision import Decided
from services.intervention.decision.domain.ledger import Block, Decision, KeptIntervention
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.decision.ids import decision_id, trace_name, user_name
from services.intervention.decision.ports import Entry
from services.intervention.delivery.domain.delivery import OutboxMessage
from services.intervention.policy.domain.policy import IN_APP, Policy


@dataclasses.dataclass(frozen=True, slots=True)
class Created:
    """An intervention created at a row."""

    row: int
    decision: Decision
    intervention: Intervention


def entry(
    batch: Batch,
    record: int,
    part: Part,
    rows: Rows,
    policy: Policy,
    decided: Mapping[int, Decided],
    old: Sequence[int],
) -> Entry:
    """The ledger entry of a record. `old` are the rows of the batch that were too old, ascending."""
    at = part.decisions
    exceptional = {
        number - at.start: kept
        for number, row in enumerate(rows.decided[at], at.start)
        if row in decided and (kept := decided[row].exceptional) is not None
    }
    its = [rows.decided[number] for number in range(at.start, at.stop)]
    block = Block(
        policy_version=policy.version,
        model_version=rows.model_version,
        rules_version=rows.rules_version,
        event_indexes=[rows.event_indexes[row] for row in its],
        user_ids=rows.user_ids[at],
        event_ids=rows.event_ids[at],
        received_us=[rows.received_us[row] for row in its],
        trace_ids=[rows.trace_ids[row] for row in its],
        pages=rows.pages[at],
        assessments=rows.assessments[at],
        bot_rows=_numbers(rows, rows.bot_rows, part),
        exceptional=exceptional,
        feature_names=rows.feature_names,
        feature_schema_version=rows.feature_schema_version,
        copied_rows=_numbers(rows, rows.copied_rows, part),
        system_rows=_numbers(rows, rows.system_rows, part),
        ages_us={row: age_us(rows, its[row]) for row in (*_numbers(rows, old, part), *exceptional)},
    )
    if rows.other_models:
        others = {number - at.start: each for number, each in rows.other_models.items() if at.start <= number < at.stop}
        block = msgspec.structs.replace(block, other_models=others)
    if rows.model_outcomes:
        versions = sorted({rows.model_version, *block.other_models.values()} & rows.model_outcomes.keys())
        outcomes = {version: rows.model_outcomes[version] for version in versions}
        block = msgspec.structs.replace(block, model_outcomes=outcomes)
    # A block depends on its record alone, not on the rest of the batch.
    if part.rows.stop - part.rows.start > len(its):
        block = msgspec.structs.replace(
            block,
            covered_indexes=rows.event_indexes[part.rows],
            covered_rows=[number - at.start for number in rows.decisions[part.rows]],
            other_traces=_other_traces(rows, part),
        )
    traces = filter(None, dict.fromkeys(rows.trace_ids[part.rows]))
    names = [*map(user_name, dict.fromkeys(block.user_ids)), *map(trace_name, traces)]
    return Entry(batch.shard, batch.sequences[record], rows.received_us[part.rows.start], pages.encode(block), names)


def _other_traces(rows: Rows, part: Part) -> dict[int, tuple[bytes, ...]]:
    """By row of the block, the traces that led to its decision, except that of the event it is about."""
    others: dict[int, dict[bytes, None]] = {}
    for number, trace_id in zip(rows.decisions[part.rows], rows.trace_ids[part.rows], strict=True):
        if trace_id and trace_id != rows.trace_ids[rows.decided_rows[number]]:
            others.setdefault(number - part.decisions.start, {})[trace_id] = None
    return {row: tuple(its) for row, its in others.items()}


def messages(made: Created, policy: Policy, words_until_us: int) -> list[OutboxMessage]:
    """The messages of an intervention: one per channel outside the product."""
    facts, help_ = made.decision.facts, made.intervention
    policy = msgspec.structs.replace(policy, caps=limits.caps_for(policy, made.decision.standing))
    due_us = max(help_.send_us, words_until_us) if help_.uses_generated_copy else help_.send_us
    is_bound = not any(each.name == help_.action and each.is_transactional for each in policy.actions)
    latest_us = {
        each: limits.latest_us(policy, facts.time_zone, each, help_.topic, help_.send_us, help_.expires_us)
        if is_bound
        else help_.expires_us
        for each in help_.channels
        if each != IN_APP
    }
    return [
        OutboxMessage(
            intervention_id=help_.id,
            decision_id=decision_id(facts.position),
            channel=channel,
            user_id=facts.user_id,
            action=help_.action,
            type=help_.type,
            priority=help_.priority,
            queue=help_.queue,
            risk_level=help_.risk_level,
            text=help_.message,
            content=help_.content,
            page=help_.page,
            due_us=min(due_us, expires_us),
            expires_us=expires_us,
            trace_id=facts.trace_id,
        )
        for channel, expires_us in latest_us.items()
    ]


def kept(made: Created) -> KeptIntervention:
    """What is kept of an intervention under its id."""
    facts = made.decision.facts
    return KeptIntervention(facts.user_id, made.intervention, facts.trace_id)


def _numbers(rows: Rows, some: Sequence[int], part: Part) -> Sequence[int]:
    """Which of some rows belong to a record and are decided on, numbered as rows of its block."""
    if not some:
        return ()
    its = some[bisect.bisect_left(some, part.rows.start) : bisect.bisect_left(some, part.rows.stop)]
    return [rows.number(row) - part.decisions.start for row in its if rows.is_decided(row)]
