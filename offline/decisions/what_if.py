"""Derives archived decisions again, and decides as another policy or model would have.

Without an alternative, derived decisions must equal archived ones byte for byte. With one, the window's decisions are
made twice: as they were, and by the alternative from the window's start on, each with its own consequences. Events
before the window are applied as they were, since features and state depend on them.
"""

import collections
import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast

from offline.decisions.archived import Record, Row, rows_of
from offline.decisions.deriving import Applied, Deriving, Journeys, Recorded, Share, all_by
from offline.decisions.observed import Observations
from services.ingest.archive.adapters import decision_rows
from services.ingest.archive.domain.layout import Assessment, DecisionRow, Versions
from services.ingest.dispatch.translation.groups import Groups, are_uses, groups_of
from services.ingest.events.domain.event import Event
from services.ingest.events.translation.records import Rows
from services.intervention.decision.domain.ledger import Block, decode_inputs
from services.intervention.decision.domain.offer import Undelivered, with_undelivered
from services.intervention.decision.ports import Reference
from services.intervention.policy.domain.policy import Policy
from services.intervention.translation.decisions import ledger_record
from services.scoring.ports import Model
from services.scoring.serving import RULES_ONLY

_BATCH_EVENTS: Final = 1_000
_SHOWN_DIFFERENCES: Final = 10
# Fixed width in the archive, and part of the event position by which rows are found.
_POSITION: Final = frozenset({"shard", "sequence", "event_index"})
# Columns that came later, null in rows of before.
_LATER: Final = frozenset({"event_count", "probability", "model_outcome"})


class UnknownVersionError(Exception):
    """The archive's decisions are by a policy that is not available; the message has no full stop."""


@dataclasses.dataclass(frozen=True)
class Alternative:
    """What else to decide by, from the window's start on; None stands for the original."""

    policy: Policy | None = None
    model: Model | None = None


class Span(NamedTuple):
    """Received times in Unix microseconds: from `start_us` on, and before `stop_us`."""

    start_us: int
    stop_us: int

    def holds(self, received_us: int) -> bool:
        """Whether a time is in the span."""
        return self.start_us <= received_us < self.stop_us


class Difference(NamedTuple):
    """A derived decision that differs from the archived one, and the columns that differ."""

    decision_id: str
    columns: Sequence[str]


class Summary(NamedTuple):
    """A decision in words; the action is empty if none was taken."""

    kind: str
    reason: str
    action: str


@dataclasses.dataclass
class Findings:
    """What a replay found, counting only decisions of the window."""

    event_count: int = 0
    duplicate_count: int = 0
    undecided_count: int = 0
    """Decisions missing from the archive, because the ledger had expired before they were archived."""
    gone: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Decisions by models that are not available, by version. They are not compared; the archived score stands for what
    these models said, so that what follows has the same consequences as far as can be."""
    compared_count: int = 0
    different_count: int = 0
    differences: list[Difference] = dataclasses.field(default_factory=list)
    """The first few of those that differ."""
    changed_count: int = 0
    changes: collections.Counter[tuple[Summary, Summary]] = dataclasses.field(default_factory=collections.Counter)
    """Changed decisions, from what to what."""
    actions: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Original interventions, by action."""
    other_actions: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """The alternative's interventions, by action."""
    observations: Observations = dataclasses.field(default_factory=Observations)


class WhatIf:
    """One replay.

    Args:
        policies: those that may have decided, by version.
        models: those that may have scored, by version. Each decision is derived by the one that it names.
        alternative: the alternative, if any.
        window: what is compared.
    """

    def __init__(
        self, policies: Mapping[str, Policy], models: Mapping[str, Model], alternative: Alternative, window: Span
    ) -> None:
        self._policies = policies
        self._models = models
        self._alternative = alternative
        self._window = window
        self._journeys = Journeys()
        self._was = Deriving()
        self._would = Deriving() if alternative.policy or alternative.model else None
        self._undelivered: dict[str, Undelivered] = {}
        self._latest_model = ""
        self.findings = Findings()

    async def run(self, records: Iterable[Record]) -> None:
        """Derives the decisions of `archived.records`.

        Raises:
            UnknownVersionError: the policy of a decision is not available.
        """
        for batch in self._batches(records):
            await self._apply(batch)

    def _batches(self, records: Iterable[Record]) -> Iterator["_Batch"]:
        """Batches of records with the same key.

        They are cut where a message turned out not to have been delivered, and where another model assesses a user.
        """
        batch: _Batch | None = None
        policy = ""
        for record in records:
            self.findings.duplicate_count += record.duplicate_count
            policy = next((row["policy_version"] for row in record.decisions.values()), policy)
            if not policy:
                continue  # nothing was decided yet
            undelivered, models = self._newly_undelivered(record), self._models_of(record)
            key = _BatchKey(record.shard, policy, self._is_inside(record), record.is_decided_by_event)
            if batch is not None and (
                batch.event_count >= _BATCH_EVENTS or undelivered or key != batch.key or batch.has_others(models)
            ):
                yield batch
                batch = None
            if batch is None:
                batch = _Batch(key, undelivered, [], {})
            batch.records.append(record)
            batch.models.update(models)
            batch.event_count += len(record.events)
        if batch is not None:
            yield batch

    async def _apply(self, batch: "_Batch") -> None:
        shard, policy_version, is_inside, is_by_event = batch.key
        policy = self._policies.get(policy_version)
        if policy is None:
            message = f"The archive has decisions by {policy_version}, which is not available"
            raise UnknownVersionError(message)
        rows = rows_of(batch.records)
        groups = each_alone(rows) if is_by_event else groups_of(rows)
        applied = await self._journeys.apply(shard, [each.sequence for each in batch.records], rows, groups)
        shares, other_model = self._shares(batch, applied), self._alternative.model if is_inside else None
        other_policy = (self._alternative.policy if is_inside else None) or policy
        if batch.undelivered:
            await self._was.note_undelivered(batch.undelivered)
        was = await self._was.derive(applied, shares, policy)
        would: Mapping[int, Block] = {}
        if self._would is not None:
            if batch.undelivered:
                await self._would.note_undelivered(batch.undelivered)
            others = all_by(other_model, applied) if other_model is not None else shares
            would = await self._would.derive(applied, others, other_policy)
        self.findings.event_count += batch.event_count
        inside = [record for record in batch.records if self._is_compared(record)]
        derived, other = _packed(inside, was, policy), _packed(inside, would, other_policy) if would else {}
        for record in inside:
            places = [(record.sequence, index) for index in was[record.sequence].event_indexes]
            equal = {at[1] for at in places if self._compare(record, at[1], derived[at], other.get(at))}
            if would:
                blocks = was[record.sequence], would[record.sequence]
                self.findings.observations.see(record, blocks, (policy, other_policy), equal)

    def _compare(self, record: Record, index: int, derived: Row, other: Row | None) -> bool:
        """Whether a decision of the window was derived as archived; updates the findings."""
        found, event = self.findings, record.events[index].event
        if not self._window.holds(event.received_time_us):
            return False
        archived = record.decisions.get(index)
        if archived is None:
            found.undecided_count += 1
            return False
        is_gone = not self._has(archived["model_version"])
        found.gone.update([archived["model_version"]] if is_gone else [])
        found.compared_count += not is_gone
        compared = [name for name in archived if not is_gone and _is_compared(name, archived)]
        columns = [name for name in compared if archived[name] != derived.get(name)]
        if columns:
            found.different_count += 1
            if len(found.differences) < _SHOWN_DIFFERENCES:
                found.differences.append(Difference(archived["decision_id"], columns))
        original = _summary(archived)
        found.actions.update([original.action] if original.action else [])
        if other is not None:
            alternative = _summary(other)
            found.other_actions.update([alternative.action] if alternative.action else [])
            if original != alternative:
                found.changed_count += 1
                found.changes[original, alternative] += 1
        return not columns and not is_gone

    def _models_of(self, record: Record) -> dict[str, str]:
        """The version of the model that assesses each user of a record; the latest seen for whom none is archived."""
        decided = {row["user_id"]: row["model_version"] for row in record.decisions.values()}
        self._latest_model = next(iter(decided.values()), self._latest_model)
        return {each.event.user_id: self._latest_model for each in record.events.values()} | decided

    def _has(self, version: str) -> bool:
        return version in self._models or version == RULES_ONLY.version

    def _shares(self, batch: "_Batch", applied: Applied) -> list[Share]:
        """Each group with the model that its decision names, or with what stands for one that is not available."""
        rows, groups = applied.rows, applied.groups
        of_models = collections.defaultdict[str, list[int]](list)
        for number, user_id in enumerate(groups.user_ids):
            of_models[batch.models[user_id]].append(number)

        def archived(number: int) -> float:
            row = groups.deciding[number]
            decision = batch.records[rows.record_indexes[row]].decisions.get(rows.event_indexes[row])
            return decision["model_score"] / 100.0 if decision is not None else 0.0

        def model(version: str, numbers: Sequence[int]) -> Model:
            if version in self._models:
                return self._models[version]
            return Recorded(version, None if self._has(version) else [*map(archived, numbers)])

        return [Share(model(version, numbers), numbers) for version, numbers in of_models.items()]

    def _is_inside(self, record: Record) -> bool:
        """Whether the alternative decides: one policy decides a record, that of its first event."""
        return self._window.start_us <= record.events[min(record.events)].event.received_time_us

    def _is_compared(self, record: Record) -> bool:
        return any(self._window.holds(each.event.received_time_us) for each in record.events.values())

    def _newly_undelivered(self, record: Record) -> Mapping[str, Undelivered]:
        """Undelivered messages, by user, that the record's decisions are the first to know of."""
        news: dict[str, Undelivered] = {}
        for row in record.decisions.values():
            undelivered = decode_inputs(row["inputs"]).standing.undelivered if row.get("inputs") else ()
            known = news.get(row["user_id"], self._undelivered.get(row["user_id"], ()))
            if not set(undelivered) <= set(known):
                news[row["user_id"]] = with_undelivered(known, undelivered)
        self._undelivered.update(news)
        return news


def each_alone(rows: Rows) -> Groups:
    """Every row as a user group of its own: how services decided before they judged records as a whole."""
    every = list(range(len(rows.table)))
    uses = [*map(int, are_uses(rows.table))]
    return Groups(every, rows.table.user_id, every, every, [1] * len(every), uses)


class _BatchKey(NamedTuple):
    shard: str
    policy_version: str
    is_inside: bool
    is_by_event: bool


@dataclasses.dataclass
class _Batch:
    key: _BatchKey
    undelivered: Mapping[str, Undelivered]
    records: list[Record]
    models: dict[str, str]
    """The version of the model that assesses each user."""
    event_count: int = 0

    def has_others(self, models: Mapping[str, str]) -> bool:
        """Whether one of its users is assessed by another model there."""
        return any(self.models.get(user_id, version) != version for user_id, version in models.items())


def _is_compared(name: str, archived: Row) -> bool:
    """Whether a column is derived; rows of older versions lack some."""
    return name not in _POSITION and not (name in _LATER and archived[name] is None)


def _packed(records: Sequence[Record], blocks: Mapping[int, Block], policy: Policy) -> dict[tuple[int, int], Row]:
    """The decisions on records of one shard as rows of the archive, by sequence number and event index."""
    if not records:
        return {}
    shard = records[0].shard
    rows = [row for record in records for row in _decision_rows(record, blocks[record.sequence], policy)]
    packed = decision_rows.batch(shard, [str(row.sequence) for row in rows], rows).to_pylist()
    return {(int(row["sequence"]), row["event_index"]): row for row in packed}


def _decision_rows(record: Record, block: Block, policy: Policy) -> Iterator[DecisionRow]:
    ledger = ledger_record(Reference(record.shard, record.sequence), policy, block)
    outcomes = {each.model_version: each.outcome for each in ledger.model_outcomes}
    others = {row: other.model_version for other in ledger.other_models for row in other.rows}
    wholes = {each.row: each.decision for each in ledger.rows}
    counts = collections.Counter(ledger.covered_rows)
    columns = zip(ledger.event_indexes, ledger.kinds, ledger.reasons, ledger.assessments, strict=True)
    for row, (index, kind, reason, assessment) in enumerate(columns):
        whole, model = wholes.get(row), others.get(row, ledger.model_version)
        yield DecisionRow(
            sequence=record.sequence,
            event_index=index,
            event=cast("Event", record.events[index].event),
            kind=kind,
            reasons=tuple(whole.reasons) if whole is not None else (reason,),
            assessment=cast("Assessment", assessment),
            versions=Versions(model, ledger.rules_version, ledger.policy_version, outcomes.get(model, "")),
            whole=whole,
            event_count=counts.get(row, 1),
        )


def _summary(row: Row) -> Summary:
    help_ = json.loads(row["intervention"]) if row["intervention"] else {}
    return Summary(row["kind"], row["reasons"][0], help_.get("action", ""))
