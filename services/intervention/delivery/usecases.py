"""Delivery workers: one per channel, so that a slow or broken channel holds back none of the others.

For each message that is due, a worker checks that it is still wanted, stores the attempt, sends, and stores the result.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Final

from mesh.errors import Unavailable
from mesh.retry import backoff_seconds, retry
from mesh.state import keyed
from mesh.state.port import StateStore
from services.intervention.decision import ownership
from services.intervention.decision.domain import outcome, user_state
from services.intervention.decision.domain.facts import Contact, Outcome
from services.intervention.decision.domain.offer import with_undelivered
from services.intervention.decision.state import CONTACTS, UNDELIVERED, USERS
from services.intervention.delivery.domain import delivery, recommending
from services.intervention.delivery.domain.delivery import Deferred, OutboxEntry, OutboxMessage, Refused, Unanswered
from services.intervention.delivery.ports import Channel, Claimed, DeliveryObserver, Outbox
from services.intervention.language.state import GENERATED_COPY

LEASE_US: Final = 60_000_000
"""How long a claim lasts: longer than an attempt with its updates before and after."""

_SEND_SECONDS: Final = 20.0
# How long an update is retried while the store is away. An attempt has one before and one after it, within the lease.
_PATIENCE_SECONDS: Final = LEASE_US / 4 / 1e6
# What moves from one user to another has arrived by then.
_ARRIVING_US: Final = 2_000_000
_FAILURES_BEFORE_PAUSE: Final = 3
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_DRAIN_SECONDS: Final = 20.0

_log: Final = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class AttemptResult:
    """What an attempt showed of the provider: whether it works, and how long to leave it alone."""

    is_good: bool
    retry_after_us: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """What goes out: the words and where to."""

    text: str
    contact: Contact


class Deliverer:
    """Delivers one message at a time; calls may run side by side."""

    def __init__(
        self,
        outbox: Outbox,
        state: StateStore,
        observer: DeliveryObserver,
        clock: Callable[[], int],
        draw: Callable[[], float],
    ) -> None:
        self._outbox = outbox
        self._state = state
        self._observer = observer
        self._clock = clock
        self._draw = draw
        # Two messages of one user may fail at once. The lock does not keep other processes out: if one of them files at
        # the same moment, an entry may be lost, and a cap counts a message that was not sent.
        self._filing = asyncio.Lock()

    async def deliver(self, claimed: Claimed, channel: Channel) -> AttemptResult | None:
        """Takes a claimed message as far as possible now. None if the provider was not tried.

        Raises:
            Unavailable: the store is away; the message comes up again when its claim ends.
        """
        entry = claimed.entry
        if not entry.is_waiting:
            await self._file(claimed)
            self._observer.noted(entry)
            return None
        if entry.is_doubtful and not channel.is_repeatable:
            await self._end(claimed, delivery.failed(entry, "no_answer", self._clock(), is_doubtful=True))
            return None
        wanted = await self._look(entry.message)
        if wanted is None:
            await self._update(claimed, entry, self._clock() + _ARRIVING_US)
            return None
        if isinstance(wanted, str):
            await self._end(claimed, delivery.cancelled(entry, wanted, self._clock()))
            return None
        begun = await self._begin(claimed, channel)
        return await self._attempt(begun, entry, wanted, channel) if begun else None

    async def _look(self, message: OutboxMessage) -> _Wanted | str | None:
        """What to send now, or the reason why it is no longer wanted. None while it moves to another user."""
        user_id = message.user_id
        users, contacts = keyed.Seen(USERS, [user_id]), keyed.Seen(CONTACTS, [user_id])
        await keyed.look(self._state, users, contacts, words := keyed.Seen(GENERATED_COPY, [message.intervention_id]))
        user, reached = users.states[user_id], contacts.states[user_id]
        now_us = self._clock()
        if user.away is not None and user_state.offer_of(user, message.intervention_id) is None:
            owner = await ownership.owner(self._state, message.user_id, message.intervention_id)
            if owner.is_on_its_way and message.expires_us > now_us:
                return None
            user, reached = owner.user, await self._reached(reached, owner.user_id)
        offer = user_state.offer_of(user, message.intervention_id)
        current = user_state.outcome_at(user, message.intervention_id, now_us)
        if offer is None or current is None:
            return "taken_back"
        if message.expires_us <= now_us or current is Outcome.EXPIRED:
            return "expired"
        if current is Outcome.WITHDRAWN:
            return offer.withdrawal.name.lower()
        if not outcome.is_waiting(current):
            return "answered"
        found = words.states[message.intervention_id]
        text = found.text if found is not None and found.is_used else message.text
        waits = user.waiting
        if message.channel == recommending.CHANNEL and waits is not None and waits.id == message.intervention_id:
            text = recommending.words(text, waits.products)  # without what was bought since it was offered
        return _Wanted(text, reached)

    async def _reached(self, contact: Contact, user_id: str) -> Contact:
        """The contact of a user who was linked since, filled up with what is known of the linked user."""
        known = await keyed.read(self._state, CONTACTS, user_id)
        return Contact(contact.email or known.email, contact.push_target or known.push_target)

    async def _begin(self, claimed: Claimed, channel: Channel) -> Claimed | None:
        now_us = self._clock()
        begun = delivery.begun(claimed.entry, channel.provider, now_us)
        is_ours = await self._update(claimed, begun, now_us + LEASE_US)
        return Claimed(begun, now_us + LEASE_US) if is_ours else None

    async def _attempt(self, begun: Claimed, before: OutboxEntry, wanted: _Wanted, channel: Channel) -> AttemptResult:
        message, entry = begun.entry.message, begun.entry
        try:
            with self._observer.sending(entry):
                async with asyncio.timeout(_SEND_SECONDS):
                    sent = await channel.send(message, wanted.text, wanted.contact, message.key)
        except Deferred as refusal:
            await self._put_off(begun, refusal.reason, refusal.retry_after_us, is_doubtful=before.is_doubtful)
            return AttemptResult(is_good=False, retry_after_us=refusal.retry_after_us)
        except Refused as refusal:
            is_doubtful = before.is_doubtful
            await self._end(begun, delivery.failed(entry, refusal.reason, self._clock(), is_doubtful=is_doubtful))
            return AttemptResult(is_good=True)
        except (Unanswered, TimeoutError) as silence:
            reason = silence.reason if isinstance(silence, Unanswered) else "no_answer"
            if channel.is_repeatable:
                await self._put_off(begun, reason, 0, is_doubtful=True)
            else:
                await self._end(begun, delivery.failed(entry, reason, self._clock(), is_doubtful=True))
            return AttemptResult(is_good=False)
        await self._end(begun, delivery.sent(entry, sent.provider_id, self._clock()))
        return AttemptResult(is_good=True)

    async def _put_off(self, begun: Claimed, reason: str, retry_after_us: int, *, is_doubtful: bool) -> None:
        """Waits for another attempt, if there is time for one."""
        entry, now_us = begun.entry, self._clock()
        due_us = now_us + max(retry_after_us, delivery.wait_us(entry.attempt_count, self._draw()))
        if due_us < entry.message.expires_us:
            after = delivery.deferred(entry, reason, due_us, is_doubtful=is_doubtful)
            if await self._update(begun, after, due_us):
                self._observer.noted(after)
        else:
            await self._end(begun, delivery.failed(entry, reason, now_us, is_doubtful=is_doubtful))

    async def _end(self, claimed: Claimed, entry: OutboxEntry) -> None:
        """Stores the final state. An undelivered entry is filed before its claim ends: a crash loses neither."""
        if not entry.is_undelivered:
            is_noted = await self._update(claimed, entry, None)
        else:
            until_us = self._clock() + LEASE_US
            is_noted = await self._update(claimed, entry, until_us)
            if is_noted:
                await self._file(Claimed(entry, until_us))
        if is_noted:
            self._observer.noted(entry)

    async def _file(self, claimed: Claimed) -> None:
        message = claimed.entry.message
        owner = await ownership.owner(self._state, message.user_id, message.intervention_id)
        async with self._filing:
            known = await keyed.read(self._state, UNDELIVERED, owner.user_id)
            after = with_undelivered(known, [(message.intervention_id, message.channel)])
            await self._state.save({UNDELIVERED.key(owner.user_id): UNDELIVERED.encode(after)}, None)
        await self._update(claimed, claimed.entry, None)

    async def _update(self, claimed: Claimed, entry: OutboxEntry, due_us: int | None) -> bool:
        """Stores an entry, retrying while the store is away, as an attempt that is not stored would be in doubt."""
        return await retry(lambda: self._outbox.update(claimed, entry, due_us), _PATIENCE_SECONDS)


class DeliveryWorkers:
    """The delivery workers of this process; many processes may share one outbox.

    Args:
        outbox: what is to be sent.
        channels: every channel by its name.
        state: users, contacts and generated copy.
        observer: wraps every attempt.
        clock: the time in Unix microseconds, by which messages are due and expire.
        draw: a random number from 0 to 1, for waiting times.
        concurrency: how many messages of one channel are sent at a time.
        poll_seconds: how often the workers look at the outbox without `notice`.
    """

    def __init__(
        self,
        outbox: Outbox,
        channels: Mapping[str, Channel],
        state: StateStore,
        observer: DeliveryObserver,
        clock: Callable[[], int],
        draw: Callable[[], float],
        *,
        concurrency: int,
        poll_seconds: float = 1.0,
    ) -> None:
        deliverer = Deliverer(outbox, state, observer, clock, draw)
        self._workers = [
            _DeliveryWorker(name, channel, outbox, deliverer, clock, ChannelBackoff(draw), concurrency, poll_seconds)
            for name, channel in channels.items()
        ]

    async def run(self) -> None:
        """Sends until it is cancelled; then claims nothing more and gives running attempts 20 seconds to end."""
        running = [asyncio.create_task(worker.run()) for worker in self._workers]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            # Workers are asked to stop, not cancelled: a message whose attempt is cancelled stays in doubt, and the
            # store's client may swallow a cancellation.
            for worker in self._workers:
                worker.stop()
            while not all(each.done() for each in running):
                # The workers end soon by themselves; another cancellation of this task does not hurry them.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait(running)
            for each in running:
                each.result()

    def notice(self) -> None:
        """Makes the workers look at the outbox now."""
        for worker in self._workers:
            worker.wake()


class ChannelBackoff:
    """Backoff of one channel: after three failures in a row it rests, longer each time, then tries once.

    Times are seconds of a clock that never goes back.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._failures = 0
        self._resumes_at = 0.0

    def room(self, now: float, limit: int) -> int:
        """How many messages may be in flight: none during a rest, one after it, else the limit."""
        if now < self._resumes_at:
            return 0
        return 1 if self._failures >= _FAILURES_BEFORE_PAUSE else limit

    def rest_seconds(self, now: float) -> float:
        """How much of the rest is left; 0 if there is none."""
        return max(0.0, self._resumes_at - now)

    def tried(self, attempt: AttemptResult, now: float) -> None:
        """Records an attempt. Attempts that were running when the rest began do not prolong it."""
        if attempt.is_good:
            self._failures = 0
            return
        if now >= self._resumes_at:
            self._failures += 1
        excess = self._failures - _FAILURES_BEFORE_PAUSE
        pause = attempt.retry_after_us / 1e6
        if excess >= 0:
            chance = 0.5 + 0.5 * self._draw()
            pause = max(pause, backoff_seconds(excess + 1, _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, chance))
        if now >= self._resumes_at or attempt.retry_after_us:
            self._resumes_at = max(self._resumes_at, now + pause)


class _DeliveryWorker:
    """Delivers the messages of one channel."""

    def __init__(
        self,
        name: str,
        channel: Channel,
        outbox: Outbox,
        deliverer: Deliverer,
        clock: Callable[[], int],
        backoff: ChannelBackoff,
        limit: int,
        poll_seconds: float,
    ) -> None:
        self._name = name
        self._channel = channel
        self._outbox = outbox
        self._deliverer = deliverer
        self._clock = clock
        self._backoff = backoff
        self._limit = limit
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()
        self._is_stopping = False
        self._under_way: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Looks at the outbox now."""
        self._woken.set()

    def stop(self) -> None:
        """Claims nothing more; `run` returns once what is in flight has ended."""
        self._is_stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Sends what is due as far as there is room, until it is stopped."""
        while not self._is_stopping:
            self._woken.clear()
            if not await self._take():
                await self._rest()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_DRAIN_SECONDS)
        for task in self._under_way:
            task.cancel()

    async def _take(self) -> int:
        """Starts to send what is due; returns how many."""
        room = self._backoff.room(_now(), self._limit) - len(self._under_way)
        if room <= 0:
            return 0
        try:
            due = await self._outbox.claim(self._name, self._clock(), room, LEASE_US)
        except Unavailable:
            return 0
        for claimed in due:
            task = asyncio.create_task(self._deliver(claimed))
            self._under_way.add(task)
            task.add_done_callback(self._done)
        return len(due)

    async def _deliver(self, claimed: Claimed) -> None:
        try:
            tried = await self._deliverer.deliver(claimed, self._channel)
        except Unavailable:
            return
        except Exception:  # noqa: BLE001 - one message's fault is not the others'; it comes up again, in doubt
            _log.exception("A message by %s could not be sent", self._name)
            tried = AttemptResult(is_good=False)
        if tried is not None:
            self._backoff.tried(tried, _now())

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._woken.set()

    async def _rest(self) -> None:
        rest_seconds = self._backoff.rest_seconds(_now())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rest_seconds or self._poll_seconds):
                await self._woken.wait()


def _now() -> float:
    return asyncio.get_running_loop().time()
