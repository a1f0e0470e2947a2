"""Exports what is kept of a person: their state, messages, interventions, and decisions with their reasons."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from mesh.state import exporting
from mesh.state.exporting import Record, record
from mesh.state.port import StateStore
from services.intervention.decision.domain import ledger as blocks
from services.intervention.decision.domain.ledger import Decision
from services.intervention.decision.ports import Ledger
from services.intervention.decision.state import CONTACTS, INTERVENTIONS, UNDELIVERED, USERS
from services.intervention.delivery.ports import Outbox
from services.intervention.erasing import offered, pages_of
from services.intervention.language.state import GENERATED_COPY
from services.intervention.lift.ports import Reports
from services.intervention.policy.usecases import Policies


class Exporting:
    """Reads what `Erasing` erases."""

    def __init__(self, state: StateStore, ledger: Ledger, outbox: Outbox, policies: Policies, reports: Reports) -> None:
        self._state = state
        self._ledger = ledger
        self._outbox = outbox
        self._policies = policies
        self._reports = reports

    async def export(self, user_ids: Sequence[str], members: Callable[[Decision], Any]) -> list[Record]:
        """All that is kept of a person with these ids.

        Args:
            user_ids: the ids.
            members: what the export says of a decision.

        Raises:
            ResourceExhausted: `EXPORT_TOO_LARGE`.
            Unavailable: the store cannot be reached.
        """
        made, decided = dict.fromkeys(await offered(self._state, user_ids)), list[Record]()
        async for page in pages_of(self._ledger, user_ids):
            made.update(dict.fromkeys(blocks.interventions_of(page.block, page.rows)))
            at, policy = page.reference, await self._policies.find(page.block.policy_version)
            decisions = (blocks.decision_at(policy, page.block, at.shard, at.sequence, row) for row in page.rows)
            decided += [record("intervention.ledger", members(each)) for each in decisions]
            exporting.bounded(decided)
        state = self._state
        return exporting.bounded(
            [
                *await exporting.states(state, "intervention.users", USERS, user_ids),
                *await exporting.states(state, "intervention.contacts", CONTACTS, user_ids),
                *await exporting.states(state, "intervention.undelivered", UNDELIVERED, user_ids),
                *await exporting.states(state, "intervention.made", INTERVENTIONS, [*made]),
                *await exporting.states(state, "intervention.copy", GENERATED_COPY, [*made]),
                *[
                    record("intervention.outbox", {"key": each, "delivery": delivery})
                    for each, deliveries in zip(made, await self._outbox.deliveries([*made]), strict=True)
                    for delivery in deliveries
                ],
                *[
                    record("intervention.reports", msgspec.structs.asdict(each))
                    for each in (await self._reports.of_users(user_ids)).values()
                ],
                *decided,
            ]
        )
