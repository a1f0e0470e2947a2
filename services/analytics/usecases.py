"""The verbs of analytics: ask, within bounds, and keep segments to ask about."""

import asyncio
import contextlib
import dataclasses
import hashlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast

import msgspec

from mesh.clock import Clock
from mesh.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from services.analytics.domain import costs, layout
from services.analytics.domain import question as asked
from services.analytics.domain.alarms import BudgetDay
from services.analytics.domain.answer import Answer, Insights, Listing, Receipt
from services.analytics.domain.costs import Budget, OwnBudget
from services.analytics.domain.layout import DECISIONS, EVENTS, KINDS, Partition
from services.analytics.domain.manifest import Manifest, Part
from services.analytics.domain.question import DAY_US, DayOfUse, Prices, Question, Retention, UserFilter
from services.analytics.domain.segment import Draft, Segment, Segments
from services.analytics.ports import BudgetStore, Copies, Engine, Outdated, Reading, SegmentStore, Spending

_MOST_ROWS: Final = 30_000_000
_MOST_WAITING: Final = 8
_CACHED: Final = 256
_CACHED_BYTES: Final = 1_048_576
_RETRY_SECONDS: Final = 2.0
_ATTEMPTS: Final = 3
_ATTEMPTS_TO_CHANGE: Final = 10
_ID_BYTES: Final = 8
MOST_SEGMENTS: Final = 100
"""So many saved segments a tenant may have."""
_LONGEST_NAME: Final = 100
_LONGEST_DESCRIPTION: Final = 500
_MOST_BYTES: Final = 8_192
# A quarter of an hour: so often an answer about today changes by itself.
_STEP_US: Final = 900_000_000


class Answered(NamedTuple):
    """An answer and what it rests on."""

    answer: Answer
    receipt: Receipt


class Known(NamedTuple):
    """What there is to ask about: what had arrived by `watermark_us` (0: nothing), and the tenants with events."""

    watermark_us: int
    tenants: frozenset[str]


class _Key(NamedTuple):
    tenant: str
    question: str
    data_version: str
    watermark_us: int
    kind: str


class Asking:
    """Answers questions: one of a tenant at a time, the same one once; what is known from the same files, at once."""

    def __init__(self, copies: Copies, engine: Engine, most_rows: int = _MOST_ROWS) -> None:
        self._copies = copies
        self._engine = engine
        self._most_rows = most_rows
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: Counter[str] = Counter()
        self._underway: dict[_Key, asyncio.Task[Answered]] = {}
        self._answered: OrderedDict[_Key, Answered] = OrderedDict()

    async def check(self) -> None:
        """Returns if questions can be answered, or there is nothing to answer from.

        Raises:
            Unavailable: the copies could not be brought up to the archive the last time.
        """
        await self._copies.check()

    def known(self) -> Known:
        """What there is to ask about now.

        Raises:
            Unavailable: it cannot be read.
        """
        its = self._copies.manifest()
        partitions = {partition for _, partition in (*its.parts, *its.tail.parts)}
        return Known(max(its.watermark_us, its.tail.watermark_us), frozenset(each.tenant for each in partitions))

    async def ask(self, tenant: str, question: Question) -> Answered:
        """The answer to a question of a tenant.

        Raises:
            InvalidArgument: `QUESTION_TOO_LARGE`.
            ResourceExhausted: `TOO_MANY_QUESTIONS`, as many of the tenant's wait as may.
            DeadlineExceeded: `QUESTION_TOO_SLOW`.
            Unavailable: the files cannot be read, or change faster than they can be.
        """
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(Outdated):
                return await self._ask(tenant, question)
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The data changes faster than it can be read.")

    async def _ask(self, tenant: str, question: Question) -> Answered:
        manifest = self._copies.manifest()
        paths = _paths(manifest, tenant, question)
        key = _Key(
            tenant,
            msgspec.json.encode(question, order="sorted").decode(),
            _version(paths),
            max(manifest.watermark_us, manifest.tail.watermark_us),
            type(question).__name__,
        )
        if key in self._answered:
            self._answered.move_to_end(key)
            return self._answered[key]
        self._require_affordable(paths)
        if key not in self._underway:
            is_summed = manifest.summaries == layout.SUMMARIES
            task = asyncio.create_task(self._answer(key, question, paths, is_summed=is_summed))
            self._underway[key] = task
            task.add_done_callback(lambda _: self._underway.pop(key, None))
        return await asyncio.shield(self._underway[key])

    async def _answer(self, key: _Key, question: Question, paths: "_Paths", *, is_summed: bool) -> Answered:
        reading = Reading(
            question,
            key.tenant,
            tuple(paths.archived[EVENTS]),
            tuple(paths.archived[DECISIONS]),
            key.watermark_us,
            is_summed,
            tuple(paths.tail[EVENTS]),
            tuple(paths.tail[DECISIONS]),
        )
        async with self._turn(key.tenant):
            answer = await self._engine.answer(reading)
        answered = Answered(answer, _receipt(key, question, paths.row_count, answer))
        if len(msgspec.json.encode(answer)) <= _CACHED_BYTES:
            self._answered[key] = answered
            while len(self._answered) > _CACHED:
                self._answered.popitem(last=False)
        return answered

    @contextlib.asynccontextmanager
    async def _turn(self, tenant: str) -> AsyncIterator[None]:
        if self._waiting[tenant] > _MOST_WAITING:
            text = "As many questions wait as may. Try again in a moment."
            raise ResourceExhausted("TOO_MANY_QUESTIONS", text, _RETRY_SECONDS)
        self._waiting[tenant] += 1
        try:
            async with self._turns[tenant]:
                yield
        finally:
            self._waiting[tenant] -= 1
            if not self._waiting[tenant]:
                del self._waiting[tenant], self._turns[tenant]

    def _require_affordable(self, paths: "_Paths") -> None:
        row_count, days = paths.row_count, paths.day_count
        if row_count <= self._most_rows:
            return
        text = (
            f"It would read {row_count:,} rows of {days} days, and may read {self._most_rows:,}: "
            f"about {max(1, days * self._most_rows // row_count)} days would fit."
        )
        raise InvalidArgument("QUESTION_TOO_LARGE", text)


@dataclasses.dataclass(slots=True)
class _AllEvents:
    """How many events all tenants had on each day, added up once for as long as the copies stay the same."""

    parts: Mapping[tuple[str, Partition], Part] = dataclasses.field(default_factory=dict)
    rows: Counter[int] = dataclasses.field(default_factory=Counter)

    def of(self, parts: Mapping[tuple[str, Partition], Part]) -> Counter[int]:
        """By day; 0 without any."""
        if parts is not self.parts:
            self.parts, self.rows = parts, Counter()
            for (kind, its), part in parts.items():
                self.rows[its.day] += part.row_count if kind == EVENTS else 0
        return self.rows


@dataclasses.dataclass(frozen=True)
class Costing:
    """Looks up what questions about costs need: what was used, by the copies, and what language models cost."""

    copies: Copies
    spending: Spending
    prices: Prices
    budgets: BudgetStore
    clock: Clock
    _archived: _AllEvents = dataclasses.field(default_factory=_AllEvents, init=False, compare=False)
    _tail: _AllEvents = dataclasses.field(default_factory=_AllEvents, init=False, compare=False)

    async def looked_up(self, tenant: str, question: Question) -> Question:
        """A question about costs with what was used and the prices; any other question as it is.

        Raises:
            Unavailable: the files or what models cost cannot be read.
        """
        if not isinstance(question, asked.Costs):
            return question
        today = self.clock() // DAY_US
        first, end = question.window.start_us // DAY_US, min(question.window.end_us // DAY_US, today + 1)
        models_usd = await self.spending.usd_by_day(tenant, max(1, today + 1 - first))
        used = self._used(tenant, range(first, end), models_usd)
        budget_usd = costs.lower(await self.budgets.read(tenant), self.prices.budget_of(tenant))
        return dataclasses.replace(question, prices=self.prices.parts, budget_usd=budget_usd, days=tuple(used))

    async def budget(self, tenant: str) -> Budget:
        """What a tenant's day may cost, and what today has cost, in UTC.

        Raises:
            Unavailable: the files, the store or what models cost cannot be read.
        """
        return await self._budget(tenant, await self.budgets.read(tenant))

    async def set_budget(self, tenant: str, daily_usd: float | None, by: str) -> Budget:
        """Sets what a tenant's day may cost, or None; the operator's budget stays as it is.

        Raises:
            InvalidArgument: `VALUE_OUT_OF_RANGE`.
            Unavailable: as `budget`; it may be set nevertheless.
        """
        if daily_usd is not None and not costs.LEAST_USD <= daily_usd <= costs.MOST_USD:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", "`dailyUsd` must be from 0.000001 to 1,000,000,000.")
        own = None if daily_usd is None else OwnBudget(daily_usd, by, self.clock())
        await self.budgets.replace(tenant, own)
        return await self._budget(tenant, own)

    async def budget_days(self, tenant: str) -> Sequence[BudgetDay]:
        """What yesterday and today have cost a tenant, in UTC, and what they may; none without a budget.

        Yesterday is there since what happened before midnight may become known after it; but not if the tenant has set
        its budget since.

        Raises:
            Unavailable: as `budget`.
        """
        own, today = await self.budgets.read(tenant), self.clock() // DAY_US
        daily_usd = costs.lower(own, self.prices.budget_of(tenant))
        if daily_usd is None:
            return ()
        first = today if own is not None and own.set_us >= today * DAY_US else today - 1
        models_usd = await self.spending.usd_by_day(tenant, today + 1 - first)
        days = self._used(tenant, range(first, today + 1), models_usd)
        return [BudgetDay(each.start_us, daily_usd, costs.used_usd(each, self.prices.parts)) for each in days]

    async def used_share(self, tenant: str) -> float | None:
        """Which share of its budget a tenant has used today, in UTC; None without a budget.

        Raises:
            Unavailable: as `budget`.
        """
        own = await self.budgets.read(tenant)
        if costs.lower(own, self.prices.budget_of(tenant)) is None:
            return None
        return (await self._budget(tenant, own)).used_share

    async def _budget(self, tenant: str, own: OwnBudget | None) -> Budget:
        today = self.clock() // DAY_US
        models_usd = await self.spending.usd_by_day(tenant, 1)
        (day,) = self._used(tenant, range(today, today + 1), models_usd)
        return Budget(own, self.prices.budget_of(tenant), costs.used_usd(day, self.prices.parts))

    def _used(self, tenant: str, days: range, models_usd: Mapping[int, float]) -> Iterator[DayOfUse]:
        manifest, now_us = self.copies.manifest(), self.clock()
        kept = manifest.parts, manifest.tail.parts
        every = self._archived.of(kept[0]), self._tail.of(kept[1])
        for day in days:
            own, decided = (
                sum(part.row_count for parts in kept if (part := parts.get((kind, Partition(tenant, day)))))
                for kind in (EVENTS, DECISIONS)
            )
            total, start_us = sum(rows[day] for rows in every), day * DAY_US
            # What a day without any events cost is the default tenant's.
            share = own / total if total else float(not tenant)
            passed = min(max(now_us - start_us, 0) // _STEP_US * _STEP_US / DAY_US, 1.0)
            yield DayOfUse(start_us, own, decided, share, models_usd.get(start_us, 0.0), passed)


@dataclasses.dataclass(frozen=True)
class Saving:
    """Keeps the saved segments of tenants."""

    store: SegmentStore
    clock: Clock
    random_bytes: Callable[[int], bytes]

    async def create(self, tenant: str, draft: Draft) -> Segment:
        """Saves a new segment; returns it.

        Raises:
            InvalidArgument: `MISSING_FIELD`, `VALUE_OUT_OF_RANGE`.
            AlreadyExists: `SEGMENT_NAME_TAKEN`.
            FailedPrecondition: `TOO_MANY_SEGMENTS`.
            Unavailable: the store cannot be reached; so do all methods.
        """
        require_valid(draft)
        segment_id, now_us = self.random_bytes(_ID_BYTES).hex(), self.clock()
        after = await self._replace(tenant, lambda before: created(before, draft, segment_id, now_us))
        return found(after, segment_id)

    async def listed(self, tenant: str) -> Sequence[Segment]:
        """The segments of a tenant, by name."""
        return sorted((await self.store.read(tenant)).segments, key=lambda each: each.name)

    async def get(self, tenant: str, segment_id: str) -> Segment:
        """A segment.

        Raises:
            NotFound: `SEGMENT_NOT_FOUND`.
        """
        return found((await self.store.read(tenant)).segments, segment_id)

    async def change(self, tenant: str, segment_id: str, draft: Draft, revision: int) -> Segment:
        """Replaces what a segment says, which the caller has seen in this revision; returns it.

        Raises:
            InvalidArgument: `MISSING_FIELD`, `VALUE_OUT_OF_RANGE`.
            NotFound: `SEGMENT_NOT_FOUND`.
            AlreadyExists: `SEGMENT_NAME_TAKEN`.
            FailedPrecondition: `SEGMENT_CHANGED`.
        """
        require_valid(draft)
        now_us = self.clock()
        after = await self._replace(tenant, lambda before: changed(before, segment_id, draft, revision, now_us))
        return found(after, segment_id)

    async def delete(self, tenant: str, segment_id: str) -> None:
        """Deletes a segment.

        Raises:
            NotFound: `SEGMENT_NOT_FOUND`.
        """
        await self._replace(tenant, lambda before: deleted(before, segment_id))

    async def looked_up(self, tenant: str, question: Question) -> Question:
        """The question with what the saved segments that it names say now.

        Raises:
            NotFound: `SEGMENT_NOT_FOUND`.
        """
        if isinstance(question, asked.Listing) and question.funnel is not None:
            funnel = cast("asked.Funnel", await self.looked_up(tenant, question.funnel))
            question = dataclasses.replace(question, funnel=funnel)
        if not question.segment.saved:
            return question
        definition = (await self.get(tenant, question.segment.saved)).users
        return dataclasses.replace(question, segment=dataclasses.replace(question.segment, definition=definition))

    async def _replace(self, tenant: str, change: Callable[[Segments], Segments]) -> Segments:
        for _ in range(_ATTEMPTS_TO_CHANGE):
            saved = await self.store.read(tenant)
            after = change(saved.segments)
            if await self.store.replace(tenant, after, saved.changes):
                return after
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "Many change the saved segments at once. Try again.")


def require_valid(draft: Draft) -> None:
    """Returns if a segment may be saved so.

    Raises:
        InvalidArgument: `MISSING_FIELD`, `VALUE_OUT_OF_RANGE`.
    """
    if not draft.name.strip():
        raise InvalidArgument("MISSING_FIELD", "A segment needs a `name`.")
    if draft.users == UserFilter():
        raise InvalidArgument("MISSING_FIELD", "A segment needs `users`, with a condition.")
    if len(draft.name) > _LONGEST_NAME or len(draft.description) > _LONGEST_DESCRIPTION:
        text = f"`name` has up to {_LONGEST_NAME} characters, `description` up to {_LONGEST_DESCRIPTION}."
        raise InvalidArgument("VALUE_OUT_OF_RANGE", text)
    if draft.users.saved:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A saved segment cannot name another one.")
    if len(msgspec.json.encode(draft.users)) > _MOST_BYTES:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`users` has up to {_MOST_BYTES:,} bytes as JSON.")


def found(segments: Sequence[Segment], segment_id: str) -> Segment:
    """The segment with this id.

    Raises:
        NotFound: `SEGMENT_NOT_FOUND`.
    """
    for each in segments:
        if each.segment_id == segment_id:
            return each
    raise NotFound("SEGMENT_NOT_FOUND", "There is no saved segment with this id, or not any more.")


def created(segments: Segments, draft: Draft, segment_id: str, now_us: int) -> Segments:
    """The segments with a new one at their end.

    Raises:
        AlreadyExists: `SEGMENT_NAME_TAKEN`.
        FailedPrecondition: `TOO_MANY_SEGMENTS`.
    """
    _require_free(segments, draft.name)
    if len(segments) >= MOST_SEGMENTS:
        raise FailedPrecondition("TOO_MANY_SEGMENTS", f"There are {MOST_SEGMENTS} saved segments, as many as may be.")
    return *segments, Segment(segment_id, draft.name, draft.description, draft.users, 1, now_us, now_us)


def changed(segments: Segments, segment_id: str, draft: Draft, revision: int, now_us: int) -> Segments:
    """The segments with one of them changed, which somebody has seen in this revision.

    Raises:
        NotFound: `SEGMENT_NOT_FOUND`.
        AlreadyExists: `SEGMENT_NAME_TAKEN`.
        FailedPrecondition: `SEGMENT_CHANGED`.
    """
    before = found(segments, segment_id)
    if before.revision != revision:
        text = f"The segment is at revision {before.revision} by now. Look at it again."
        raise FailedPrecondition("SEGMENT_CHANGED", text)
    others = _without(segments, segment_id)
    _require_free(others, draft.name)
    after = Segment(segment_id, draft.name, draft.description, draft.users, revision + 1, before.created_us, now_us)
    return *others, after


def deleted(segments: Segments, segment_id: str) -> Segments:
    """The segments without one of them.

    Raises:
        NotFound: `SEGMENT_NOT_FOUND`.
    """
    found(segments, segment_id)
    return _without(segments, segment_id)


def _without(segments: Segments, segment_id: str) -> Segments:
    return tuple(each for each in segments if each.segment_id != segment_id)


def _require_free(segments: Segments, name: str) -> None:
    if any(each.name == name for each in segments):
        raise AlreadyExists("SEGMENT_NAME_TAKEN", "There is a saved segment of this name.")


class _Paths(NamedTuple):
    """The files to read, by kind, in order: those of days, and what comes after them."""

    archived: dict[str, list[str]]
    tail: dict[str, list[str]]
    row_count: int
    day_count: int


def _paths(manifest: Manifest, tenant: str, question: Question) -> _Paths:
    days = question.read_days
    needs_decisions = not isinstance(question, Retention) or question.segment.is_of_risk
    kinds = KINDS if needs_decisions else (EVENTS,)

    def wanted(parts: Mapping[tuple[str, Partition], Part]) -> list[tuple[str, Partition, Part]]:
        return [
            (kind, partition, part)
            for (kind, partition), part in sorted(parts.items())
            if kind in kinds and partition.tenant == tenant and partition.day in days
        ]

    archived, tail = wanted(manifest.parts), wanted(manifest.tail.parts)
    return _Paths(
        {of: [layout.part_path(kind, day, part.name) for kind, day, part in archived if kind == of] for of in KINDS},
        {of: [layout.tail_path(day, part.name) for kind, day, part in tail if kind == of] for of in KINDS},
        sum(part.row_count for _, _, part in archived + tail),
        len({partition.day for _, partition, _ in archived + tail}),
    )


def _version(paths: _Paths) -> str:
    every = (path for by_kind in (paths.archived, paths.tail) for of in by_kind.values() for path in of)
    return hashlib.sha256("".join(f"{path}\n" for path in every).encode()).hexdigest()


def _receipt(key: _Key, question: Question, row_count: int, answer: Answer) -> Receipt:
    whole = hashlib.sha256()
    for text in (key.kind, key.question, key.data_version, msgspec.json.encode(answer, order="sorted").decode()):
        whole.update(f"{len(text)}:{text}".encode())
    window = question.window
    return Receipt(
        question=key.question,
        start_us=window.start_us,
        end_us=window.end_us,
        watermark_us=key.watermark_us,
        is_unfinished=window.end_us > key.watermark_us,
        row_count=row_count,
        data_version=key.data_version,
        sha256=whole.hexdigest(),
        is_cut=_is_cut(answer),
    )


def _is_cut(answer: Answer) -> bool:
    if isinstance(answer, Insights):
        return answer.total_count > len(answer.incidents)
    return isinstance(answer, Listing) and answer.total_count > len(answer.rows)
