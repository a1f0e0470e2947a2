"""Deciding a batch: user by user in the order of the stream, everything written before anything is answered."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from mesh import applied
from mesh.applied import Batch
from mesh.state import Shards, StateStore
from services.intervention.domain import delivery, limits, pending, tally
from services.intervention.domain import ledger as pages
from services.intervention.domain.decision import Decided, decide
from services.intervention.domain.delivery import Parcel
from services.intervention.domain.eligibility import Reason
from services.intervention.domain.facts import Contact, Outcome
from services.intervention.domain.ledger import Block, Decision, Record
from services.intervention.domain.offer import Exposed
from services.intervention.domain.pending import Helped
from services.intervention.domain.policy import DAY_US, IN_APP, Policy
from services.intervention.domain.strategy import Intervention, delivered_channels
from services.intervention.ports import Became, Entry, Ledger, Listeners, Outbox, Witness, Words
from services.intervention.usecases.names import (
    decision_id,
    decision_id_of,
    intervention_id,
    record_key,
    tally_key,
    trace_name,
    user_key,
    user_name,
)
from services.intervention.usecases.policies import Policies
from services.intervention.usecases.rows import (
    Rows,
    contacts_after,
    facts_of,
    reasons_of,
    records_of,
    rows_in_question,
    withheld_of,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """An intervention that was made at a row."""

    row: int
    decision: Decision
    intervention: Intervention


class Came(NamedTuple):
    """What came of a batch.

    Interventions by row, ascending; how many rows were decided for each reason; the actions that were withheld from
    users who are held out; what became of earlier interventions.
    """

    made: list[Made]
    reasons: Mapping[Reason, int]
    withheld: list[str]
    outcomes: list[Outcome]


class Deciding:
    """Decides batches.

    Args:
        state: users, contacts, and the counts of each shard.
        shards: the shards that have counts.
        outbox: what is to be sent.
        notice: is called after something was put there.
        clock: tells the outbox what time it is, and decides nothing.
        words_us: how long messages wait for better words: microseconds.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the ports
        self,
        policies: Policies,
        state: StateStore,
        shards: Shards,
        ledger: Ledger,
        outbox: Outbox,
        witness: Witness,
        listeners: Listeners,
        words: Words,
        notice: Callable[[], None],
        clock: Callable[[], int],
        *,
        words_us: int = 0,
    ) -> None:
        self._policies = policies
        self._state = state
        self._shards = shards
        self._ledger = ledger
        self._outbox = outbox
        self._witness = witness
        self._listeners = listeners
        self._words = words
        self._notice = notice
        self._clock = clock
        self._words_us = words_us
        self._renewed_day = 0

    async def decide(self, batch: Batch, rows: Rows) -> Came:
        """Decides every row.

        Raises:
            FailedPrecondition: `POSITION_STALE`, the sender has lost the shard.
            Unavailable: the store cannot be reached; the call may be repeated.
        """
        records = records_of(batch, rows)
        policies = {record: self._policies.at(rows.received_us[of.start]) for record, of in records.items()}
        asked = rows_in_question(policies, rows, records)
        users = await self._load(batch, rows, asked)
        decided = {row: self._decide(policies[rows.record_indexes[row]], batch, rows, row, users) for row in asked}
        made = [each for row in asked if (each := _made(batch, rows, row, decided[row], policies)) is not None]
        await self._save(batch, rows, users, decided.values(), made)
        if batch.is_retraction:
            await self._outbox.cancel([each.intervention.id for each in made], self._clock(), "retracted")
        else:
            await self._send(made, policies, rows)
            if users.became and self._witness.is_looking:
                await self._tell_outcomes(rows, users.became)
            await self._ledger.record(
                [_entry(batch, record, of, rows, policies[record], decided) for record, of in records.items()]
            )
        self._listeners.wake(users.changed())
        return Came(made, reasons_of(rows, decided), withheld_of(decided), [outcome for _, _, outcome in users.became])

    def _decide(self, policy: Policy, batch: Batch, rows: Rows, row: int, users: "_Users") -> Decided:
        facts = facts_of(batch, rows, row)
        helped, lost = users.after[facts.user_id], users.undelivered[facts.user_id]
        decided = decide(policy, facts, helped, lost, intervention_id(facts.position))
        if decided.helped is not helped:
            users.became.extend((row, *each) for each in pending.outcomes_since(helped, decided.helped))
        users.after[facts.user_id] = decided.helped
        return decided

    async def _load(self, batch: Batch, rows: Rows, asked: Sequence[int]) -> "_Users":
        user_ids = list(dict.fromkeys(rows.user_ids[row] for row in asked))
        contacts = dict.fromkeys(rows.user_ids[row] for row in rows.contacts)
        keys = [
            *map(user_key, user_ids),
            *map(delivery.undelivered_key, user_ids),
            *map(delivery.contact_key, contacts),
            *([tally_key(batch.shard)] if asked else ()),
        ]
        found = iter(await self._state.load(keys))
        resumed = {user_id: applied.resume(next(found), batch) for user_id in user_ids}
        undelivered = {user_id: delivery.decode_undelivered(next(found)) for user_id in user_ids}
        known = {user_id: delivery.decode_contact(next(found)) for user_id in contacts}
        before = {user_id: pending.decode(each.state) for user_id, each in resumed.items()}
        return _Users(resumed, before, dict(before), undelivered, known, applied.resume(next(found, None), batch))

    async def _save(
        self, batch: Batch, rows: Rows, users: "_Users", decided: Iterable[Decided], made: Sequence[Made]
    ) -> None:
        exposed, converted = list[Exposed](), list[Exposed]()
        for each in decided:
            exposed += [each.exposed] if each.exposed else []
            converted += [each.converted] if each.converted else []
        # A user who is as before need not be written: deriving the batch again leaves the user as before again.
        items = {
            user_key(user_id): applied.seal(users.resumed[user_id], pending.encode(users.after[user_id]), batch)
            for user_id in users.changed()
        }
        items.update((record_key(each.intervention.id), _record(each)) for each in made)
        if not batch.is_retraction:
            items.update(contacts_after(rows, users.contacts))
        if exposed or converted:
            counts = tally.counted(tally.decode(users.tally.state), exposed, converted)
            items[tally_key(batch.shard)] = applied.seal(users.tally, tally.encode(counts), batch)
            await self._shards.add(batch.shard)
            await self._renew_tallies()
        await self._state.save(items, batch.fence)

    async def _renew_tallies(self) -> None:
        """Keeps the counts of shards that get no users any more, as those that were split, from passing: once a day."""
        day = self._clock() // DAY_US
        if day != self._renewed_day:
            await self._state.renew([tally_key(shard) for shard in await self._shards.all()])
            self._renewed_day = day

    async def _send(self, made: Sequence[Made], policies: Mapping[int, Policy], rows: Rows) -> None:
        # Words are looked for from now on, however late the batch is.
        words_until_us = self._clock() + self._words_us if self._words_us else 0
        parcels = [
            parcel
            for each in made
            for parcel in _parcels(each, policies[rows.record_indexes[each.row]], words_until_us)
        ]
        if parcels:
            await self._outbox.add(parcels, self._clock())
            self._notice()
        worded = [each for each in made if each.intervention.is_worded]
        self._words.ask([(each.decision.facts, each.intervention) for each in worded])
        for each in made:
            self._witness.made(decision_id(each.decision.facts.position), each.decision, rows.span_ids[each.row])

    async def _tell_outcomes(self, rows: Rows, became: Sequence[tuple[int, str, Outcome]]) -> None:
        blobs = await self._state.load([record_key(id_) for _, id_, _ in became])
        for (row, id_, outcome), blob in zip(became, blobs, strict=True):
            made_trace_id = pages.decode_record(blob).trace_id if blob else b""
            self._witness.became(
                Became(id_, decision_id_of(id_), outcome, made_trace_id, rows.trace_ids[row], rows.span_ids[row])
            )


@dataclasses.dataclass(frozen=True, slots=True)
class _Users:
    """The users in question, before and after the batch, and the counts of its shard."""

    resumed: Mapping[str, applied.Resumed]
    before: Mapping[str, Helped]
    after: dict[str, Helped]
    undelivered: Mapping[str, tuple[tuple[str, str], ...]]
    contacts: Mapping[str, Contact]
    tally: applied.Resumed
    became: list[tuple[int, str, Outcome]] = dataclasses.field(default_factory=list)
    """What came of interventions, and at which row."""

    def changed(self) -> list[str]:
        """Those who are not as they were."""
        return [user_id for user_id, helped in self.after.items() if helped != self.before[user_id]]


def _made(batch: Batch, rows: Rows, row: int, decided: Decided, policies: Mapping[int, Policy]) -> Made | None:
    kept = decided.exceptional
    if kept is None or kept.verdict.intervention is None:
        return None
    version = policies[rows.record_indexes[row]].version
    decision = Decision(facts_of(batch, rows, row), kept.standing, kept.verdict, version)
    return Made(row, decision, kept.verdict.intervention)


def _entry(batch: Batch, record: int, of: slice, rows: Rows, policy: Policy, decided: Mapping[int, Decided]) -> Entry:
    block = Block(
        policy_version=policy.version,
        model_version=rows.model_version,
        rules_version=rows.rules_version,
        event_indexes=rows.event_indexes[of],
        user_ids=rows.user_ids[of],
        event_ids=rows.event_ids[of],
        received_us=rows.received_us[of],
        trace_ids=rows.trace_ids[of],
        pages=rows.pages[of],
        assessments=rows.assessments[of],
        bot_rows=[row - of.start for row in rows.bot_rows if of.start <= row < of.stop],
        exceptional={
            row - of.start: kept
            for row in range(of.start, of.stop)
            if row in decided and (kept := decided[row].exceptional) is not None
        },
        feature_names=rows.feature_names,
        feature_schema_version=rows.feature_schema_version,
    )
    traces = filter(None, dict.fromkeys(block.trace_ids))
    names = [*map(user_name, dict.fromkeys(block.user_ids)), *map(trace_name, traces)]
    return Entry(batch.shard, batch.sequences[record], block.received_us[0], pages.encode(block), names)


def _parcels(made: Made, policy: Policy, words_until_us: int) -> list[Parcel]:
    """What is to be sent of an intervention, beside showing it in the product."""
    facts, help_ = made.decision.facts, made.intervention
    due_us = max(help_.send_us, words_until_us) if help_.is_worded else help_.send_us
    is_bound = not any(each.name == help_.action and each.is_transactional for each in policy.actions)
    latest_us = {
        each: limits.latest_us(policy, facts.time_zone, each, help_.topic, help_.send_us, help_.expires_us)
        if is_bound
        else help_.expires_us
        for each in delivered_channels(help_)
        if each != IN_APP
    }
    return [
        Parcel(
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


def _record(made: Made) -> bytes:
    facts = made.decision.facts
    return pages.encode(Record(facts.user_id, made.intervention, facts.trace_id))
