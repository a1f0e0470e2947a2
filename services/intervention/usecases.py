"""The verbs of the intervention service: fetch through ports, decide in the domain, record through ports."""

import bisect
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Final

from mesh import applied
from mesh.applied import Batch
from mesh.errors import NotFound
from mesh.state import StateStore
from services.intervention.domain import eligibility, outcome, pending
from services.intervention.domain import ledger as pages
from services.intervention.domain.facts import Assessment, Facts, Outcome, OutcomeReport, Position
from services.intervention.domain.ledger import POLICY_VERSION, Block, Decision, Exceptional, Record
from services.intervention.domain.pending import Helped
from services.intervention.domain.policy import POLICY, Policy
from services.intervention.domain.strategy import Intervention
from services.intervention.ports import Entry, Ledger, Listeners, Reference, Witness

DECISION_PREFIX: Final = "d"
INTERVENTION_PREFIX: Final = "i"

Column = Callable[[Block], Iterable[object]]
"""Picks a column of a block."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """A batch of assessed events, column by column. `record_indexes` never descend."""

    record_indexes: Sequence[int]
    event_indexes: Sequence[int]
    user_ids: Sequence[str]
    event_ids: Sequence[str]
    received_us: Sequence[int]
    trace_ids: Sequence[bytes]
    span_ids: Sequence[bytes]
    pages: Sequence[str]
    time_zones: Sequence[str]
    assessments: Sequence[Assessment]
    bot_rows: Sequence[int]
    outcomes: Mapping[int, OutcomeReport]
    model_version: str
    rules_version: str


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """An intervention that was made at a row."""

    row: int
    decision: Decision
    intervention: Intervention


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a user, None where nothing does, and the cursor of that."""

    cursor: int
    intervention: Intervention | None


@dataclasses.dataclass(frozen=True, slots=True)
class Followed:
    """An intervention and what came of it so far."""

    user_id: str
    intervention: Intervention
    outcome: Outcome
    is_ended: bool


class Interventions:
    """Decides, remembers and tells."""

    def __init__(
        self,
        state: StateStore,
        ledger: Ledger,
        witness: Witness,
        listeners: Listeners,
        clock: Callable[[], int],
        *,
        poll_seconds: float,
        policy: Policy = POLICY,
    ) -> None:
        self._state = state
        self._ledger = ledger
        self._witness = witness
        self._listeners = listeners
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._policy = policy

    async def decide(self, batch: Batch, rows: Rows) -> list[Made]:
        """Decides every row and gives those that led to an intervention, ascending."""
        asked = self._rows_in_question(rows)
        user_ids = list(dict.fromkeys([rows.user_ids[row] for row in asked]))
        blobs = dict(zip(user_ids, await self._state.load(list(map(_user_key, user_ids))), strict=True))
        resumed = {user_id: applied.resume(blob, batch) for user_id, blob in blobs.items()}
        known = {user_id: pending.decode(each.state) for user_id, each in resumed.items()}
        helped, exceptional, made = dict(known), dict[int, Exceptional](), list[Made]()
        for row in asked:
            facts = _facts(batch, rows, row)
            exception, helped[facts.user_id] = self._decide(facts, helped[facts.user_id])
            if exception is not None:
                exceptional[row] = exception
                if exception.verdict.intervention is not None:
                    made.append(Made(row, self._decision(facts, exception), exception.verdict.intervention))
        # A user who is as before need not be written: deriving the batch again leaves the user as before again.
        changed = {user_id: pending.encode(each) for user_id, each in helped.items() if each != known[user_id]}
        items = {_user_key(u): applied.seal(resumed[u], after, batch) for u, after in changed.items()}
        items.update((_intervention_key(each.intervention.id), _record(each)) for each in made)
        await self._state.save(items, batch.fence)
        await self._ledger.record([] if batch.is_retraction else self._entries(batch, rows, exceptional))
        self._listeners.wake(changed)
        for each in () if batch.is_retraction else made:
            self._witness.made(decision_id(each.decision.facts.position), each.decision, rows.span_ids[each.row])
        return made

    async def waiting(self, user_id: str) -> Waiting:
        """What waits for a user now."""
        (blob,) = await self._state.load([_user_key(user_id)])
        helped, now_us = pending.decode(applied.current(blob)), self._clock()
        return Waiting(pending.cursor_at(helped, now_us), pending.waiting_at(helped, now_us))

    async def watch(self, user_id: str, cursor: int | None) -> AsyncIterator[Waiting]:
        """What waits for a user now, unless the cursor is of that, and then every change, without end.

        Changes made by this process are told at once, those of others after at most the poll time.
        """
        with contextlib.closing(self._listeners.listen(user_id)) as listener:
            while True:
                now = await self.waiting(user_id)
                if now.cursor != cursor:
                    cursor = now.cursor
                    yield now
                left_seconds = self._poll_seconds
                if now.intervention is not None:
                    left_seconds = (now.intervention.expires_us - self._clock()) / 1e6
                await listener.wait(min(self._poll_seconds, max(0.0, left_seconds)))

    async def intervention(self, intervention_id: str) -> Followed:
        """An intervention with its outcome so far."""
        (blob,) = await self._state.load([_intervention_key(intervention_id)])
        if blob is None:
            raise NotFound("INTERVENTION_NOT_FOUND", "No intervention with this id.")
        record = pages.decode_record(blob)
        (user,) = await self._state.load([_user_key(record.user_id)])
        helped = pending.decode(applied.current(user))
        became = pending.outcome_at(helped, intervention_id, self._clock())
        # One that is no longer remembered was followed by many others; nothing can come of it any more.
        is_ended = became is None or outcome.is_final(became)
        return Followed(record.user_id, record.intervention, became or Outcome.NONE, is_ended)

    async def decision(self, decision_id: str) -> Decision:
        """One decision."""
        parsed = applied.parse_derived_id(decision_id)
        found = await self.decisions_at(Position(*parsed[1:])) if parsed and parsed[0] == DECISION_PREFIX else []
        if not found:
            raise NotFound("DECISION_NOT_FOUND", "No decision with this id.")
        return found[0]

    async def decisions_at(self, position: Position) -> list[Decision]:
        """The decision of the event at a position; none where there is none."""
        at = Reference(position.shard, position.sequence)
        return await self._read([at], lambda block: block.event_indexes, position.event_index)

    async def decisions_of_user(self, user_id: str, limit: int) -> list[Decision]:
        """The last decisions on a user, newest first."""
        return await self._find(user_name(user_id), limit, lambda block: block.user_ids, user_id)

    async def decisions_of_trace(self, trace_id: bytes, limit: int) -> list[Decision]:
        """The last decisions on the events of a trace, newest first."""
        return await self._find(trace_name(trace_id), limit, lambda block: block.trace_ids, trace_id)

    async def blocks(self, references: Sequence[Reference]) -> list[tuple[Reference, Block]]:
        """The blocks of records, in their order; without those of which nothing is known any more."""
        blobs = await self._ledger.blocks(references)
        return [(at, pages.decode(blob)) for at, blob in zip(references, blobs, strict=True) if blob is not None]

    async def _find(self, name: str, limit: int, column: Column, wanted: object) -> list[Decision]:
        found: list[Decision] = []
        for generation in await self._ledger.find(name):
            found += await self._read(generation, column, wanted)
            if len(found) >= limit:
                break
        return sorted(found, key=_age, reverse=True)[:limit]

    async def _read(self, references: Sequence[Reference], column: Column, wanted: object) -> list[Decision]:
        """The decisions of the rows whose value in a column is the wanted one."""
        return [
            pages.decision_at(block, each.shard, each.sequence, row)
            for each, block in await self.blocks(references)
            for row, value in enumerate(column(block))
            if value == wanted
        ]

    def _rows_in_question(self, rows: Rows) -> list[int]:
        asked = set(eligibility.rows_in_question(self._policy, rows.assessments))
        asked.difference_update(rows.bot_rows)
        # An outcome is recorded whoever reports it: a server that does so for its users looks like a script.
        asked.update(rows.outcomes)
        return sorted(asked)

    def _decide(self, facts: Facts, helped: Helped) -> tuple[Exceptional | None, Helped]:
        at = facts.position
        intervention_id = applied.derived_id(INTERVENTION_PREFIX, at.shard, at.sequence, at.event_index)
        return pages.decide(self._policy, facts, helped, intervention_id)

    def _decision(self, facts: Facts, exception: Exceptional) -> Decision:
        return Decision(facts, exception.standing, self._policy, exception.verdict, POLICY_VERSION)

    def _entries(self, batch: Batch, rows: Rows, exceptional: Mapping[int, Exceptional]) -> list[Entry]:
        bounds = [bisect.bisect_left(rows.record_indexes, record) for record in range(len(batch.sequences) + 1)]
        return [
            self._entry(batch, record, rows, slice(start, end), exceptional)
            for record, (start, end) in enumerate(itertools.pairwise(bounds))
            if start < end
        ]

    def _entry(self, batch: Batch, record: int, rows: Rows, of: slice, exceptional: Mapping[int, Exceptional]) -> Entry:
        inside = range(of.start, of.stop)
        block = Block(
            policy=self._policy,
            policy_version=POLICY_VERSION,
            model_version=rows.model_version,
            rules_version=rows.rules_version,
            event_indexes=rows.event_indexes[of],
            user_ids=rows.user_ids[of],
            event_ids=rows.event_ids[of],
            received_us=rows.received_us[of],
            trace_ids=rows.trace_ids[of],
            pages=rows.pages[of],
            assessments=rows.assessments[of],
            bot_rows=[row - of.start for row in rows.bot_rows if row in inside],
            exceptional={row - of.start: each for row, each in exceptional.items() if row in inside},
        )
        traces = filter(None, dict.fromkeys(block.trace_ids))
        names = [*map(user_name, dict.fromkeys(block.user_ids)), *map(trace_name, traces)]
        return Entry(batch.shard, batch.sequences[record], block.received_us[0], pages.encode(block), names)


def decision_id(position: Position) -> str:
    """The id of the decision on the event at a position."""
    return applied.derived_id(DECISION_PREFIX, position.shard, position.sequence, position.event_index)


def decision_id_of(intervention_id: str) -> str:
    """The id of the decision that led to an intervention: both are derived from the same event."""
    return DECISION_PREFIX + intervention_id.removeprefix(INTERVENTION_PREFIX)


def user_name(user_id: str) -> str:
    """The name by which the ledger finds a user."""
    return "u" + user_id


def trace_name(trace_id: bytes) -> str:
    """The name by which the ledger finds a trace."""
    return "t" + trace_id.hex()


def _facts(batch: Batch, rows: Rows, row: int) -> Facts:
    sequence = batch.sequences[rows.record_indexes[row]]
    return Facts(
        position=Position(batch.shard, sequence, rows.event_indexes[row]),
        user_id=rows.user_ids[row],
        event_id=rows.event_ids[row],
        received_us=rows.received_us[row],
        trace_id=rows.trace_ids[row],
        page=rows.pages[row],
        time_zone=rows.time_zones[row],
        is_bot=row in rows.bot_rows,
        outcome=rows.outcomes.get(row),
        assessment=rows.assessments[row],
        model_version=rows.model_version,
        rules_version=rows.rules_version,
    )


def _user_key(user_id: str) -> str:
    return f"user:{user_id}"


def _intervention_key(intervention_id: str) -> str:
    return f"made:{intervention_id}"


def _record(made: Made) -> bytes:
    return pages.encode(Record(made.decision.facts.user_id, made.intervention))


def _age(decision: Decision) -> tuple[int, int, int]:
    facts = decision.facts
    return facts.received_us, facts.position.sequence, facts.position.event_index
