"""Decides on a batch: once per user and record. Everything is written before the response."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from mesh.state import keyed
from mesh.state.applied import Batch
from mesh.state.port import Shards, StateStore
from services.intervention.batch import comparing, effects, telling
from services.intervention.batch.effects import Created
from services.intervention.batch.judging import Judging
from services.intervention.batch.remembered import Remembered
from services.intervention.batch.rows import (
    Rows,
    contacts_after,
    facts_of,
    reasons_of,
    records_of,
    rows_in_question,
    unanswered,
    withheld_of,
)
from services.intervention.batch.staying import Staying
from services.intervention.batch.telling import Tell
from services.intervention.batch.users import Users
from services.intervention.decision.domain.decision import Decided
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Outcome
from services.intervention.decision.domain.ledger import Decision
from services.intervention.decision.domain.offer import Offer, WithdrawalReason
from services.intervention.decision.ids import decision_id, decision_id_of
from services.intervention.decision.ports import Copywriting, Ledger, Listeners, Observer, OutcomeEvent
from services.intervention.decision.state import CONTACTS, INTERVENTIONS, UNDELIVERED, USERS
from services.intervention.delivery.ports import Outbox
from services.intervention.language.state import GENERATED_COPY
from services.intervention.lift.domain import tally
from services.intervention.lift.domain.judged import Judged
from services.intervention.lift.domain.report import Report, apart
from services.intervention.lift.ports import Reports
from services.intervention.lift.state import TALLIES, tally_name
from services.intervention.policy.domain.arms import Configured
from services.intervention.policy.domain.policy import DAY_US, Policy, governing
from services.intervention.policy.usecases import Policies

_log = logging.getLogger(__name__)


class BatchResult(NamedTuple):
    """The result of deciding on a batch."""

    made: list[Created]
    """The interventions, by row, ascending."""
    reasons: Mapping[Reason, int]
    """How many decisions were made for each reason."""
    withheld: list[str]
    """The actions withheld from users in the holdout."""
    outcomes: list[Outcome]
    """The new outcomes of earlier interventions."""
    transfers: Mapping[int, bytes]
    """By row, the encoded state that moves to a known user."""


class Deciding:
    """Decides batches.

    Args:
        policies: the policy in force at each time.
        state: users, contacts, interventions, and the lift's counts of each shard.
        shards: the shards that have such counts.
        ledger: keeps every decision.
        outbox: takes the messages to be sent.
        reports: takes what experiments that compare policies or words are told.
        observer: is called for each new intervention and outcome.
        listeners: are woken when what waits for a user may have changed.
        words: asks for generated copy in the background.
        notice: is called after messages were added to the outbox.
        clock: the time for outbox and housekeeping, in Unix microseconds; no decision depends on it.
        words_us: how long messages wait for generated copy, in microseconds; 0: not at all.
        tell: is told what happened once it is recorded.
        compares_words: whether experiments compare the models or prompts that word help.
        judged: the experiments that judge scoring models now, by tenant.
        by_stays: the others that are judged by who stays, by tenant.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the ports
        self,
        policies: Policies,
        state: StateStore,
        shards: Shards,
        ledger: Ledger,
        outbox: Outbox,
        reports: Reports,
        observer: Observer,
        listeners: Listeners,
        words: Copywriting,
        notice: Callable[[], None],
        clock: Callable[[], int],
        *,
        words_us: int = 0,
        tell: Tell = telling.nobody,
        compares_words: bool = False,
        judged: Callable[[], Mapping[str, Judged]] = dict,
        by_stays: Callable[[], Mapping[str, Sequence[Configured]]] = dict,
    ) -> None:
        self._policies = policies
        self._state = state
        self._shards = shards
        self._ledger = ledger
        self._outbox = outbox
        self._observer = observer
        self._listeners = listeners
        self._words = words
        self._notice = notice
        self._clock = clock
        self._reports = reports
        self._words_us = words_us
        self._tell = tell
        self._compares_words = compares_words
        self._remembered = Remembered()
        self._judging = Judging(judged, self._remembered)
        self._staying = Staying(judged, by_stays, self._remembered)
        self._renewed_day = 0

    async def decide(self, batch: Batch, rows: Rows) -> BatchResult:
        """Decides on a batch.

        Raises:
            FailedPrecondition: `POSITION_STALE`, the sender has lost the shard.
            Unavailable: the store cannot be reached; the call may be repeated.
        """
        records = records_of(batch, rows)
        policies = {
            record: self._policies.of_record(rows.received_us[part.rows.start], rows.user_ids[part.decisions])
            for record, part in records.items()
        }
        no_help = unanswered(policies, rows, records)
        in_question = rows_in_question(policies, rows, records, no_help)
        states = keyed.Changed(USERS, map(rows.user, in_question))
        undelivered = keyed.Seen(UNDELIVERED, map(rows.user, in_question))
        contacts = keyed.Seen(CONTACTS, map(rows.user, rows.contacts))
        tallies = keyed.Changed(TALLIES, [tally_name(batch.shard, rows.user(row)) for row in in_question])
        async with keyed.batch(self._state, batch, states, undelivered, contacts, tallies) as beside:
            users = Users(batch, rows, dict(states.states), states.states, undelivered.states)
            decided: dict[int, Decided] = {}
            for row in in_question:
                policy = policies[rows.record_indexes[row]]
                if rows.is_decided(row):
                    decided[row] = users.decide(policy, row)
                else:
                    users.take_effect(policy, row)
            made = [each for row in sorted(decided) if (each := _made(batch, rows, row, decided[row], policies))]
            beside |= {
                INTERVENTIONS.key(each.intervention.id): INTERVENTIONS.encode(effects.kept(each)) for each in made
            }
            if not batch.is_retraction:
                after = contacts_after(rows, contacts.states)
                beside |= {CONTACTS.key(user_id): CONTACTS.encode(each) for user_id, each in after.items()}
            # Users whom the batch leaves unchanged need not be written: a repetition leaves them unchanged again.
            states.only, tallies.only = users.changed(), [*users.counts]
            for name, changes in users.counts.items():
                tallies.states[name] = tally.counted(tallies.states[name], changes)
                await self._shards.add(name)
            if users.counts:
                await self._renew_tallies()
        if batch.is_retraction:
            await self._outbox.cancel([each.intervention.id for each in made], self._clock(), "retracted")
        else:
            await self._cancel(users)
            await self._send(made, policies, rows)
            if users.outcomes and self._observer.is_enabled:
                await self._report_outcomes(rows, users.outcomes)
            old = [row for row, reason in no_help.items() if reason is Reason.TOO_OLD]
            await self._ledger.record(
                [
                    effects.entry(batch, record, part, rows, policies[record], decided, old)
                    for record, part in records.items()
                ]
            )
            told = comparing.reports(policies, batch, rows, in_question, decided, users.outcomes)
            told += await self._of_words(rows, users.outcomes)
            often = self._judging.reports(policies, batch, rows, in_question, users.outcomes)
            often += self._staying.reports(rows)
            for new, some in zip(apart(often), apart([*often, *told]), strict=True):
                if refused := await self._reports.add(some):
                    _log.warning("%d reports to experiments are lost: too many wait", refused)
                else:
                    self._remembered.add(new)
            self._tell(telling.happenings(batch, rows, decided, users.outcomes))
        self._listeners.wake(users.changed())
        return BatchResult(
            made,
            reasons_of(rows, decided, no_help),
            withheld_of(decided),
            [offer.outcome for _, offer in users.outcomes],
            users.transfers,
        )

    async def _of_words(self, rows: Rows, outcomes: Sequence[tuple[int, Offer]]) -> list[Report]:
        """What came of help whose words are compared: read only where they are, and something came."""
        if not (self._compares_words and outcomes):
            return []
        ids = [offer.id for _, offer in outcomes]
        await keyed.look(self._state, made := keyed.Seen(INTERVENTIONS, ids), copies := keyed.Seen(GENERATED_COPY, ids))
        return comparing.of_words(rows, outcomes, made.states, copies.states)

    async def _renew_tallies(self) -> None:
        """Renews the counts of all shards once a day, so that those of closed shards do not expire."""
        day = self._clock() // DAY_US
        if day != self._renewed_day:
            await self._state.renew([TALLIES.key(name) for name in await self._shards.all()])
            self._renewed_day = day

    async def _cancel(self, users: Users) -> None:
        """Cancels the unsent messages of withdrawn interventions."""
        ids: dict[WithdrawalReason, list[str]] = {}
        for _, offer in users.outcomes:
            if offer.outcome is Outcome.WITHDRAWN:
                ids.setdefault(offer.withdrawal, []).append(offer.id)
        for reason, its in ids.items():
            await self._outbox.cancel(its, self._clock(), reason.name.lower())

    async def _send(self, made: Sequence[Created], policies: Mapping[int, Policy], rows: Rows) -> None:
        # Generated copy is asked for from now on, however late the batch is.
        words_until_us = self._clock() + self._words_us if self._words_us else 0
        messages = [
            message
            for each in made
            for message in effects.messages(
                each,
                governing(policies[rows.record_indexes[each.row]], each.decision.facts.user_id)[0],
                words_until_us,
            )
        ]
        if messages:
            await self._outbox.add(messages, self._clock())
            self._notice()
        self._words.ask(
            [(each.decision.facts, each.intervention) for each in made if each.intervention.uses_generated_copy]
        )
        for each in made:
            self._observer.created(decision_id(each.decision.facts.position), each.decision, rows.span_ids[each.row])

    async def _report_outcomes(self, rows: Rows, outcomes: Sequence[tuple[int, Offer]]) -> None:
        await keyed.look(self._state, known := keyed.Seen(INTERVENTIONS, [offer.id for _, offer in outcomes]))
        for row, offer in outcomes:
            kept = known.states[offer.id]
            self._observer.outcome(
                OutcomeEvent(
                    offer.id,
                    decision_id_of(offer.id),
                    offer.outcome,
                    kept.trace_id if kept else b"",
                    rows.trace_ids[row],
                    rows.span_ids[row],
                )
            )


def _made(batch: Batch, rows: Rows, row: int, decided: Decided, policies: Mapping[int, Policy]) -> Created | None:
    kept = decided.exceptional
    if kept is None or kept.verdict.intervention is None:
        return None
    # The decision may have used the time zone of an earlier event, which the row itself lacks.
    facts = msgspec.structs.replace(facts_of(batch, rows, row), time_zone=kept.time_zone)
    decision = Decision(facts, kept.standing, kept.verdict, policies[rows.record_indexes[row]].version)
    return Created(row, decision, kept.verdict.intervention)
