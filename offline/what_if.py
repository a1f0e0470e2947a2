"""Derives the archived decisions again, and tells what another policy or model would have decided.

Without another policy or model, what is derived must be what is archived, byte for byte. With one, the decisions of
the window are made twice: as they were, and by the other from the window's start on, each with its own consequences.
What came before the window is run as it was, since features and standing rest on it.
"""

import collections
import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from journeymesh.intervention.v1 import intervention_pb2

from offline.decided import Record, Row
from offline.deriving import Deriving, Journeys
from offline.observed import Observations
from records.table import of_events
from services.ingest.adapters import archive_decisions
from services.ingest.domain.archive import Assessment, DecisionRow, Versions
from services.ingest.domain.event import Event
from services.ingest.translation.groups import each_alone, groups_of
from services.ingest.translation.messages import Rows
from services.intervention.decision.domain.ledger import Block, decode_inputs
from services.intervention.decision.domain.offer import Undelivered, with_undelivered
from services.intervention.decision.ports import Reference
from services.intervention.policy.domain.policy import Policy
from services.intervention.translation.decisions import ledger_record
from services.scoring.ports import Model

_BATCH_EVENTS: Final = 1_000
_TOLD_DIFFERENCES: Final = 10
# Fixed width in the archive, and part of the place by which rows are found.
_PLACE: Final = frozenset({"shard", "sequence", "event_index"})


class UnknownVersionError(Exception):
    """The archive was made by a policy or model that is not at hand; the text says so, without a stop."""


@dataclasses.dataclass(frozen=True)
class Others:
    """What else to decide by, from the window's start on; None is what decided then."""

    policy: Policy | None = None
    model: Model | None = None


class Span(NamedTuple):
    """Received times in Unix microseconds: from the first on, and before the second."""

    start_us: int
    stop_us: int

    def holds(self, received_us: int) -> bool:
        """Whether a time is one of them."""
        return self.start_us <= received_us < self.stop_us


class Difference(NamedTuple):
    """A decision that was derived otherwise than it is archived, and the columns that tell so."""

    decision_id: str
    columns: Sequence[str]


class Came(NamedTuple):
    """What a decision came to, in words; the action is empty where none was taken."""

    kind: str
    reason: str
    action: str


@dataclasses.dataclass
class Findings:
    """What a replay has found, decisions of the window only."""

    event_count: int = 0
    duplicate_count: int = 0
    undecided_count: int = 0
    """Decisions that are not in the archive: it was late, and the ledger had passed."""
    compared_count: int = 0
    different_count: int = 0
    differences: list[Difference] = dataclasses.field(default_factory=list)
    """The first of those that differ."""
    changed_count: int = 0
    changes: collections.Counter[tuple[Came, Came]] = dataclasses.field(default_factory=collections.Counter)
    """From what to what, where the other decides otherwise."""
    actions: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Interventions as they were, by action."""
    other_actions: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Interventions as the other makes them."""
    observations: Observations = dataclasses.field(default_factory=Observations)


class WhatIf:
    """One replay.

    Args:
        policies: those that may have decided, by version.
        models: those that may have scored, by version.
        others: what else to decide by.
        window: what is compared.
    """

    def __init__(
        self, policies: Mapping[str, Policy], models: Mapping[str, Model], others: Others, window: Span
    ) -> None:
        self._policies = policies
        self._models = models
        self._others = others
        self._window = window
        self._journeys = Journeys()
        self._was = Deriving()
        self._would = Deriving() if others.policy or others.model else None
        self._undelivered: dict[str, Undelivered] = {}
        self.findings = Findings()

    async def run(self, records: Iterable[Record]) -> None:
        """Derives the decisions of records, as `decided.records` gives them.

        Raises:
            UnknownVersionError: something decided that is not at hand.
        """
        for batch in self._batches(records):
            await self._apply(batch)

    def _batches(self, records: Iterable[Record]) -> Iterator["_Batch"]:
        """Runs of records of one shard that were decided alike, cut where a message turned out not to have left."""
        batch: _Batch | None = None
        versions: tuple[str, str] | None = None
        for record in records:
            self.findings.duplicate_count += record.duplicate_count
            versions = _versions(record) or versions
            if versions is None:
                continue  # nothing was decided yet
            undelivered = self._missed(record)
            like = _Like(record.shard, versions, self._is_inside(record), record.is_decided_by_event)
            if batch is not None and (batch.event_count >= _BATCH_EVENTS or undelivered or like != batch.like):
                yield batch
                batch = None
            if batch is None:
                batch = _Batch(like, undelivered, [])
            batch.records.append(record)
            batch.event_count += len(record.events)
        if batch is not None:
            yield batch

    async def _apply(self, batch: "_Batch") -> None:
        shard, (model_version, policy_version), is_inside, is_by_event = batch.like
        model, policy = _known(self._models, model_version), _known(self._policies, policy_version)
        rows = _rows(batch.records)
        groups = each_alone(rows) if is_by_event else groups_of(rows)
        applied = await self._journeys.apply(shard, [each.sequence for each in batch.records], rows, groups)
        other_model = (self._others.model if is_inside else None) or model
        other_policy = (self._others.policy if is_inside else None) or policy
        if batch.undelivered:
            await self._was.miss(batch.undelivered)
        was = await self._was.derive(applied, model, policy)
        would: Mapping[int, Block] = {}
        if self._would is not None:
            if batch.undelivered:
                await self._would.miss(batch.undelivered)
            would = await self._would.derive(applied, other_model, other_policy)
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
        """Whether a decision of the window was derived as it is archived; notes what was found."""
        found, event = self.findings, record.events[index].event
        if not self._window.holds(event.received_time_us):
            return False
        archived = record.decided.get(index)
        if archived is None:
            found.undecided_count += 1
            return False
        found.compared_count += 1
        columns = [name for name in archived if _is_compared(name, archived) and archived[name] != derived.get(name)]
        if columns:
            found.different_count += 1
            if len(found.differences) < _TOLD_DIFFERENCES:
                found.differences.append(Difference(archived["decision_id"], columns))
        came = _came(archived)
        found.actions.update([came.action] if came.action else [])
        if other is not None:
            otherwise = _came(other)
            found.other_actions.update([otherwise.action] if otherwise.action else [])
            if came != otherwise:
                found.changed_count += 1
                found.changes[came, otherwise] += 1
        return not columns

    def _is_inside(self, record: Record) -> bool:
        """Whether the other decides: a record is decided by one policy, that of its first event."""
        return self._window.start_us <= record.events[min(record.events)].event.received_time_us

    def _is_compared(self, record: Record) -> bool:
        return any(self._window.holds(each.event.received_time_us) for each in record.events.values())

    def _missed(self, record: Record) -> Mapping[str, Undelivered]:
        """The users of whose messages the record's decisions knew that some have never left, for the first time."""
        news: dict[str, Undelivered] = {}
        for row in record.decided.values():
            told = decode_inputs(row["inputs"]).standing.undelivered if row.get("inputs") else ()
            known = news.get(row["user_id"], self._undelivered.get(row["user_id"], ()))
            if not set(told) <= set(known):
                news[row["user_id"]] = with_undelivered(known, told)
        self._undelivered.update(news)
        return news


class _Like(NamedTuple):
    shard: str
    versions: tuple[str, str]
    is_inside: bool
    is_by_event: bool


@dataclasses.dataclass
class _Batch:
    like: _Like
    undelivered: Mapping[str, Undelivered]
    records: list[Record]
    event_count: int = 0


def _is_compared(name: str, archived: Row) -> bool:
    """Whether a column tells of what was derived; older rows do not tell how many events led to the decision."""
    return name not in _PLACE and not (name == "event_count" and archived[name] is None)


def _versions(record: Record) -> tuple[str, str] | None:
    """The model and the policy that decided a record; None where no decision on it is archived."""
    row = next(iter(record.decided.values()), None)
    return (row["model_version"], row["policy_version"]) if row else None


def _known(by_version: Mapping[str, Any], version: str) -> Any:  # noqa: ANN401 - a model or a policy
    if version not in by_version:
        message = f"The archive was decided by {version}, which is not at hand"
        raise UnknownVersionError(message)
    return by_version[version]


def _rows(records: Sequence[Record]) -> Rows:
    told = [
        (number, index, archived.event)
        for number, record in enumerate(records)
        for index, archived in sorted(record.events.items())
    ]
    numbers, indexes, events = zip(*told, strict=True)
    return Rows(of_events(events), numbers, indexes)


def _packed(records: Sequence[Record], blocks: Mapping[int, Block], policy: Policy) -> dict[tuple[int, int], Row]:
    """The decisions on records of one shard as the archive would tell them, by sequence number and event's index."""
    if not records:
        return {}
    shard = records[0].shard
    rows = [row for record in records for row in _decision_rows(record, blocks[record.sequence], policy)]
    packed = archive_decisions.batch(shard, [str(row.sequence) for row in rows], rows).to_pylist()
    return {(int(row["sequence"]), row["event_index"]): row for row in packed}


def _decision_rows(record: Record, block: Block, policy: Policy) -> Iterator[DecisionRow]:
    told = ledger_record(Reference(record.shard, record.sequence), policy, block)
    versions = Versions(told.model_version, told.rules_version, told.policy_version)
    wholes = {each.row: each.decision for each in told.rows}
    counts = collections.Counter(told.covered_rows)
    columns = zip(told.event_indexes, told.kinds, told.reasons, told.assessments, strict=True)
    for row, (index, kind, reason, assessment) in enumerate(columns):
        yield DecisionRow(
            sequence=record.sequence,
            event_index=index,
            event=cast("Event", record.events[index].event),
            kind=kind,
            reasons=_reasons(wholes.get(row), reason),
            assessment=cast("Assessment", assessment),
            versions=versions,
            whole=wholes.get(row),
            event_count=counts.get(row, 1),
        )


def _reasons(whole: intervention_pb2.Decision | None, reason: int) -> tuple[int, ...]:
    return tuple(whole.reasons) if whole is not None else (reason,)


def _came(row: Row) -> Came:
    help_ = json.loads(row["intervention"]) if row["intervention"] else {}
    return Came(row["kind"], row["reasons"][0], help_.get("action", ""))
