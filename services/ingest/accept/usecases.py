"""The use cases of the api: accept events, give receipts, keep failed events (`replaying` replays them)."""

import asyncio
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from mesh.clock import Clock
from mesh.errors import NotFound, ResourceExhausted, Unavailable
from mesh.retry import retry
from records.table import Table, of_events
from records.tenants import SEPARATOR
from services.ingest.accept.domain import holders, identity, skew
from services.ingest.accept.domain.acceptance import (
    Admission,
    Judged,
    Verdict,
    judge,
    refuse_erased,
    refuse_full,
    refuse_repeats,
    stamp,
)
from services.ingest.accept.domain.identity import Identification, Linking
from services.ingest.accept.domain.masking.kinds import ALL, Masking
from services.ingest.accept.domain.masking.tenants import Maskings, added
from services.ingest.accept.domain.rate_limit import SendingRate, UserRateLimiter
from services.ingest.accept.domain.tidying import DEFAULT_RULES, Note, Rules
from services.ingest.accept.domain.validation import Rejection
from services.ingest.accept.ports import Duplicates, Identities, Progress, Skews
from services.ingest.events.domain.event import Event, FailedEvent, Kind, Named, Seen, failed_event_id, refused_event_id
from services.ingest.events.domain.tenants import NONE, Settings
from services.ingest.events.ports import AppendedEvents, AppendedRecord, Applied, EventLog, FailedEvents, SeenEvents
from services.ingest.events.usecases import SettingsOfTenants, Suppressing

RETRY_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 2.0  # well within what a gateway waits for its answer
FAILED_LIST_RETRY_SECONDS: Final = 60.0
_LIMITED: Final = Rejection("RATE_LIMITED", "The user sends more events than a person can make.")
_NOT_LINKED: Final = Note("anonymousId", "Not linked: it already has too many users, or the link would form a loop.")
_LINK_STEPS: Final = 4


class Accepted(NamedTuple):
    """The verdict on each event of a batch, why it was refused, and what was cleaned or left out of others.

    `masked` and `personal_ids` are those of `Judged`.
    """

    verdicts: list[Verdict]
    rejections: dict[int, Rejection]
    notes: Mapping[int, Sequence[Note]]
    masked: Sequence[str]
    personal_ids: Sequence[str]


class Receipt(NamedTuple):
    """The state of an event: its position and when it was applied, or how it failed."""

    seen: Seen | None
    is_applied: bool
    applied_time_us: int | None
    duplicate_count: int
    failed: FailedEvent | None


class _Recalled(NamedTuple):
    """What is known of a batch before it is appended."""

    seen: list[Seen | None]
    skews: dict[str, skew.Skew]
    links: dict[str, str]


class MaskingOfTenants:
    """What is masked in whose events, by what was set for tenants last."""

    def __init__(self, usual: Masking = ALL, tenants: SettingsOfTenants | None = None) -> None:
        self._usual = usual
        self._tenants = tenants or SettingsOfTenants()
        self._read: Settings = NONE
        self._maskings = added(usual, NONE)

    def of(self, ids: Iterable[str]) -> Maskings:
        """What is masked in what belongs to these ids.

        Raises:
            Unavailable: some are a tenant's, and nobody has said yet what was set for it.
        """
        known = self._tenants.now
        if known is None:
            if any(each[:1] == SEPARATOR for each in ids):
                raise Unavailable("DEPENDENCY_UNAVAILABLE", "What tenants mask is not known yet.", RETRY_SECONDS)
        elif known is not self._read:
            self._read, self._maskings = known, added(self._usual, known)
        return self._maskings


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
    limiter: UserRateLimiter
    clock: Clock
    monotonic: Clock
    """Monotonic microseconds, for rate limits."""
    max_lag_seconds: float
    rules: Rules = DEFAULT_RULES
    masking: MaskingOfTenants = dataclasses.field(default_factory=MaskingOfTenants)
    linking: Linking = dataclasses.field(default_factory=Linking)
    suppressing: Suppressing = dataclasses.field(default_factory=Suppressing)

    async def accept(self, table: Table) -> Accepted:
        """Accepts a batch; when it returns, the accepted events are on the stream. The table may be changed.

        Ids are remembered after the append, never before: after a crash in between the client's retry is on the stream
        twice, and the dispatcher applies one; the other order would lose the event. Links of anonymous ids are kept
        before the ids of the events that linked them, so that after a crash the retry links again; and after the ids of
        all others, so that their retry is not given to whoever was linked last.

        Raises:
            ResourceExhausted: `BUFFER_FULL`, the stream or the dispatcher is behind; nothing may be taken as accepted.
            Unavailable: likewise, or as `MaskingOfTenants.of`.
        """
        self.require_room()
        now_us = self.clock()
        judged = judge(table, now_us, self.rules, self.masking.of(table.event_id))
        return await self.take(table, refuse_full(table, judged, self.progress.full_tenants()), now_us)

    async def take(self, table: Table, judged: Judged, now_us: int) -> Accepted:
        """Accepts a batch that is judged, as `accept` does.

        Most ids are new, so they are remembered without a lookup, which returns those that are not. They are looked up
        first where a duplicate would have an effect: on a clock, an anonymous id or the rate limit.
        """
        judged = refuse_erased(table, judged, self.suppressing.now)
        fresh = table if len(judged.fresh) == len(table) else table.take(judged.fresh)
        samples, anonymous_ids = skew.samples(fresh), identity.anonymous_ids(fresh)
        admission = Admission(dict(judged.rejected), {}, [], [], set(), [])
        if not samples.latest and not anonymous_ids and self._take_calm(fresh):
            known = await self._take_new(fresh)
        else:
            recalled = await self._recall(fresh, samples, anonymous_ids, now_us)
            known = await self._take_looked_up(fresh, judged.fresh, recalled, samples, admission)
        refuse_repeats(judged, table.event_id, admission.rejections)
        verdicts = [Verdict.ACCEPTED] * len(table)
        for index in judged.repeated:
            verdicts[index] = Verdict.DUPLICATE
        for index in admission.rejections:
            verdicts[index] = Verdict.REJECTED
        for index, event_id in zip(judged.fresh, fresh.event_id, strict=True) if known else ():
            if event_id in known:
                verdicts[index] = Verdict.DUPLICATE
        if known or judged.repeated:
            judgements = zip(table.event_id, verdicts, strict=True)
            await self.duplicates.add([each for each, verdict in judgements if verdict == Verdict.DUPLICATE], now_us)
        notes = admission.notes(judged.notes)
        return Accepted(verdicts, admission.rejections, notes, judged.masked, judged.personal_ids)

    async def _take_new(self, table: Table) -> set[str]:
        """Appends events that are within the rate limit and counted; returns the ids that were known."""
        if not len(table):
            return set()
        stamp(table, ())
        known = await self.append([table], Identification({}))
        if known:
            senders = zip(table.event_id, table.user_id, strict=True)
            self.limiter.give_back(user_id for event_id, user_id in senders if event_id in known)
        return known

    async def _take_looked_up(
        self, table: Table, indexes: Sequence[int], recalled: _Recalled, samples: skew.Samples, admission: Admission
    ) -> set[str]:
        """Appends the events whose ids are new, by what is known of them; returns the ids that were known."""
        known = {event_id for event_id, seen in zip(table.event_id, recalled.seen, strict=True) if seen is not None}
        new = [row for row, seen in enumerate(recalled.seen) if seen is None]
        fresh = table.take(new) if known else table
        skews = skew.correct(fresh, samples.of(new), recalled.skews)
        steady_us = self.monotonic()
        whose = Identification(recalled.links, functools.partial(self.linking.may, now_us=steady_us))
        columns = (fresh.event_id, fresh.user_id, fresh.anonymous_id, fresh.event_type, fresh.event_time_us)
        events, times_us = [*map(Named, *columns)], _times_us(fresh)
        for row in identity.in_time(events, recalled.links):
            user_id = whose.user(events[row])
            rate = self.limiter.judge(user_id, steady_us, times_us[row])
            if rate == SendingRate.FLOOD:
                admission.rejections[indexes[new[row]]] = _LIMITED
                continue
            if rate == SendingRate.SCRIPT:
                admission.scripted.add(len(admission.rows))
            admission.rows.append(row)
            admission.user_ids.append(user_id)
            self._hear(events[row], user_id, whose, indexes[new[row]], admission)
        if admission.rows:
            await self.skews.keep(skews)
            taken = fresh.take(admission.rows)
            taken.columns["user_id"] = admission.user_ids
            stamp(taken, admission.scripted)
            known |= await self.append(_parts(taken, admission), whose)
        return known

    def _take_calm(self, table: Table) -> bool:
        times_us: dict[str, list[int]] = {}
        for user_id, time_us in zip(table.user_id, _times_us(table), strict=True):
            times_us.setdefault(user_id, []).append(time_us)
        return self.limiter.take_calm(times_us, self.monotonic())

    def require_room(self) -> None:
        """Returns if more events may be accepted.

        Raises:
            ResourceExhausted: `BUFFER_FULL`.
        """
        lag_seconds = self.progress.lag_seconds()
        if lag_seconds is not None and lag_seconds > self.max_lag_seconds:
            raise ResourceExhausted("BUFFER_FULL", "Decisions are too far behind.", retry_after_seconds=RETRY_SECONDS)
        if self.progress.is_full():
            detail = "The list of set-aside events is full (10,000). Mend, replay or discard some."
            raise ResourceExhausted("BUFFER_FULL", detail, retry_after_seconds=FAILED_LIST_RETRY_SECONDS)

    async def _recall(
        self, table: Table, samples: skew.Samples, anonymous_ids: Sequence[str], now_us: int
    ) -> _Recalled:
        clocks = list(dict.fromkeys(name for name, _ in samples.latest))
        seen, skews, links = await asyncio.gather(
            self.seen.find(table.event_id, now_us), self.skews.find(clocks), self.identities.find(anonymous_ids, now_us)
        )
        await self._follow(identity.unlinked_users(table, links), links, now_us)
        return _Recalled(seen, skews, links)

    async def _follow(self, users: Sequence[str], links: dict[str, str], now_us: int) -> None:
        """Adds whom the users to be linked were linked to themselves, so that loops are found."""
        for _ in range(_LINK_STEPS):
            users = [user_id for user_id in users if user_id not in links]
            if not users:
                return
            found = await self.identities.find(users, now_us)
            links.update(found)
            users = list(dict.fromkeys(map(holders.holder, found.values())))

    def _hear(self, event: Named, user_id: str, whose: Identification, index: int, admission: Admission) -> None:
        """Learns what the latest admitted event says of an anonymous id."""
        if not event.anonymous_id or (event.anonymous_id == event.user_id and event.event_type != Kind.SESSION_END):
            return
        endings = whose.hear(event._replace(user_id=user_id))
        if endings is None:
            admission.unlinked[index] = _NOT_LINKED
        else:
            admission.endings.extend((len(admission.rows) - 1, end) for end in endings)

    async def append(self, parts: Sequence[Table], whose: Identification) -> set[str]:
        """Appends events part by part, keeps links of anonymous ids, and remembers the events' ids.

        Returns the ids that were remembered with another position before: their events, though appended, do not count.
        Remembering is retried for a while. If it fails, the client repeats the request, and events whose ids were not
        remembered are appended again, behind events whose ids were.
        """
        appended = [_appended_events(part, record) for part in parts for record in await self.log.append(part)]
        if whose.new_links:
            # These events were linked by the previous links, which a retry would no longer find.
            await self._remember([each.without(whose.linking_event_ids) for each in appended])
            await self.identities.link(whose.new_links)
        return await self._remember(appended)

    async def _remember(self, appended: Sequence[AppendedEvents]) -> set[str]:
        return await retry(lambda: self.seen.remember(appended), _PATIENCE_SECONDS)

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
        (seen,), (refused, unapplied), duplicate_count = await asyncio.gather(
            self.seen.find([event_id], now_us),
            self.failed.find([refused_event_id(event_id, b""), failed_event_id(event_id, b"")]),
            self.duplicates.count(event_id, now_us),
        )
        if seen is None:
            if unapplied is None and refused is None:
                raise NotFound("EVENT_NOT_FOUND", "No event with this id was seen in the last 24 hours.")
            return Receipt(None, False, None, duplicate_count, unapplied or refused)
        position = seen.position
        checkpoint, applied_us = await asyncio.gather(
            self.progress.checkpoint(position.shard), self.applied.find(position.shard, position.sequence, now_us)
        )
        # A duplicate that failed does not undo the event; only a failure at its own position does.
        failed = unapplied if unapplied is not None and unapplied.position == position else None
        is_applied = failed is None and position.sequence <= checkpoint
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


def _times_us(table: Table) -> Sequence[int]:
    """When events were made, by the clock of the device."""
    if not table.has("client_time_us"):
        return table.event_time_us
    return [told_us or time_us for told_us, time_us in zip(table.client_time_us, table.event_time_us, strict=True)]


def _parts(table: Table, admission: Admission) -> Sequence[Table]:
    """Events as they are appended."""
    if not admission.endings:
        return [table]
    parts = identity.parts(cast("list[Event]", table.events()), admission.endings)
    return [of_events(cast("Any", part)) for part in parts]


def _appended_events(table: Table, record: AppendedRecord) -> AppendedEvents:
    """What is remembered of the events of a record."""
    columns: Any = (table.event_id, table.received_time_us, table.trace_id)
    ids, received_us, trace_ids = ([*map(column.__getitem__, record.rows)] for column in columns)
    return AppendedEvents(record.shard, record.sequence, ids, range(len(ids)), received_us, trace_ids)
