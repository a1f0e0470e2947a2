"""The verbs of ingest: accept events, give receipts, keep what failed (`replaying` sends it again)."""

import asyncio
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from mesh.clock import Clock
from mesh.errors import NotFound, ResourceExhausted
from services.ingest.domain import holders, identity, skew
from services.ingest.domain.acceptance import Admission, Judged, Verdict, judge, stamp
from services.ingest.domain.event import Event, FailedEvent, Kind, Seen, failed_event_id, refused_event_id
from services.ingest.domain.flood import Flood, Pace
from services.ingest.domain.identity import Identification, Linking
from services.ingest.domain.tidying import DEFAULT_RULES, Note, Rules
from services.ingest.domain.validation import Rejection
from services.ingest.ports import (
    Applied,
    Claim,
    Duplicates,
    EventLog,
    FailedEvents,
    Identities,
    Progress,
    SeenEvents,
    Skews,
)

RETRY_SECONDS: Final = 2.0
SET_ASIDE_RETRY_SECONDS: Final = 60.0
_LIMITED: Final = Rejection("RATE_LIMITED", "The user sends more events than a person can make.")
_NOT_LINKED: Final = Note(
    "anonymousId", "Not linked: this anonymousId already has too many users, or the link would form a loop."
)
_LINK_STEPS: Final = 4


class Accepted(NamedTuple):
    """The verdicts of a batch, one an event, why each refused one is, and what was cleaned or left out of others."""

    verdicts: list[Verdict]
    rejections: dict[int, Rejection]
    notes: Mapping[int, Sequence[Note]]


class Receipt(NamedTuple):
    """What became of an event: where it stands and since when it is applied, or how it failed."""

    seen: Seen | None
    is_applied: bool
    applied_time_us: int | None
    duplicate_count: int
    failed: FailedEvent | None


class _Recalled(NamedTuple):
    """What is remembered of a batch before it is taken in."""

    seen: list[Seen | None]
    samples: skew.Samples
    skews: dict[str, skew.Skew]
    links: dict[str, str]
    has_anonymous: bool


@dataclasses.dataclass(frozen=True)
class Ingest:
    """The ports of the use cases below, bound together."""

    log: EventLog
    seen: SeenEvents
    duplicates: Duplicates
    failed: FailedEvents
    skews: Skews
    identities: Identities
    progress: Progress
    applied: Applied
    flood: Flood
    clock: Clock
    monotonic: Clock
    """Microseconds since any moment, never set back; for what is counted against time."""
    max_lag_seconds: float
    rules: Rules = DEFAULT_RULES
    linking: Linking = dataclasses.field(default_factory=Linking)

    async def accept(self, events: Sequence[Event]) -> Accepted:
        """Accepts a batch; when it returns, the accepted events are on the stream.

        Ids are remembered after the append, never before: a crash in between makes the client's next try stand twice
        on the stream, where the dispatcher applies one of them; the other order would lose the event. Links of
        anonymous ids are kept before the ids of the events that told them, so that a crash makes the client's next try
        link again, and behind those of all others, so that it gives nobody's events to whom they were linked to last.

        Raises:
            ResourceExhausted: `BUFFER_FULL`, the stream or the dispatcher is behind; nothing may be taken as accepted.
            Unavailable: likewise.
        """
        self.require_room()
        now_us = self.clock()
        return await self.take(events, judge(events, now_us, self.rules), now_us)

    async def take(self, events: Sequence[Event], judged: Judged, now_us: int) -> Accepted:
        """Accepts a batch that is judged, as `accept` does."""
        verdicts = [Verdict.ACCEPTED] * len(events)
        for index in judged.repeated:
            verdicts[index] = Verdict.DUPLICATE
        candidates = [events[index] for index in judged.fresh]
        recalled = await self._recall(candidates, now_us)
        admission = Admission(dict(judged.rejected), {}, [], [])
        now = (now_us, self.monotonic())
        whose = Identification(recalled.links, functools.partial(self.linking.may, now_us=now[1]))
        new, fresh, samples = judged.fresh, candidates, recalled.samples
        if any(recalled.seen):
            for index, seen in zip(judged.fresh, recalled.seen, strict=True):
                if seen is not None:
                    verdicts[index] = Verdict.DUPLICATE
            unseen = [place for place, seen in enumerate(recalled.seen) if seen is None]
            new, fresh = [judged.fresh[place] for place in unseen], [candidates[place] for place in unseen]
            samples = samples.of(unseen)
        skews = skew.correct(fresh, samples, recalled.skews)
        for place in identity.in_time(fresh, recalled.links) if recalled.has_anonymous else range(len(new)):
            self._admit(fresh[place], new[place], whose, now, admission)
        for index in admission.rejections:
            verdicts[index] = Verdict.REJECTED
        if admission.fresh:
            await self.skews.keep(skews)
            await self.append(identity.parts(admission.fresh, admission.endings), whose)
        repeated = [
            event.event_id for event, verdict in zip(events, verdicts, strict=True) if verdict == Verdict.DUPLICATE
        ]
        if repeated:
            await self.duplicates.add(repeated, now_us)
        return Accepted(verdicts, admission.rejections, admission.notes(judged.notes))

    def require_room(self) -> None:
        """Returns if more may be taken in.

        Raises:
            ResourceExhausted: `BUFFER_FULL`.
        """
        lag_seconds = self.progress.lag_seconds()
        if lag_seconds is not None and lag_seconds > self.max_lag_seconds:
            raise ResourceExhausted("BUFFER_FULL", "Decisions are too far behind.", retry_after_seconds=RETRY_SECONDS)
        if self.progress.is_full():
            detail = "The list of set-aside events is full (10,000). Mend, replay or discard some."
            raise ResourceExhausted("BUFFER_FULL", detail, retry_after_seconds=SET_ASIDE_RETRY_SECONDS)

    async def _recall(self, events: Sequence[Event], now_us: int) -> _Recalled:
        ids = [event.event_id for event in events]
        samples = skew.samples(events, now_us)
        anonymous_ids = identity.anonymous_ids(events)
        if not samples.latest and not anonymous_ids:
            return _Recalled(await self.seen.find(ids, now_us), samples, {}, {}, has_anonymous=False)
        clocks = list(dict.fromkeys(name for name, _ in samples.latest))
        seen, skews, links = await asyncio.gather(
            self.seen.find(ids, now_us), self.skews.find(clocks), self.identities.find(anonymous_ids, now_us)
        )
        await self._follow(identity.unlinked_users(events, links), links, now_us)
        return _Recalled(seen, samples, skews, links, bool(anonymous_ids))

    async def _follow(self, users: Sequence[str], links: dict[str, str], now_us: int) -> None:
        """Adds whom users that are to be linked were linked to themselves, so that a loop is seen."""
        for _ in range(_LINK_STEPS):
            users = [user_id for user_id in users if user_id not in links]
            if not users:
                return
            found = await self.identities.find(users, now_us)
            links.update(found)
            users = list(dict.fromkeys(map(holders.holder, found.values())))

    def _admit(
        self, event: Event, index: int, whose: Identification, now: tuple[int, int], admission: Admission
    ) -> None:
        """Takes an event in, stamped and with the link it tells, unless its user sends too many; its time is corrected.

        Now is the time, and the time of a clock that is never set back.
        """
        now_us, steady_us = now
        user_id = told_id = event.user_id
        anonymous_id = event.anonymous_id
        if anonymous_id:
            user_id = whose.user(event)
        pace = self.flood.judge(user_id, steady_us, event.client_time_us or event.event_time_us)
        if pace == Pace.FLOOD:
            admission.rejections[index] = _LIMITED
            return
        if user_id != told_id:
            event.user_id = user_id
        stamp(event, now_us, pace)
        admission.fresh.append(event)
        if anonymous_id and (anonymous_id != told_id or event.event_type == Kind.SESSION_END):
            endings = whose.hear(event)
            if endings is None:
                admission.unlinked[index] = _NOT_LINKED
            elif endings:
                admission.endings.extend((len(admission.fresh) - 1, end) for end in endings)

    async def append(self, parts: Sequence[Sequence[Event]], whose: Identification) -> None:
        """Appends events part by part, keeps links of anonymous ids, and remembers the events' ids."""
        written = [event for part in parts for event in part]
        places = [place for part in parts for place in await self.log.append(part)]
        claims = [
            Claim(event.event_id, Seen(place, event.received_time_us, event.trace_id))
            for event, place in zip(written, places, strict=True)
        ]
        if whose.new_links:
            # Whose these are was told by the links before, which the client's next try would not find any more.
            await self.seen.note([claim for claim in claims if claim.event_id not in whose.tellers])
            await self.identities.link(whose.new_links)
            claims = [claim for claim in claims if claim.event_id in whose.tellers]
        await self.seen.note(claims)

    async def keep_failed(self, failed: Sequence[FailedEvent]) -> None:
        """Keeps what could not be accepted."""
        if failed:
            await self.failed.add(failed)

    async def receipt(self, event_id: str) -> Receipt:
        """The receipt of an event.

        Raises:
            NotFound: `EVENT_NOT_FOUND`.
        """
        now_us = self.clock()
        (seen,), (refused, set_aside), duplicate_count = await asyncio.gather(
            self.seen.find([event_id], now_us),
            self.failed.find([refused_event_id(event_id, b""), failed_event_id(event_id, b"")]),
            self.duplicates.count(event_id, now_us),
        )
        if seen is None:
            if set_aside is None and refused is None:
                raise NotFound("EVENT_NOT_FOUND", "No event with this id was seen in the last 24 hours.")
            return Receipt(None, False, None, duplicate_count, set_aside or refused)
        place = seen.place
        checkpoint, applied_us = await asyncio.gather(
            self.progress.checkpoint(place.shard), self.applied.find(place.shard, place.sequence, now_us)
        )
        # A bad copy of a good event does not unmake the good one; only what was set aside at its very place does.
        failed = set_aside if set_aside is not None and set_aside.place == place else None
        is_applied = failed is None and place.sequence <= checkpoint
        return Receipt(seen, is_applied, applied_us if is_applied else None, duplicate_count, failed)

    async def failed_event(self, failed_id: str) -> FailedEvent:
        """One failed event.

        Raises:
            NotFound: `FAILED_EVENT_NOT_FOUND`.
        """
        (failed,) = await self.failed.find([failed_id])
        if failed is None:
            raise NotFound("FAILED_EVENT_NOT_FOUND", "No failed event with this id.")
        return failed
