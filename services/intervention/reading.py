"""Reads: what waits for a user, the status of an intervention, the ledger, and the lift."""

import asyncio
import contextlib
import dataclasses
import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, TypeVar

from mesh.errors import NotFound
from mesh.state import keyed
from mesh.state.port import Shards, StateStore
from mesh.stored import reading
from records.tenants import plain, tenant_of
from services.intervention.decision import ids, ownership
from services.intervention.decision.domain import ledger as pages
from services.intervention.decision.domain import outcome, user_state
from services.intervention.decision.domain.decision import derive
from services.intervention.decision.domain.facts import EventPosition, Outcome
from services.intervention.decision.domain.ledger import Block, Decision
from services.intervention.decision.domain.offer import WithdrawalReason, Withdrawn
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.decision.ids import DECISION_PREFIX, INTERVENTION_PREFIX, position_of, trace_name, user_name
from services.intervention.decision.ports import Ledger, Listeners, Reference
from services.intervention.decision.state import INTERVENTIONS, USERS
from services.intervention.delivery.domain.delivery import Delivery
from services.intervention.delivery.ports import Outbox
from services.intervention.language.domain.analysis import Helping, Past
from services.intervention.language.domain.generated_copy import GeneratedCopy
from services.intervention.language.state import GENERATED_COPY
from services.intervention.lift.domain import lift, tally
from services.intervention.lift.domain.lift import Counts, Estimate
from services.intervention.lift.domain.tally import Cell
from services.intervention.lift.state import TALLIES
from services.intervention.policy.domain.policy import IN_APP, Policy
from services.intervention.policy.usecases import Policies

READS_AT_ONCE: Final = 2
"""Concurrent reads by operators: together they take at most half of the process; the rest is for decisions."""
_TURN_SECONDS: Final = 0.002
_OTHERS_TURNS: Final = 3

_Piece = TypeVar("_Piece")
Wanted = Callable[[Block], Iterable[int]]
"""Picks rows of a block."""
_NOT_FOUND: Final = "No intervention with this id."
_BLOCKS_AT_ONCE: Final = 4
_ANALYZED_DECISIONS: Final = 5
_ENGAGEMENT: Final = "engagement_score"


async def in_turns(pieces: Iterable[_Piece]) -> list[_Piece]:
    """The pieces in their order, each made when its turn comes.

    After 2 ms of work the rest of the process has three times as long, so this takes at most a quarter of it.
    """
    loop = asyncio.get_running_loop()
    made: list[_Piece] = []
    began = loop.time()
    for piece in pieces:
        made.append(piece)
        took = loop.time() - began
        if took >= _TURN_SECONDS:
            await asyncio.sleep(_OTHERS_TURNS * took)
            began = loop.time()
    return made


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """The intervention that waits for a user, None where none does, its generated copy, and a cursor of both.

    `withdrawn` is what waited last, if it was taken back and nothing has waited since.
    """

    cursor: int
    intervention: Intervention | None
    generated_copy: GeneratedCopy | None = None
    withdrawn: Withdrawn | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class InterventionStatus:
    """An intervention and its outcome so far. The user is its present owner."""

    user_id: str
    intervention: Intervention
    generated_copy: GeneratedCopy | None
    outcome: Outcome
    is_ended: bool
    deliveries: Sequence[Delivery]
    withdrawal: WithdrawalReason = WithdrawalReason.NONE


@dataclasses.dataclass(frozen=True, slots=True)
class Lifts:
    """What help changed in an experiment: each comparison with its dimension and name, and how far to trust them."""

    experiment: str
    estimates: Sequence[tuple[str, str, Counts, Estimate]]
    sample_ratio_p_value: float
    holdout_share: float


class Reading:
    """Reads for the gRPC face."""

    def __init__(
        self,
        policies: Policies,
        state: StateStore,
        shards: Shards,
        ledger: Ledger,
        outbox: Outbox,
        listeners: Listeners,
        clock: Callable[[], int],
        *,
        poll_seconds: float,
    ) -> None:
        self.policies = policies
        self._state = state
        self._shards = shards
        self._ledger = ledger
        self._outbox = outbox
        self._listeners = listeners
        self._clock = clock
        self._poll_seconds = poll_seconds

    async def waiting(self, user_id: str) -> Waiting:
        """What waits for a user now."""
        user = await keyed.read(self._state, USERS, user_id)
        found = await self._generated_copy(user.waiting) if user.waiting else None
        used = found if found and found.is_used else None
        now_us = self._clock()
        cursor = user_state.cursor_at(user, now_us, has_generated_copy=used is not None)
        help_ = user_state.waiting_at(user, now_us)
        # Help that goes by e-mail alone is not shown in the product as well.
        is_shown = help_ is not None and IN_APP in help_.channels
        return Waiting(cursor, help_ if is_shown else None, used, user.withdrawn)

    async def watch(self, user_id: str, cursor: int | None, *, wants_unchanged: bool) -> AsyncIterator[Waiting | None]:
        """What waits for a user now, unless the cursor is up to date, and then every change, without end.

        If it is up to date, None comes first where that is wanted.

        Changes made by this process are yielded at once, those of others after at most the poll time.
        """
        with contextlib.closing(self._listeners.listen(user_id)) as listener:
            while True:
                now = await self.waiting(user_id)
                if now.cursor != cursor:
                    cursor = now.cursor
                    yield now
                elif wants_unchanged:
                    yield None
                wants_unchanged = False
                left_seconds = self._poll_seconds
                if now.intervention is not None:
                    left_seconds = (now.intervention.expires_us - self._clock()) / 1e6
                await listener.wait(min(self._poll_seconds, max(0.0, left_seconds)))

    async def intervention(self, intervention_id: str) -> InterventionStatus:
        """An intervention with its outcome so far.

        Raises:
            NotFound: `INTERVENTION_NOT_FOUND`.
        """
        is_one = position_of(INTERVENTION_PREFIX, intervention_id) is not None
        kept = await keyed.read(self._state, INTERVENTIONS, intervention_id) if is_one else None
        if kept is None:
            raise NotFound("INTERVENTION_NOT_FOUND", _NOT_FOUND)
        return await self._followed(kept.user_id, kept.intervention)

    async def helping(self, user_id: str) -> Helping:
        """What waits for a user, and the last decisions; for the analysis of the user."""
        waiting = (await self.waiting(user_id)).intervention
        decided = await self.decisions_of_user(user_id, _ANALYZED_DECISIONS)
        # Without values at a low risk.
        known = (dict(zip(each.facts.feature_names, each.facts.features, strict=False)) for each in decided)
        return Helping(
            waiting_action=waiting.action if waiting else "",
            waiting_channel=waiting.channel if waiting else "",
            past=tuple([_past(each, await self.status(each)) for each in decided]),
            engagement_score=next((each[_ENGAGEMENT] for each in known if _ENGAGEMENT in each), None),
        )

    async def status(self, decision: Decision) -> InterventionStatus | None:
        """The status of the intervention that a decision led to; None where it led to none."""
        help_ = decision.verdict.intervention
        return await self._followed(decision.facts.user_id, help_) if help_ else None

    async def decision(self, decision_id: str) -> Decision:
        """One decision.

        Raises:
            NotFound: `DECISION_NOT_FOUND`.
        """
        position = position_of(DECISION_PREFIX, decision_id)
        found = await self.decisions_at(position) if position else []
        if not found:
            raise NotFound("DECISION_NOT_FOUND", "No decision with this id.")
        return found[0]

    async def derived(self, decision_id: str, document: str) -> Decision:
        """What the policy of a document decides on the facts and the standing of one decision.

        Raises:
            InvalidArgument: `VALUE_OUT_OF_RANGE`, the document is no policy.
            NotFound: `DECISION_NOT_FOUND`.
        """
        made = await self.decision(decision_id)
        facts = made.facts
        policy = self.policies.read(document, tenant_of(facts.user_id))
        verdict = derive(policy, facts, made.standing, ids.intervention_id(facts.position))
        return Decision(facts, made.standing, verdict, policy.version)

    async def decisions_at(self, position: EventPosition) -> list[Decision]:
        """The decision that the event at a position led to; none where there is none."""

        def wanted(block: Block) -> list[int]:
            row = pages.row_of(block, position.event_index)
            return [] if row is None else [row]

        return await self._read([Reference(position.shard, position.sequence)], 1, wanted)

    async def decisions_of_user(self, user_id: str, limit: int) -> list[Decision]:
        """The last decisions on a user, newest first."""
        return await self._find(
            user_name(user_id), limit, lambda block: [row for row, each in enumerate(block.user_ids) if each == user_id]
        )

    async def decisions_of_trace(self, trace_id: bytes, limit: int) -> list[Decision]:
        """The last decisions that events of a trace led to, newest first. A client may choose it for many events."""
        return await self._find(trace_name(trace_id), limit, lambda block: pages.rows_of_trace(block, trace_id))

    async def blocks(self, references: Sequence[Reference]) -> list[tuple[Reference, Block]]:
        """The blocks of records, in their order; records whose block has expired are left out.

        Raises:
            Damaged: nobody can read one. It is not left out, or the archive would lack it without a word.
        """
        blobs = await self._ledger.blocks(references)
        known = zip(references, blobs, strict=True)
        with reading("What was decided on a record"):
            return await in_turns((at, pages.decode(blob)) for at, blob in known if blob is not None)

    async def pages(self, references: Sequence[Reference]) -> list[tuple[Reference, Policy, Block]]:
        """The blocks of records as `blocks` returns them, each with the policy that decided."""
        return [
            (at, await self.policies.find(block.policy_version), block) for at, block in await self.blocks(references)
        ]

    async def lifts(self, experiment: str) -> Lifts:
        """What help changed for a tenant's users in an experiment; without a name in that of the policy in force now.

        Args:
            experiment: with the tenant, as a qualified id has it.
        """
        tenant = tenant_of(experiment)
        name = plain(experiment) or self.policies.at(self._clock(), tenant).holdout.salt
        own = [each for each in await self._shards.all() if tenant_of(each) == tenant]
        await keyed.look(self._state, tallies := keyed.Seen(TALLIES, own))
        cells: list[Cell] = [cell for each in tallies.states.values() for cell in each]
        estimates = await in_turns(
            (dimension, value, counts, lift.estimate(counts))
            for dimension, value, counts in tally.by_dimension(cells, name)
        )
        share = self.policies.holdout_share(name, tenant)
        every = estimates[0][2]
        return Lifts(name, estimates, lift.sample_ratio_p_value(every.treated, every.holdout, share), share)

    async def _followed(self, user_id: str, help_: Intervention) -> InterventionStatus:
        owner = await ownership.owner(self._state, user_id, help_.id)
        now_us = self._clock()
        current = user_state.outcome_at(owner.user, help_.id, now_us)
        if current is None and owner.is_on_its_way and help_.expires_us > now_us:
            current = Outcome.NONE
        offer = user_state.offer_of(owner.user, help_.id)
        deliveries = await self._outbox.deliveries([help_.id])
        return InterventionStatus(
            user_id=owner.user_id,
            intervention=help_,
            generated_copy=await self._generated_copy(help_),
            outcome=current or Outcome.NONE,
            # A forgotten offer was followed by many others: it can have no further outcome.
            is_ended=current is None or outcome.is_final(current),
            deliveries=deliveries[0] if deliveries else [],
            withdrawal=offer.withdrawal if offer else WithdrawalReason.NONE,
        )

    async def _generated_copy(self, help_: Intervention) -> GeneratedCopy | None:
        return await keyed.read(self._state, GENERATED_COPY, help_.id)

    async def _find(self, name: str, limit: int, wanted: Wanted) -> list[Decision]:
        found: list[Decision] = []
        for generation in await self._ledger.find(name):
            shards: dict[str, list[Reference]] = {}
            for each in sorted(generation, key=lambda at: at.sequence, reverse=True):
                shards.setdefault(each.shard, []).append(each)
            for references in shards.values():
                found += await self._newest(references, limit, wanted)
            if len(found) >= limit:
                break
        return sorted(found, key=_age, reverse=True)[:limit]

    async def _newest(self, references: list[Reference], most: int, wanted: Wanted) -> list[Decision]:
        """Up to `most` decisions of one shard's records, the last record first, reading as few blocks as needed."""
        found: list[Decision] = []
        while references and len(found) < most:
            few, references = references[:_BLOCKS_AT_ONCE], references[_BLOCKS_AT_ONCE:]
            found += await self._read(few, most - len(found), wanted)
        return found

    async def _read(self, references: Sequence[Reference], most: int, wanted: Wanted) -> list[Decision]:
        """The decisions of the wanted rows, up to `most`; of each block the newest."""
        found: list[Decision] = []
        for at, block in await self.blocks(references):
            rows = heapq.nlargest(most - len(found), wanted(block), key=lambda row: (block.received_us[row], row))
            if rows:
                policy = await self.policies.find(block.policy_version)
                found += await in_turns(pages.decision_at(policy, block, at.shard, at.sequence, row) for row in rows)
        return found


def _past(decision: Decision, status: InterventionStatus | None) -> Past:
    reasons, help_ = decision.verdict.reasons, decision.verdict.intervention
    return Past(
        reason=reasons[0].name.lower() if reasons else "",
        action=help_.action if help_ else "",
        channel=help_.channel if help_ else "",
        outcome=status.outcome.name.lower() if status and status.outcome else "",
    )


def _age(decision: Decision) -> tuple[int, int, int]:
    facts = decision.facts
    return facts.received_us, facts.position.sequence, facts.position.event_index
