"""The verbs of ingest: accept events, give receipts, keep what failed."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from mesh.clock import Clock
from mesh.errors import NotFound
from services.ingest.domain import device
from services.ingest.domain.acceptance import Verdict, judge
from services.ingest.domain.event import Event, FailedEvent, Seen, failed_event_id
from services.ingest.domain.validation import Rejection
from services.ingest.ports import Claim, EventLog, FailedEvents, Progress, SeenEvents


class Accepted(NamedTuple):
    """The verdicts of a batch, one an event, and why each refused one is."""

    verdicts: list[Verdict]
    rejections: dict[int, Rejection]


class Receipt(NamedTuple):
    """What became of an event: where it stands and whether it is applied, or how it failed."""

    seen: Seen | None
    is_applied: bool
    failed: FailedEvent | None


class Ingest(NamedTuple):
    """The ports of the use cases below, bound together."""

    log: EventLog
    seen: SeenEvents
    failed: FailedEvents
    progress: Progress
    clock: Clock

    async def accept(self, events: Sequence[Event]) -> Accepted:
        """Accepts a batch; when it returns, the accepted events are on the stream.

        Ids are remembered after the append, never before: a crash in between makes the client's next try stand twice
        on the stream, where the dispatcher applies one of them; the other order would lose the event.
        """
        now_us = self.clock()
        judged = judge(events, now_us)
        verdicts = [Verdict.ACCEPTED] * len(events)
        for index in judged.repeated:
            verdicts[index] = Verdict.DUPLICATE
        for index in judged.rejected:
            verdicts[index] = Verdict.REJECTED

        fresh = [events[index] for index in judged.fresh]
        known = await self.seen.find([event.event_id for event in fresh], now_us)
        new = []
        for index, event, seen in zip(judged.fresh, fresh, known, strict=True):
            if seen is None:
                _stamp(event, now_us)
                new.append(event)
            else:
                verdicts[index] = Verdict.DUPLICATE

        if new:
            places = await self.log.append(new)
            await self.seen.note(
                [
                    Claim(event.event_id, Seen(place, event.received_time_us, event.trace_id))
                    for event, place in zip(new, places, strict=True)
                ]
            )
        return Accepted(verdicts, judged.rejected)

    async def keep_failed(self, failed: Sequence[FailedEvent]) -> None:
        """Keeps what could not be accepted."""
        if failed:
            await self.failed.add(failed)

    async def receipt(self, event_id: str) -> Receipt:
        """The receipt of an event.

        Raises:
            NotFound: `EVENT_NOT_FOUND`.
        """
        (seen,), (failed,) = await asyncio.gather(
            self.seen.find([event_id], self.clock()), self.failed.find([failed_event_id(event_id, b"")])
        )
        if seen is None and failed is None:
            raise NotFound("EVENT_NOT_FOUND", "No event with this id was seen in the last 24 hours.")
        if seen is None:
            return Receipt(None, is_applied=False, failed=failed)
        is_applied = seen.place.sequence <= await self.progress.checkpoint(seen.place.shard)
        # A bad copy of a good event does not unmake the good one; only what was set aside after acceptance does.
        is_set_aside = failed is not None and failed.stage == "dispatcher"
        return Receipt(seen, is_applied=is_applied, failed=failed if is_set_aside else None)

    async def failed_event(self, failed_id: str) -> FailedEvent:
        """One failed event.

        Raises:
            NotFound: `FAILED_EVENT_NOT_FOUND`.
        """
        (failed,) = await self.failed.find([failed_id])
        if failed is None:
            raise NotFound("FAILED_EVENT_NOT_FOUND", "No failed event with this id.")
        return failed


def _stamp(event: Event, now_us: int) -> None:
    told = device.tell(event.platform, event.user_agent)
    event.device_class = told.device_class
    event.is_bot = told.is_bot
    event.received_time_us = event.received_time_us or now_us
