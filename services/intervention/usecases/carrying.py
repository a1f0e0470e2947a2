"""What is done with one message that has come up: look whether it is wanted, note the attempt, send, note the end."""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Final

from mesh import keyed
from mesh.patience import patiently
from mesh.state import StateStore
from services.intervention.domain import delivery, outcome, pending
from services.intervention.domain.delivery import Deferred, Parcel, Refused, Slip, Unanswered
from services.intervention.domain.facts import Contact, Outcome
from services.intervention.ports import Channel, Claimed, DeliveryWitness, Outbox
from services.intervention.states import CONTACTS, UNDELIVERED, USERS, WORDINGS
from services.intervention.usecases import following

LEASE_US: Final = 60_000_000
"""How long a message is left to one sender: longer than an attempt, with what is noted before and after it."""

_SEND_SECONDS: Final = 20.0
# For so long a note is tried again where the store is away: within the lease, it comes before and after an attempt.
_PATIENCE_SECONDS: Final = LEASE_US / 4 / 1e6
# What is on its way from one user to another has arrived by then.
_ARRIVING_US: Final = 2_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Tried:
    """What an attempt told of the provider: whether it works, and how long it wants to be left alone."""

    is_good: bool
    retry_after_us: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """What goes out: the words and where to."""

    text: str
    contact: Contact


class Carrier:
    """Carries messages one by one; calls may run side by side."""

    def __init__(
        self,
        outbox: Outbox,
        state: StateStore,
        witness: DeliveryWitness,
        clock: Callable[[], int],
        draw: Callable[[], float],
    ) -> None:
        self._outbox = outbox
        self._state = state
        self._witness = witness
        self._clock = clock
        self._draw = draw
        # Two messages of one user may fail at once. Those of other processes are not locked out: then one entry may be
        # lost, and a cap counts a message that was not sent.
        self._filing = asyncio.Lock()

    async def carry(self, claimed: Claimed, channel: Channel) -> Tried | None:
        """Brings a claimed message as far as it can be brought now. None where the provider was not tried.

        Raises:
            Unavailable: the store is away; the message comes up again when its claim ends.
        """
        slip = claimed.slip
        if not slip.is_waiting:
            await self._file(claimed)
            self._witness.noted(slip)
            return None
        if slip.is_doubtful and not channel.is_repeatable:
            await self._end(claimed, delivery.failed(slip, "no_answer", self._clock(), is_doubtful=True))
            return None
        wanted = await self._look(slip.parcel)
        if wanted is None:
            await self._update(claimed, slip, self._clock() + _ARRIVING_US)
            return None
        if isinstance(wanted, str):
            await self._end(claimed, delivery.cancelled(slip, wanted, self._clock()))
            return None
        begun = await self._begin(claimed, channel)
        return await self._attempt(begun, slip, wanted, channel) if begun else None

    async def _look(self, parcel: Parcel) -> _Wanted | str | None:
        """What to send, as of now; or why it is not wanted any more. None while it is on its way to another user."""
        user_id = parcel.user_id
        users, contacts = keyed.Seen(USERS, [user_id]), keyed.Seen(CONTACTS, [user_id])
        await keyed.look(self._state, users, contacts, words := keyed.Seen(WORDINGS, [parcel.intervention_id]))
        helped, reached = users.states[user_id], contacts.states[user_id]
        now_us = self._clock()
        if helped.away is not None and pending.offer_of(helped, parcel.intervention_id) is None:
            owner = await following.owner(self._state, parcel.user_id, parcel.intervention_id)
            if owner.is_on_its_way and parcel.expires_us > now_us:
                return None
            helped, reached = owner.helped, await self._reached(reached, owner.user_id)
        offer = pending.offer_of(helped, parcel.intervention_id)
        became = pending.outcome_at(helped, parcel.intervention_id, now_us)
        if offer is None or became is None:
            return "taken_back"
        if parcel.expires_us <= now_us or became is Outcome.EXPIRED:
            return "expired"
        if became is Outcome.WITHDRAWN:
            return offer.withdrawal.name.lower()
        if not outcome.is_waiting(became):
            return "answered"
        found = words.states[parcel.intervention_id]
        text = found.text if found is not None and found.is_used else parcel.text
        return _Wanted(text, reached)

    async def _reached(self, told: Contact, user_id: str) -> Contact:
        """Where somebody can be reached who is another by now: as told then, else as told of the other."""
        known = await keyed.read(self._state, CONTACTS, user_id)
        return Contact(told.email or known.email, told.push_target or known.push_target)

    async def _begin(self, claimed: Claimed, channel: Channel) -> Claimed | None:
        now_us = self._clock()
        begun = delivery.begun(claimed.slip, channel.provider, now_us)
        is_ours = await self._update(claimed, begun, now_us + LEASE_US)
        return Claimed(begun, now_us + LEASE_US) if is_ours else None

    async def _attempt(self, begun: Claimed, before: Slip, wanted: _Wanted, channel: Channel) -> Tried:
        parcel, slip = begun.slip.parcel, begun.slip
        try:
            with self._witness.sending(slip):
                async with asyncio.timeout(_SEND_SECONDS):
                    told = await channel.send(parcel, wanted.text, wanted.contact, parcel.key)
        except Deferred as refusal:
            await self._put_off(begun, refusal.reason, refusal.retry_after_us, is_doubtful=before.is_doubtful)
            return Tried(is_good=False, retry_after_us=refusal.retry_after_us)
        except Refused as refusal:
            is_doubtful = before.is_doubtful
            await self._end(begun, delivery.failed(slip, refusal.reason, self._clock(), is_doubtful=is_doubtful))
            return Tried(is_good=True)
        except (Unanswered, TimeoutError) as silence:
            reason = silence.reason if isinstance(silence, Unanswered) else "no_answer"
            if channel.is_repeatable:
                await self._put_off(begun, reason, 0, is_doubtful=True)
            else:
                await self._end(begun, delivery.failed(slip, reason, self._clock(), is_doubtful=True))
            return Tried(is_good=False)
        await self._end(begun, delivery.sent(slip, told.provider_id, self._clock()))
        return Tried(is_good=True)

    async def _put_off(self, begun: Claimed, reason: str, retry_after_us: int, *, is_doubtful: bool) -> None:
        """Waits for another attempt, if there is time for one."""
        slip, now_us = begun.slip, self._clock()
        due_us = now_us + max(retry_after_us, delivery.wait_us(slip.attempt_count, self._draw()))
        if due_us < slip.parcel.expires_us:
            after = delivery.deferred(slip, reason, due_us, is_doubtful=is_doubtful)
            if await self._update(begun, after, due_us):
                self._witness.noted(after)
        else:
            await self._end(begun, delivery.failed(slip, reason, now_us, is_doubtful=is_doubtful))

    async def _end(self, claimed: Claimed, slip: Slip) -> None:
        """Notes how it ended. What did not go out is filed before it is let go: a crash between loses neither."""
        if not slip.is_undelivered:
            is_noted = await self._update(claimed, slip, None)
        else:
            until_us = self._clock() + LEASE_US
            is_noted = await self._update(claimed, slip, until_us)
            if is_noted:
                await self._file(Claimed(slip, until_us))
        if is_noted:
            self._witness.noted(slip)

    async def _file(self, claimed: Claimed) -> None:
        parcel = claimed.slip.parcel
        owner = await following.owner(self._state, parcel.user_id, parcel.intervention_id)
        async with self._filing:
            known = await keyed.read(self._state, UNDELIVERED, owner.user_id)
            after = delivery.with_undelivered(known, [(parcel.intervention_id, parcel.channel)])
            await self._state.save({UNDELIVERED.key(owner.user_id): UNDELIVERED.encode(after)}, None)
        await self._update(claimed, claimed.slip, None)

    async def _update(self, claimed: Claimed, slip: Slip, due_us: int | None) -> bool:
        """Notes it, and tries for a while where the store is away: what is not noted is in doubt."""
        return await patiently(lambda: self._outbox.update(claimed, slip, due_us), _PATIENCE_SECONDS)
