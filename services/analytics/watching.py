"""Watches the key figures of tenants: judges complete hours again and again, and tells watchers what changed."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import functools
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, cast

from mesh.clock import Clock
from mesh.errors import InvalidArgument, MeshError, NotFound, ResourceExhausted, Unavailable
from mesh.process.lifecycle import cancel
from records import tenants
from services.analytics.domain import alarms, digest, slices, telling
from services.analytics.domain import changes as change_log
from services.analytics.domain import watched as watch
from services.analytics.domain.answer import Insight, Insights, Slices
from services.analytics.domain.digest import Digest
from services.analytics.domain.insights import METRICS, SEVERITIES
from services.analytics.domain.question import DAY_US, Comparison, Condition, Field, Question
from services.analytics.domain.watched import BudgetAlarm, Watched, WatchedInsight
from services.analytics.ports import AlarmMessenger, Changes, DigestMessenger, KeptWatch, Messenger, WatchStore
from services.analytics.usecases import Answered, Known

_ASKED_DAYS: Final = 30
_NOTED_AGAIN_US: Final = DAY_US
_POLL_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 5.0
_ATTEMPTS_TO_CHANGE: Final = 10
_LONGEST_REASON: Final = 500
_LONGEST_NAME: Final = 100
_LONGEST_SNOOZE_DAYS: Final = 90
_PURCHASE: Final = (Condition(Field.EVENT_TYPE, Comparison.IS, ("purchase",)),)

_UNREAD: Final = KeptWatch(-1, Watched())

_log = logging.getLogger(__name__)


class Judge(Protocol):
    """Answers questions, as `usecases.Asking` does."""

    def known(self) -> Known:
        """What there is to ask about."""

    async def ask(self, tenant: str, question: Question) -> Answered:
        """The answer to a question."""


class Budgets(Protocol):
    """Knows what days cost, as `usecases.Costing` does."""

    async def budget_days(self, tenant: str) -> Sequence[alarms.BudgetDay]:
        """What days have cost a tenant, and what they may."""


class Update(NamedTuple):
    """What a watcher is told: all, or what changed since the last time; and all that is known."""

    is_snapshot: bool
    insights: tuple[WatchedInsight, ...]
    watched: Watched
    alarms: tuple[BudgetAlarm, ...] = ()


class Plan(NamedTuple):
    """How key figures are watched.

    `time_zone` is the IANA name of the zone by which the times of a week are compared. `is_for_all` says whether all
    tenants are watched, or those that somebody asked about within 30 days.
    """

    period_seconds: float = 60.0
    time_zone: str = "UTC"
    is_for_all: bool = False
    digest_at: dt.time | None = None
    """From which time of day on, in that zone, the digest of the day before is sent; None: it is not."""
    most_watching: int = 2_000
    """How many may watch at a time in a process."""


class Tellers(NamedTuple):
    """Who tells others: of incidents by kind of message, of other kinds nobody; of days and budgets, None: nobody."""

    of_incidents: Mapping[str, Messenger] = MappingProxyType({})
    of_days: DigestMessenger | None = None
    of_budgets: AlarmMessenger | None = None


NOBODY: Final = Tellers()
"""Nobody is told."""


class Standing(NamedTuple):
    """How a tenant's watch is doing at `now_us`. `watermark_us` is until when events have arrived; 0 without any."""

    watched: Watched
    watermark_us: int
    watcher_count: int
    now_us: int
    plan: Plan
    has_webhook: bool


class Figures(NamedTuple):
    """How all watches are doing.

    `open_counts` by severity and `lag_us` are of all tenants that are watched; `found_counts` tells by metric how many
    incidents the tenant with most had in the last 14 days.
    """

    open_counts: Mapping[str, int]
    lag_us: int
    found_counts: Mapping[str, int]


@dataclasses.dataclass
class _Latest:
    """What a tenant's watch knows, for all who watch it in this process."""

    kept: KeptWatch = _UNREAD
    moved: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    """Set when what is known is replaced; another event takes its place."""
    wake: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    """Set when it has changed in the store, as far as this process knows."""
    watcher_count: int = 0
    following: asyncio.Task[None] | None = None

    def put(self, kept: KeptWatch) -> None:
        """Replaces what is known."""
        if kept.changes == self.kept.changes:
            return
        moved, self.kept, self.moved = self.moved, kept, asyncio.Event()
        moved.set()


class _Judged(NamedTuple):
    """What a tenant's watch knew when it had judged last, and how many incidents each metric had."""

    watched: Watched
    counts: Mapping[str, int]


class Watching:
    """Watches, and lets others watch.

    Any replica may judge: the same data gives the same incidents, and the one that is late finds it done.

    Args:
        judge: answers what was unusual.
        store: keeps what is known.
        clock: for when incidents were found, acknowledged and snoozed.
        plan: how it watches.
        tellers: who tells others.
        changes: knows what changed in the mesh; None: nothing does, as in a command.
        budgets: knows what days cost; None: nothing does, as in a command.
        report: is told how all watches are doing, each time they have judged.
    """

    def __init__(
        self,
        judge: Judge,
        store: WatchStore,
        clock: Clock,
        plan: Plan,
        tellers: Tellers = NOBODY,
        changes: Changes | None = None,
        budgets: Budgets | None = None,
        report: Callable[[Figures], None] = lambda _: None,
    ) -> None:
        self._judge = judge
        self._store = store
        self._clock = clock
        self._plan = plan
        self._tellers = tellers
        self._changes = changes
        self._budgets = budgets
        self._report = report
        self._judged: dict[str, _Judged] = {}
        self._latest: dict[str, _Latest] = {}
        self._noted: dict[str, int] = {}

    async def run(self) -> None:
        """Judges, and looks at budgets, after each period, without end; what fails is tried with the next one.

        Neither waits for the other: a look asks another service about each tenant with a budget.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._each_period(self.judge, "key figures"))
            group.create_task(self._each_period(self.look_at_budgets, "budgets"))

    async def _each_period(self, do: Callable[[], Awaitable[None]], what: str) -> None:
        while True:
            await asyncio.sleep(self._plan.period_seconds)
            try:
                await do()
            except MeshError as error:
                _log.warning("%s are not watched now: %s", what, error.detail)

    async def judge(self) -> None:
        """Judges the complete hours of the last 14 days again: of the default tenant, and of those asked about.

        The same data is not counted again within a quarter of an hour, as the answer is remembered.

        Raises:
            MeshError: the figures of a tenant could not be counted or kept; the others' were.
        """
        known = self._judge.known()
        asked = await self._store.asked_since(self._clock() - _ASKED_DAYS * DAY_US)
        failed: MeshError | None = None
        every = (known.tenants if self._plan.is_for_all else {*asked} & known.tenants) | {tenants.DEFAULT}
        self._judged = {tenant: its for tenant, its in self._judged.items() if tenant in every}
        for tenant in sorted(every):
            try:
                await self._judge_tenant(tenant, known.watermark_us // watch.STEP_US * watch.STEP_US)
                await self._tell(tenant)
                await self._tell_day(tenant)
            except MeshError as error:
                failed = error
        self._report(_figures([*self._judged.values()], known.watermark_us))
        if failed is not None:
            raise failed

    async def look_at_budgets(self) -> None:
        """Looks at what the days of all tenants have cost, and tells those that have reached a threshold.

        Raises:
            MeshError: the budget of a tenant could not be looked at; the others' were.
        """
        failed: MeshError | None = None
        for tenant in sorted(self._judge.known().tenants | {tenants.DEFAULT}):
            try:
                await self._look_at_budget(tenant)
            except MeshError as error:
                failed = error
        if failed is not None:
            raise failed

    async def listed(self, tenant: str) -> Watched:
        """What the watch of a tenant knows. It is watched from now on, if it was not.

        Raises:
            Unavailable: the store cannot be reached; so do all methods below.
            VersionMismatch: only a newer build can read it; so do all methods below.
        """
        await self._note_asked(tenant)
        return (await self._store.read(tenant)).watched

    async def standing(self, tenant: str) -> Standing:
        """How the watch of a tenant is doing. It is watched from now on, if it was not."""
        latest = self._latest.get(tenant)
        count = latest.watcher_count if latest else 0
        known = self._judge.known()
        return Standing(
            await self.listed(tenant),
            known.watermark_us,
            count,
            self._clock(),
            self._plan,
            telling.KINDS[0] in self._tellers.of_incidents,
        )

    async def acknowledge(self, tenant: str, insight_id: str, by: str) -> WatchedInsight:
        """Remembers that somebody has seen an incident; who did so first is kept.

        Raises:
            NotFound: `INSIGHT_NOT_FOUND`.
        """
        now_us = self._clock()
        return await self._change(tenant, insight_id, lambda before: watch.acknowledged(before, insight_id, by, now_us))

    async def snooze(self, tenant: str, insight_id: str, by: str, until_us: int | None, reason: str) -> WatchedInsight:
        """Lets an incident not be told until a time; None ends that.

        Raises:
            NotFound: `INSIGHT_NOT_FOUND`.
            InvalidArgument: `MISSING_FIELD`, without a reason; `VALUE_OUT_OF_RANGE`, the time is not in the next 90
                days, or the reason is longer than 500 characters.
        """
        self._require_snooze(until_us, reason)
        return await self._change(
            tenant, insight_id, lambda before: watch.snoozed(before, insight_id, by, until_us, reason)
        )

    async def note(self, tenant: str, change: change_log.Change) -> change_log.Change:
        """Remembers a change that the mesh cannot see; of two that are the same within a minute the first stays.

        With a time of 0 it was made now.

        Raises:
            InvalidArgument: `MISSING_FIELD`, no name; `VALUE_OUT_OF_RANGE`, the name is longer than 100 characters, the
                detail than 500, or the time is not in the last 14 days.
        """
        now_us = self._clock()
        kept = change = change._replace(time_us=change.time_us or now_us)
        _require_change(change, now_us)

        def changed(before: Watched) -> Watched:
            nonlocal kept
            after, kept = watch.note(before, change, now_us)
            return after

        await self._note_asked(tenant)
        await self._replace(tenant, changed)
        return kept

    async def changes(self, tenant: str) -> Sequence[change_log.Change]:
        """What changed in the last 14 days, the latest first.

        Raises:
            MeshError: a service that knows some of it cannot be asked.
        """
        now_us = self._clock()
        since_us = now_us - change_log.KNOWN_DAYS * DAY_US
        noted = [each for each in (await self.listed(tenant)).noted if each.time_us >= since_us]
        known = await self._changed(tenant, since_us, now_us + 1)
        return change_log.latest((*known, *noted))[: change_log.MOST_NOTED]

    async def digest(self, tenant: str, day: dt.date | None) -> Digest:
        """What a day of the plan's zone brought, of the last 100 incidents; None: yesterday."""
        zone = self._plan.time_zone
        return digest.digest(await self.listed(tenant), day or digest.yesterday(self._clock(), zone), zone)

    async def watch(self, tenant: str, sequence: int = 0) -> AsyncGenerator[Update, None]:
        """What the watch of a tenant knows, then each change of it, without end; with a sequence what changed since.

        Nothing waits for a slow reader: it is told of all changes at once, each incident as it is then.

        Raises:
            ResourceExhausted: `TOO_MANY_STREAMS`.
        """
        await self._note_asked(tenant)
        async with self._following(tenant) as latest:
            is_first = True
            while True:
                moved, now = latest.moved, latest.kept.watched
                if is_first or now.sequence != sequence:
                    is_all = sequence == 0 or now.sequence < sequence
                    seen = 0 if is_all else sequence
                    yield Update(is_all, watch.since(now.insights, seen), now, watch.since(now.alarms, seen))
                    is_first, sequence = False, now.sequence
                await moved.wait()

    async def _judge_tenant(self, tenant: str, until_us: int) -> None:
        kept = await self._store.read(tenant)
        if not until_us or kept.watched.until_us > until_us:
            return
        answered = await self._judge.ask(tenant, watch.question(until_us, self._plan.time_zone, _PURCHASE))
        found = cast("Insights", answered.answer)
        after = watch.judged(kept.watched, found, until_us, self._clock())
        for known, its in watch.to_explain(after, found):
            explained = await self._explained(tenant, known, its, after.noted)
            after = watch.replaced(after, explained)
        if await self._store.replace(tenant, after, kept.changes):
            self._wake(tenant)
        self._judged[tenant] = _Judged(after, {each.metric: each.incident_count for each in found.metrics})

    async def _explained(
        self, tenant: str, known: WatchedInsight, found: Insight, noted: Sequence[change_log.Change]
    ) -> WatchedInsight:
        """An incident with what explains it; what cannot be looked up now stays as it was, and is tried again."""
        try:
            question = slices.question(found, self._plan.time_zone, _PURCHASE)
            if question is not None:
                known = await self._sliced(tenant, known, found, question)
            changed = await self._changed(tenant, *change_log.span(known.opened_us))
            beside = change_log.beside(known.opened_us, changed, noted)
            return known._replace(changes=beside, is_explained=True)
        except MeshError as error:
            _log.warning("an incident is not explained now: %s", error.detail)
            return known

    async def _sliced(self, tenant: str, known: WatchedInsight, found: Insight, question: Question) -> WatchedInsight:
        try:
            its = cast("Slices", (await self._judge.ask(tenant, question)).answer)
        except InvalidArgument as error:  # it would read more than it may
            _log.warning("an incident is not sliced: %s", error.detail)
            return known._replace(slices=(), missing_money=())
        money = slices.missing(found, its.usual_money, its.buyer_share)
        return known._replace(slices=its.slices, missing_money=money)

    async def _changed(self, tenant: str, start_us: int, end_us: int) -> Sequence[change_log.Change]:
        return await self._changes.between(tenant, start_us, end_us) if self._changes is not None else ()

    async def _tell(self, tenant: str) -> None:
        """Sends the messages that are due, one after the other. Each is claimed first, so that one process sends it."""
        kinds = self._tellers.of_incidents.keys()
        if not kinds:
            return
        for each in telling.due((await self._store.read(tenant)).watched, self._clock(), kinds):
            kept = await self._store.read(tenant)
            one = next((its for its in telling.due(kept.watched, self._clock(), kinds) if its.is_like(each)), None)
            if one is None or not await self._store.replace(
                tenant, telling.claimed(kept.watched, one, self._clock()), kept.changes
            ):
                continue
            sent, now_us = await self._tellers.of_incidents[one.kind].send(tenant, one), self._clock()
            await self._replace(tenant, functools.partial(telling.settled, one=one, sent=sent, now_us=now_us))

    async def _tell_day(self, tenant: str) -> None:
        """Sends the digest of a day if one is due; it is claimed first, as messages about incidents are."""
        zone, at, now_us = self._plan.time_zone, self._plan.digest_at, self._clock()
        if self._tellers.of_days is None or at is None:
            return
        kept = await self._store.read(tenant)
        one = digest.due(kept.watched, now_us, zone, at)
        if one is not None and (one.digest.is_empty or one.is_early):
            quiet = digest.settled(kept.watched, one, digest.QUIET, now_us)
            early = digest.postponed(kept.watched, one, now_us)
            await self._store.replace(tenant, early if one.is_early else quiet, kept.changes)
            return
        if one is None or not await self._store.replace(
            tenant, digest.claimed(kept.watched, one, now_us), kept.changes
        ):
            return
        sent, now_us = await self._tellers.of_days.send_digest(tenant, one.digest), self._clock()
        await self._replace(tenant, functools.partial(digest.settled, one=one, sent=sent, now_us=now_us))

    async def _look_at_budget(self, tenant: str) -> None:
        """Raises the alarms of a tenant's budget, and sends the message that is due, claimed as the others are."""
        days = await self._budgets.budget_days(tenant) if self._budgets is not None else ()
        if not days:
            return
        now_us = self._clock()
        await self._replace(tenant, lambda before: alarms.raised(before, days, now_us))
        kept = await self._store.read(tenant)
        one = alarms.due(kept.watched, now_us) if self._tellers.of_budgets is not None else None
        if one is None or not await self._store.replace(
            tenant, alarms.claimed(kept.watched, one, now_us), kept.changes
        ):
            return
        sent, now_us = await cast("AlarmMessenger", self._tellers.of_budgets).send_alarm(tenant, one), self._clock()
        await self._replace(tenant, functools.partial(alarms.settled, one=one, sent=sent, now_us=now_us))

    async def _change(
        self, tenant: str, insight_id: str, change: Callable[[Watched], Watched | None]
    ) -> WatchedInsight:
        def changed(before: Watched) -> Watched:
            after = change(before)
            if after is None:
                raise NotFound("INSIGHT_NOT_FOUND", "There is no incident with this id, or not any more.")
            return after

        return cast("WatchedInsight", watch.found_in(await self._replace(tenant, changed), insight_id))

    async def _replace(self, tenant: str, change: Callable[[Watched], Watched]) -> Watched:
        for _ in range(_ATTEMPTS_TO_CHANGE):
            kept = await self._store.read(tenant)
            after = change(kept.watched)
            if after is kept.watched or await self._store.replace(tenant, after, kept.changes):
                self._wake(tenant)
                return after
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "Many change the incidents at once. Try again.")

    def _require_snooze(self, until_us: int | None, reason: str) -> None:
        if until_us is None:
            return
        if not reason.strip():
            raise InvalidArgument("MISSING_FIELD", "A snooze needs a `reason`.")
        if len(reason) > _LONGEST_REASON:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`reason` has up to {_LONGEST_REASON} characters.")
        if not 0 < until_us - self._clock() <= _LONGEST_SNOOZE_DAYS * DAY_US:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`until` must be in the next {_LONGEST_SNOOZE_DAYS} days.")

    async def _note_asked(self, tenant: str) -> None:
        now_us = self._clock()
        if now_us - self._noted.get(tenant, 0) >= _NOTED_AGAIN_US:
            await self._store.note_asked(tenant, now_us)
            self._noted[tenant] = now_us

    def _wake(self, tenant: str) -> None:
        if tenant in self._latest:
            self._latest[tenant].wake.set()

    @contextlib.asynccontextmanager
    async def _following(self, tenant: str) -> AsyncIterator[_Latest]:
        """What is known of a tenant, kept up to date for as long as somebody watches it."""
        if sum(each.watcher_count for each in self._latest.values()) >= self._plan.most_watching:
            raise ResourceExhausted("TOO_MANY_STREAMS", "Too many watch already.", _RETRY_SECONDS)
        latest = self._latest.setdefault(tenant, _Latest())
        latest.watcher_count += 1
        try:
            latest.put(await self._store.read(tenant))
            latest.following = latest.following or asyncio.create_task(self._follow(tenant, latest))
            yield latest
        finally:
            latest.watcher_count -= 1
            if not latest.watcher_count:
                del self._latest[tenant]
                if latest.following is not None:
                    await cancel(latest.following)

    async def _follow(self, tenant: str, latest: _Latest) -> None:
        is_away = False
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(latest.wake.wait(), _POLL_SECONDS)
            latest.wake.clear()
            try:
                if await self._store.change_count(tenant) != latest.kept.changes:
                    latest.put(await self._store.read(tenant))
                is_away = False
            except MeshError as error:
                if not is_away:
                    _log.warning("those who watch are not told of incidents: %s", error.detail)
                is_away = True


def _require_change(change: change_log.Change, now_us: int) -> None:
    if not change.name.strip() or not change.kind:
        raise InvalidArgument("MISSING_FIELD", "A change needs `what` and a `name`.")
    if change.kind not in change_log.NOTED_KINDS:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`what` is one of {', '.join(change_log.NOTED_KINDS)}.")
    if len(change.name) > _LONGEST_NAME or len(change.detail) > _LONGEST_REASON:
        text = f"`name` has up to {_LONGEST_NAME} characters, `detail` up to {_LONGEST_REASON}."
        raise InvalidArgument("VALUE_OUT_OF_RANGE", text)
    if not 0 <= now_us - change.time_us <= change_log.KNOWN_DAYS * DAY_US:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`time` must be in the last {change_log.KNOWN_DAYS} days.")


def _figures(judged: Sequence[_Judged], watermark_us: int) -> Figures:
    insights = [each for its in judged for each in its.watched.insights]
    found: Counter[str] = Counter()
    for its in judged:
        found |= Counter(its.counts)  # the larger of both
    return Figures(
        {
            severity: sum(each.severity == severity and each.closed_us is None for each in insights)
            for severity in SEVERITIES
        },
        max((watermark_us - its.watched.until_us for its in judged), default=0),
        {metric: found[metric] for metric in METRICS},
    )
