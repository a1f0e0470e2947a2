"""The users of a batch, as its rows change them."""

import dataclasses
from collections.abc import Mapping, Sequence

from mesh.state.applied import Batch
from services.intervention.batch.rows import Rows, facts_of
from services.intervention.decision.domain import decision, linking, user_state
from services.intervention.decision.domain.decision import Decided
from services.intervention.decision.domain.facts import Facts
from services.intervention.decision.domain.offer import Offer, Undelivered
from services.intervention.decision.domain.user_state import UserState
from services.intervention.decision.ids import intervention_id
from services.intervention.lift.domain.tally import Change
from services.intervention.lift.state import tally_name
from services.intervention.policy.domain.policy import Policy, governing


@dataclasses.dataclass(frozen=True, slots=True)
class Users:
    """The states of the users of a batch, by id, before and after its rows."""

    batch: Batch
    rows: Rows
    before: Mapping[str, UserState]
    after: dict[str, UserState]
    undelivered: Mapping[str, Undelivered]
    outcomes: list[tuple[int, Offer]] = dataclasses.field(default_factory=list)
    """The offers that got an outcome, each with the row that brought it."""
    counts: dict[str, list[Change]] = dataclasses.field(default_factory=dict)
    """Changes to the counts of the lift, by the name of the tally that they belong to."""
    transfers: dict[int, bytes] = dataclasses.field(default_factory=dict)
    """By row, the encoded state that moves to a known user."""

    def changed(self) -> list[str]:
        """The ids of the users whose state has changed."""
        return [user_id for user_id, user in self.after.items() if user != self.before[user_id]]

    def note(self, row: int, facts: Facts, offers: Sequence[Offer], after: UserState) -> None:
        """Records the user after a row, and the outcomes that `offers` did not have yet."""
        before = self.after[facts.user_id]
        self.after[facts.user_id] = after
        if after.offers is not offers:
            self.outcomes.extend((row, each) for each in user_state.outcomes_since(offers, after))
        if after.exposed != before.exposed:
            changes = self.counts.setdefault(tally_name(self.batch.shard, facts.user_id), [])
            changes.append((before.exposed, after.exposed))

    def decide(self, policy: Policy, row: int) -> Decided:
        """Decides on a row."""
        facts = facts_of(self.batch, self.rows, row)
        own, _ = governing(policy, facts.user_id)
        user = self._arrive(own, facts, row)
        undelivered = self.undelivered[facts.user_id]
        decided = decision.decide(policy, facts, user, undelivered, intervention_id(facts.position))
        self.note(row, facts, user.offers, decided.user)
        self._leave(own, facts, row)
        return decided

    def take_effect(self, policy: Policy, row: int) -> None:
        """Applies a row that is not decided on itself."""
        facts = facts_of(self.batch, self.rows, row)
        own, _ = governing(policy, facts.user_id)
        user = self._arrive(own, facts, row)
        self.note(row, facts, user.offers, decision.take_effect(own, facts, user))
        self._leave(own, facts, row)

    def _arrive(self, policy: Policy, facts: Facts, row: int) -> UserState:
        """The user of a row, who has received the transfer that the row carries, if any."""
        user = self.after[facts.user_id]
        if row not in self.rows.transfers:
            return user
        moving = self.rows.transfers[row]
        arrived = linking.arrived(policy, user, moving, facts)
        self.note(row, facts, (*user.offers, *moving.offers), arrived)
        return arrived

    def _leave(self, policy: Policy, facts: Facts, row: int) -> None:
        """Moves the state of an anonymous user away, if the row links it to a known one."""
        if row not in self.rows.linked:
            return
        before = self.after[facts.user_id]
        known = user_state.lapsed(policy, before, facts.received_us)
        self.note(row, facts, before.offers, known)
        undelivered = self.undelivered[facts.user_id]
        after, transfer = linking.left(known, undelivered, self.rows.linked[row], facts.received_us)
        self.note(row, facts, after.offers, after)
        if transfer:
            self.transfers[row] = transfer
