"""Sends what the outbox has, channel by channel, so that one that is slow or down holds back none of the others."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Final

from mesh.errors import Unavailable
from mesh.state import StateStore
from services.intervention.ports import Channel, Claimed, DeliveryWitness, Outbox
from services.intervention.usecases.carrying import LEASE_US, Carrier, Tried

_FAILURES_BEFORE_PAUSE: Final = 3
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_DRAIN_SECONDS: Final = 20.0

_log: Final = logging.getLogger(__name__)


class Sender:
    """Sends for this process; there may be many over one outbox.

    Args:
        outbox: what is to be sent.
        channels: every channel by its name.
        state: the store of users, contacts and wordings.
        witness: stands around every attempt.
        clock: tells what is due and what has expired.
        draw: chance for waiting times, 0 to 1.
        concurrency: messages of one channel under way at a time.
        poll_seconds: how often the outbox is looked at without notice.
    """

    def __init__(
        self,
        outbox: Outbox,
        channels: Mapping[str, Channel],
        state: StateStore,
        witness: DeliveryWitness,
        clock: Callable[[], int],
        draw: Callable[[], float],
        *,
        concurrency: int,
        poll_seconds: float = 1.0,
    ) -> None:
        carrier = Carrier(outbox, state, witness, clock, draw)
        self._lanes = [
            _Lane(name, channel, outbox, carrier, clock, Pace(draw), concurrency, poll_seconds)
            for name, channel in channels.items()
        ]

    async def run(self) -> None:
        """Sends until it is cancelled; then takes nothing more and lets what is under way end, for seconds."""
        running = [asyncio.create_task(lane.run()) for lane in self._lanes]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            # Lanes are told to stop, not cancelled: what is cancelled after an attempt stays in doubt, and the store's
            # client may swallow a cancellation.
            for lane in self._lanes:
                lane.stop()
            while not all(each.done() for each in running):
                # It ends by itself, and soon: being cancelled once more does not hurry it.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait(running)
            for each in running:
                each.result()

    def notice(self) -> None:
        """Tells that something was added; it is looked at at once."""
        for lane in self._lanes:
            lane.wake()


class Pace:
    """How fast a channel may go: after failures in a row it rests, longer each time, and then is tried once.

    Times are seconds of a clock that never goes back.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._failures = 0
        self._resumes_at = 0.0

    def room(self, now: float, limit: int) -> int:
        """How many may be under way: none during a rest, one after it, all where it works."""
        if now < self._resumes_at:
            return 0
        return 1 if self._failures >= _FAILURES_BEFORE_PAUSE else limit

    def rest_seconds(self, now: float) -> float:
        """What is left of the rest."""
        return max(0.0, self._resumes_at - now)

    def tried(self, attempt: Tried, now: float) -> None:
        """Takes note of an attempt. Those that were under way when the rest began do not make it longer."""
        if attempt.is_good:
            self._failures = 0
            return
        if now >= self._resumes_at:
            self._failures += 1
        excess = self._failures - _FAILURES_BEFORE_PAUSE
        pause = attempt.retry_after_us / 1e6
        if excess >= 0:
            drawn = 0.5 + 0.5 * self._draw()
            pause = max(pause, drawn * min(_FIRST_PAUSE_SECONDS * 2.0 ** min(excess, 16), _LONGEST_PAUSE_SECONDS))
        if now >= self._resumes_at or attempt.retry_after_us:
            self._resumes_at = max(self._resumes_at, now + pause)


class _Lane:
    """The messages of one channel."""

    def __init__(
        self,
        name: str,
        channel: Channel,
        outbox: Outbox,
        carrier: Carrier,
        clock: Callable[[], int],
        pace: Pace,
        limit: int,
        poll_seconds: float,
    ) -> None:
        self._name = name
        self._channel = channel
        self._outbox = outbox
        self._carrier = carrier
        self._clock = clock
        self._pace = pace
        self._limit = limit
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()
        self._is_stopping = False
        self._under_way: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Looks at the outbox now."""
        self._woken.set()

    def stop(self) -> None:
        """Takes nothing more; `run` returns once what is under way has ended."""
        self._is_stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Takes what is due as long as there is room, and waits for more, until it is stopped."""
        while not self._is_stopping:
            self._woken.clear()
            if not await self._take():
                await self._rest()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_DRAIN_SECONDS)
        for task in self._under_way:
            task.cancel()

    async def _take(self) -> int:
        """Begins to send what is due; gives how many."""
        room = self._pace.room(_now(), self._limit) - len(self._under_way)
        if room <= 0:
            return 0
        try:
            due = await self._outbox.claim(self._name, self._clock(), room, LEASE_US)
        except Unavailable:
            return 0
        for claimed in due:
            task = asyncio.create_task(self._carry(claimed))
            self._under_way.add(task)
            task.add_done_callback(self._done)
        return len(due)

    async def _carry(self, claimed: Claimed) -> None:
        try:
            tried = await self._carrier.carry(claimed, self._channel)
        except Unavailable:
            return
        except Exception:  # noqa: BLE001 - one message's fault is not the others'; it comes up again, in doubt
            _log.exception("a message by %s could not be sent", self._name)
            tried = Tried(is_good=False)
        if tried is not None:
            self._pace.tried(tried, _now())

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._woken.set()

    async def _rest(self) -> None:
        rest_seconds = self._pace.rest_seconds(_now())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rest_seconds or self._poll_seconds):
                await self._woken.wait()


def _now() -> float:
    return asyncio.get_running_loop().time()
