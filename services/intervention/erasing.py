"""Erases a person: their state, messages and interventions; the ledger keeps their decisions under a pseudonym.

Lift and audit keep their counts that way: a decision still says when it was made, why, and what it brought.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from mesh.state import erasing, keyed
from mesh.state.port import StateStore
from services.intervention.decision.domain import ledger as pages
from services.intervention.decision.domain.ledger import Block
from services.intervention.decision.ids import user_name
from services.intervention.decision.ports import Ledger, Reference
from services.intervention.decision.state import CONTACTS, INTERVENTIONS, UNDELIVERED, USERS
from services.intervention.delivery.ports import Outbox
from services.intervention.language.state import GENERATED_COPY
from services.intervention.lift.ports import Reports

_BLOCKS_AT_ONCE: Final = 16
_ATTEMPTS: Final = 5


class Page(NamedTuple):
    """A block of the ledger with rows of the person."""

    reference: Reference
    stored: bytes
    block: Block
    rows: Sequence[int]


class Erasing:
    """Counts and erases what is kept of a person. Nobody else may be about to write anything of the person."""

    def __init__(self, state: StateStore, ledger: Ledger, outbox: Outbox, reports: Reports) -> None:
        self._state = state
        self._ledger = ledger
        self._outbox = outbox
        self._reports = reports

    async def kept(self, user_ids: Sequence[str]) -> dict[str, int]:
        """How many entries are kept of a person with these ids, by store; of the ledger, decisions."""
        made, decisions = dict.fromkeys(await offered(self._state, user_ids)), 0
        async for page in pages_of(self._ledger, user_ids):
            decisions += len(page.rows)
            made.update(dict.fromkeys(pages.interventions_of(page.block, page.rows)))
        messages = await self._outbox.deliveries([*made])
        return {
            "intervention.users": await erasing.count(self._state, _keys_of_users(user_ids)),
            "intervention.made": await erasing.count(self._state, _keys_of_made([*made])),
            "intervention.outbox": sum(map(len, messages)),
            "intervention.ledger": decisions,
            "intervention.reports": len(await self._reports.of_users(user_ids)),
        }

    async def erase(self, user_ids: Sequence[str], pseudonym: str) -> None:
        """Erases a person with these ids. May be repeated: whatever leads to something else goes after it.

        Raises:
            Unavailable: some may be erased.
        """
        await self._erase_made(await offered(self._state, user_ids))
        async for page in pages_of(self._ledger, user_ids):
            await self._erase_made(pages.interventions_of(page.block, page.rows))
            await self._rewrite(page, user_ids, pseudonym)
        await self._ledger.forget([*map(user_name, user_ids)])
        await self._reports.remove(await self._reports.of_users(user_ids))
        await erasing.erase(self._state, _keys_of_users(user_ids))

    async def _erase_made(self, made: Sequence[str]) -> None:
        await self._outbox.remove(made)
        await erasing.erase(self._state, _keys_of_made(made))

    async def _rewrite(self, page: Page, user_ids: Sequence[str], pseudonym: str) -> None:
        """Puts the pseudonym in the place of the person, also if another erasure rewrites the block meanwhile."""
        for _ in range(_ATTEMPTS):
            after = pages.encode(pages.pseudonymised(page.block, page.rows, pseudonym))
            if await self._ledger.rewrite(page.reference, page.stored, after):
                return
            (stored,) = await self._ledger.blocks([page.reference])
            found = _page(page.reference, stored, user_ids)
            if found is None:
                return
            page = found


async def offered(state: StateStore, user_ids: Sequence[str]) -> list[str]:
    """The interventions that the state of a person names."""
    await keyed.look(state, seen := keyed.Seen(USERS, user_ids))
    return [offer.id for user in seen.states.values() for offer in user.offers]


async def pages_of(ledger: Ledger, user_ids: Sequence[str]) -> AsyncIterator[Page]:
    """The blocks with rows of a person. Reads the whole ledger: names find a user's last decisions only."""
    async for references in ledger.references():
        for start in range(0, len(references), _BLOCKS_AT_ONCE):
            some = references[start : start + _BLOCKS_AT_ONCE]
            for reference, stored in zip(some, await ledger.blocks(some), strict=True):
                page = _page(reference, stored, user_ids)
                if page is not None:
                    yield page


def _page(reference: Reference, stored: bytes | None, user_ids: Sequence[str]) -> Page | None:
    # Ids stand in a block as they are, so most blocks need not be decoded.
    if stored is None or not any(user_id.encode() in stored for user_id in user_ids):
        return None
    block = pages.decode(stored)
    rows = [row for row, user_id in enumerate(block.user_ids) if user_id in user_ids]
    return Page(reference, stored, block, rows) if rows else None


def _keys_of_users(user_ids: Sequence[str]) -> list[str]:
    return [kind.key(user_id) for kind in (USERS, UNDELIVERED, CONTACTS) for user_id in user_ids]


def _keys_of_made(made: Sequence[str]) -> list[str]:
    return [kind.key(each) for kind in (INTERVENTIONS, GENERATED_COPY) for each in made]
