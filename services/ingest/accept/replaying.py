"""Replays failed events, as they were accepted or as somebody mended them.

A replay may stop anywhere and be called again, or run twice at once. Before the append the event is still on the list.
After it, its new position is remembered or will be claimed, so another call finds a duplicate, or appends one that is
not applied. Only what was read here is removed from the list, not what has failed again meanwhile.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from mesh.errors import Unavailable
from records.table import of_events
from services.ingest.accept.domain.acceptance import Verdict, judge, refuse_erased
from services.ingest.accept.domain.identity import Identification
from services.ingest.accept.domain.masking.tables import mask_table
from services.ingest.accept.domain.tidying import Note
from services.ingest.accept.domain.validation import Rejection
from services.ingest.accept.usecases import RETRY_SECONDS, Ingest
from services.ingest.events.domain.event import Event, FailedEvent, Seen
from services.ingest.events.ports import Claim


class Replayed(NamedTuple):
    """The verdict on a replayed event, and what was cleaned or left out of it."""

    verdict: Verdict
    rejection: Rejection | None = None
    notes: Sequence[Note] = ()


@dataclasses.dataclass(frozen=True)
class Replays:
    """Replays failed events and removes them from the list; those refused stay there.

    Both ways raise:
        ResourceExhausted: as `Ingest.accept`.
        Unavailable: as `Ingest.accept`; or the dispatcher has not yet moved past the failed event.
    """

    ingest: Ingest

    async def replay(self, failed_id: str, event: Event) -> Replayed:
        """Accepts a failed event as if a client had sent it.

        Raises:
            NotFound: `FAILED_EVENT_NOT_FOUND`.
        """
        ingest = self.ingest
        failed = await ingest.failed_event(failed_id)
        event.event_id = event.event_id or failed.event_id or failed.id
        # It is replayed long after it was sent: its time of sending says nothing of the clock now.
        event.sent_time_us = 0
        event.is_own = False
        ingest.require_room()
        now_us = ingest.clock()
        table, maskings = of_events([cast("Any", event)]), ingest.masking.of([event.event_id])
        judged = refuse_erased(table, judge(table, now_us, ingest.rules, maskings), ingest.suppressing.now)
        if judged.rejected:
            return Replayed(Verdict.REJECTED, judged.rejected[0])
        comes_again = failed.position is not None and event.event_id == failed.event_id
        if comes_again:
            await self._release(failed)
        accepted = await ingest.take(table, judged, now_us)
        (verdict,) = accepted.verdicts
        if verdict == Verdict.REJECTED:
            return Replayed(verdict, accepted.rejections[0])
        await self._strike_off(failed, verdict, comes_again=comes_again)
        return Replayed(verdict, notes=accepted.notes.get(0, ()))

    async def replay_whole(self, failed: FailedEvent, event: Event) -> Replayed:
        """Replays an accepted event just as it was, but for when it was received and what is masked by now.

        It was judged, corrected and linked before; and the mesh's own events could not be sent by a client. A version
        without masking may have accepted it.
        """
        ingest = self.ingest
        ingest.require_room()
        await self._release(failed)
        now_us = ingest.clock()
        (seen,) = await ingest.seen.find([event.event_id], now_us)
        verdict = Verdict.ACCEPTED if seen is None else Verdict.DUPLICATE
        if verdict == Verdict.ACCEPTED:
            event.received_time_us = now_us
            table = of_events([cast("Any", event)])
            mask_table(table, ingest.masking.of([event.event_id]).of(event.event_id))
            if await ingest.append([table], Identification({})):
                verdict = Verdict.DUPLICATE
        await self._strike_off(failed, verdict, comes_again=True)
        return Replayed(verdict)

    async def _strike_off(self, failed: FailedEvent, verdict: Verdict, *, comes_again: bool) -> None:
        if comes_again and verdict == Verdict.DUPLICATE and await self._stands_for(failed):
            # A dispatcher that does not know yet that it has lost the shard has claimed the position again.
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The event is still being dispatched.", RETRY_SECONDS)
        await self.ingest.failed.strike_off(failed)

    async def _stands_for(self, failed: FailedEvent) -> Seen | None:
        """What is remembered of an event, if it is the failed position."""
        (seen,) = await self.ingest.seen.find([failed.event_id], self.ingest.clock())
        return seen if seen is not None and seen.position == failed.position else None

    async def _release(self, failed: FailedEvent) -> None:
        """Lets an event come again: forgets its id, if that is remembered at the failed position."""
        position = failed.position
        # Until the checkpoint has passed the position, a dispatcher may still apply the event.
        if position is None or await self.ingest.progress.checkpoint(position.shard) < position.sequence:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The event is still being dispatched.", RETRY_SECONDS)
        seen = await self._stands_for(failed)
        if seen is not None:
            await self.ingest.seen.release(Claim(failed.event_id, seen))
