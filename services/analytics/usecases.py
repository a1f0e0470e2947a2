"""The verb of analytics: ask, within bounds."""

import asyncio
import contextlib
import hashlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import msgspec

from mesh.errors import InvalidArgument, ResourceExhausted, Unavailable
from services.analytics.domain import layout
from services.analytics.domain.answer import Answer, Listing, Receipt
from services.analytics.domain.layout import DECISIONS, EVENTS, Partition
from services.analytics.domain.manifest import Manifest, Part
from services.analytics.domain.question import Question, Retention
from services.analytics.ports import Copies, Engine, Outdated, Reading

_MOST_ROWS: Final = 30_000_000
_MOST_WAITING: Final = 8
_CACHED: Final = 256
_CACHED_BYTES: Final = 1_048_576
_RETRY_SECONDS: Final = 2.0
_ATTEMPTS: Final = 3


class Answered(NamedTuple):
    """An answer and what it rests on."""

    answer: Answer
    receipt: Receipt


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
        parts = _parts(manifest, tenant, question)
        key = _Key(
            tenant,
            msgspec.json.encode(question, order="sorted").decode(),
            _version(parts),
            manifest.watermark_us,
            type(question).__name__,
        )
        if key in self._answered:
            self._answered.move_to_end(key)
            return self._answered[key]
        self._require_affordable(parts)
        if key not in self._underway:
            is_summed = manifest.summaries == layout.SUMMARIES
            task = asyncio.create_task(self._answer(key, question, parts, is_summed=is_summed))
            self._underway[key] = task
            task.add_done_callback(lambda _: self._underway.pop(key, None))
        return await asyncio.shield(self._underway[key])

    async def _answer(
        self, key: _Key, question: Question, parts: dict[tuple[str, Partition], Part], *, is_summed: bool
    ) -> Answered:
        def paths(kind: str) -> tuple[str, ...]:
            return tuple(
                f"{kind}/{layout.VERSION}/{partition.folder}/{part.name}"
                for (of, partition), part in parts.items()
                if of == kind
            )

        reading = Reading(question, key.tenant, paths(EVENTS), paths(DECISIONS), key.watermark_us, is_summed)
        async with self._turn(key.tenant):
            answer = await self._engine.answer(reading)
        answered = Answered(answer, _receipt(key, question, parts, answer))
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

    def _require_affordable(self, parts: dict[tuple[str, Partition], Part]) -> None:
        row_count = sum(part.row_count for part in parts.values())
        if row_count <= self._most_rows:
            return
        days = len({partition.day for _, partition in parts})
        text = (
            f"It would read {row_count:,} rows of {days} days, and may read {self._most_rows:,}: "
            f"about {max(1, days * self._most_rows // row_count)} days would fit."
        )
        raise InvalidArgument("QUESTION_TOO_LARGE", text)


def _parts(manifest: Manifest, tenant: str, question: Question) -> dict[tuple[str, Partition], Part]:
    """The files to read, in order."""
    days = layout.days(question.read_from_us, question.read_to_us)
    kinds = (EVENTS,) if isinstance(question, Retention) else layout.KINDS
    return {
        place: part
        for place, part in sorted(manifest.parts.items())
        if place[0] in kinds and place[1].tenant == tenant and place[1].day in days
    }


def _version(parts: dict[tuple[str, Partition], Part]) -> str:
    names = "".join(f"{kind} {partition.day} {part.name}\n" for (kind, partition), part in parts.items())
    return hashlib.sha256(names.encode()).hexdigest()


def _receipt(key: _Key, question: Question, parts: dict[tuple[str, Partition], Part], answer: Answer) -> Receipt:
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
        row_count=sum(part.row_count for part in parts.values()),
        data_version=key.data_version,
        sha256=whole.hexdigest(),
        is_cut=isinstance(answer, Listing) and answer.total_count > len(answer.rows),
    )
